"""``draw`` and ``render``: a recording on ECG paper, and evidence marked on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..evidence import Evidence
from ..record import ECGRecord
from . import ink
from .layout import LEFT_MM, MM_PER_MV, MM_PER_S, Box, PageLayout, plan, pulse_mm, trace_mm

TRACE_MM, NAME_MM, TEXT_MM = 0.32, 4.2, 3.0
MARK = (37, 99, 235)
DISCLAIMER = "Research software, not a medical device"


@dataclass(frozen=True, eq=False)
class Page:
    """A drawn page and its geometry.

    Attributes:
        image: the picture (RGB).
        layout: positions of leads, seconds and millivolts.
    """

    image: Image.Image
    layout: PageLayout

    def box(self, lead: str, start_s: float, end_s: float) -> tuple[Box, ...]:
        """The rectangles of a stretch of a lead, one for each panel that shows a part of it.

        Args:
            lead: in any usual spelling.
            start_s: seconds from the beginning of the recording.
            end_s: seconds from the beginning of the recording.
        """
        return self.layout.boxes(lead, start_s, end_s)

    def mark(
        self, evidence: Evidence | Iterable[Evidence], label: str = "", colour: tuple[int, int, int] = MARK
    ) -> Page:
        """A copy of the page with evidence marked on it.

        Args:
            evidence: each of its leads and stretches that this page shows is marked.
            label: a word or number at the first mark.
            colour: RGB.
        """
        parts = (evidence,) if isinstance(evidence, Evidence) else tuple(evidence)
        boxes = [box for part in parts for box in self.layout.evidence_boxes(part)]
        veil = Image.new("RGBA", self.image.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(veil)
        line = max(1, round(0.25 * self.layout.px_per_mm))
        for box in boxes:
            pen.rectangle(box, fill=(*colour, 48), outline=(*colour, 190), width=line)
        if boxes and label:
            size = max(7, round(NAME_MM * self.layout.px_per_mm))
            pen.text((boxes[0].x0 + line, boxes[0].y0 + line), label, fill=(*colour, 255), font=ink.font(size))
        marked = Image.alpha_composite(self.image.convert("RGBA"), veil).convert("RGB")
        return replace(self, image=marked)


def draw(
    record: ECGRecord,
    layout: str = "3x4",
    *,
    leads: Sequence[str] | None = None,
    rhythm: str | Sequence[str] | None = "auto",
    start_s: float = 0.0,
    px_per_mm: float | None = None,
    dpi: float | None = None,
    width_px: int | None = None,
    labels: bool = True,
) -> Page:
    """Draw a recording on ECG paper: 25 mm/s, 10 mm/mV, 1 mm and 5 mm grid, calibration pulse, lead names.

    The signal is drawn as recorded, without a filter; each stretch is shifted so that its median is on the zero line.
    The place of a missing lead is blank, with a note. The same call gives the same bytes.

    Args:
        record: the recording.
        layout: ``"3x4"``, ``"6x2"``, ``"12x1"``, or any rows x columns; see ``plan``.
        leads: which leads, in order; the twelve standard ones where ``None``.
        rhythm: lead(s) of the rhythm strip, ``"auto"``, or ``None``.
        start_s: where the page begins, s.
        px_per_mm: resolution in pixels per mm; at most one of the three resolutions, 150 dpi (1650 x 1275 pixels) where
            none is given.
        dpi: resolution in dots per inch.
        width_px: resolution by the width of the page.
        labels: False omits all text.

    Returns:
        Page with ``image`` and ``layout``.

    Raises:
        EcgError: the layout, the leads or the resolution can't be used.
        EcgSignalError: nothing was recorded after ``start_s``.

    Example:
        >>> from grounding import read_record, sample_path
        >>> page = draw(read_record(sample_path()), px_per_mm=2)
        >>> page.image.size, len(page.box("II", 0.0, 0.5))
        ((559, 432), 2)
    """
    plane = plan(
        record, layout, leads=leads, rhythm=rhythm, start_s=start_s, px_per_mm=px_per_mm, dpi=dpi, width_px=width_px
    )
    scale = plane.px_per_mm
    width, height = plane.size
    lines = [trace_mm(record, plane, panel) for panel in plane.panels if not panel.missing]
    if plane.calibrated:
        lines += [pulse_mm(y_mm) for y_mm in sorted({panel.y_mm for panel in plane.panels})]
    # a short vertical line between the columns
    lines += [
        np.array([[panel.x_mm, panel.x_mm], [panel.y_mm - 3.0, panel.y_mm + 3.0]])
        for panel in plane.panels
        if panel.x_mm > LEFT_MM
    ]
    pixels = ink.sheet(ink.grid(width, height, scale))
    ink.strokes(pixels, [line * scale for line in lines], max(TRACE_MM * scale / 2, 0.5), ink.INK)
    if labels:
        _write(pixels, record, plane)
    return Page(ink.picture(pixels), plane)


def render(record: ECGRecord, layout: str = "3x4", **options: Any) -> Image.Image:
    """The picture alone: ``draw(record, layout, **options).image``.

    Args:
        record: the recording.
        layout: ``"3x4"``, ``"6x2"``, ``"12x1"``, or any rows x columns.
        **options: ``leads``, ``rhythm``, ``start_s``, ``px_per_mm``, ``dpi``, ``width_px``, ``labels``: see ``draw``.

    Raises:
        EcgError: the layout, the leads or the resolution can't be used.
        EcgSignalError: nothing was recorded after ``start_s``.

    Example:
        >>> from grounding import read_record, sample_path
        >>> render(read_record(sample_path())).size
        (1650, 1275)
    """
    return draw(record, layout, **options).image


def _write(pixels: NDArray[np.uint8], record: ECGRecord, plane: PageLayout) -> None:
    """Lead names, header and footer."""
    scale, width = plane.px_per_mm, pixels.shape[1]
    name, small = ink.font(max(7, round(NAME_MM * scale))), ink.font(max(7, round(TEXT_MM * scale)))
    faint = (110, 90, 95)
    for panel in plane.panels:
        x, y = (panel.x_mm + 1.2) * scale, (panel.y_mm - min(15.0, panel.height_mm / 2)) * scale
        ink.write(pixels, (x, y), panel.lead, ink.INK, name)
        if panel.missing:
            ink.write(pixels, (x, panel.y_mm * scale), f"{panel.lead} {panel.missing}", faint, small)
    header = [record.record_id]
    age, sex = record.meta.get("age"), record.meta.get("sex")
    header += [f"{age:g} years"] if isinstance(age, int | float) else []
    header += [str(sex)] if sex else []
    drawn = [panel for panel in plane.panels if not panel.missing]
    if drawn:
        header.append(
            f"{min(p.start_s for p in drawn):.1f}-{max(p.end_s for p in drawn):.1f} s of {record.duration_s:.1f} s"
        )
    ink.write(pixels, (8 * scale, 4 * scale), "   ".join(header), ink.INK, name)
    gain = f"{MM_PER_MV:g} mm/mV" if plane.calibrated else "amplitude not calibrated"
    footer = [f"{MM_PER_S:g} mm/s", gain, f"{record.fs:g} Hz", "no filter"]
    starts = list(dict.fromkeys(panel.start_s for panel in drawn if not panel.rhythm))
    columns = {panel.x_mm for panel in drawn if not panel.rhythm}
    steps = np.diff([*starts])
    if len(starts) < len(columns) or (len(steps) > 1 and np.ptp(steps) > 1e-6):
        footer.append(f"columns start at {', '.join(f'{start:g}' for start in starts)} s")
    if plane.missing:
        footer.append(f"not recorded: {', '.join(plane.missing)}")
    bottom = (plane.height_mm - 6.5) * scale
    ink.write(pixels, (8 * scale, bottom), "   ".join(footer), ink.INK, small)
    room = small.getlength(DISCLAIMER)
    if width - 8 * scale - room > 8 * scale + small.getlength("   ".join(footer)) + 4 * scale:
        ink.write(pixels, (width - 8 * scale - room, bottom), DISCLAIMER, faint, small)
