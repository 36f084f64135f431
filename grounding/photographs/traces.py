"""Rows of a flat page, and the height of each row's line at every column."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

Array = NDArray[np.float64]
EDGE_PERIODS = 1.5  # nearer to the edge of the page is no row
MAX_GAP_RATIO = 1.7  # between two rows, to the median
MAX_JUMP_PERIODS, END_PERIODS = 0.5, 2.0  # a jump without ink, behind which such a length at an end is not the line's
MAX_GAP_PERIODS = 3.0  # without ink, within a row


@dataclass(frozen=True)
class Trace:
    """One row of a page.

    Attributes:
        y: (columns,) height of the line, pixels from the top; NaN where there is none.
        top: (columns,) upper edge of its ink.
        bottom: (columns,) lower edge.
        thickness: of the line, pixels.
        baseline: the row's usual height, pixels.
    """

    y: Array
    top: Array
    bottom: Array
    thickness: float
    baseline: float


def find_rows(ink: NDArray[np.bool_], period: int) -> list[float]:
    """Heights at which rows of traces run.

    Args:
        ink: (rows, columns), True where there is trace.
        period: of the grid, pixels.
    """
    # columns with ink near a height, so that wandering lines count too
    near = ndimage.maximum_filter1d(ink.astype(np.uint8), max(3, period // 4), axis=0)
    share = ndimage.gaussian_filter1d(near.mean(1), period / 5)
    peaks, _ = signal.find_peaks(share, height=0.3, distance=int(1.8 * period), prominence=0.12)
    edge = EDGE_PERIODS * period
    inner = [float(peak) for peak in peaks if edge < peak < len(share) - edge]
    return _evenly_spaced(inner)


def _evenly_spaced(heights: list[float]) -> list[float]:
    """The longest chain of rows at usual distances; a frame or an edge of the paper is farther away."""
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


def follow(
    ink: NDArray[np.float32], mask: NDArray[np.bool_], baseline: float, reach: float, period: int
) -> Trace | None:
    """Follow one row's line from left to right: the cheapest way through the runs of ink of all columns.

    Args:
        ink: (rows, columns), probability of trace.
        mask: where there is trace.
        baseline: the row's usual height.
        reach: how far the line may go from it, pixels.
        period: of the grid, pixels.
    """
    low, high = max(0, int(baseline - reach)), min(ink.shape[0], int(baseline + reach) + 1)
    band = ink[low:high]
    runs = _runs(mask[low:high])
    dark = [
        [float(np.clip((band[a : b + 1, c].max() - 0.3) / 0.4, 0, 1)) for a, b in here] for c, here in enumerate(runs)
    ]
    path = _cheapest(runs, dark, baseline - low, period)
    columns = ink.shape[1]
    top, bottom = np.full(columns, np.nan), np.full(columns, np.nan)
    for column, (a, b) in path.items():
        top[column], bottom[column] = a + low, b + low
    _cut_ends(top, bottom, period)
    known = np.isfinite(top)
    if known.sum() < 4 * period:
        return None
    height = bottom - top + 1
    thickness = float(np.median(height[known & (height <= np.nanpercentile(height, 60))]))
    return Trace(_line(ink, top, bottom, thickness), top, bottom, thickness, baseline)


def _cut_ends(top: Array, bottom: Array, period: int) -> None:
    """Remove short pieces at either end that other ink, such as text or a frame, adds with a jump."""
    known = np.flatnonzero(np.isfinite(top))
    if len(known) < 2:
        return
    a, b = known[:-1], known[1:]
    jump = np.maximum(top[b] - bottom[a], top[a] - bottom[b]) > MAX_JUMP_PERIODS * period
    edges = np.r_[0, np.flatnonzero(jump) + 1, len(known)]
    pieces = [known[i:j] for i, j in itertools.pairwise(edges)]
    for order in (pieces, pieces[::-1]):
        for piece in order:
            if len(piece) > END_PERIODS * period:
                break
            top[piece], bottom[piece] = np.nan, np.nan


def _runs(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """(first, last) of each run of ink in every column."""
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1]), np.int8)
    padded[1:-1] = mask
    steps = np.diff(padded, axis=0)
    out: list[list[tuple[int, int]]] = [[] for _ in range(mask.shape[1])]
    starts, ends = np.argwhere(steps.T == 1), np.argwhere(steps.T == -1)
    for (column, a), (_, b) in zip(starts, ends, strict=True):
        out[column].append((int(a), int(b) - 1))
    return out


def _cheapest(
    runs: list[list[tuple[int, int]]], dark: list[list[float]], baseline: float, period: int
) -> dict[int, tuple[int, int]]:
    """Column -> run of the line, by dynamic programming; columns may be skipped."""
    gap = int(MAX_GAP_PERIODS * period)
    best: list[tuple[list[float], list[tuple[int, int] | None]]] = []
    tips: list[tuple[int, int]] = []  # runs (column, number) that nothing goes on from yet
    for column, here in enumerate(runs):
        costs: list[float] = []
        froms: list[tuple[int, int] | None] = []
        tips = [tip for tip in tips if column - tip[0] <= gap]
        went_on = set()
        for (a, b), strength in zip(here, dark[column], strict=True):
            # far from the row's usual height a run must be reached from nearer ones
            own = 0.2 * min(3.0, abs(0.5 * (a + b) - baseline) / period) - 1.2 * strength
            # a stroke up or down is the line, and not what lies under a peak
            own -= min(1.0, 2.0 * (b - a) / period)
            cost, source = 0.6 * column + 2.0 * abs(0.5 * (a + b) - baseline) / period, None
            for c, i in tips:
                p, q = runs[c][i]
                apart = max(0, a - q, p - b)
                if apart <= 2:
                    went_on.add((c, i))
                step = best[c][0][i] + 0.6 * (column - c - 1) + 0.4 * apart + 0.002 * abs(a + b - p - q)
                if step < cost:
                    cost, source = step, (c, i)
            costs.append(cost + own)
            froms.append(source)
        best.append((costs, froms))
        tips = [tip for tip in tips if tip not in went_on] + [(column, i) for i in range(len(here))]
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


def _line(ink: NDArray[np.float32], top: Array, bottom: Array, thickness: float) -> Array:
    """The middle of the line at every column.

    In a steep stroke a column's ink is higher than the line is thick. The line is then where it turns: at the tip of a
    peak half a thickness inside the ink; between such points it runs straight, inside the ink.
    """
    columns = len(top)
    y = np.full(columns, np.nan)
    known = np.flatnonzero(np.isfinite(top))
    half = 0.5 * (thickness - 1)
    fixed = np.zeros(columns, bool)
    top, bottom = _without_bars(top, bottom, thickness)
    known = np.flatnonzero(np.isfinite(top))
    for column in known:
        a, b = int(top[column]), int(bottom[column])
        if b - a + 1 <= 1.7 * thickness:
            part = slice(max(0, a - 1), b + 2)
            weight = ink[part, column].astype(np.float64)
            y[column] = (weight * np.arange(part.start, part.start + len(weight))).sum() / weight.sum()
            fixed[column] = True
    radius = max(2, round(thickness))
    upper = _extreme(top, radius, np.nanmin)
    lower = _extreme(bottom, radius, np.nanmax)
    around = _extreme(0.5 * (top + bottom), 3 * radius, np.nanmedian)
    for column in known[~fixed[known]]:
        is_tip = top[column] <= upper[column] and around[column] - top[column] > thickness
        is_dip = bottom[column] >= lower[column] and bottom[column] - around[column] > thickness
        if is_tip and not is_dip:
            y[column] = top[column] + half
        elif is_dip and not is_tip:
            y[column] = bottom[column] - half
        elif is_tip and is_dip:
            y[column] = (
                top[column] + half
                if around[column] - top[column] > bottom[column] - around[column]
                else (bottom[column] - half)
            )
        else:
            continue
        fixed[column] = True
    if not fixed.any():
        return y
    anchors = np.flatnonzero(fixed)
    straight = np.interp(known, anchors, y[anchors])
    inside = np.clip(
        straight,
        np.minimum(top[known] + half, bottom[known] - half),
        np.maximum(bottom[known] - half, top[known] + half),
    )
    y[known] = np.where(fixed[known], y[known], inside)
    return y


def _without_bars(top: Array, bottom: Array, thickness: float) -> tuple[Array, Array]:
    """The ink's edges without the thick upright bars between two leads of a row.

    Both edges of a bar stay at one height over several columns, which no stroke of a lead does.
    """
    tall = bottom - top + 1 > 4 * thickness
    top, bottom = top.copy(), bottom.copy()
    column = 0
    while column < len(top):
        if not tall[column]:
            column += 1
            continue
        end = column
        while (
            end < len(top) and tall[end] and abs(top[end] - top[column]) <= 3 and abs(bottom[end] - bottom[column]) <= 3
        ):
            end += 1
        if end - column < max(4, 0.8 * thickness):
            column += 1
            continue
        high, low = float(np.median(top[column:end])), float(np.median(bottom[column:end]))
        near = np.arange(max(0, column - 3), min(len(top), end + 4))
        within = near[(top[near] >= high - 3) & (bottom[near] <= low + 3) & tall[near]]
        above = near[(top[near] < high - 3) & (np.abs(bottom[near] - low) <= 4)]
        below = near[(bottom[near] > low + 3) & (np.abs(top[near] - high) <= 4)]
        top[within], bottom[within] = np.nan, np.nan
        bottom[above], top[below] = high, low
        column = end
    return top, bottom


def _extreme(values: Array, radius: int, of) -> Array:  # type: ignore[no-untyped-def]
    """A running statistic that ignores NaN."""
    padded = np.pad(values, radius, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1)
    out = np.full(len(values), np.nan)
    some = np.isfinite(windows).any(1)
    out[some] = of(windows[some], axis=1)
    return out
