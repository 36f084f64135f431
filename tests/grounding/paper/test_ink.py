from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from grounding.paper import ink


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
