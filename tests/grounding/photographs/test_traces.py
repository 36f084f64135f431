"""Rows of a flat page keep to their own ink."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import grounding
from grounding import ECGRecord
from grounding.paper import PageStyle, distort, draw
from grounding.photographs.ink import PX_PER_PERIOD
from grounding.photographs.traces import follow_rows

from .conftest import snr_db


def two_rows() -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The ink of two rows with beats, the upper of which has faded in its middle; and where that is."""
    columns = np.arange(2000)
    ink = np.zeros((600, 2000), np.float32)
    faded = np.arange(600, 1400)
    for row, there in ((200, np.r_[:600, 1400:2000]), (400, columns)):
        height = row + 6 * np.sin(columns / 40)
        beats = 230 * np.clip(1 - np.abs(columns % 200 - 100) / 8, 0, 1)
        for column in there:
            tip = min(beats[column], 230 if row == 400 else 100)
            ink[int(height[column] - tip) : int(height[column]) + 4, column] = 1
    return ink, faded


def test_a_faded_row_does_not_go_on_along_its_neighbour() -> None:
    ink, faded = two_rows()
    upper, lower = follow_rows(ink, ink > 0.5, [200.0, 400.0], 220.0, PX_PER_PERIOD)
    assert np.isfinite(lower.y).all()
    inside = upper.y[faded]
    assert not (np.abs(inside - lower.y[faded]) < 1).any() or np.isnan(inside).mean() > 0.9
    assert np.abs(np.nanmedian(upper.y) - 200) < 10
    assert np.isnan(inside).mean() > 0.8


def test_a_line_of_a_scanner_is_no_row(record: ECGRecord, tmp_path: Path) -> None:
    page = draw(record, dpi=200, style=PageStyle(grid="red", grid_lines="printed"))
    picture = np.array(distort(page, (), seed=0).image)
    last = next(panel for panel in page.layout.panels if panel.rhythm)
    line = round((last.y_mm - 13) * page.layout.px_per_mm)
    picture[line : line + 2] = 60
    path = tmp_path / "scan.png"
    Image.fromarray(picture).save(path)
    read = grounding.read_record(path)
    assert snr_db(record, read) > 10
