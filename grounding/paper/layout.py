"""Positions of leads, seconds and millivolts on the paper. Nothing is drawn here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgError, EcgSignalError
from ..evidence import Evidence
from ..leads import STANDARD_LEADS, canonical_lead
from ..small_arrays import median

MM_PER_S, MM_PER_MV = 25.0, 10.0
MM_PER_INCH = 25.4
ROW_MM = 250.0  # length of a row of paper: 10 s at 25 mm/s
MIN_MM_PER_S, MAX_MM_PER_S = 5.0, 200.0
MIN_MM_PER_MV, MAX_MM_PER_MV = 1.0, 80.0
# the frontal plane from left to right, in steps of 30 degrees; -aVR is aVR upside down
CABRERA_LEADS = ("aVL", "I", "-aVR", "II", "aVF", "III", "V1", "V2", "V3", "V4", "V5", "V6")
PAGE_WIDTH_MM, PAGE_HEIGHT_MM = 279.4, 215.9  # US letter, landscape: 1650 x 1275 pixels at 150 dpi
LEFT_MM, TOP_MM, BOTTOM_MM = 18.0, 17.0, 9.0
PULSE_S = 0.2  # of 1 mV
PULSE_ROOM_MM = 10.0  # left of a row; right of it there is half of that
MIN_ROW_MM = 20.0
MIN_PX_PER_MM, MAX_PX_PER_MM = 0.5, 40.0
UNCALIBRATED_MV = 1.0  # drawn height of a large deflection where the record has no voltages


class Recording(Protocol):
    """What is laid out: see ``grounding.ECGRecord``, which imports this in order to be plotted."""

    @property
    def signal(self) -> NDArray[np.float32]:
        """(leads, samples)."""

    @property
    def fs(self) -> float:
        """Hz."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Their names."""

    @property
    def record_id(self) -> str:
        """Name of the recording."""

    @property
    def duration_s(self) -> float:
        """Length, s."""

    @property
    def has_millivolts(self) -> bool:
        """Whether amplitudes are voltages."""

    def lead(self, name: str) -> NDArray[np.float32]:
        """One lead, (samples,)."""


