"""Gaps: stretches of a recording that must not be measured, and intervals that contain one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.intp]  # (n, 2): first sample, and the one after the last
LONGEST_BRIDGED_S = 0.02  # a shorter gap is interpolated linearly: a QRS lasts four times as long
IN_TURN_SHARE = 0.6  # of leads and time; 3 x 4 leads and a rhythm strip are there for a third, 6 x 2 for 0.54
SHORTEST_HIDING_S = 0.08  # a gap in all leads may hide a QRS from this length on


def spans_of(flags: NDArray[np.bool_], shortest: int = 1) -> Spans:
    """Runs of True of at least ``shortest`` samples.

    Args:
        flags: (samples,).
        shortest: samples; shorter runs are left out.

    Returns:
        (n, 2): first sample of each run, and the one after its last.

    Example:
        >>> spans_of(np.array([True, False, True, True])).tolist()
        [[0, 1], [2, 4]]
    """
    padded = np.concatenate([[False], flags, [False]])
    borders = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    return borders[borders[:, 1] - borders[:, 0] >= shortest]


def merged(spans: Sequence[Any] | Spans) -> Spans:
    """Sorted spans, with overlapping and adjacent ones joined.

    Args:
        spans: (n, 2) in samples, in any order.

    Returns:
        (m, 2) in samples, increasing.

    Example:
        >>> merged([(5, 9), (0, 6)]).tolist()
        [[0, 9]]
    """
    ordered = np.asarray(spans, np.intp).reshape(-1, 2)
    ordered = ordered[np.argsort(ordered[:, 0], kind="stable")]
    if len(ordered) < 2:
        return ordered
    ends = np.maximum.accumulate(ordered[:, 1])
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:, 0] > ends[:-1]]))
    return np.stack([ordered[starts, 0], ends[np.append(starts[1:], len(ordered)) - 1]], axis=1)


def presence(bad: Sequence[Spans], n_samples: int, scale: float = 1.0) -> NDArray[np.bool_]:
    """Where each lead can be used.

    Args:
        bad: for each lead the spans (n, 2) that can't be used.
        n_samples: length of the result.
        scale: sampling rate of the result over that of ``bad``.

    Returns:
        (leads, samples), True where the lead can be used.
    """
    present = np.ones((len(bad), n_samples), bool)
    for row, spans in enumerate(bad):
        for first, last in spans:
            present[row, int(np.floor(first * scale)) : int(np.ceil(last * scale))] = False
    return present


def spans_without_leads(present: NDArray[np.bool_], fs: float) -> Spans:
    """Spans (n, 2) in which no lead can be used, long enough to hide a beat.

    Args:
        present: (leads, samples), True where a lead can be used.
        fs: sampling rate, Hz.
    """
    return spans_of(np.asarray(~present.any(axis=0)), max(1, round(SHORTEST_HIDING_S * fs)))


def in_turn(present: NDArray[np.bool_]) -> bool:
    """Whether leads follow each other, as on printed pages, so that at most times only some are there.

    Args:
        present: (leads, samples), True where a lead can be used.
    """
    usable = present.any(axis=1)
    return bool(usable.any()) and float(present[usable].mean()) < IN_TURN_SHARE


def crosses(begins: NDArray[Any], ends: NDArray[Any], spans: Spans) -> NDArray[np.bool_]:
    """Which intervals overlap a span.

    Args:
        begins: (n,) starts of the intervals, samples.
        ends: (n,) ends of the intervals, samples.
        spans: (m, 2), sorted and disjoint.

    Returns:
        (n,); False where an interval's start or end is NaN.

    Example:
        >>> crosses(np.array([0.0, 20.0]), np.array([9.0, 30.0]), np.array([[4, 6]])).tolist()
        [True, False]
    """
    first = np.searchsorted(spans[:, 1], begins, side="right")
    last = np.searchsorted(spans[:, 0], ends, side="left")
    return np.asarray((first < last) & np.isfinite(begins) & np.isfinite(ends))
