"""Rows of a flat page, and the height of each row's line at every column."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from .strokes import pen_line, pen_thickness, sharp_edges

Array = NDArray[np.float64]
WANDER_PERIODS = 0.6  # height of the band in which a row's line runs nearly everywhere
FRAME_PERIODS = 0.3  # beside a frame nothing counts as trace
EDGE_PERIODS = 0.5  # nearer to the edge of the page is no row
MIN_GAP_RATIO, MAX_GAP_RATIO = 0.72, 2.2  # between two rows, to the median
MAX_JUMP_PERIODS, END_PERIODS = 0.5, 2.0  # a jump without ink, behind which such a length at an end is not the line's
FAR_END_PERIODS, LONG_END_PERIODS = 1.5, 8.0  # farther from the row a longer piece is cut: an edge of the paper
MIN_LINE_PERIODS = 4
SHARED_PX = 8  # beside a stroke that two rows share, where each row's own ink is looked for
STROKE_PERIODS, FAR_PERIODS, FAR_ROWS = 1.5, 2.0, 0.4  # wider than a stroke, and as far from every row: not trace
MAX_RUNS, MAX_TIPS = 12, 40  # of a column, and ends that may be gone on from: a bound of the time
MAX_GAP_PERIODS = 3.0  # without ink, within a row
# two rows' lines that are the same so far have one ink; rounds in which it is left to the nearer row; and its rim
SHARED_PERIODS, MAX_ROUNDS, RIM_PX = 0.6, 6, 1
MAX_ROWS = 16  # that layouts have; more are other patterns, and the time is bounded


@dataclass(frozen=True)
class Trace:
    """One row of a page.

    Attributes:
        y: (columns,) height of the line, pixels from the top; NaN where there is none.
        baseline: the row's usual height, pixels.
    """

    y: Array
    baseline: float


def find_rows(ink: NDArray[np.bool_], period: int) -> tuple[list[float], tuple[int, int], list[float]]:
    """Heights at which rows of traces run, the first and last pixel between frames, and heights of what may be rows.

    Args:
        ink: (rows, columns), True where there is trace.
        period: of the grid, pixels.
    """
    # columns with ink near a height, so that wandering lines count too
    near = ndimage.maximum_filter1d(ink.astype(np.uint8), max(3, int(WANDER_PERIODS * period)), axis=0)
    share = ndimage.gaussian_filter1d(near.mean(1), period / 5)
    peaks, _ = signal.find_peaks(share, height=0.3, distance=int(1.8 * period), prominence=0.12)
    edge = EDGE_PERIODS * period
    inner = [float(peak) for peak in peaks if edge < peak < len(share) - edge]
    rows = _evenly_spaced(inner)
    margin = int(FRAME_PERIODS * period)
    above = [int(peak) + margin for peak in peaks if rows and peak < rows[0]]
    below = [int(peak) - margin for peak in peaks if rows and peak > rows[-1]]
    beside = [peak for peak in inner if rows and not rows[0] <= peak <= rows[-1]]
    return rows, (max(above, default=0), min(below, default=len(ink))), beside


def _evenly_spaced(heights: list[float]) -> list[float]:
    """The longest chain of rows at usual distances; a frame or an edge of the paper is nearer or farther away."""
    while len(heights) > 3:
        gaps = np.diff(heights)
        if gaps[-1] < MIN_GAP_RATIO * np.median(gaps[:-1]):
            heights = heights[:-1]
        elif gaps[0] < MIN_GAP_RATIO * np.median(gaps[1:]):
            heights = heights[1:]
        else:
            break
    if len(heights) < 3:
        return heights
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    chains: list[list[float]] = [[heights[0]]]
    for height, gap in zip(heights[1:], gaps, strict=True):
        if gap < MAX_GAP_RATIO * usual:
            chains[-1].append(height)
        else:
            chains.append([height])
    return max(chains, key=len)


def follow_rows(
    ink: NDArray[np.float32], mask: NDArray[np.bool_], baselines: Sequence[float], reach: float, period: int
) -> list[Trace]:
    """Follow the lines of all rows; rows without a line are left out.

    Args:
        ink: (rows, columns), probability of trace.
        mask: where there is trace.
        baselines: the rows' usual heights, from the top.
        reach: how far a line may go from its row, pixels.
        period: of the grid, pixels.
    """
    own = without_foreign(mask, baselines, period)
    found = [_Ink(baseline, *_edges(ink, own, baseline, reach, period)) for baseline in baselines]
    free = [own] * len(found)
    for _ in range(MAX_ROUNDS if len(found) <= MAX_ROWS else 0):
        jumped = _ink_of_others(found, period)
        if not jumped:
            break
        for number, there in jumped.items():
            one = found[number]
            free[number] = free[number].copy()
            for column in np.flatnonzero(there):
                first, last = int(one.top[column]) - RIM_PX, int(one.bottom[column]) + RIM_PX
                free[number][max(0, first) : last + 1, column] = False
            found[number] = _Ink(one.baseline, *_edges(ink, free[number], one.baseline, reach, period))
    found = [one for one in found if np.isfinite(one.top).sum() >= MIN_LINE_PERIODS * period]
    for upper, lower in itertools.pairwise(found):
        _share_ink(upper.bottom, lower.top, upper.top, lower.bottom)
    out = []
    for baseline, top, bottom in found:
        top, bottom = sharp_edges(ink, top, bottom)
        out.append(Trace(pen_line(top, bottom, pen_thickness(top, bottom)), baseline))
    return out


class _Ink(NamedTuple):
    """One row's usual height, and the upper and lower edge (columns,) of its ink; NaN where there is none."""

    baseline: float
    top: Array
    bottom: Array


