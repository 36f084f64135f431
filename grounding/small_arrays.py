"""What NumPy gives for arrays of any shape, for arrays of a few values along one axis, in a tenth of its time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.floating[Any]]) -> float:
    """``np.median`` of all values, to the last bit; NaN where one of them is.

    Args:
        values: of any shape, at least one.

    Example:
        >>> median(np.array([3.0, 1.0, 2.0, 10.0]))
        2.5
    """
    ordered = np.sort(values, axis=None)
    last = ordered[-1]
    if last != last:
        return float(last)
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def quantile(values: NDArray[np.float64], share: float) -> float:
    """``np.quantile`` of all values, to the last bit; NaN where one of them is.

    Args:
        values: of any shape, at least one.
        share: from 0 to 1.

    Example:
        >>> quantile(np.array([1.0, 2.0, 3.0]), 0.25)
        1.5
    """
    ordered = np.sort(values, axis=None)
    place = share * (len(ordered) - 1)
    low = int(place)
    below, above, last = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)]), float(ordered[-1])
    if last != last:
        return last
    step, part = above - below, place - low
    return below + step * part if part < 0.5 else above - step * (1 - part)


def row_quantiles(values: NDArray[np.floating[Any]], shares: Sequence[float]) -> NDArray[np.float64]:
    """``np.quantile(values, shares, axis=1)``, to the last bit.

    Args:
        values: (rows, n), finite, n at least 1.
        shares: from 0 to 1, several.

    Returns:
        (shares, rows).

    Example:
        >>> row_quantiles(np.array([[1.0, 2.0, 3.0]]), (0.25, 0.5)).tolist()
        [[1.5], [2.0]]
    """
    last = values.shape[1] - 1
    place = np.array(shares) * last
    low = place.astype(np.intp)
    high = np.minimum(low + 1, last)
    ordered = np.partition(values, np.unique([*low, *high]), axis=1)
    below, above, part = ordered[:, low].T, ordered[:, high].T, (place - low)[:, None]
    step = above - below
    return np.asarray(np.where(part < 0.5, below + step * part, above - step * (1 - part)), np.float64)


def row_median(values: NDArray[Any]) -> NDArray[Any]:
    """``np.median`` of each row, to the last bit; NaN where the row has one.

    Args:
        values: (rows, n), n at least 1.

    Example:
        >>> row_median(np.array([[3.0, 1.0, 2.0, 10.0], [1.0, 1.0, 1.0, 5.0]])).tolist()
        [2.5, 1.0]
    """
    n = values.shape[1]
    low, high = (n - 1) // 2, n // 2
    ordered = np.partition(values, (low, high), axis=1)
    middle = ordered[:, high] if low == high else (ordered[:, low] + ordered[:, high]) / 2
    missing = np.isnan(values)
    return np.where(missing.any(axis=1), middle.dtype.type(np.nan), middle) if missing.any() else middle


MOST_EXCHANGED = 24  # values; of more, sorting is faster


def middle_two(values: Iterable[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two middle values at each place of several arrays, whose mean is the median there; equal for an odd number.

    A few values at thousands of places are compared and exchanged for all places at once, in half the time in which
    they are sorted place by place.

    Args:
        values: arrays of one shape, without NaN.

    Returns:
        Two arrays of that shape.

    Example:
        >>> low, high = middle_two(np.array([[3.0, 1.0], [1.0, 5.0], [2.0, 1.0], [10.0, 7.0]]))
        >>> low.tolist(), high.tolist()
        ([2.0, 1.0], [3.0, 5.0])
    """
    row = list(values)
    if len(row) > MOST_EXCHANGED:
        row = list(np.sort(row, axis=0))
    else:
        for one, other in _exchanges(len(row)):
            row[one], row[other] = np.minimum(row[one], row[other]), np.maximum(row[one], row[other])
    return row[(len(row) - 1) // 2], row[len(row) // 2]


@lru_cache(maxsize=MOST_EXCHANGED)
def _exchanges(n: int) -> tuple[tuple[int, int], ...]:
    """Which of n values are compared, and the smaller put first, until the middle two are in place.

    Batcher's odd-even merge sort, without what doesn't reach these two.
    """
    every: list[tuple[int, int]] = []
    size = 1
    while size < n:
        step = size
        while step:
            for first in range(step % size, n - step, 2 * step):
                ones = range(first, min(first + step, n - step))
                every += [(one, one + step) for one in ones if one // (2 * size) == (one + step) // (2 * size)]
            step //= 2
        size *= 2
    needed, kept = {(n - 1) // 2, n // 2}, []
    for pair in reversed(every):
        if not needed.isdisjoint(pair):
            needed.update(pair)
            kept.append(pair)
    return tuple(reversed(kept))
