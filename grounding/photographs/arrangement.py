"""Which lead, second and millivolt each part of a page is: calibration pulses, rows, columns and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import EcgSignalError

Array = NDArray[np.float64]
MM_PER_PERIOD = 5.0
HEIGHTS, WIDTHS = (2.0, 4.0, 1.0), (1.0, 0.8, 1.2, 0.5)  # of a pulse, in grid periods of 5 mm, the usual first
STRIP_LEADS = ("II", "V1", "V5")  # of rhythm strips, the usual one first
PULSE_PERIODS = 2.5  # from the beginning or end of the rows
MAX_SHIFT_PX = 8
MIN_PULSE_COVERAGE = 0.62  # of the outline, mean of the rows
MIN_UNUSUAL_COVERAGE = 0.9  # of pulses of 5 or 20 mm: text and half a pulse are like low ones
MIN_ROWS_WITH_PULSE, LESS = 3, 0.2
MIN_COVERAGE = 0.6  # of a pulse's roof, and of its whole outline
STEEP_PX = (1.6, 5.0)  # standard deviations of the means before and after the slope is taken
MAX_STRIPS = 3
SAME_TIME_FIT, SAME_TIME_CLEAR, SAME_TIME_SHIFT_PX = 0.5, 0.3, 20  # see ``shows_same_time``
STANDARD = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
SIX = (("I", "V1"), ("II", "V2"), ("III", "V3"), ("aVR", "V4"), ("aVL", "V5"), ("aVF", "V6"))
TWELVE = tuple((lead,) for lead in ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"))
FOUR = (("I", "aVL", "V3"), ("II", "aVF", "V4"), ("III", "V1", "V5"), ("aVR", "V2", "V6"))
# fifteen leads: which three stand in the last column only their names tell
UNNAMED = ("ECG 13", "ECG 14", "ECG 15")
FIFTEEN = tuple((*row, lead) for row, lead in zip(STANDARD, UNNAMED, strict=True))
CABRERA = ("aVL", "I", "-aVR", "II", "aVF", "III")
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
Table = tuple[tuple[str, ...], ...]
LAYOUTS: dict[str, Table] = {
    "3x4": STANDARD,
    "6x2": SIX,
    "12x1": TWELVE,
    "4x3": FOUR,
    "3x5": FIFTEEN,
    "3x4-cabrera": tuple(zip(CABRERA[:3], CABRERA[3:], CHEST[:3], CHEST[3:], strict=True)),
    "6x2-cabrera": tuple(zip(CABRERA, CHEST, strict=True)),
    "12x1-cabrera": tuple((lead,) for lead in CABRERA + CHEST),
}
ROWS = {3: ("3x4", 0), 4: ("3x4", 1), 5: ("3x4", 2), 6: ("6x2", 0), 7: ("6x2", 1), 12: ("12x1", 0), 13: ("12x1", 1)}


@dataclass(frozen=True)
class CalibrationPulse:
    """The calibration pulses of a page: 1 mV high, all at the same columns.

    Attributes:
        start: column of their rising edges.
        end: column of their falling edges.
        height: pixels.
        rows: how many rows have one.
        coverage: share of the outline that is ink, 0-1, mean of the rows.
        by_row: the same for each row.
    """

    start: float
    end: float
    height: float
    rows: int
    coverage: float
    by_row: tuple[float, ...]

    @property
    def stranger(self) -> int | None:
        """0 or -1 where the first or last row alone has no pulse: an edge of the paper, or a frame."""
        for side, others in ((0, self.by_row[1:]), (-1, self.by_row[:-1])):
            if len(others) >= MIN_ROWS_WITH_PULSE and self.by_row[side] < min(MIN_COVERAGE, min(others) - LESS):
                return side
        return None


@dataclass(frozen=True)
class Cell:
    """Where one stretch of one lead is.

    Attributes:
        lead: its name.
        row: number of the row, from the top.
        start: first column, pixels.
        end: the column after the last.
        start_s: seconds from the beginning of the rows.
        sign: -1 where the lead is drawn upside down, as -aVR.
    """

    lead: str
    row: int
    start: float
    end: float
    start_s: float
    sign: int = 1


def find_pulses(
    ink: NDArray[np.bool_], baselines: Sequence[float], ends: tuple[float, float], period: int
) -> CalibrationPulse | None:
    """The rectangular pulses at the beginning or end of the rows, or None.

    Args:
        ink: (rows, columns), True where there is trace.
        baselines: heights of the rows, pixels.
        ends: columns at which the rows' lines begin and end.
        period: of the grid, pixels.
    """
    # near the ends alone, with room for the widest pulse
    reach = int((PULSE_PERIODS + 2 * max(WIDTHS)) * period)
    columns = np.arange(ink.shape[1])
    columns = columns[np.min([np.abs(columns - end) for end in ends], axis=0) < reach]
    if not len(columns):
        return None
    ink = ink[:, columns]
    wide = ndimage.maximum_filter1d(ink.astype(np.float32), 5, axis=1)
    thick = ndimage.maximum_filter1d(ink.astype(np.float32), 5, axis=0)
    down, across = (np.cumsum(np.pad(part, ((1, 0), (1, 0))), axis=axis) for part, axis in ((wide, 0), (thick, 1)))
    down, across = down[:, 1:], across[1:]
    best: CalibrationPulse | None = None
    for height in HEIGHTS:
        for width in WIDTHS:
            h, w = round(height * period), round(width * period)
            each = []
            for baseline in baselines:
                y = np.arange(max(h, int(baseline - 1.2 * period)), min(ink.shape[0] - 1, int(baseline + 1.2 * period)))
                if len(y):
                    each.append(_outline(ink, down, across, y, h, w))
            if not each:
                continue
            table = ndimage.maximum_filter1d(np.stack(each), 7, axis=1)
            here = columns[: table.shape[1]]
            near = np.minimum(np.abs(here - ends[0]), np.abs(here + w - ends[1])) < PULSE_PERIODS * period
            mean = np.where(near, table.mean(0), 0.0)
            # the middle of the best columns, which the filter has widened
            at = int(np.flatnonzero(mean >= mean.max() - 0.01)[:8].mean()) if mean.max() > 0 else 0
            rows = int((table[:, at] > MIN_COVERAGE).sum())
            # another height needs a clear reason: a lower pulse has its sides within those of a higher one
            better = best is None or mean[at] > best.coverage + (0.02 if h == best.height else 0.2)
            if rows and better:
                by_row = tuple(float(part) for part in table[:, at])
                best = CalibrationPulse(float(here[at]), float(here[at] + w), float(h), rows, float(mean[at]), by_row)
    usual = best is not None and best.height == round(HEIGHTS[0] * period)
    least = MIN_PULSE_COVERAGE if usual else MIN_UNUSUAL_COVERAGE
    if best is None or best.coverage < least or best.rows < len(baselines) / 2:
        return None
    return best


def _outline(ink: NDArray[np.bool_], down: Array, across: Array, y: NDArray[np.intp], h: int, w: int) -> Array:
    """Share of a pulse's outline that is ink, for each column of its rising edge; the best of all heights ``y``."""
    side = (down[y] - down[y - h]) / h
    roof = (across[y - h, w:] - across[y - h, :-w]) / w
    n = roof.shape[1] - 1
    inside = ndimage.uniform_filter1d(ink[y - h // 2].astype(np.float32), max(1, w - 10), axis=1)
    # one side may be missed where it runs along a line of the grid
    left, right, roof = side[:, :n], side[:, w : w + n], roof[:, :n]
    score = np.where(
        roof > MIN_COVERAGE, 0.5 * roof + 0.35 * np.maximum(left, right) + 0.15 * np.minimum(left, right), 0.0
    )
    return np.asarray((score - 0.5 * np.roll(inside, -(w // 2), axis=1)[:, :n]).max(0))


def parse_layout(layout: str) -> tuple[str, int]:
    """Name and number of rhythm strips of a layout such as ``"3x4+1"``.

    Args:
        layout: a name in ``LAYOUTS``, with ``+n`` for n rhythm strips.

    Raises:
        EcgSignalError: no such layout.
    """
    name, _, more = layout.partition("+")
    if name not in LAYOUTS or (more and not more.isdigit()):
        raise EcgSignalError(f"no layout is called {layout!r}", remedy=f"use {', '.join(LAYOUTS)}, or 3x4+1")
    return name, int(more or 0)


def tables_of_rows(rows: int) -> list[tuple[str, Table]]:
    """The layouts that so many rows may have, with up to three rhythm strips.

    Args:
        rows: how many there are.
    """
    return [(name, table) for name, table in LAYOUTS.items() if 0 <= rows - len(table) <= MAX_STRIPS]


def other_layouts(rows: int) -> list[str]:
    """The layouts that so many rows may have, but the usual one and those that only printed names tell.

    Args:
        rows: how many there are.

    Example:
        >>> other_layouts(4)
        ['4x3', '3x5+1']
    """
    usual = ROWS.get(rows, ("", 0))[0]
    return [
        f"{name}+{rows - len(table)}" if rows > len(table) else name
        for name, table in tables_of_rows(rows)
        if name != usual and not name.endswith("-cabrera")
    ]


def cells_of(table: Table, start: float, end: float, period: int, mm_per_s: float) -> list[Cell]:
    """The stretches of a table of leads, without rhythm strips.

    Args:
        table: leads of each row.
        start: column at which the rows begin.
        end: column at which they end.
        period: of the grid, pixels.
        mm_per_s: paper speed.
    """
    width = (end - start) / len(table[0])
    seconds = width / period * MM_PER_PERIOD / mm_per_s
    return [
        Cell(
            lead.removeprefix("-"),
            row,
            start + column * width,
            start + (column + 1) * width,
            column * seconds,
            -1 if lead.startswith("-") else 1,
        )
        for row, leads in enumerate(table)
        for column, lead in enumerate(leads)
    ]


def arrange(
    lines: Sequence[Array],
    start: float,
    end: float,
    period: int,
    layout: str | None = None,
    table: Table | None = None,
    mm_per_s: float = 25.0,
) -> list[Cell]:
    """The stretches of leads on a page.

    Args:
        lines: (columns,) of each row: heights in millivolts, NaN where there is no line.
        start: column at which the rows begin.
        end: column at which they end.
        period: of the grid, pixels.
        layout: a name in ``LAYOUTS``, with ``+n`` for n rhythm strips; inferred from the number of rows when None.
        table: leads of each row, in place of those of the layout; what rows are left are rhythm strips.
        mm_per_s: paper speed.

    Raises:
        EcgSignalError: the rows fit no layout.
    """
    if table is not None:
        name, strips = "", len(lines) - len(table)
    elif layout is None:
        if len(lines) not in ROWS:
            known = ", ".join(str(number) for number in ROWS)
            raise EcgSignalError(
                f"the page has {len(lines)} rows of traces, and layouts of {known} rows are known",
                remedy='name its layout, for example layout="3x4+1"',
            )
        name, strips = ROWS[len(lines)]
        if len(lines) == 6 and _is_three_by_four(lines, start, end):
            name, strips = "3x4", 3
    else:
        name, strips = parse_layout(layout)
    table = LAYOUTS[name] if table is None else table
    if len(lines) != len(table) + strips:
        raise EcgSignalError(
            f"{name} with {strips} rhythm strips has {len(table) + strips} rows, and {len(lines)} are seen",
            remedy="name another layout",
        )
    cells = cells_of(table, start, end, period, mm_per_s)
    for row in range(len(table), len(lines)):
        cells.append(Cell(_strip_lead(lines, row, cells), row, start, end, 0.0))
    if strips and shows_same_time(lines, cells):
        return [replace(cell, start_s=0.0) for cell in cells]
    return cells


def shows_same_time(lines: Sequence[Array], cells: Sequence[Cell]) -> bool:
    """Whether all columns show the first seconds, as some devices print them: where the beats of the strip are tells.

    Args:
        lines: (columns,) of each row: heights, NaN where there is no line.
        cells: the stretches of leads, each column after the one before it, and the strips.
    """
    end = max(cell.end for cell in cells)
    first = min(cell.start for cell in cells)
    short = [cell for cell in cells if cell.start > first]
    strip = next((cell for cell in cells if cell.start == first and cell.end == end), None)
    if not short or strip is None:
        return False
    steep = steepness(lines[strip.row], first, end)
    found = []
    for start in sorted({cell.start for cell in short}):
        column = np.mean([steepness(lines[c.row], c.start, c.end) for c in short if c.start == start], axis=0)
        found.append([best_fit(column, steep, round(at)) for at in (start - first, 0.0)])
    in_turn, at_once = np.mean(found, axis=0)
    return bool(at_once > SAME_TIME_FIT and at_once > in_turn + SAME_TIME_CLEAR)


def steepness(line: Array, start: float, end: float) -> Array:
    """How steep a stretch is around each column, in units of its own spread; zeros where nothing is seen."""
    part = line[max(0, round(start)) : round(start) + int(end - start)]
    known = np.isfinite(part)
    if known.mean() < 0.5:
        return np.zeros(int(end - start))
    whole = np.interp(np.arange(int(end - start)), np.flatnonzero(known), part[known])
    slope = np.abs(np.gradient(ndimage.gaussian_filter1d(whole, STEEP_PX[0])))
    around = ndimage.gaussian_filter1d(np.minimum(slope, np.percentile(slope, 98)), STEEP_PX[1])
    return np.asarray(around / max(1e-9, float(around.std())))


def best_fit(column: Array, strip: Array, at: int) -> float:
    """Correlation of a column's steepness with the strip's from a column on, the best of small shifts."""
    inner = slice(SAME_TIME_SHIFT_PX, len(column) - SAME_TIME_SHIFT_PX)
    fits = [0.0]
    for shift in range(-SAME_TIME_SHIFT_PX, SAME_TIME_SHIFT_PX + 1, 2):
        other = strip[max(0, at + shift + inner.start) : at + shift + inner.stop]
        if len(other) == inner.stop - inner.start and other.std() > 0 and column[inner].std() > 0:
            fits.append(float(np.corrcoef(column[inner], other)[0, 1]))
    return max(fits)


def _part(line: Array, start: float, end: float) -> Array:
    values = line[max(0, round(start)) : round(end)]
    return values - np.nanmedian(values) if np.isfinite(values).any() else values


def _misfit(one: Array, other: Array) -> float:
    """Power of the difference against the power of both; 0 for equal stretches, about 1 for unrelated ones."""
    n = min(len(one), len(other))
    both = np.isfinite(one[:n]) & np.isfinite(other[:n])
    if both.sum() < 0.5 * n:
        return 1.0
    a, b = one[:n][both], other[:n][both]
    a, b = a - a.mean(), b - b.mean()
    return float(((a - b) ** 2).sum() / max(1e-12, (a**2).sum() + (b**2).sum()))


def _is_three_by_four(lines: Sequence[Array], start: float, end: float) -> bool:
    """Six rows: whether the first quarter obeys I + III = II and the second aVR + aVL + aVF = 0."""
    quarter = (end - start) / 4
    one, two, three = (_part(line, start + quarter, start + 2 * quarter) for line in lines[:3])
    augmented = _misfit(one, -(two + three))
    return augmented < _misfit(one + three, two)


def _strip_lead(lines: Sequence[Array], row: int, cells: Sequence[Cell]) -> str:
    """The lead of a rhythm strip: the one that it equals at the same time; II where none fits clearly better."""
    taken = {cell.lead for cell in cells if cell.row >= row}
    fits: dict[str, float] = {}
    for cell in cells:
        if cell.row >= row or cell.lead in taken:
            continue
        one = cell.sign * _part(lines[cell.row], cell.start, cell.end)
        # the two rows may be shifted against each other where the paper is bent
        shifts = range(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, 2)
        fits[cell.lead] = min(_misfit(_part(lines[row], cell.start + shift, cell.end + shift), one) for shift in shifts)
    usual = [lead for lead in STRIP_LEADS if lead in fits]
    if not usual:
        return min(fits, key=lambda lead: fits[lead])
    best = min(usual, key=lambda lead: fits[lead])
    # two leads may look alike, so that another than the usual one needs a clear reason
    return best if fits[best] < 0.35 and fits[usual[0]] > 0.75 else usual[0]