def _ink_of_others(found: Sequence[_Ink], period: int) -> dict[int, NDArray[np.bool_]]:
    """Where a row's line jumped to another row's, as it does where its own has faded: the ink is the nearer row's.

    Args:
        found: the rows.
        period: of the grid, pixels.

    Returns:
        Number of the row -> (columns,) whether the ink isn't its own.
    """
    lost: dict[int, NDArray[np.bool_]] = {}
    for (i, upper), (j, lower) in itertools.combinations(enumerate(found), 2):
        with np.errstate(invalid="ignore"):
            same = (np.abs(upper.top - lower.top) <= 1) & (np.abs(upper.bottom - lower.bottom) <= 1)
        labels, _ = ndimage.label(same)
        for (stretch,) in ndimage.find_objects(labels):
            # strokes of beats that touch the next row are shorter
            if stretch.stop - stretch.start > SHARED_PERIODS * period:
                level = float(np.median(upper.top[stretch]))
                far = i if abs(level - upper.baseline) > abs(level - lower.baseline) else j
                lost.setdefault(far, np.zeros(same.shape, np.bool_))[stretch] = True
    return lost


def without_foreign(mask: NDArray[np.bool_], baselines: Sequence[float], period: int) -> NDArray[np.bool_]:
    """The trace without connected ink that is wider than a stroke and comes near no row: edges of the paper, writing.

    Args:
        mask: where there is trace.
        baselines: the rows' usual heights.
        period: of the grid, pixels.
    """
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    spacing = float(np.median(np.diff(baselines))) if len(baselines) > 1 else np.inf
    near = min(FAR_PERIODS * period, FAR_ROWS * spacing)
    foreign = np.zeros(n + 1, bool)
    for label, (down, across) in enumerate(ndimage.find_objects(labels), 1):
        if across.stop - across.start > STROKE_PERIODS * period:
            foreign[label] = all(row < down.start - near or row > down.stop + near for row in baselines)
    return np.asarray(mask & ~foreign[labels])


def _edges(
    ink: NDArray[np.float32], mask: NDArray[np.bool_], baseline: float, reach: float, period: int
) -> tuple[Array, Array]:
    """Upper and lower edge of one row's ink: the cheapest way from left to right through the runs of all columns."""
    low, high = max(0, int(baseline - reach)), min(ink.shape[0], int(baseline + reach) + 1)
    band = ink[low:high]
    runs, dark = _runs(mask[low:high], band, baseline - low)
    path = _cheapest(runs, dark, baseline - low, period)
    columns = ink.shape[1]
    top, bottom = np.full(columns, np.nan), np.full(columns, np.nan)
    for column, (a, b) in path.items():
        top[column], bottom[column] = a + low, b + low
    _cut_ends(top, bottom, period)
    return top, bottom


def _share_ink(upper_bottom: Array, lower_top: Array, upper_top: Array, lower_bottom: Array) -> None:
    """Where strokes of two rows run into each other, each row's reach as far as its own ink beside that place.

    Args:
        upper_bottom: (columns,) lower edge of the upper row; changed.
        lower_top: upper edge of the lower row; changed.
        upper_top: upper edge of the upper row.
        lower_bottom: lower edge of the lower row.
    """
    with np.errstate(invalid="ignore"):
        shared = upper_bottom > lower_top
    if not shared.any():
        return
    own_bottom, own_top = np.where(shared, np.nan, upper_bottom), np.where(shared, np.nan, lower_top)
    # an edge that moves from the other's stroke is where the row's own line begins
    deepest, highest = _extreme(own_bottom, SHARED_PX, np.nanmax), _extreme(own_top, SHARED_PX, np.nanmin)
    upper_bottom[shared] = np.fmax(np.fmin(upper_bottom, deepest), upper_top)[shared]
    lower_top[shared] = np.fmin(np.fmax(lower_top, highest), lower_bottom)[shared]


