"""Where a recording lies in the picture that it was read from, and evidence marked on that picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..paper import Page, PageLayout, Panel
from ..paper.layout import MM_PER_MV, MM_PER_S
from .arrangement import MM_PER_PERIOD, Cell
from .ink import PX_PER_PERIOD
from .rectifying import PaperMap

Array = NDArray[np.float64]
VIEW_PX_PER_PERIOD = 20


@dataclass(frozen=True)
class PicturePlaces:
    """Where the samples of a recording lie in its picture.

    Attributes:
        paper: the map from paper to picture.
        cells: the stretches of leads, in columns of the flat page.
        lines: (columns,) of each row: height of its line on the flat page, pixels.
        flat: (rows, columns, 3) bytes, the picture without its bends, at ``VIEW_PX_PER_PERIOD``.
        mm_per_s: paper speed.
        mm_per_mv: gain.
    """

    paper: PaperMap
    cells: tuple[Cell, ...]
    lines: tuple[Array, ...]
    flat: NDArray[np.uint8]
    mm_per_s: float
    mm_per_mv: float

    def pixels(self, lead: str, seconds: Any) -> Array:
        """(n, 2) pixels (x, y) of the picture where a lead is drawn at some times; NaN where it is not.

        Args:
            lead: its name.
            seconds: (n,) from the beginning of the recording.
        """
        seconds = np.atleast_1d(np.asarray(seconds, np.float64))
        out = np.full((len(seconds), 2), np.nan)
        per_s = self.mm_per_s / MM_PER_PERIOD * PX_PER_PERIOD
        for cell in self.cells:
            if cell.lead != lead:
                continue
            column = cell.start + (seconds - cell.start_s) * per_s
            inside = (column >= cell.start) & (column < cell.end)
            line = self.lines[cell.row]
            y = np.interp(column, np.arange(len(line)), line, left=np.nan, right=np.nan)
            x, y = self.paper.pixels(column / PX_PER_PERIOD, y / PX_PER_PERIOD)
            out[inside] = np.stack([x, y], 1)[inside]
        return out

    def page(self) -> Page:
        """The picture without its bends, at 25 mm/s, with the places of leads, seconds and millivolts.

        Evidence is marked on it as on a drawn page: ``page().mark(evidence)``.
        """
        stretch = MM_PER_S / self.mm_per_s
        px_per_mm = VIEW_PX_PER_PERIOD / MM_PER_PERIOD
        image = Image.fromarray(self.flat)
        if stretch != 1:
            image = image.resize((round(image.width * stretch), image.height))
        mm = MM_PER_PERIOD / PX_PER_PERIOD
        heights = sorted(float(np.nanmedian(line)) * mm for line in self.lines)
        row_mm = float(np.median(np.diff(heights))) if len(heights) > 1 else 4 * MM_PER_PERIOD
        first = min(cell.start for cell in self.cells)
        several = {cell.row for cell in self.cells if cell.start > first}
        panels = []
        for cell in self.cells:
            part = self.lines[cell.row][round(cell.start) : round(cell.end)]
            if not np.isfinite(part).any():
                continue
            seconds = (cell.end - cell.start) * mm / self.mm_per_s
            panels.append(
                Panel(
                    lead=cell.lead,
                    start_s=cell.start_s,
                    end_s=cell.start_s + seconds,
                    x_mm=cell.start * mm * stretch,
                    width_mm=(cell.end - cell.start) * mm * stretch,
                    y_mm=float(np.nanmedian(part)) * mm,
                    height_mm=row_mm,
                    zero=0.0,
                    rhythm=bool(several) and cell.row not in several,
                    inverted=cell.sign < 0,
                )
            )
        layout = PageLayout(
            "as photographed",
            px_per_mm,
            image.width / px_per_mm,
            image.height / px_per_mm,
            tuple(panels),
            mv_per_unit=self.mm_per_mv / MM_PER_MV,
        )
        return Page(image, layout)
