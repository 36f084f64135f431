"""Corners of a page given by hand: only what lies between them is read, and places lead back to the whole picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import grounding
from grounding import EcgError, ECGRecord
from grounding.photographs.corners import PageCorners
from grounding.photographs.rectifying import PaperMap

from .conftest import Photograph, snr_db

# of the phone photograph 02326_hr, by eye; the last two lie beyond its lower edge and at the table
PHOTOGRAPH = [(1204, 0), (3824, 408), (3400, 2440), (772, 1912)]


def test_a_cut_page_maps_back_to_the_picture() -> None:
    picture = np.zeros((400, 500, 3), np.uint8)
    picture[100:104, 200:204] = 255  # a spot
    corners = PageCorners([(50, 20), (450, 60), (480, 380), (30, 350)])
    cut = corners.cut(picture)
    v, u = np.unravel_index(int(cut.sum(-1).argmax()), cut.shape[:2])
    at = PaperMap(np.full((2, 2), float(u)), np.full((2, 2), float(v)), np.ones((2, 2), bool))
    there = corners.in_picture(at)
    assert there.x[0, 0] == pytest.approx(201.5, abs=3)
    assert there.y[0, 0] == pytest.approx(101.5, abs=3)


@pytest.mark.parametrize("corners", [[(0, 0), (1, 1)], [(0, 0), (0, 900), (900, 900), (900, 0)], "left", [(0, 0)] * 4])
def test_corners_of_no_page_are_refused(photograph: Photograph, corners: object) -> None:
    with pytest.raises(EcgError, match="corners"):
        grounding.read_record(photograph(), corners=corners)


def test_a_page_that_lies_on_its_head(photograph: Photograph, record: ECGRecord, tmp_path: Path) -> None:
    turned = Image.open(photograph()).rotate(180)
    path = tmp_path / "turned.png"
    turned.save(path)
    width, height = turned.size
    read = grounding.read_record(path, corners=[(width, height), (0, height), (0, 0), (width, 0)])
    assert snr_db(record, read) > 13
    x, y = read.meta["picture"]["places"].pixels("V1", [6.0])[0]
    assert 0 < x < width / 2  # V1 is right of the middle, and the page is turned
    assert height / 2 < y < height


def test_the_corners_of_a_phone_photograph(shared: Path) -> None:
    folder = shared / "data/pictures"
    read = grounding.read_record(folder / "photos/02326_hr.jpg", corners=PHOTOGRAPH)
    assert snr_db(grounding.read_record(folder / "truth/02326_hr"), read) > 10
    x, y = read.meta["picture"]["places"].pixels("V4", [8.0])[0]
    assert (x, y) == pytest.approx((2950, 1110), abs=150)  # right of the letters V4, by eye
