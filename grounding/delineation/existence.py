"""Removal of P and T waves that do not exceed the noise of the average beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ..small_arrays import median
from .types import Array, Boundaries

# A wave must be higher than the line of a pen is thick, and three times the noise of the average beat: in a recording
# without waves, random deviations reach twice the noise in several leads.
MIN_WAVE_MV, MIN_NOISE_RATIO = 0.01, 3.0
SMOOTHED = 5  # samples: 20 ms, a fifth of the shortest P wave
MAX_AVERAGED = 64  # beats
MARGIN = 5  # samples on either side of a wave
NAMES = {"p": "P", "t": "T"}


def drop_unclear_waves(
    found: Boundaries, extents: dict[str, Array], signal: NDArray[np.float32], present: NDArray[np.bool_]
) -> dict[str, str]:
    """Remove P and T waves that no lead of the average beat shows.

    A network trained on beats that all have waves also finds them where there is only noise.

    Args:
        found: boundaries per lead; changed in place.
        extents: from ``fuse``; changed in place.
        signal: (usable leads, samples) at 250 Hz, mV.
        present: (usable leads, samples), where a lead can be used.

    Returns:
        Why there is no such wave, for ``p`` and ``t`` where they were removed.
    """
    reasons = {}
    for wave, table in (("p", found.p), ("t", found.t)):
        begin, end = extents[f"{wave}_onset"], extents[f"{wave}_offset"]
        has = np.flatnonzero(np.isfinite(begin) & np.isfinite(end))
        if len(has) and not _stands_out(signal, present, begin[has], end[has]):
            reasons[wave] = f"no {NAMES[wave]} wave stands out of the noise"
            begin[:] = end[:] = np.nan
            table[:] = np.nan
    return reasons


def _stands_out(signal: NDArray[np.float32], present: NDArray[np.bool_], begin: Array, end: Array) -> bool:
    """Whether the average of a wave exceeds the noise, over the line between its ends, in at least one lead."""
    length = int(median(end - begin)) + 1 + 2 * MARGIN
    starts = begin.round().astype(np.intp) - MARGIN
    inside = (starts >= 0) & (starts + length <= signal.shape[1])
    if not inside.any():
        return True  # all cut off by the ends of the recording: the noise can't be estimated
    starts = starts[inside][:: max(1, int(inside.sum()) // MAX_AVERAGED)]
    at = starts[:, None] + np.arange(length)
    for lead, known in zip(signal, present, strict=True):
        pieces = lead[at[known[at].all(axis=1)]].astype(np.float64)
        if not len(pieces):
            continue
        # subtracting the line between both ends removes baseline wander and leaves the wave and its noise
        pieces = uniform_filter1d(pieces, SMOOTHED, axis=1, mode="nearest")
        ramp = np.linspace(0, 1, length)
        first, last = pieces[:, : 2 * MARGIN].mean(axis=1), pieces[:, -2 * MARGIN :].mean(axis=1)
        pieces -= first[:, None] + ramp * (last - first)[:, None]
        bump = float(np.abs(pieces.mean(axis=0)).max())
        if bump >= max(MIN_WAVE_MV, MIN_NOISE_RATIO * _noise(pieces)):
            return True
    return False


def _noise(pieces: Array) -> float:
    """Standard error of the average of (beats, samples), from the variance between beats; its roughness if one beat."""
    if len(pieces) > 1:
        return float(np.sqrt(pieces.var(axis=0, ddof=1).mean() / len(pieces)))
    rough = np.diff(pieces[0], SMOOTHED)
    return float(np.sqrt((rough**2).mean() / 2**SMOOTHED)) if rough.size else 0.0
