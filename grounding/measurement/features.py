"""What the learned delineator sees: each lead at 250 Hz, scaled, beside two channels that all leads share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

FS_HZ = 250.0
_BAND = butter(2, (0.5, 40.0), btype="bandpass", fs=FS_HZ, output="sos")


def net_input(signal: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Channels for the network.

    Args:
        signal: (leads, samples) at 250 Hz, any unit, without NaN; a lead of zeros counts as missing.

    Returns:
        float32 (leads, 3, samples): the band-passed lead, the RMS over leads, the spatial velocity; each scaled robustly.
    """
    clean = sosfiltfilt(_BAND, signal, axis=1, padtype="odd", padlen=min(500, signal.shape[1] - 1))
    lead = clean / _scale(clean)
    alive = np.any(signal != 0, axis=1)
    common = lead[alive] if alive.any() else lead
    rms = np.sqrt(np.mean(common**2, axis=0, keepdims=True))
    velocity = np.sqrt(np.mean(np.gradient(common, axis=1) ** 2, axis=0, keepdims=True))
    shared = np.concatenate([rms / _scale(rms), velocity / _scale(velocity)])
    out = np.empty((len(lead), 3, lead.shape[1]), np.float32)
    out[:, 0] = lead
    out[:, 1:] = shared
    return out


def _scale(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """A spread that one big beat or artefact does not move: the 98th percentile of |x|, never zero."""
    spread: NDArray[np.floating[Any]] = np.maximum(np.percentile(np.abs(x), 98, axis=1, keepdims=True), 1e-9) / 2.0
    return spread
