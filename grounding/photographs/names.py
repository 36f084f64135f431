"""Printed lead names against the layout of a page: they confirm the usual order of leads, or tell another."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..leads import STANDARD_LEADS
from .arrangement import MM_PER_PERIOD, UNNAMED, Cell, Table, arrange, cells_of, parse_layout, tables_of_rows
from .lettering import LABEL_PERIODS, PrintedLine

Array = NDArray[np.float64]
MIN_CONFIDENCE, SURE_CONFIDENCE = 0.5, 0.7
BEFORE_PERIODS, BEHIND_PERIODS = 1.5, 3.0  # of a name's left edge, against the beginning of its stretch
SAME_NAME_PERIODS = 1.0
SAME_HEIGHT_PERIODS = 0.8  # names stand equally far above or below their rows
WEAK = 0.5  # what a name counts that was mended, or is I, II or III, which other strokes are like
MIN_AGREE, CLEARLY_BETTER, MIN_DIFFER = 4, 3.0, 3
USUAL, AS_PRINTED = "usual", "as printed"
ALIKE = {
    "l": "1",
    "i": "1",
    "I": "1",
    "\u0131": "1",
    "|": "1",
    "Z": "2",
    "z": "2",
    "A": "4",
    "S": "5",
    "s": "5",
    "b": "6",
    "G": "6",
}


@dataclass(frozen=True)
class LeadName:
    """The name of a lead as it is printed.

    Attributes:
        lead: its name.
        sign: -1 for -aVR.
        sure: False where other strokes may look like it.
        left: grid periods from the left edge of the flat page.
        middle: from its top edge.
    """

    lead: str
    sign: int
    sure: bool
    left: float
    middle: float


def lead_names(lines: Sequence[PrintedLine]) -> list[LeadName]:
    """The names of leads among lines of text.

    Args:
        lines: from ``read_lines``.

    Example:
        >>> box = np.zeros((4, 2))
        >>> [(one.lead, one.sign) for one in lead_names([PrintedLine("-aVR", 0.9, box, box)])]
        [('aVR', -1)]
    """
    out = []
    for line in lines:
        said = _name(line.text)
        if said is not None and line.confidence >= MIN_CONFIDENCE:
            lead, sign, exact = said
            sure = exact and line.confidence >= SURE_CONFIDENCE
            out.append(LeadName(lead, sign, sure, line.left, line.middle))
    # the last row's names may be read twice, among the rows and below them
    kept: list[LeadName] = []
    for name in sorted(out, key=lambda name: not name.sure):
        if not any(abs(name.left - one.left) + abs(name.middle - one.middle) < SAME_NAME_PERIODS for one in kept):
            kept.append(name)
    return kept


def _name(text: str) -> tuple[str, int, bool] | None:
    """Lead, sign, and whether it was read without mending."""
    # some devices print an arrow before a name
    word = re.sub(r"^[^\w-]*|\W*$", "", text)
    for one, many in (("\u2160", "I"), ("\u2161", "II"), ("\u2162", "III")):
        word = word.replace(one, many)
    sign = -1 if word[:1] in "-\u2212" and word[1:2] in ("a", "A") else 1
    word = word.lstrip("-\u2212")
    if match := re.fullmatch(r"aV([RLF])", word, re.IGNORECASE):
        return f"aV{match[1].upper()}", sign, True
    if match := re.fullmatch(r"[Vv]([1-6])", word):
        return f"V{match[1]}", 1, True
    if match := re.fullmatch(r"[Vv]([3-9])([Rr]?)", word):  # V1 may look like V7
        return f"V{match[1]}{match[2].upper()}", 1, False
    if word in ("I", "II", "III"):
        return word, 1, False
    if re.fullmatch(r"[IlH1|]{2,3}", word):
        return "I" * len(word), 1, False
    if match := re.fullmatch(r"[|lI1]?[aA].?([RLF])", word):
        return f"aV{match[1]}", sign, False
    if match := re.fullmatch(r"[|lI1]?a[Vv]([RLFlE\xc9])", word):
        return f"aV{match[1].upper().replace('E', 'F').replace(chr(0xC9), 'F')}", sign, False
    if match := re.fullmatch(r"[VvYy7]([1-6liI\u0131|ZzASsbG])", word):
        return f"V{ALIKE.get(match[1], match[1])}", 1, False
    return None


@dataclass(frozen=True)
class NamesFit:
    """How printed lead names fit the stretches of a page.

    Attributes:
        order: ``"usual"`` for the order of the layout, ``"as printed"`` where the names told another one.
        read: how many names were read anywhere.
        agree: how many stand where their lead is assumed.
        differ: sure ones that stand elsewhere, such as ``"V1 where I is assumed"``.
        score: how well they fit on the whole.
    """

    order: str
    read: int
    agree: int
    differ: tuple[str, ...]
    score: float

    @property
    def warnings(self) -> list[str]:
        """What a reader should know."""
        out = ["the order of leads is that of their printed names"] if self.order == AS_PRINTED else []
        if len(self.differ) >= MIN_DIFFER or len(self.differ) > self.agree:
            out.append("printed lead names differ from the layout: " + ", ".join(self.differ))
        return out

    def to_dict(self) -> dict[str, Any]:
        """For ``meta["picture"]``."""
        return {"order": self.order, "read": self.read, "agree": self.agree, "differ": list(self.differ)}


def arrange_by_names(
    lines: Sequence[Array],
    heights: Sequence[float],
    extent: tuple[float, float],
    period: int,
    layout: str | None,
    names: Sequence[LeadName],
    mm_per_s: float = 25.0,
) -> tuple[list[Cell], NamesFit]:
    """The stretches of leads on a page, in the usual order unless the printed names clearly tell another one.

    Args:
        lines: (columns,) of each row: heights in millivolts, NaN where there is no line.
        heights: of the rows on the page, pixels.
        extent: columns at which the rows begin and end.
        period: of the grid, pixels.
        layout: as ``arrange`` takes it.
        names: as they are printed.
        mm_per_s: paper speed.

    Returns:
        The stretches, and how the names fit them.

    Raises:
        EcgSignalError: the rows fit no layout; one or two rows without the name of a lead.
    """
    start, end = extent
    if layout is None and len(lines) <= 2:
        single = _single_leads(names, heights, extent, period, mm_per_s)
        if single is not None:
            return single, replace(_fit(single, heights, period, names), order=AS_PRINTED)
    cells = arrange(lines, start, end, period, layout, mm_per_s=mm_per_s)
    usual = best = _fit(cells, heights, period, names)
    best_table = None
    for table in _orders(len(lines), layout):
        other = _fit(cells_of(table, start, end, period, mm_per_s), heights, period, names)
        if other.score > best.score:
            best, best_table = other, table
    more_agree = best.agree >= max(MIN_AGREE, usual.agree + MIN_DIFFER)
    if best_table is None or not more_agree or best.score < usual.score + CLEARLY_BETTER:
        cells = _named_strips(_named(cells, heights, period, names), heights, period, names)
        return cells, _fit(cells, heights, period, names)
    cells = arrange(lines, start, end, period, layout, best_table, mm_per_s)
    cells = _signed(_named(cells, heights, period, names), lines, period, names)
    cells = _named_strips(cells, heights, period, names)
    return cells, replace(_fit(cells, heights, period, names), order=AS_PRINTED)


def _orders(rows: int, layout: str | None) -> Iterator[Table]:
    """Other orders of leads in so many rows: columns of the known tables, in any order."""
    shape = None if layout is None else parse_layout(layout)
    for name, table in tables_of_rows(rows):
        strips = rows - len(table)
        if shape is not None and (name.partition("-")[0], strips) != (shape[0].partition("-")[0], shape[1]):
            continue
        for columns in itertools.permutations(range(len(table[0]))):
            yield tuple(tuple(row[column] for column in columns) for row in table)


def _fit(cells: Sequence[Cell], heights: Sequence[float], period: int, names: Sequence[LeadName]) -> NamesFit:
    """How names fit stretches; beside rows without stretches they are not counted."""
    starts = np.array([cell.start / period for cell in cells])
    rows = np.array([heights[cell.row] / period for cell in cells])
    # names stand equally far above or below their rows: by those that have a stretch of their lead there, or by all
    leads = np.array([cell.lead for cell in cells])
    for alike in (True, False):
        below = [
            apart
            for name in names
            for apart in name.middle - rows[_at_start(starts, name) & ((leads == name.lead) | (not alike))]
            if abs(apart) < LABEL_PERIODS
        ]
        if len(below) >= MIN_DIFFER:
            break
    offset = 0.0
    if below:
        best = max(
            below, key=lambda one: sum(abs(one - other) < SAME_HEIGHT_PERIODS for other in below) - abs(one) / 100
        )
        offset = float(np.median([one for one in below if abs(one - best) < SAME_HEIGHT_PERIODS]))
    score, agree, differ = 0.0, 0, []
    for name in names:
        there = np.flatnonzero(_at_start(starts, name) & (np.abs(name.middle - rows - offset) < SAME_HEIGHT_PERIODS))
        if not len(there):
            continue
        if name.lead in leads[there]:
            score += 1.0 if name.sure else WEAK
            agree += 1
        elif name.sure:
            score -= 1.0
            differ.append(f"{name.lead} where {leads[there[0]]} is assumed")
    return NamesFit(USUAL, len(names), agree, tuple(differ), score)


def _at_start(starts: Array, name: LeadName) -> NDArray[np.bool_]:
    behind = name.left - starts
    return np.asarray((behind > -BEFORE_PERIODS) & (behind < BEHIND_PERIODS))


def _named(cells: list[Cell], heights: Sequence[float], period: int, names: Sequence[LeadName]) -> list[Cell]:
    """The stretches whose lead no layout tells, by the names that stand at their beginnings."""

    def there(name: LeadName, cell: Cell) -> bool:
        return bool(_at_start(np.array([cell.start / period]), name)[0])

    rows = np.array(heights) / period
    # names stand as far above or below their rows as those of known leads
    known = [name.middle - rows[c.row] for name in names for c in cells if name.lead == c.lead and there(name, c)]
    offset = float(np.median(known)) if known else 0.0
    out = []
    for cell in cells:
        near = [
            name.lead
            for name in names
            if cell.lead in UNNAMED
            and name.lead not in STANDARD_LEADS
            and there(name, cell)
            and np.argmin(np.abs(name.middle - offset - rows)) == cell.row
        ]
        out.append(replace(cell, lead=near[0]) if len(near) == 1 else cell)
    return out


def _named_strips(cells: list[Cell], heights: Sequence[float], period: int, names: Sequence[LeadName]) -> list[Cell]:
    """Rhythm strips by their printed names, where a sure one is there."""
    first, last = min(cell.start for cell in cells), max(cell.end for cell in cells)
    several = {cell.row for cell in cells if cell.start > first}
    out = list(cells)
    for number, cell in enumerate(cells):
        if several and cell.row not in several and cell.start == first and cell.end == last:
            near = [
                name
                for name in names
                if name.sure
                and _at_start(np.array([cell.start / period]), name)[0]
                and np.argmin([abs(name.middle - height / period) for height in heights]) == cell.row
            ]
            if len(near) == 1 and near[0].sign == 1:
                out[number] = replace(cell, lead=near[0].lead)
    return out


def _signed(cells: list[Cell], lines: Sequence[Array], period: int, names: Sequence[LeadName]) -> list[Cell]:
    """Whether aVR is upside down: by a printed minus, else by -aVR = aVL + aVF where they stand above each other."""
    inverted = next((cell for cell in cells if cell.sign < 0), None)
    read = [name for name in names if name.lead == "aVR"]
    if inverted is None or any(name.sign < 0 for name in read):
        return cells
    parts = {}
    for cell in cells:
        if cell.lead in ("aVL", "aVF", "aVR") and cell.start == inverted.start:
            parts[cell.lead] = lines[cell.row][max(0, round(cell.start)) : round(cell.end)]
    if len(parts) < 3:
        upright = any(name.sure for name in read)
        return [replace(cell, sign=1) if cell is inverted and upright else cell for cell in cells]
    limb = np.stack([parts[lead] for lead in ("aVL", "aVF", "aVR")])
    limb = limb[:, np.isfinite(limb).all(axis=0)]
    if limb.shape[1] < period or limb.std(axis=1).min() == 0:
        return cells
    upright = bool(np.corrcoef(limb[0] + limb[1], limb[2])[0, 1] < 0)
    return [replace(cell, sign=1) if cell is inverted and upright else cell for cell in cells]


def _single_leads(
    names: Sequence[LeadName], heights: Sequence[float], extent: tuple[float, float], period: int, mm_per_s: float
) -> list[Cell] | None:
    """One or two rows, each with the name of its lead; None where a row has none.

    What stands before the first name, unless that is at the beginning, is left out: it belongs to another lead.
    """
    cells: list[Cell] = []
    start, end = extent
    for row in range(len(heights)):
        own = [
            name
            for name in names
            if (name.sure or name.lead == "II")
            and abs(name.middle - heights[row] / period) < LABEL_PERIODS
            and np.argmin([abs(name.middle - height / period) for height in heights]) == row
        ]
        own = sorted(
            (name for name in own if start < (name.left + BEFORE_PERIODS) * period < end), key=lambda one: one.left
        )
        if not own:
            return None
        begins = [start if name.left * period < start + BEHIND_PERIODS * period else name.left * period for name in own]
        for name, begin, stop in zip(own, begins, [*begins[1:], end], strict=True):
            seconds = (begin - start) / period * MM_PER_PERIOD / mm_per_s
            cells.append(Cell(name.lead, row, begin, stop, seconds, name.sign))
    leads = [cell.lead for cell in cells]
    return cells if len(set(leads)) == len(leads) and set(leads) <= set(STANDARD_LEADS) else None
