"""Which beats come from elsewhere: ventricular by their shape, width and time, supraventricular by their time alone.

Each kind has one score per beat, linear in a few quantities that a reader weighs too. The weights were learned from
labels of whole recordings: one is said to have such beats where its highest-scoring beat is one
(``weights/rhythm.json``; docs/measurement.md tells from which recordings, and how well it does on others).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..delineation.features import FS_HZ
from ..delineation.fusion import row_medians
from ..delineation.types import Array, Boundaries

REACH, MOVE, STEP = 20, 10, 2  # samples: 80 ms around R are compared, moved by up to 40 ms
BEATS_AT_ONCE = 500
NEIGHBOURS = 6  # intervals on either side that tell how long one usually is there
SOON = 1.2  # times the usual interval
SAME_SHAPE = 0.9
TINY = float(np.finfo(np.float32).tiny)
# What the scores read, in the order of the features
VENTRICULAR = ("difference", "width", "early", "pause", "p_before", "cut_off")
SUPRAVENTRICULAR = ("early", "shorter_than_next", "on_time", "difference")


class Comparison(NamedTuple):
    """How each beat compares with the usual ones, each (beats,).

    ``difference``: size of what is left of a beat once the usual one is taken off, over the usual one's size;
    ``width_ms``: of the QRS in the usual lead; ``rr`` and ``rr_next``: intervals before and after, samples, NaN where
    not known; ``usual_rr`` around the beat.
    """

    difference: Array
    width_ms: Array
    rr: Array
    rr_next: Array
    usual_rr: Array


def compare(
    signal: NDArray[np.floating[Any]], found: Boundaries, rr: Array, there: NDArray[np.bool_] | None = None
) -> Comparison:
    """Hold each beat against the usual one: the median of the narrower half.

    Args:
        signal: (usable leads, samples) at 250 Hz.
        found: boundaries per lead.
        rr: (beats - 1,) samples from beat to beat, NaN where something between them is missing.
        there: (usable leads, samples), where a lead was recorded; all of it where ``None``.
    """
    width = row_medians((found.qrs[:, :, 2] - found.qrs[:, :, 0]).T) * (1000 / FS_HZ)
    known = np.isfinite(width)
    width = np.where(known, width, np.median(width[known]) if known.any() else 0.0)
    difference, _ = against(signal, found.beats, width <= np.median(width), there, of_all=True)
    before, after = np.append(np.nan, rr), np.append(rr, np.nan)
    return Comparison(difference, width, before, after, _usual_around(before))


def against(
    signal: NDArray[np.floating[Any]],
    beats: NDArray[np.intp],
    those: NDArray[np.bool_],
    there: NDArray[np.bool_] | None,
    of_all: bool = False,
) -> tuple[Array, Array]:
    """How each beat (beats,) differs from the median of ``those`` (difference, correlation): 160 ms around R in all leads, each less its mean.

    With ``of_all``, a lead that was recorded in none of ``those`` has the median of all its beats.

    A beat is moved by up to 40 ms to where it fits best: the R of a wide QRS is here and there.
    """

    def windows(chosen: NDArray[np.intp]) -> tuple[Array, Array]:
        at = np.clip(chosen[:, None] + np.arange(-REACH - MOVE, REACH + MOVE + 1), 0, signal.shape[1] - 1)
        has = np.ones((len(signal), len(chosen))) if there is None else there[:, at].all(axis=2).astype(np.float64)
        return signal[:, at].astype(np.float64), np.asarray(has)  # leads, beats, samples; leads, beats

    def typical_of(chosen: NDArray[np.intp]) -> tuple[Array, NDArray[np.intp]]:
        cut, has = windows(chosen[:: max(1, len(chosen) // BEATS_AT_ONCE)])
        middle = cut[:, :, MOVE : MOVE + 2 * REACH + 1]
        middle = middle - middle.mean(axis=2, keepdims=True)
        middle[has == 0] = np.nan
        ordered, count, row = np.sort(middle, axis=1), has.sum(axis=1).astype(np.intp), np.arange(len(middle))
        low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[1] - 1)
        median = np.nan_to_num((ordered[row, low] + ordered[row, high]) / 2)
        return median - median.mean(axis=1, keepdims=True), count

    typical, count = typical_of(beats[those])
    if of_all and not count.all():
        typical[count == 0] = typical_of(beats)[0][count == 0]
    parts = [
        _fit(*windows(beats[first : first + BEATS_AT_ONCE]), typical) for first in range(0, len(beats), BEATS_AT_ONCE)
    ]
    difference, likeness = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return difference, likeness


def _fit(windows: Array, has: Array, typical: Array) -> tuple[Array, Array]:
    n, first = 2 * REACH + 1, np.arange(0, 2 * MOVE + 1, STEP)
    size = (typical**2).sum(axis=1) @ has  # of the usual beat, in the leads that a beat has
    sums, squares = (np.cumsum(np.pad(x, ((0, 0), (0, 0), (1, 0))), axis=2) for x in (windows, windows**2))
    energy = squares[:, :, first + n] - squares[:, :, first] - (sums[:, :, first + n] - sums[:, :, first]) ** 2 / n
    moved = np.zeros((len(typical), windows.shape[2], len(first)))  # the usual beat at each place
    for k, place in enumerate(first):
        moved[:, place : place + n, k] = typical
    common = ((windows @ moved) * has[:, :, None]).sum(axis=0)  # beats, places
    energy = (energy * has[:, :, None]).sum(axis=0)
    likeness = common / np.sqrt(np.maximum(energy * size[:, None], TINY))
    best, row = likeness.argmax(axis=1), np.arange(len(common))
    left = np.maximum(energy + size[:, None] - 2 * common, 0)[row, best]
    return np.sqrt(left / np.maximum(size, TINY)), likeness[row, best]


def _usual_around(before: Array) -> Array:
    """Median of the intervals near each beat, its own two left out; of all where there are fewer than three."""
    padded = np.pad(before, NEIGHBOURS, constant_values=np.nan)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1).copy()
    near[:, NEIGHBOURS : NEIGHBOURS + 2] = np.nan
    usual = row_medians(near)
    few = np.isfinite(near).sum(axis=1) < 3
    usual[few] = row_medians(before[None])[0]
    return usual


def ventricular_features(of: Comparison, has_p: NDArray[np.bool_], beats: NDArray[np.intp], n_samples: int) -> Array:
    """(beats, ``VENTRICULAR``)."""
    cut_off = (beats < REACH + 5) | (beats >= n_samples - 2 * REACH)
    columns = (
        np.log(np.clip(of.difference, 0.05, 4.0)),
        np.clip(of.width_ms, 60, 200) / 30,
        _log_ratio(of.rr, of.usual_rr, -0.8, 0.5),
        _log_ratio(of.rr_next, of.usual_rr, -0.8, 0.8),
        has_p,
        cut_off,
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def supraventricular_features(of: Comparison, ventricular: NDArray[np.bool_]) -> Array:
    """(beats, ``SUPRAVENTRICULAR``).

    A beat is on time that comes when the one before the last let expect it: what came in between came early, or was
    none.
    """
    two = of.rr + np.append(np.nan, of.rr[:-1])
    following = np.where(np.append(ventricular[1:], False), np.nan, of.rr_next)
    columns = (
        _log_ratio(of.rr, of.usual_rr, -0.45, 0.2),
        _log_ratio(of.rr, following, -0.6, 0.3),
        two < SOON * of.usual_rr,
        np.log(np.clip(of.difference, 0.05, 4.0)),
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _log_ratio(a: Array, b: Array, low: float, high: float) -> Array:
    """log(a / b), 0 where it is not known."""
    return np.asarray(np.clip(np.nan_to_num(np.log(a / b), nan=0.0), low, high))


def beat_types(
    of: Comparison, ventricular: NDArray[np.bool_], supraventricular: NDArray[np.bool_], paced: NDArray[np.bool_]
) -> list[str]:
    """``normal``, ``premature_ventricular``, ``premature_supraventricular``, ``wide`` or ``paced``, one per beat.

    A ventricular beat that comes later than usual is not premature but ``wide``: it may stand in for one that failed to
    come.
    """
    late = of.rr > SOON * of.usual_rr
    kinds = np.full(len(paced), "normal", object)
    kinds[supraventricular] = "premature_supraventricular"
    kinds[ventricular] = np.where(late[ventricular], "wide", "premature_ventricular")
    kinds[paced] = "paced"
    return [str(kind) for kind in kinds]


def like_paced(
    signal: NDArray[np.floating[Any]],
    beats: NDArray[np.intp],
    paced: NDArray[np.bool_],
    there: NDArray[np.bool_] | None,
) -> NDArray[np.bool_]:
    """Paced beats, and those that look like them: not every spike is seen."""
    return paced | (against(signal, beats, paced, there)[1] >= SAME_SHAPE) if paced.any() else paced
