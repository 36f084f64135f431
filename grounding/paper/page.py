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
from .layout import LEFT_MM, MM_PER_MV, MM_PER_S, Box, PageLayout, Panel, plan, pulse_mm, trace_mm
from .lettering import NAME_MM, Lettering, PrintedText, header_mm
from .reading import read_page
from .style import PageHeader, PageStyle

MARK = (37, 99, 235)
SEPARATOR_MM = 3.0  # above and below the zero line
INKED = 128  # coverage of 255 from which a pixel counts as ink of a trace


@dataclass(frozen=True, eq=False)
class Page:
    """A drawn page and its geometry.

    Attributes:
        image: the picture (RGB).
        layout: positions of leads, seconds and millivolts.
        texts: what is written on it, and where.
    """

    image: Image.Image
    layout: PageLayout
    texts: tuple[PrintedText, ...] = ()

    def trace_labels(self, record: ECGRecord, trace_mm: float = PageStyle.trace_mm) -> NDArray[np.uint8]:
        """Which pixels are ink of which trace.

        Args:
            record: the recording that was drawn.
            trace_mm: thickness of the traces.

        Returns:
            (height, width): 0 where no trace is, else 1 and the index of its panel in ``layout.panels``; where two
            cross, the later one.
        """
        width, height = self.image.size
        labels = np.zeros((height, width), np.uint8)
        for index, panel in enumerate(self.layout.panels, start=1):
            if not panel.missing:
                drawn = np.zeros((height, width, 4), np.uint8)
                _trace(drawn, [_trace_px(record, self.layout, panel)], trace_mm, self.layout, (255, 255, 255))
                labels[drawn[..., 0] >= INKED] = index
        return labels

    def box(self, lead: str, start_s: float, end_s: float) -> tuple[Box, ...]:
        """The rectangles of a stretch of a lead, one for each panel that shows a part of it.

        Args:
            lead: in any usual spelling.
            start_s: seconds from the beginning of the recording.
            end_s: seconds from the beginning of the recording.
        """
        return self.layout.boxes(lead, start_s, end_s)

    def read(self, trace_mm: float = PageStyle.trace_mm) -> ECGRecord:
        """The recording as its pixels show it: each lead where it is printed, NaN elsewhere.

        Args:
            trace_mm: thickness of the traces.

        Returns:
            mV at 500 Hz, from the page's first second to its last; each stretch has its median at 0.

        Raises:
            EcgSignalError: no trace is seen.

        Example:
            >>> from grounding import read_record, sample_path
            >>> from grounding.paper import draw
            >>> draw(read_record(sample_path())).read()
            ECGRecord(...)
        """
        return read_page(self.image, self.layout, [text.box for text in self.texts], trace_mm)

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
    mm_per_s: float = MM_PER_S,
    mm_per_mv: float = MM_PER_MV,
    simultaneous: bool = False,
    style: PageStyle | None = None,
    header: PageHeader | None = None,
) -> Page:
    """Draw a recording on ECG paper: 25 mm/s, 10 mm/mV, 1 mm and 5 mm grid, calibration pulse, lead names.

    The signal is drawn as recorded, without a filter; each stretch is shifted so that its median is on the zero line.
    The place of a missing lead is blank, with a note. The same call gives the same bytes.

    Args:
        record: the recording.
        layout: ``"3x4"``, ``"6x2"``, ``"12x1"``, or any rows x columns; see ``plan``.
        leads: which leads, in order; the twelve standard ones where ``None``; ``CABRERA_LEADS`` for that order.
        rhythm: lead(s) of the rhythm strip, ``"auto"``, or ``None``.
        start_s: where the page begins, s.
        px_per_mm: resolution in pixels per mm; at most one of the three resolutions, 150 dpi (1650 x 1275 pixels) where
            none is given.
        dpi: resolution in dots per inch.
        width_px: resolution by the width of the page.
        labels: False omits all text.
        mm_per_s: paper speed; a row is 250 mm long.
        mm_per_mv: gain.
        simultaneous: True shows the same seconds in all columns.
        style: grid, pen, font, pulses, separators and places of labels.
        header: measured values and lines to print above the traces.

    Returns:
        Page with ``image``, ``layout`` and ``texts``.

    Raises:
        EcgError: the layout, the leads, the resolution, the paper speed, the gain or the font can't be used.
        EcgSignalError: nothing was recorded after ``start_s``.

    Example:
        >>> from grounding import read_record, sample_path
        >>> page = draw(read_record(sample_path()), px_per_mm=2)
        >>> page.image.size, len(page.box("II", 0.0, 0.5))
        ((559, 432), 2)
    """
    style = style or PageStyle()
    plane = plan(
        record,
        layout,
        leads=leads,
        rhythm=rhythm,
        start_s=start_s,
        px_per_mm=px_per_mm,
        dpi=dpi,
        width_px=width_px,
        mm_per_s=mm_per_s,
        mm_per_mv=mm_per_mv,
        simultaneous=simultaneous,
        top_mm=header_mm(header if labels else None),
    )
    width, height = plane.size
    lines = [_trace_px(record, plane, panel) for panel in plane.panels if not panel.missing]
    lines += [line * plane.px_per_mm for line in (*_pulses(plane, style), *_separators(plane, style))]
    paper = ink.grid(width, height, plane.px_per_mm, style.grid, style.grid_lines)
    pixels = ink.sheet(paper)
    drawn = _trace(pixels, lines, style.trace_mm, plane, style.trace_colour)
    texts = Lettering(pixels, plane, style).page(record, header) if labels else ()
    return Page(ink.picture(pixels, paper, drawn, [text.box for text in texts]), plane, texts)


