"""Beat detection on all leads together, from the mean energy of their slopes in the QRS band."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from .features import FS_HZ

_QRS_BAND = butter(2, (5.0, 30.0), btype="bandpass", fs=FS_HZ, output="sos")
REFRACTORY_S = 0.24
MIN_PROMINENCE = 0.3


def detect_beats(signal: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """R positions of a record, in samples at 250 Hz.

    The sign of a lead does not matter, and a flat lead adds nothing. Cost is linear in duration.

    Args:
        signal: (leads, samples) at 250 Hz, without NaN.

    Returns:
        Increasing sample numbers; empty where no beat is found.
    """
    if signal.shape[1] < int(0.5 * FS_HZ):
        return np.empty(0, np.intp)
    band = sosfiltfilt(_QRS_BAND, signal, axis=1, padlen=min(250, signal.shape[1] - 1))
    scale = np.percentile(np.abs(band), 98, axis=1, keepdims=True)
    alive = scale[:, 0] > 1e-9
    if not alive.any():
        return np.empty(0, np.intp)
    slope = np.gradient(band[alive] / scale[alive], axis=1)
    power = uniform_filter1d(np.mean(slope**2, axis=0), int(0.1 * FS_HZ))
    energy = np.sqrt(np.maximum(power, 0))  # rounding makes the running mean negative after a huge spike
    # local height of a QRS: the running maximum over 1.5 s, averaged over 3 s
    height = uniform_filter1d(maximum_filter1d(energy, int(1.5 * FS_HZ)), int(3 * FS_HZ))
    level = np.minimum(height, 2.0 * np.median(height))
    peaks, _ = find_peaks(energy / np.maximum(level, 1e-12), height=MIN_PROMINENCE, distance=int(REFRACTORY_S * FS_HZ))
    return refine(band, peaks)


def refine(band: NDArray[np.floating[Any]], beats: NDArray[np.intp]) -> NDArray[np.intp]:
    """Move each beat to the largest deflection, RMS over all leads, within 60 ms.

    Args:
        band: (leads, samples) at 250 Hz, band-passed.
        beats: (n,) sample numbers.

    Returns:
        Increasing sample numbers, those that coincide only once.
    """
    strength = np.sqrt(np.mean(np.square(band), axis=0))
    reach = int(0.06 * FS_HZ)
    moved = [
        max(0, b - reach) + int(np.argmax(strength[max(0, b - reach) : min(len(strength), b + reach + 1)]))
        for b in beats
    ]
    return np.unique(np.asarray(moved, np.intp))
