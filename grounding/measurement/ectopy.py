"""Ectopic beats: ventricular ones by shape, width and time, supraventricular ones mainly by time.

Each kind has one score per beat, linear in a few quantities that a reader weighs too. The weights were learned from
labels of whole recordings: a recording has such beats if its highest-scoring beat is one (``weights/rhythm.json``;
docs/measurement.md has the recordings, and the accuracy on others).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..delineation.features import FS_HZ
from ..delineation.fusion import row_medians
from ..delineation.types import Array, Boundaries
from ..small_arrays import median

REACH, MOVE, STEP = 20, 10, 2  # samples: 80 ms on either side of R are compared, shifted by up to 40 ms
BEATS_AT_ONCE = 500
NEIGHBOURS = 6  # intervals on either side from which the usual interval is taken
LATE_RATIO = 1.2  # a longer interval, in relation to the usual one, is late
MIN_PACED_CORRELATION = 0.9
TINY = float(np.finfo(np.float32).tiny)
# Features of the scores, in the order of their columns
VENTRICULAR = ("difference", "width", "early", "pause", "p_before", "cut_off")
SUPRAVENTRICULAR = ("early", "shorter_than_next", "on_time", "difference")


class Comparison(NamedTuple):
    """How each beat compares with the usual ones; each (beats,).

    Attributes:
        difference: RMS of the beat less the usual one, over the RMS of the usual one.
        width_ms: QRS duration, median over the leads.
        rr: interval before the beat, samples at 250 Hz, NaN where not known.
        rr_next: interval after the beat, likewise.
        usual_rr: median of the intervals around the beat.
    """

    difference: Array
    width_ms: Array
    rr: Array
    rr_next: Array
    usual_rr: Array


def compare(
    signal: NDArray[np.floating[Any]], found: Boundaries, rr: Array, present: NDArray[np.bool_] | None = None
) -> Comparison:
    """Compare each beat with the usual one: the median of the beats with the narrower half of QRS complexes.

    Args:
        signal: (usable leads, samples) at 250 Hz.
        found: boundaries per lead.
        rr: (beats - 1,) samples from beat to beat, NaN where there is a gap between them.
        present: (usable leads, samples), where a lead was recorded; ``None``: everywhere.
    """
    width = row_medians((found.qrs[:, :, 2] - found.qrs[:, :, 0]).T) * (1000 / FS_HZ)
    known = np.isfinite(width)
    if not known.all():
        width = np.where(known, width, median(width[known]) if known.any() else 0.0)
    difference, _ = compare_with_median(signal, found.beats, width <= median(width), present, of_all=True)
    before, after = np.append(np.nan, rr), np.append(rr, np.nan)
    return Comparison(difference, width, before, after, _usual_around(before))


def compare_with_median(
    signal: NDArray[np.floating[Any]],
    beats: NDArray[np.intp],
    reference: NDArray[np.bool_],
    present: NDArray[np.bool_] | None,
    of_all: bool = False,
) -> tuple[Array, Array]:
    """Compare each beat with a median beat: 160 ms around R in all leads, each lead less its mean.

    A beat is shifted by up to 40 ms to where it fits best, since the R position of a wide QRS varies.

    Args:
        signal: (leads, samples) at 250 Hz.
        beats: (n,) R positions, samples.
        reference: (n,) the beats whose median is taken.
        present: (leads, samples), where a lead was recorded; ``None``: everywhere.
        of_all: a lead that was recorded in no beat of ``reference`` gets the median of all its beats.

    Returns:
        The relative difference (as in ``Comparison``) and the correlation of each beat, both (n,).
    """

    def windows(chosen: NDArray[np.intp]) -> tuple[Array, Array]:
        at = np.clip(chosen[:, None] + np.arange(-REACH - MOVE, REACH + MOVE + 1), 0, signal.shape[1] - 1)
        has = np.ones((len(signal), len(chosen))) if present is None else present[:, at].all(axis=2).astype(np.float64)
        return np.take(signal, at, axis=1).astype(np.float64), np.asarray(has)  # leads, beats, samples; leads, beats

    def typical_of(chosen: NDArray[np.intp]) -> tuple[Array, NDArray[np.intp]]:
        cut, has = windows(chosen[:: max(1, len(chosen) // BEATS_AT_ONCE)])
        middle = cut[:, :, MOVE : MOVE + 2 * REACH + 1]
        middle = middle - middle.mean(axis=2, keepdims=True)
        middle[has == 0] = np.nan
        ordered, count, row = np.sort(middle, axis=1), has.sum(axis=1).astype(np.intp), np.arange(len(middle))
        low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[1] - 1)
        usual = np.nan_to_num((ordered[row, low] + ordered[row, high]) / 2)
        return usual - usual.mean(axis=1, keepdims=True), count

    typical, count = typical_of(beats[reference])
    if of_all and not count.all():
        typical[count == 0] = typical_of(beats)[0][count == 0]
    parts = [
        _best_fit(*windows(beats[first : first + BEATS_AT_ONCE]), typical)
        for first in range(0, len(beats), BEATS_AT_ONCE)
    ]
    difference, correlation = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return difference, correlation


def _best_fit(windows: Array, has: Array, typical: Array) -> tuple[Array, Array]:
    n, first = 2 * REACH + 1, np.arange(0, 2 * MOVE + 1, STEP)
    size = (typical**2).sum(axis=1) @ has  # energy of the usual beat in the leads recorded at each beat
    totals = np.zeros((2, *windows.shape[:2], windows.shape[2] + 1))
    np.cumsum(windows, axis=2, out=totals[0, :, :, 1:])
    np.cumsum(windows**2, axis=2, out=totals[1, :, :, 1:])
    sums, squares = totals
    energy = squares[:, :, first + n] - squares[:, :, first] - (sums[:, :, first + n] - sums[:, :, first]) ** 2 / n
    moved = np.zeros((len(typical), windows.shape[2], len(first)))  # the usual beat at each shift
    for k, place in enumerate(first):
        moved[:, place : place + n, k] = typical
    common = ((windows @ moved) * has[:, :, None]).sum(axis=0)  # beats, places
    energy = (energy * has[:, :, None]).sum(axis=0)
    correlation = common / np.sqrt(np.maximum(energy * size[:, None], TINY))
    best, row = correlation.argmax(axis=1), np.arange(len(common))
    left = np.maximum(energy + size[:, None] - 2 * common, 0)[row, best]
    return np.sqrt(left / np.maximum(size, TINY)), correlation[row, best]


def _usual_around(before: Array) -> Array:
    """Median of the intervals near each beat, without its own two; of all intervals where fewer than three are near."""
    padded = np.full(len(before) + 2 * NEIGHBOURS, np.nan)
    padded[NEIGHBOURS:-NEIGHBOURS] = before
    near = padded[np.arange(len(before))[:, None] + np.arange(2 * NEIGHBOURS + 1)]
    near[:, NEIGHBOURS : NEIGHBOURS + 2] = np.nan
    usual = row_medians(near)
    few = np.isfinite(near).sum(axis=1) < 3
    usual[few] = row_medians(before[None])[0]
    return usual


def ventricular_features(
    comparison: Comparison, has_p: NDArray[np.bool_], beats: NDArray[np.intp], n_samples: int
) -> Array:
    """Features of the ventricular score.

    Args:
        comparison: from ``compare``.
        has_p: (beats,) whether a P wave comes before.
        beats: (beats,) R positions, samples at 250 Hz.
        n_samples: length of the recording, samples at 250 Hz.

    Returns:
        (beats, features), in the order of ``VENTRICULAR``.
    """
    cut_off = (beats < REACH + 5) | (beats >= n_samples - 2 * REACH)
    columns = (
        np.log(np.clip(comparison.difference, 0.05, 4.0)),
        np.clip(comparison.width_ms, 60, 200) / 30,
        _log_ratio(comparison.rr, comparison.usual_rr, -0.8, 0.5),
        _log_ratio(comparison.rr_next, comparison.usual_rr, -0.8, 0.8),
        has_p,
        cut_off,
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def supraventricular_features(comparison: Comparison, ventricular: NDArray[np.bool_]) -> Array:
    """Features of the supraventricular score.

    A beat is ``on_time`` where it comes within 1.2 usual intervals after the beat before the last one; then the beat
    in between was early, or is a false detection.

    Args:
        comparison: from ``compare``.
        ventricular: (beats,) which beats are ventricular.

    Returns:
        (beats, features), in the order of ``SUPRAVENTRICULAR``.
    """
    two = comparison.rr + np.append(np.nan, comparison.rr[:-1])
    following = np.where(np.append(ventricular[1:], False), np.nan, comparison.rr_next)
    columns = (
        _log_ratio(comparison.rr, comparison.usual_rr, -0.45, 0.2),
        _log_ratio(comparison.rr, following, -0.6, 0.3),
        two < LATE_RATIO * comparison.usual_rr,
        np.log(np.clip(comparison.difference, 0.05, 4.0)),
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _log_ratio(a: Array, b: Array, low: float, high: float) -> Array:
    """log(a / b), clipped; 0 where it is not known."""
    return np.asarray(np.clip(np.nan_to_num(np.log(a / b), nan=0.0), low, high))


def beat_types(
    comparison: Comparison,
    ventricular: NDArray[np.bool_],
    supraventricular: NDArray[np.bool_],
    paced: NDArray[np.bool_],
) -> list[str]:
    """The type of each beat.

    A ventricular beat that comes later than usual is not premature but ``wide``: it may be an escape beat.

    Args:
        comparison: from ``compare``.
        ventricular: (beats,).
        supraventricular: (beats,).
        paced: (beats,).

    Returns:
        For each beat ``normal``, ``premature_ventricular``, ``premature_supraventricular``, ``wide`` or ``paced``.
    """
    late = comparison.rr > LATE_RATIO * comparison.usual_rr
    types = np.full(len(paced), "normal", object)
    types[supraventricular] = "premature_supraventricular"
    types[ventricular] = np.where(late[ventricular], "wide", "premature_ventricular")
    types[paced] = "paced"
    return [str(kind) for kind in types]


def resembling_paced(
    signal: NDArray[np.floating[Any]],
    beats: NDArray[np.intp],
    paced: NDArray[np.bool_],
    present: NDArray[np.bool_] | None,
) -> NDArray[np.bool_]:
    """Paced beats, and beats of the same shape, since not every spike is detected.

    Args:
        signal: (leads, samples) at 250 Hz.
        beats: (n,) R positions, samples.
        paced: (n,) beats that follow a spike.
        present: (leads, samples), where a lead was recorded; ``None``: everywhere.

    Returns:
        (n,).
    """
    return (
        paced | (compare_with_median(signal, beats, paced, present)[1] >= MIN_PACED_CORRELATION)
        if paced.any()
        else paced
    )
