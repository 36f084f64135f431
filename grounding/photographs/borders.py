"""The borders of stretches: where calibration pulses end, and what upright bars hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrangement import CalibrationPulse, Cell
from .traces import Trace

Array = NDArray[np.float64]
EDGE_REACH_PX = 6  # to each side of a pulse's end, where its falling edge is looked for
EDGE_ENDS = 0.15  # of its height, at both ends of the edge, that may be roof or line
MIN_EDGE = 0.1  # mean probability of trace along an edge; faint edges are drawn along lines of the grid
ON_LINE_PERIODS = 0.04  # a pulse that ends so near to a line of the grid ends on it
BAR_REACH_PX, MAX_BAR_PX = 10, 10  # from the border of a stretch, and the width of what hides it there
BAR_PERIODS = 0.5  # its height, above or below the row
BAR_SHARE = 0.6  # of that height that is ink
BESIDE_BAR_PX = 1
BEYOND_BAR_PX = 2  # a line that runs so far above or below a bar is seen


@dataclass(frozen=True)
class Bar:
    """Ink that hides a stretch at its beginning or end.

    Attributes:
        edge: the last column that it hides at a beginning, and the first at an end.
        above: how far it reaches above the row's usual height, pixels; infinite for the edge of a pulse.
        below: the same below.
    """

    edge: float
    above: float
    below: float

    def hides(self, columns: Array, heights: Array, is_end: bool) -> NDArray[np.bool_]:
        """Which points of a line it may hide.

        Args:
            columns: (n,) of the points.
            heights: (n,) above the row's usual height, pixels.
            is_end: whether it is at the end of the stretch.
        """
        beyond = columns >= self.edge if is_end else columns <= self.edge
        seen = (heights > self.above + BEYOND_BAR_PX) | (heights < -self.below - BEYOND_BAR_PX)
        return np.asarray(beyond & ~seen)


def pulse_end(trace: NDArray[np.float32], baselines: Sequence[float], pulses: CalibrationPulse, period: int) -> float:
    """The column at which the pulses end: the middle of their falling edges, or the line of the grid that they end on.

    Many lines of the grid tell its place better than a few edges do, which are drawn on whole pixels of the print.

    Args:
        trace: (rows, columns), probability of trace.
        baselines: of the rows, pixels.
        pulses: of the page.
        period: of the grid, pixels.
    """
    first = round(pulses.end) - EDGE_REACH_PX
    places = []
    for baseline in baselines:
        top, bottom = (round(baseline - part * pulses.height) for part in (1 - EDGE_ENDS, EDGE_ENDS))
        part = trace[max(0, top) : max(0, bottom), max(0, first) : round(pulses.end) + EDGE_REACH_PX + 1]
        profile = part.mean(0) if part.size else np.zeros(1)
        profile = np.where(profile > 0.5 * profile.max(), profile, 0.0)
        if profile.max() > MIN_EDGE:
            places.append(max(0, first) + float(profile @ np.arange(len(profile)) / profile.sum()))
    end = float(np.median(places)) if places else pulses.end
    line = round(end / period) * period
    return float(line) if abs(end - line) < ON_LINE_PERIODS * period else end


def hiding_bars(
    shapes: NDArray[np.bool_], rows: Sequence[Trace], cells: Sequence[Cell], period: int
) -> dict[tuple[float, bool], Bar]:
    """What calibration pulses and upright bars hide at the ends of stretches: (border, is it an end) -> bar.

    They are ink at the same columns of most rows: bars above and below the row, edges of pulses on one side.

    Args:
        shapes: (rows, columns), trace and whatever is as dark.
        rows: of the page.
        cells: its stretches.
        period: of the grid, pixels.
    """
    out: dict[tuple[float, bool], Bar] = {}
    around = np.arange(-BAR_REACH_PX, BAR_REACH_PX + 1)
    half = int(BAR_PERIODS * period)
    for is_end in (False, True):
        for border in {cell.end if is_end else cell.start for cell in cells}:
            here = [cell for cell in cells if (cell.end if is_end else cell.start) == border]
            at = np.clip(round(border) + around, 0, shapes.shape[1] - 1)
            middles = [round(rows[cell.row].baseline) for cell in here]
            above = np.array([shapes[max(0, y - half) : y, at].mean(0) for y in middles])
            below = np.array([shapes[y : y + half, at].mean(0) for y in middles])
            for on_both, shares in ((True, np.minimum(above, below)), (False, np.maximum(above, below))):
                tall = np.flatnonzero(np.median(shares, axis=0) > BAR_SHARE)
                # a beat may follow at once; it is not a part of the bar
                runs = [
                    run for run in np.split(tall, np.flatnonzero(np.diff(tall) > 1) + 1) if 0 < len(run) <= MAX_BAR_PX
                ]
                if runs:
                    run = around[min(runs, key=lambda run: float(np.abs(around[run]).min()))]
                    edge = run[0] - BESIDE_BAR_PX if is_end else run[-1] + BESIDE_BAR_PX
                    column = int(np.clip(round(border) + run[len(run) // 2], 0, shapes.shape[1] - 1))
                    up, down = _reach(shapes[:, column], middles) if on_both else (np.inf, np.inf)
                    out[border, is_end] = Bar(float(round(border) + edge), up, down)
                    break
    return out


def _reach(ink: NDArray[np.bool_], middles: Sequence[int]) -> tuple[float, float]:
    """How far the ink of a column reaches without a gap above and below rows, pixels: the least, where no beat is."""
    found = []
    for y in middles:
        above, below = np.flatnonzero(~ink[:y][::-1]), np.flatnonzero(~ink[y:])
        found.append((above[0] if len(above) else y, below[0] if len(below) else len(ink) - y))
    up, down = np.min(found, axis=0)
    return float(up), float(down)
