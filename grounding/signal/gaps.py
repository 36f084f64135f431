"""Stretches of a recording that must not be measured: where they are, and what reaches across them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.intp]  # (n, 2): first sample, and the one after the last
LONGEST_BRIDGED_S = 0.02  # a missing stretch that a straight line may replace: a QRS takes four times as long
SHORTEST_HIDING_S = 0.08  # a stretch without any lead that may hide a QRS


def spans_of(flags: NDArray[np.bool_], shortest: int = 1) -> Spans:
    """Runs of True of at least ``shortest`` samples.

    Example:
        >>> spans_of(np.array([True, False, True, True])).tolist()
        [[0, 1], [2, 4]]
    """
    padded = np.concatenate([[False], flags, [False]])
    borders = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    return borders[borders[:, 1] - borders[:, 0] >= shortest]


def merged(spans: Sequence[Any] | Spans) -> Spans:
    """The same stretches in order, those that touch joined.

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
    """(leads, samples): where each lead can be used.

    Args:
        bad: stretches of each lead that can't.
        n_samples: of the result.
        scale: the result's sampling rate over that of ``bad``.
    """
    there = np.ones((len(bad), n_samples), bool)
    for row, spans in enumerate(bad):
        for first, last in spans:
            there[row, int(np.floor(first * scale)) : int(np.ceil(last * scale))] = False
    return there


def hidden(there: NDArray[np.bool_], fs: float) -> Spans:
    """Stretches in which no lead can be used, long enough to hide a beat."""
    return spans_of(np.asarray(~there.any(axis=0)), max(1, round(SHORTEST_HIDING_S * fs)))


def crosses(begins: NDArray[Any], ends: NDArray[Any], spans: Spans) -> NDArray[np.bool_]:
    """Which of the stretches from ``begins`` to ``ends`` (n,) have one of ``spans`` in them; NaN has none.

    Example:
        >>> crosses(np.array([0.0, 20.0]), np.array([9.0, 30.0]), np.array([[4, 6]])).tolist()
        [True, False]
    """
    first = np.searchsorted(spans[:, 1], begins, side="right")
    last = np.searchsorted(spans[:, 0], ends, side="left")
    return np.asarray((first < last) & np.isfinite(begins) & np.isfinite(ends))