def _cut_ends(top: Array, bottom: Array, period: int) -> None:
    """Remove short pieces at either end that other ink, such as text or a frame, adds with a jump."""
    known = np.flatnonzero(np.isfinite(top))
    if len(known) < 2:
        return
    a, b = known[:-1], known[1:]
    jump = np.maximum(top[b] - bottom[a], top[a] - bottom[b]) > MAX_JUMP_PERIODS * period
    edges = np.r_[0, np.flatnonzero(jump) + 1, len(known)]
    pieces = [known[i:j] for i, j in itertools.pairwise(edges)]
    level = float(np.median(top[known]))
    for order in (pieces, pieces[::-1]):
        for piece in order:
            elsewhere = abs(float(np.median(top[piece])) - level) > FAR_END_PERIODS * period
            if len(piece) > (LONG_END_PERIODS if elsewhere else END_PERIODS) * period:
                break
            top[piece], bottom[piece] = np.nan, np.nan


def _runs(
    mask: NDArray[np.bool_], ink: NDArray[np.float32], baseline: float
) -> tuple[list[list[tuple[int, int]]], list[list[float]]]:
    """(first, last) of each run of ink in every column, at most ``MAX_RUNS``, and how dark each is, 0-1."""
    columns = np.zeros((mask.shape[1], mask.shape[0] + 1), np.int8)
    columns[:, :-1] = mask.T
    steps = np.diff(columns.ravel(), prepend=0)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    height = columns.shape[1]
    runs: list[list[tuple[int, int]]] = [[] for _ in range(len(columns))]
    dark: list[list[float]] = [[] for _ in range(len(columns))]
    if not len(starts):
        return runs, dark
    values = np.zeros(columns.shape, np.float32)
    values[:, :-1] = ink.T
    peaks = np.maximum.reduceat(values.ravel(), np.stack([starts, stops], 1).ravel())[::2]
    strengths = np.clip((peaks - 0.3) / 0.4, 0, 1).tolist()
    at, first = (part.tolist() for part in np.divmod(starts, height))
    for column, a, length, strength in zip(at, first, (stops - starts).tolist(), strengths, strict=True):
        runs[column].append((a, a + length - 1))
        dark[column].append(strength)
    for column in range(len(runs)):
        if len(runs[column]) > MAX_RUNS:  # a picture of noise; the time is bounded
            near = sorted(range(len(runs[column])), key=lambda i: abs(sum(runs[column][i]) / 2 - baseline))[:MAX_RUNS]
            runs[column] = [runs[column][i] for i in sorted(near)]
            dark[column] = [dark[column][i] for i in sorted(near)]
    return runs, dark


def _cheapest(
    runs: list[list[tuple[int, int]]], dark: list[list[float]], baseline: float, period: int
) -> dict[int, tuple[int, int]]:
    """Column -> run of the line, by dynamic programming; columns may be skipped."""
    gap = int(MAX_GAP_PERIODS * period)
    best: list[tuple[list[float], list[tuple[int, int] | None]]] = []
    # runs that nothing goes on from yet: column, number, first, last, cost. Plain comparisons, since they are many
    tips: list[tuple[int, int, int, int, float]] = []
    for column, here in enumerate(runs):
        costs: list[float] = []
        froms: list[tuple[int, int] | None] = []
        tips = [tip for tip in tips if column - tip[0] <= gap][-MAX_TIPS:]
        went_on = set()
        for (a, b), strength in zip(here, dark[column], strict=True):
            off = abs(0.5 * (a + b) - baseline) / period
            # far from the row's usual height a run must be reached from nearer ones
            own = 0.2 * min(3.0, off) - 1.2 * strength
            # a stroke up or down is the line, and not what lies under a peak
            own -= min(1.0, 2.0 * (b - a) / period)
            cost, source = 0.6 * column + 2.0 * off, None
            for tip in tips:
                c, i, p, q, before = tip
                apart = a - q if a > q else p - b if p > b else 0
                if apart <= 2:
                    went_on.add(tip)
                aside = a + b - p - q
                step = before + 0.6 * (column - c - 1) + 0.4 * apart + 0.002 * (aside if aside > 0 else -aside)
                if step < cost:
                    cost, source = step, (c, i)
            costs.append(cost + own)
            froms.append(source)
        best.append((costs, froms))
        tips = [tip for tip in tips if tip not in went_on]
        tips += [(column, i, a, b, costs[i]) for i, (a, b) in enumerate(here)]
    ends = [(costs[i] + 0.6 * (len(runs) - c), c, i) for c, (costs, _) in enumerate(best) for i in range(len(costs))]
    if not ends:
        return {}
    _, column, i = min(ends)
    out: dict[int, tuple[int, int]] = {}
    place: tuple[int, int] | None = (column, i)
    while place is not None:
        column, i = place
        out[column] = runs[column][i]
        place = best[column][1][i]
    return out


def _extreme(values: Array, radius: int, of) -> Array:  # type: ignore[no-untyped-def]
    """A running statistic that ignores NaN."""
    padded = np.pad(values, radius, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1)
    out = np.full(len(values), np.nan)
    some = np.isfinite(windows).any(1)
    out[some] = of(windows[some], axis=1)
    return out
