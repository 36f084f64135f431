"""The line that a pen drew is found again in its ink; grid lines are found where they run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import grounding
from grounding.paper.ink import strokes
from grounding.photographs.lines import line_places, straightened
from grounding.photographs.rectifying import PaperMap
from grounding.photographs.strokes import pen_line, pen_thickness, sharp_edges
from grounding.photographs.traces import follow_rows

PX_PER_S, PX_PER_MV = 200, 80  # 25 mm/s and 10 mm/mV at 8 pixels per millimetre


def drawn(size: tuple[int, int], x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """How much of each pixel a line covers, (rows, columns) of 0 to 1."""
    page = np.full((*size, 4), 255, np.uint8)
    strokes(page, [np.stack([x, y])], radius, (0, 0, 0))
    return ((255 - page[..., 0]) / 255).astype(np.float32)


@pytest.mark.parametrize("lead", ["I", "II", "V2", "V5"])
@pytest.mark.parametrize("radius", [1.0, 1.5])
def test_a_drawn_line_is_read_as_it_was(lead: str, radius: float) -> None:
    values = grounding.read_record(grounding.sample_path("ptbxl_139")).lead(lead)
    values = values - np.median(values)
    x = np.arange(len(values)) / 500 * PX_PER_S
    ink = ndimage.gaussian_filter(drawn((800, 2000), x, 400 - values * PX_PER_MV, radius), 0.8)
    probability = (1 / (1 + np.exp(-12 * (ink - 0.45)))).astype(np.float32)
    (trace,) = follow_rows(probability, probability > 0.5, [400.0], 380, 40)
    # strokes are drawn at the middle of pixels
    read = np.interp(x - 0.5, np.arange(2000), -(trace.y - 400) / PX_PER_MV)[50:-50]
    truth = values[50:-50]
    error = truth - truth.mean() - read + read.mean()
    assert 10 * np.log10(truth.var() / (error**2).mean()) > 15


def test_a_narrow_peak_keeps_its_height() -> None:
    height = np.full(60, 50.0)
    height[28:33] = [40, 20, 5, 20, 40]
    ink = drawn((80, 60), np.arange(60.0), height, 1.2)
    mask = ink > 0.5
    top = np.where(mask.any(0), mask.argmax(0), np.nan).astype(float)
    bottom = np.where(mask.any(0), 79 - mask[::-1].argmax(0), np.nan).astype(float)
    top, bottom = sharp_edges(ink, top, bottom)
    line = pen_line(top, bottom, pen_thickness(top, bottom))
    assert np.nanmin(line) < 12  # of the tip between two columns
    assert int(np.nanargmin(line)) in (29, 30)
    assert np.nanmedian(line) == pytest.approx(50, abs=0.5)


def test_no_ink_is_no_line() -> None:
    top = np.full(30, np.nan)
    assert np.isnan(pen_line(top, top, 2.0)).all()


def _grid(shift_px: float, rows: int = 400, columns: int = 600) -> np.ndarray:
    """Lines every 40 pixels; the upright one in the middle is shifted."""
    out = np.zeros((rows, columns), np.float32)
    for line in range(0, columns, 40):
        at = line + (shift_px if line == 280 else 0.0)
        out += np.clip(1.5 - np.abs(np.arange(columns) - at), 0, 1).astype(np.float32)[None, :]
    for line in range(0, rows, 40):
        out[line] = 1
    return np.minimum(out, 1)


@pytest.mark.parametrize("shift_px", [-5.0, 3.0, 6.0])
def test_a_shifted_grid_line_is_found_and_straightened(shift_px: float) -> None:
    dark = _grid(shift_px)
    found = line_places(dark, np.ones(dark.shape, bool), 40).shifts * 40
    assert np.median(found[:, 7]) == pytest.approx(shift_px, abs=0.3)
    assert abs(np.median(found[:, 4])) < 0.4
    y, x = np.mgrid[0:21, 0:31] * 20.0  # the flat page is the picture itself
    page = PaperMap(x, y, np.ones(x.shape, bool))
    moved, former = straightened(page, dark, np.zeros(dark.shape, np.float32), 40)
    assert moved.pixels(np.array([7.0]), np.array([5.0]))[0][0] == pytest.approx(
        280 + shift_px, abs=abs(shift_px) * 0.4
    )
    assert former[1, 200, 280] == pytest.approx(280 + shift_px, abs=abs(shift_px) * 0.4)


def test_a_trace_over_a_line_does_not_move_it() -> None:
    dark = _grid(0.0)
    dark[:, 283:286] = 1  # an upright stroke beside the line
    free = np.ones(dark.shape, bool)
    free[:, 281:288] = False
    places = line_places(dark, free, 40)
    assert np.abs(places.shifts[:, 7]).max() * 40 < 1
    assert places.weights[:, 7].max() == 0  # so near to the stroke it isn't measured