class Box(NamedTuple):
    """A rectangle in pixels; ``x0 <= x1`` and ``y0 <= y1``, y increases downwards."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Panel:
    """One stretch of one lead on the paper.

    Attributes:
        lead: its name.
        start_s: start of the stretch in the recording, s.
        end_s: its end, s; equal to ``start_s`` where nothing was recorded.
        x_mm: its left end.
        y_mm: zero line, from the top of the page.
        width_mm: width of its cell; the trace may be shorter.
        height_mm: height of its row, centred on ``y_mm``.
        zero: the value (mV, or the record's own unit) at the zero line: the median of the stretch.
        rhythm: True for a rhythm strip.
        missing: why nothing is drawn, or ``""``.
        inverted: True where the lead is drawn upside down: -aVR of the Cabrera order.
    """

    lead: str
    start_s: float
    end_s: float
    x_mm: float
    width_mm: float
    y_mm: float
    height_mm: float
    zero: float
    rhythm: bool = False
    missing: str = ""
    inverted: bool = False

    @property
    def label(self) -> str:
        """The lead's name as it is printed, ``"-aVR"`` where it is drawn upside down."""
        return f"-{self.lead}" if self.inverted else self.lead


@dataclass(frozen=True)
class PageLayout:
    """The geometry of one page: the pixel of a (lead, second, millivolt), and the box of a stretch.

    Attributes:
        name: ``"3x4"`` and so on.
        px_per_mm: resolution.
        width_mm: of the page.
        height_mm: of the page.
        panels: its panels, rhythm strips last.
        mv_per_unit: drawn millivolts per unit of the record; 1 where the record has millivolts.
        calibrated: False where the record's amplitudes are no voltages.
        mm_per_s: paper speed.
        mm_per_mv: gain.
    """

    name: str
    px_per_mm: float
    width_mm: float
    height_mm: float
    panels: tuple[Panel, ...]
    mv_per_unit: float = 1.0
    calibrated: bool = True
    mm_per_s: float = MM_PER_S
    mm_per_mv: float = MM_PER_MV

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture in pixels."""
        return round(self.width_mm * self.px_per_mm), round(self.height_mm * self.px_per_mm)

    @property
    def missing(self) -> tuple[str, ...]:
        """Leads that the layout has a place for and the record lacks."""
        return tuple(dict.fromkeys(panel.lead for panel in self.panels if panel.missing))

    def panels_of(self, lead: str) -> tuple[Panel, ...]:
        """The panels that show a lead.

        Args:
            lead: in any usual spelling.

        Returns:
            Empty where the lead is not on the page.
        """
        name = canonical_lead(lead)
        return tuple(panel for panel in self.panels if panel.lead == name and not panel.missing)

    def x_px(self, panel: Panel, second: float) -> float:
        """Horizontal position of a time, pixels.

        Args:
            panel: of the page.
            second: from the beginning of the recording.
        """
        return (panel.x_mm + (second - panel.start_s) * self.mm_per_s) * self.px_per_mm

    def y_px(self, panel: Panel, value: float) -> float:
        """Vertical position of a value, pixels.

        Args:
            panel: of the page.
            value: mV, or the record's own unit.
        """
        return (panel.y_mm - (value - panel.zero) * self.drawn_mm_per_unit(panel)) * self.px_per_mm

    def drawn_mm_per_unit(self, panel: Panel) -> float:
        """Millimetres upwards per unit of the record (mV where it has millivolts).

        Args:
            panel: of the page.
        """
        return self.mv_per_unit * self.mm_per_mv * (-1 if panel.inverted else 1)

    def located(self, x: float, y: float) -> tuple[str, float, float] | None:
        """The (lead, second, value) that a position of the page stands for.

        Args:
            x: pixels from the left.
            y: pixels from the top.

        Returns:
            By the row that the position lies in, wherever the trace is; the value in mV, or the record's own unit.
            None where no stretch of a lead is there.
        """
        x_mm, y_mm = x / self.px_per_mm, y / self.px_per_mm
        for panel in self.panels:
            second = panel.start_s + (x_mm - panel.x_mm) / self.mm_per_s
            here = abs(y_mm - panel.y_mm) <= panel.height_mm / 2 and panel.start_s <= second <= panel.end_s
            if here and not panel.missing:
                return panel.lead, second, panel.zero + (panel.y_mm - y_mm) / self.drawn_mm_per_unit(panel)
        return None

    def pixels(self, lead: str, second: float, mv: float) -> tuple[tuple[float, float], ...]:
        """(x, y) of a point of the recording, once for each panel that shows it.

        Args:
            lead: lead name.
            second: seconds from the beginning of the recording.
            mv: amplitude, mV.
        """
        return tuple(
            (self.x_px(panel, second), self.y_px(panel, mv))
            for panel in self.panels_of(lead)
            if panel.start_s <= second <= panel.end_s
        )

    def boxes(self, lead: str, start_s: float, end_s: float) -> tuple[Box, ...]:
        """The rectangles of a stretch of a lead, one for each panel that shows a part of it.

        Args:
            lead: in any usual spelling.
            start_s: seconds from the beginning of the recording.
            end_s: seconds from the beginning of the recording.
        """
        found = []
        for panel in self.panels_of(lead):
            first, last = max(start_s, panel.start_s), min(end_s, panel.end_s)
            if last > first or (last == first == start_s == end_s):
                top, half = panel.y_mm * self.px_per_mm, panel.height_mm / 2 * self.px_per_mm
                found.append(Box(self.x_px(panel, first), top - half, self.x_px(panel, last), top + half))
        return tuple(found)

    def evidence_boxes(self, evidence: Evidence) -> tuple[Box, ...]:
        """The rectangles of a piece of evidence.

        Evidence from the record as a whole (without leads, or most leads over a longer time than a panel's) is shown on
        the rhythm strip, where a reader looks for it; otherwise each of its leads and stretches is shown.

        Args:
            evidence: from this recording.
        """
        return _evidence_boxes(self, evidence)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: size, resolution and for each panel its lead, seconds and box in pixels."""
        panels = []
        for panel in self.panels:
            half = panel.height_mm / 2
            box = (panel.x_mm, panel.y_mm - half, panel.x_mm + panel.width_mm, panel.y_mm + half)
            panels.append({**asdict(panel), "box_px": [round(value * self.px_per_mm, 2) for value in box]})
        width, height = self.size
        return {
            "layout": self.name,
            "width_px": width,
            "height_px": height,
            "px_per_mm": self.px_per_mm,
            "mm_per_s": self.mm_per_s,
            "mm_per_mv": self.mm_per_mv if self.calibrated else None,
            "calibrated": self.calibrated,
            "missing": list(self.missing),
            "panels": panels,
        }


def plan(
    record: Recording,
    layout: str = "3x4",
    *,
    leads: Sequence[str] | None = None,
    rhythm: str | Sequence[str] | None = "auto",
    start_s: float = 0.0,
    px_per_mm: float | None = None,
    dpi: float | None = None,
    width_px: int | None = None,
    mm_per_s: float = MM_PER_S,
    mm_per_mv: float = MM_PER_MV,
    simultaneous: bool = False,
    top_mm: float = TOP_MM,
) -> PageLayout:
    """Lay a recording out on paper.

    Args:
        record: the recording.
        layout: rows x columns: ``"3x4"``, ``"6x2"``, ``"12x1"``, or any other up to 16 x 4; leads go down the columns.
        leads: which leads, in order; the twelve standard ones (a record without any of them: its own) where ``None``.
            ``"-aVR"`` is aVR upside down, as in ``CABRERA_LEADS``.
        rhythm: lead(s) of the rhythm strip; ``"auto"`` takes II (else V1, else the first lead) where there is more than
            one column; ``None`` for no strip.
        start_s: where the page begins, s.
        px_per_mm: resolution in pixels per mm; at most one of the three resolutions, 150 dpi where none is given.
        dpi: resolution in dots per inch.
        width_px: resolution by the width of the page.
        mm_per_s: paper speed; a row is 250 mm long, so that at 50 mm/s it shows 5 s.
        mm_per_mv: gain.
        simultaneous: True shows the same seconds in all columns, as some devices do.
        top_mm: room above the first row.

    Returns:
        PageLayout. Columns show consecutive times; where the recording ends before the page does, the last columns show
        its last seconds (every ``Panel`` has its times).

    Raises:
        EcgError: the layout, the leads, the resolution, the paper speed or the gain can't be used.
        EcgSignalError: nothing was recorded after ``start_s``.
    """
    rows, columns = _shape(layout)
    names = _cells(record, rows * columns, leads, layout)
    duration = record.duration_s
    if not 0 <= start_s < duration:
        raise EcgSignalError(
            f"the page would begin at {start_s:g} s", where=record.record_id, remedy=f"it is {duration:g} s long"
        )
    strips = _strips(record, rhythm, columns)
    scale = _resolution(px_per_mm, dpi, width_px)
    _check_scales(mm_per_s, mm_per_mv)
    row_mm = max(MIN_ROW_MM, (PAGE_HEIGHT_MM - top_mm - BOTTOM_MM) / (rows + len(strips)))
    height = top_mm + row_mm * (rows + len(strips)) + BOTTOM_MM
    column_mm = ROW_MM / columns
    column_s = column_mm / mm_per_s
    panels = []
    for index, lead in enumerate(names):
        column, row = divmod(index, rows)
        begin = start_s if simultaneous else max(start_s, min(start_s + column * column_s, duration - column_s))
        y_mm = top_mm + row_mm * (row + 0.5)
        panels.append(_panel(record, lead, begin, column_s, LEFT_MM + column * column_mm, column_mm, y_mm, row_mm))
    for index, lead in enumerate(strips):
        y_mm = top_mm + row_mm * (rows + index + 0.5)
        strip = _panel(record, lead, start_s, ROW_MM / mm_per_s, LEFT_MM, ROW_MM, y_mm, row_mm)
        panels.append(replace(strip, rhythm=True))
    return PageLayout(
        name=layout,
        px_per_mm=scale,
        width_mm=PAGE_WIDTH_MM,
        height_mm=height,
        panels=tuple(panels),
        mv_per_unit=1.0 if record.has_millivolts else _paper_scale(record),
        calibrated=record.has_millivolts,
        mm_per_s=float(mm_per_s),
        mm_per_mv=float(mm_per_mv),
    )


def trace_mm(record: Recording, plane: PageLayout, panel: Panel) -> NDArray[np.float64]:
    """One panel's trace, (2, samples): x and y in mm from the top left; NaN where a sample is missing.

    Args:
        record: the recording.
        plane: its layout.
        panel: of the layout.
    """
    first, last = round(panel.start_s * record.fs), round(panel.end_s * record.fs)
    values = record.lead(panel.lead)[first:last].astype(np.float64)
    x = panel.x_mm + (np.arange(first, last) / record.fs - panel.start_s) * plane.mm_per_s
    y = panel.y_mm - (values - panel.zero) * plane.drawn_mm_per_unit(panel)
    # with a wrong gain the trace must not cover the header, nor be drawn far outside the page
    return np.stack([x, y.clip(TOP_MM / 2, plane.height_mm)])


def pulse_mm(
    y_mm: float, *, mm_per_s: float = MM_PER_S, mm_per_mv: float = MM_PER_MV, right: bool = False
) -> NDArray[np.float64]:
    """The calibration pulse beside a row, (2, points): x and y in mm from the top left; 1 mV for 0.2 s.

    Args:
        y_mm: zero line of the row.
        mm_per_s: paper speed; where 0.2 s have no room beside the row, the pulse is as short as the room.
        mm_per_mv: gain.
        right: True puts it right of the row, else left.
    """
    wide = min(PULSE_S * mm_per_s, PULSE_ROOM_MM / 2 if right else PULSE_ROOM_MM)
    left = LEFT_MM + ROW_MM + 2.5 if right else LEFT_MM - 5.0 - wide
    x = np.array([left - 1.5, left, left, left + wide, left + wide, left + wide + 1.5])
    y = np.array([0.0, 0.0, mm_per_mv, mm_per_mv, 0.0, 0.0])
    return np.stack([x, y_mm - y])


def _check_scales(mm_per_s: float, mm_per_mv: float) -> None:
    for value, least, most, what in (
        (mm_per_s, MIN_MM_PER_S, MAX_MM_PER_S, "paper speed (mm/s)"),
        (mm_per_mv, MIN_MM_PER_MV, MAX_MM_PER_MV, "gain (mm/mV)"),
    ):
        if not isinstance(value, int | float) or not least <= value <= most:
            raise EcgError(f"the {what} is {value!r}", remedy=f"use {least:g} to {most:g}")


def _shape(layout: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})x(\d)", str(layout))
    if not match or not (1 <= int(match[1]) <= 16 and 1 <= int(match[2]) <= 4):
        raise EcgError(f"unknown layout {layout!r}", remedy="use rows x columns such as 3x4, 6x2 or 12x1")
    return int(match[1]), int(match[2])


def _cells(record: Recording, cells: int, leads: Sequence[str] | None, layout: str) -> tuple[str, ...]:
    if leads is not None:
        names = tuple(canonical_lead(name) for name in leads)
        if len(names) > cells or not names:
            raise EcgError(f"{len(names)} leads don't fit into {layout}", remedy=f"name 1 to {cells} leads")
        return names
    if cells == 12 and set(STANDARD_LEADS) & set(record.leads):
        return STANDARD_LEADS
    return record.leads[:cells]


def _strips(record: Recording, rhythm: str | Sequence[str] | None, columns: int) -> tuple[str, ...]:
    if rhythm is None:
        return ()
    if rhythm == "auto":
        if columns == 1:
            return ()
        alive = [name for name, row in zip(record.leads, record.signal, strict=True) if np.isfinite(row).any()]
        return (next((name for name in ("II", "V1") if name in alive), alive[0]),)
    return tuple(canonical_lead(name) for name in ([rhythm] if isinstance(rhythm, str) else rhythm))


def _resolution(px_per_mm: float | None, dpi: float | None, width_px: int | None) -> float:
    given = [value for value in (px_per_mm, dpi, width_px) if value is not None]
    if len(given) > 1:
        raise EcgError("more than one resolution is given", remedy="give one of px_per_mm, dpi and width_px")
    if not all(isinstance(value, int | float) for value in given):
        raise EcgError(f"the resolution is {given[0]!r}", remedy="give a number")
    scale = 150 / MM_PER_INCH
    if px_per_mm is not None:
        scale = float(px_per_mm)
    elif dpi is not None:
        scale = dpi / MM_PER_INCH
    elif width_px is not None:
        scale = width_px / PAGE_WIDTH_MM
    if not MIN_PX_PER_MM <= scale <= MAX_PX_PER_MM:
        raise EcgError(
            f"{scale:g} pixels per mm can't be drawn", remedy=f"use {MIN_PX_PER_MM:g} to {MAX_PX_PER_MM:g} px_per_mm"
        )
    return scale


def _panel(
    record: Recording,
    name: str,
    begin_s: float,
    column_s: float,
    x_mm: float,
    width_mm: float,
    y_mm: float,
    height_mm: float,
) -> Panel:
    inverted = name.startswith("-") and name not in record.leads
    lead = name.removeprefix("-") if inverted else name
    end_s = min(begin_s + column_s, record.duration_s)
    zero, missing = 0.0, "not recorded"
    if lead in record.leads:
        piece = record.lead(lead)[round(begin_s * record.fs) : round(end_s * record.fs)]
        finite = piece[np.isfinite(piece)]
        zero, missing = (median(finite), "") if finite.size else (0.0, "no samples")
    end_s = begin_s if missing else end_s
    return Panel(lead, begin_s, end_s, x_mm, width_mm, y_mm, height_mm, zero, missing=missing, inverted=inverted)


def _paper_scale(record: Recording) -> float:
    """Drawn millivolts per unit, such that a large deflection is 1 mV high."""
    centred = np.abs(record.signal - np.nanmedian(record.signal))
    large = float(np.nanpercentile(centred, 99.5))
    return UNCALIBRATED_MV / large if large > 0 else 1.0


@lru_cache(maxsize=1024)  # a long text rests on the same evidence again and again
def _evidence_boxes(layout: PageLayout, evidence: Evidence) -> tuple[Box, ...]:
    shown = tuple(dict.fromkeys(panel.lead for panel in layout.panels if not panel.missing))
    strips = tuple(panel.lead for panel in layout.panels if panel.rhythm and not panel.missing)
    leads = evidence.leads or strips or shown
    spans = evidence.spans_s or tuple((panel.start_s, panel.end_s) for panel in layout.panels if not panel.missing)
    whole = not evidence.leads or (len(evidence.leads) > 6 and any(b - a > 2.5 for a, b in spans))
    if whole and strips:
        return tuple(
            box
            for panel in layout.panels
            if panel.rhythm and not panel.missing
            for a, b in dict.fromkeys(spans)
            for box in layout.boxes(panel.lead, a, b)[-1:]
            if b > panel.start_s and a < panel.end_s
        )
    return tuple(dict.fromkeys(box for lead in leads for a, b in spans for box in layout.boxes(lead, a, b)))
