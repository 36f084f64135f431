"""Delineators without weights.

``classical`` is NeuroKit2 on average beats, combined over the leads; ``nk_*`` are NeuroKit2's own methods, lead by
lead. NeuroKit2 takes seconds to import, so it is imported by the first call.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .detection import detect_beats
from .features import FS_HZ
from .types import Boundaries, delineators


@delineators.register
def classical(signal: NDArray[np.floating[Any]]) -> Boundaries:
    """Without weights: NeuroKit2 on the average beat of each lead, combined over the leads.

    Args:
        signal: (leads, samples) at 250 Hz, mV; NaN where a lead is missing.
    """
    from .average_beat import delineate  # imports NeuroKit2, which takes seconds

    return delineate(signal)


def _lead_by_lead(method: str, signal: NDArray[np.floating[Any]]) -> Boundaries:
    """Plain NeuroKit2 for comparison: one of its methods on each lead, for the beats of ``detect_beats``."""
    from .neurokit import clean, delineate

    beats = detect_beats(np.nan_to_num(signal))
    tables = np.full((3, len(signal), len(beats), 3), np.nan)
    for row, lead in enumerate(signal):
        if len(beats) and np.isfinite(lead).all():
            tables[:, row] = delineate(clean(lead), beats, method, int(FS_HZ))
    return Boundaries(beats, *tables)


for _method in ("dwt", "cwt", "prominence", "peak"):
    delineators.register(partial(_lead_by_lead, _method), name=f"nk_{_method}")
