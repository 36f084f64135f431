from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

import grounding
from grounding.paper import PageStyle, draw, ink


@pytest.mark.parametrize("place", [(20.3, 11.8), (0.0, 0.0), (171.5, 3.25), (30.0, 52.9), (400.0, 5.0)])
def test_letters_are_those_of_pillow(place: tuple[float, float]) -> None:
    grid = ink.grid(180, 60, 5.0)
    expected = Image.frombytes("RGB", (180, 60), grid, "raw", "RGBX")
    ImageDraw.Draw(expected).text(place, "aVR Äg", fill=ink.INK, font=ink.font(17))
    written = grid.copy()
    ink.write(written, place, "aVR Äg", ink.INK, ink.font(17))
    np.testing.assert_array_equal(written[:, :, :3], np.asarray(expected))


def test_a_line_does_not_depend_on_what_was_drawn_before() -> None:
    line = np.array([[3.0, 40.0, 90.0], [5.0, 30.0, 8.0]])
    first, other, again = (np.full((40, 95, 4), 255, np.uint8) for _ in range(3))
    ink.strokes(first, [line], 1.2, ink.INK)
    ink.strokes(other, [line + 4], 1.2, ink.INK)
    ink.strokes(again, [line[:, :2], line[:, 1:]], 1.2, ink.INK)
    assert (first != other).any()
    np.testing.assert_array_equal(again, first)


def test_a_page_does_not_depend_on_the_pages_before() -> None:
    record = grounding.read_record(grounding.sample_path())
    styles = [PageStyle(), PageStyle(grid="blue", trace_colour=(90, 20, 20)), PageStyle(grid_lines="printed")]
    alone = []
    for style in styles:
        ink._kept.sheet = ink._kept.mask = None
        alone.append(draw(record, style=style).image.tobytes())
    for number in (0, 1, 1, 0, 2, 0):
        assert draw(record, style=styles[number]).image.tobytes() == alone[number]
    paper = ink._kept.paper
    np.testing.assert_array_equal(ink._kept.sheet, paper)


def test_shares_of_a_colour_are_mixed_as_they_were_one_by_one() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, size=(30, 50, 4), dtype=np.uint8)
    image[..., 3] = 255
    before = image.copy()
    at = ink.strokes(image, [np.array([[5.3, 44.1, 20.0], [6.2, 20.9, 27.5]])], 1.4, (22, 200, 38))
    changed = (image != before).any(axis=2).reshape(-1)
    assert set(np.flatnonzero(changed)) <= set(at.tolist())
    inked = np.zeros((30, 50, 4), np.uint8)
    ink.strokes(inked, [np.array([[5.3, 44.1, 20.0], [6.2, 20.9, 27.5]])], 1.4, (255, 255, 255))
    share = inked[..., :1] / 255
    expected = before * (1 - share) + np.array((22, 200, 38, 255)) * share
    assert np.abs(image - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("px_per_mm", [5.9055, 7.0, 7.874])
def test_printed_lines_are_as_thick_as_in_print_and_where_they_belong(px_per_mm: float) -> None:
    image = ink.grid(600, 40, px_per_mm, "red", "printed")
    paper, _, bold = (np.array(colour, float) for colour in ink.GRIDS["red"])
    row = image[round(2.5 * px_per_mm), :, 1]  # between two lines of 1 mm
    share = (paper[1] - row) / (paper[1] - bold[1])
    for line in range(1, 18):
        middle = 5 * line * px_per_mm
        if middle > 590:
            break
        near = np.arange(round(middle) - 3, round(middle) + 3)
        at = ((near + 0.5) * share[near]).sum() / share[near].sum()
        assert at == pytest.approx(middle, abs=0.1)
        assert share[near].sum() == pytest.approx(ink.BOLD_MM * px_per_mm, abs=0.3)
