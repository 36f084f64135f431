"""Stretches that a converter or amplifier spoiled: values at its limit, and what is far larger than the beats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..small_arrays import row_median
from .gaps import spans_of

LEAST_CLIPPED_MV = 0.1  # range of a lead that can be clipped
LARGE_OVER_USUAL, LEAST_LARGE_MV = 2.5, 0.25
SATURATED_S, SATURATED_MV = 0.1, 2.0  # longer than a QRS, and a range that an amplifier's limit leaves


def clipped_share(signal: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.float64]:
    """Share of samples in plateaus at an extreme: three or more equal samples, at two or more places."""
    share = np.zeros(len(signal))
    middle = None
    for extreme in (low, high):
        at = signal == extreme[:, None]
        if all(np.count_nonzero(row) < 6 for row in at):  # two plateaus of three
            continue
        if middle is None:
            middle = np.median(signal[:, :: max(1, signal.shape[1] // 500)], axis=1)
        runs = at[:, 2:] & at[:, 1:-1] & at[:, :-2]
        # a single plateau is a constant start or end of the recording, not a converter at its limit
        plateaus = (runs[:, 1:] & ~runs[:, :-1]).sum(axis=1) + runs[:, 0]
        far = (np.abs(extreme - middle) > 0.2 * (high - low)) & (high - low > LEAST_CLIPPED_MV)
        share += np.where(far & (plateaus >= 2), runs.mean(axis=1), 0.0)
    return share


def saturated_windows(
    signal: NDArray[np.floating[Any]], low: NDArray[Any], high: NDArray[Any], window: int, fs: float
) -> NDArray[np.bool_]:
    """(leads, windows): where a lead stays at its lowest or highest value for longer than a QRS lasts."""
    out = np.zeros((len(signal), -(-signal.shape[1] // window)), bool)
    least = max(3, round(SATURATED_S * fs))
    for row, lead in enumerate(signal):
        if high[row] - low[row] < SATURATED_MV:
            continue
        for extreme in (low[row], high[row]):
            at = lead == extreme
            if np.count_nonzero(at) < least:
                continue
            for first, last in spans_of(at, least):
                out[row, first // window : (last - 1) // window + 1] = True
    return out


def large_windows(
    span: NDArray[np.floating[Any]], pair: NDArray[np.floating[Any]], flat_mv: float
) -> NDArray[np.bool_]:
    """(leads, windows): which windows are far larger than the lead's beats.

    Args:
        span: (leads, windows), range of the samples of each window, mV.
        pair: (leads, windows - 1), the larger range of two windows that follow each other, in which there is a beat.
        flat_mv: below it nothing was recorded: of most leads of a page three quarters.
    """
    usual = row_median(pair).astype(np.float64)
    for row in np.flatnonzero((pair < flat_mv).any(axis=1)):
        recorded = pair[row][pair[row] >= flat_mv]
        usual[row] = np.median(recorded) if len(recorded) else usual[row]
    return np.asarray(span > np.maximum(LARGE_OVER_USUAL * usual, LEAST_LARGE_MV)[:, None])


def windows_with(flags: NDArray[np.bool_], window: int, count: int) -> NDArray[np.bool_]:
    """(count,): which windows have a sample that is flagged."""
    out = np.zeros(count, bool)
    out[np.minimum(np.flatnonzero(flags) // window, count - 1)] = True
    return out
