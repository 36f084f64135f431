"""The text of a page: lead names, header, footer, and where each of them was printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..record import ECGRecord
from . import ink
from .layout import TOP_MM, Box, PageLayout, Panel
from .style import PageHeader, PageStyle

NAME_MM, TEXT_MM = 4.2, 3.0
LINE_MM, MARGIN_MM, HEADER_MM = 4.0, 8.0, 4.0
BLOCK_MM = HEADER_MM + NAME_MM + 1.5  # where the lines below the record's name begin
COLUMN_MM = 95.0  # of the header: values, and the caller's lines
VALUE_MM = 26.0  # between the name of a value and the value
FAINT = (110, 90, 95)
DISCLAIMER = "Research software, not a medical device"


@dataclass(frozen=True)
class PrintedText:
    """A text on the page.

    Attributes:
        words: as printed.
        box: its letters, pixels.
        role: ``"lead"``, ``"header"``, ``"value"``, ``"footer"`` or ``"note"``.
        values: where it states measured values, name (``"pr"``, ``"heart_rate"``) -> the number that is printed.
        lead: the lead that it names or is about.
    """

    words: str
    box: Box
    role: str
    values: Mapping[str, float] = field(default_factory=dict, hash=False)
    lead: str = ""


def header_mm(header: PageHeader | None) -> float:
    """Room above the first row that a header takes, mm.

    Args:
        header: of the page.
    """
    if header is None:
        return TOP_MM
    rows = header.rows()
    values = min(1, len(rows)) if header.place == "line" else len(rows)
    lines = values + len(header.lines) if header.place == "line" else max(values, len(header.lines))
    return max(TOP_MM, BLOCK_MM + lines * LINE_MM + 4.0)


class Lettering:
    """Writes on a page and keeps what stands where.

    Args:
        pixels: (height, width, 4), changed in place.
        plane: its layout.
        style: its look.
    """

    def __init__(self, pixels: NDArray[np.uint8], plane: PageLayout, style: PageStyle) -> None:
        self.pixels, self.plane, self.style = pixels, plane, style
        self.name = ink.chosen_font(max(7, round(NAME_MM * plane.px_per_mm)), style.font)
        self.small = ink.chosen_font(max(7, round(TEXT_MM * plane.px_per_mm)), style.font)
        self.texts: list[PrintedText] = []

    def write(
        self,
        words: str,
        x_px: float,
        y_px: float,
        role: str,
        *,
        large: bool = False,
        colour: tuple[int, int, int] = ink.INK,
        values: Mapping[str, float] | None = None,
        lead: str = "",
    ) -> None:
        """Write a line of text from its left top, pixels."""
        box = ink.write(self.pixels, (x_px, y_px), words, colour, self.name if large else self.small)
        if box is not None:
            self.texts.append(PrintedText(words, Box(*box), role, values or {}, lead))

    def page(self, record: ECGRecord, header: PageHeader | None) -> tuple[PrintedText, ...]:
        """Everything that is written on a page."""
        for panel in self.plane.panels:
            self._label(panel)
        self._header(record)
        if header is not None:
            self._block(header)
        self._footer(record)
        return tuple(self.texts)

    def _label(self, panel: Panel) -> None:
        scale = self.plane.px_per_mm
        x = (panel.x_mm + 1.2) * scale
        above = min(15.0, panel.height_mm / 2)
        up = {"above": above, "below": -min(6.0, panel.height_mm / 2 - NAME_MM), "beside": NAME_MM + 2.5}
        y = (panel.y_mm - up[self.style.label_place]) * scale
        self.write(panel.label, x, y, "lead", large=True, colour=self.style.trace_colour, lead=panel.lead)
        if panel.missing:
            words = f"{panel.lead} {panel.missing}"
            self.write(words, x, panel.y_mm * scale, "note", colour=FAINT, lead=panel.lead)

    def _header(self, record: ECGRecord) -> None:
        words = [record.record_id]
        age, sex = record.meta.get("age"), record.meta.get("sex")
        words += [f"{age:g} years"] if isinstance(age, int | float) else []
        words += [str(sex)] if sex else []
        drawn = [panel for panel in self.plane.panels if not panel.missing]
        if drawn:
            first, last = min(p.start_s for p in drawn), max(p.end_s for p in drawn)
            words.append(f"{first:.1f}-{last:.1f} s of {record.duration_s:.1f} s")
        scale = self.plane.px_per_mm
        self.write("   ".join(words), MARGIN_MM * scale, HEADER_MM * scale, "header", large=True)

    def _block(self, header: PageHeader) -> None:
        scale, rows = self.plane.px_per_mm, header.rows()
        left, right = MARGIN_MM * scale, (MARGIN_MM + COLUMN_MM) * scale
        values_x, lines_x = (right, left) if header.place == "right" else (left, right)
        first_line = 0
        if header.place == "line" and rows:
            lines_x, first_line, x = left, 1, left
            for label, words, values in rows:
                self.write(f"{label} {words}", x, BLOCK_MM * scale, "value", values=values)
                x += ink.width_of(self.small, f"{label} {words}") + 4 * scale
        else:
            for index, (label, words, values) in enumerate(rows):
                y = (BLOCK_MM + index * LINE_MM) * scale
                self.write(label, values_x, y, "header")
                self.write(words, values_x + VALUE_MM * scale, y, "value", values=values)
        for index, line in enumerate(header.lines, start=first_line):
            self.write(line, lines_x, (BLOCK_MM + index * LINE_MM) * scale, "header")

    def _footer(self, record: ECGRecord) -> None:
        plane, scale = self.plane, self.plane.px_per_mm
        gain = f"{plane.mm_per_mv:g} mm/mV" if plane.calibrated else "amplitude not calibrated"
        words = [f"{plane.mm_per_s:g} mm/s", gain, f"{record.fs:g} Hz", "no filter"]
        drawn = [panel for panel in plane.panels if not (panel.missing or panel.rhythm)]
        starts = list(dict.fromkeys(panel.start_s for panel in drawn))
        columns = {panel.x_mm for panel in drawn}
        steps = np.diff([*starts])
        if len(starts) < len(columns) or (len(steps) > 1 and np.ptp(steps) > 1e-6):
            words.append(f"columns start at {', '.join(f'{start:g}' for start in starts)} s")
        if plane.missing:
            words.append(f"not recorded: {', '.join(plane.missing)}")
        line, left, right = "   ".join(words), MARGIN_MM * scale, self.pixels.shape[1] - MARGIN_MM * scale
        bottom = (plane.height_mm - 6.5) * scale
        self.write(line, left, bottom, "footer")
        room = ink.width_of(self.small, DISCLAIMER)
        if right - room > left + ink.width_of(self.small, line) + 4 * scale:
            self.write(DISCLAIMER, right - room, bottom, "footer", colour=FAINT)