def _trace_px(record: ECGRecord, plane: PageLayout, panel: Panel) -> NDArray[np.float64]:
    return trace_mm(record, plane, panel) * plane.px_per_mm


def _trace(
    pixels: NDArray[np.uint8],
    lines: Sequence[NDArray[np.float64]],
    thickness_mm: float,
    plane: PageLayout,
    colour: tuple[int, int, int],
) -> NDArray[np.intp]:
    return ink.strokes(pixels, lines, max(thickness_mm * plane.px_per_mm / 2, 0.5), colour)


def _pulses(plane: PageLayout, style: PageStyle) -> list[NDArray[np.float64]]:
    rows = sorted({panel.y_mm for panel in plane.panels})
    if not plane.calibrated or style.pulse == "none":
        return []
    return [
        pulse_mm(y_mm, mm_per_s=plane.mm_per_s, mm_per_mv=plane.mm_per_mv, right=style.pulse == "right")
        for y_mm in (rows[:1] if style.pulse == "first" else rows)
    ]


def _separators(plane: PageLayout, style: PageStyle) -> list[NDArray[np.float64]]:
    """Vertical lines between the columns."""
    if style.separators == "none":
        return []
    lines = []
    for panel in plane.panels:
        if panel.x_mm > LEFT_MM:
            half = SEPARATOR_MM if style.separators == "short" else panel.height_mm / 2
            lines.append(np.array([[panel.x_mm, panel.x_mm], [panel.y_mm - half, panel.y_mm + half]]))
    return lines


def render(record: ECGRecord, layout: str = "3x4", **options: Any) -> Image.Image:
    """The picture alone: ``draw(record, layout, **options).image``.

    Args:
        record: the recording.
        layout: ``"3x4"``, ``"6x2"``, ``"12x1"``, or any rows x columns.
        **options: those of ``draw``.

    Raises:
        EcgError: the layout, the leads or the resolution can't be used.
        EcgSignalError: nothing was recorded after ``start_s``.

    Example:
        >>> from grounding import read_record, sample_path
        >>> render(read_record(sample_path())).size
        (1650, 1275)
    """
    return draw(record, layout, **options).image
