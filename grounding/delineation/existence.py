"""Is there a wave at all? What was found must stand out of the noise of the average beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from .types import Array, Boundaries

# A wave lower than the line a pen draws is none; a random bump of an average reaches twice its noise in many a lead.
LEAST_MV, LEAST_OF_NOISE = 0.01, 3.0
SMOOTHED = 5  # samples: 20 ms, a fifth of the shortest P wave
MOST_AVERAGED = 64  # beats
MARGIN = 5  # samples on either side of a wave
NAMES = {"p": "P", "t": "T"}


def drop_faint(
    found: Boundaries, extents: dict[str, Array], signal: NDArray[np.float32], there: NDArray[np.bool_]
) -> dict[str, str]:
    """Take P and T waves back that no lead of the average beat shows.

    A network that has seen waves in every beat goes on to see them where there is only noise.

    Args:
        found: boundaries per lead; changed in place.
        extents: from ``fuse``; changed in place.
        signal: (usable leads, samples) at 250 Hz, mV.
        there: (usable leads, samples), where a lead can be used.

    Returns:
        Why there is no such wave, for ``p`` and ``t`` where they were taken back.
    """
    reasons = {}
    for wave, table in (("p", found.p), ("t", found.t)):
        begin, end = extents[f"{wave}_onset"], extents[f"{wave}_offset"]
        has = np.flatnonzero(np.isfinite(begin) & np.isfinite(end))
        if len(has) and not _stands_out(signal, there, begin[has], end[has]):
            reasons[wave] = f"no {NAMES[wave]} wave stands out of the noise"
            begin[:] = end[:] = np.nan
            table[:] = np.nan
    return reasons


def _stands_out(signal: NDArray[np.float32], there: NDArray[np.bool_], begin: Array, end: Array) -> bool:
    """Whether the average of a wave rises over the line between its ends, in one lead at least."""
    length = int(np.median(end - begin)) + 1 + 2 * MARGIN
    starts = begin.round().astype(np.intp) - MARGIN
    inside = (starts >= 0) & (starts + length <= signal.shape[1])
    if not inside.any():
        return True  # cut off at the recording's ends: nothing to hold it against
    starts = starts[inside][:: max(1, int(inside.sum()) // MOST_AVERAGED)]
    at = starts[:, None] + np.arange(length)
    for lead, known in zip(signal, there, strict=True):
        pieces = lead[at[known[at].all(axis=1)]].astype(np.float64)
        if not len(pieces):
            continue
        # over the line between both ends, wander is gone and what is left is the wave and its noise
        pieces = uniform_filter1d(pieces, SMOOTHED, axis=1, mode="nearest")
        ramp = np.linspace(0, 1, length)
        first, last = pieces[:, : 2 * MARGIN].mean(axis=1), pieces[:, -2 * MARGIN :].mean(axis=1)
        pieces -= first[:, None] + ramp * (last - first)[:, None]
        bump = float(np.abs(pieces.mean(axis=0)).max())
        if bump >= max(LEAST_MV, LEAST_OF_NOISE * _noise(pieces)):
            return True
    return False


def _noise(pieces: Array) -> float:
    """Standard deviation that averaging (beats, samples) leaves, from what differs between beats; of one beat, from its roughness."""
    if len(pieces) > 1:
        return float(np.sqrt(pieces.var(axis=0, ddof=1).mean() / len(pieces)))
    rough = np.diff(pieces[0], SMOOTHED)
    return float(np.sqrt((rough**2).mean() / 2**SMOOTHED)) if rough.size else 0.0
