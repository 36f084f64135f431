"""Where the network is in doubt whether a lead shows a QRS: stretches of tremor and noise, such as on printed pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from .features import FS_HZ
from .learned import WEIGHTS, probabilities

WINDOW_S = 1.5  # a beat or more
# Mean of 4 p (1 - p) over the window: 0 where the network is sure, 1 where it can't tell. On 25 pages the leads with
# tremor or noise in which no beat is seen have 0.43 to 0.77, all others 0.4 at most, those of 16 photographs 0.18.
MAX_DOUBT = 0.4
MIN_LEFT = 0.5  # of the time that some lead is there: else what is left tells nothing, and nothing is left out


def doubtful(
    signal: NDArray[np.floating[Any]], present: NDArray[np.bool_], weights: Path = WEIGHTS
) -> NDArray[np.bool_]:
    """Where leads show no clear beats, though they are there.

    The network compares each lead with the others. So a lead is judged again without those that are worse.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        present: (leads, samples), where each lead can be used.
        weights: of the network.

    Returns:
        (leads, samples), all False where hardly anything else would be left.
    """
    out = np.zeros(present.shape, bool)
    for spare_best in (True, False):
        seen = present & ~out
        doubt = _doubt(signal, seen, weights)
        worse = seen & (doubt > MAX_DOUBT)
        if spare_best:
            worse &= doubt > np.where(seen, doubt, np.inf).min(axis=0)
        if not worse.any():
            break
        out |= worse
    left = (present & ~out).any(axis=0).sum()
    return out if left > MIN_LEFT * present.any(axis=0).sum() else np.zeros_like(out)


def _doubt(signal: NDArray[np.floating[Any]], seen: NDArray[np.bool_], weights: Path) -> NDArray[np.float64]:
    """(leads, samples), 0-1: how unsure the network is of QRS complexes around each sample."""
    qrs = probabilities(np.where(seen, signal, np.nan), weights)[:, 2].astype(np.float64)
    size = round(WINDOW_S * FS_HZ)
    unsure, known = (
        uniform_filter1d(part, size, axis=1, mode="constant") for part in (4 * qrs * (1 - qrs) * seen, seen * 1.0)
    )
    return np.asarray(unsure / np.maximum(known, 1 / size))
