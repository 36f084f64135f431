"""Which beats follow a pacing spike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .features import FS_HZ
from .types import Array, Boundaries

BEFORE_MS, INSIDE_MS = 320.0, 40.0  # an atrial spike comes an AV interval before the QRS


def mark_paced(found: Boundaries, edges: dict[str, Array], spikes: Array) -> NDArray[np.bool_]:
    """Which beats (beats,) follow a pacing spike, of the ventricle or of the atrium.

    A filter smears a spike, so that a paced QRS seems to begin shortly before it; its onset is moved to the spike.

    Args:
        found: boundaries per lead; QRS onsets are changed in place.
        edges: from ``fuse``; ``qrs_onset`` is changed in place.
        spikes: (n,) samples at 250 Hz.
    """
    after = (spikes - edges["qrs_onset"][:, None]) * (1000 / FS_HZ)  # NaN where no onset was found
    inside = (after > 0) & (after <= INSIDE_MS)
    first = np.where(inside, spikes, -np.inf).max(axis=1, initial=-np.inf)
    np.maximum(edges["qrs_onset"], first, out=edges["qrs_onset"])
    np.maximum(found.qrs[:, :, 0], first, out=found.qrs[:, :, 0])
    return np.asarray(((after >= -BEFORE_MS) & (after <= INSIDE_MS)).any(axis=1))
