"""Pages that are not upright in their picture: turned by any angle, they are read as if they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import grounding
from grounding import ECGRecord
from grounding.paper import PageStyle, draw
from grounding.photographs.turning import may_be_sideways, seen_rows, upright_score
from grounding.readers.samples import sample_names

from .conftest import Photograph, snr_db


@pytest.mark.parametrize("degrees", [90, 180, 233])
def test_a_turned_page_is_read(photograph: Photograph, record: ECGRecord, tmp_path: Path, degrees: float) -> None:
    path = tmp_path / "turned.png"
    Image.open(photograph()).rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="gray").save(path)
    read = grounding.read_record(path)
    assert snr_db(record, read) > 10
    turned = read.meta["picture"]["turned_degrees"]
    assert (turned + degrees + 180) % 360 - 180 == pytest.approx(0, abs=4)  # Pillow turns anticlockwise
    # I is read before V4, along the page and not along the picture
    first, later = (read.meta["picture"]["places"].pixels(*at)[0] for at in (("I", [1.0]), ("V4", [9.0])))
    along = np.array([np.cos(np.radians(turned)), np.sin(np.radians(turned))])
    assert (later - first) @ along > 0.9 * np.linalg.norm(later - first)


def test_edges_of_the_paper_are_no_reason_to_look_at_a_page_sideways() -> None:
    upright = np.zeros((1000, 1600), bool)
    upright[200:900:200, 300:1300] = True  # rows
    upright[:650, [100, 1500]] = True
    assert 0.8 < seen_rows(upright.T) / seen_rows(upright) < 1.25
    assert not may_be_sideways(upright)
    assert may_be_sideways(upright.T)


def test_an_upright_page_is_not_turned(read: ECGRecord) -> None:
    assert abs(read.meta["picture"]["turned_degrees"]) < 5


def test_a_page_upside_down_without_pulses_is_never_read_as_upright(record: ECGRecord, tmp_path: Path) -> None:
    """Rows from below are V6, V5, V4 and so on, whose sums may fit as those of limb leads do: waves alone tell."""
    style = PageStyle(grid="red", grid_lines="printed", pulse="none")
    page = draw(record, "12x1", rhythm=None, labels=False, dpi=200, style=style)
    path = tmp_path / "head.png"
    page.image.rotate(180).save(path)
    read = grounding.read_record(path)
    assert abs(read.meta["picture"]["turned_degrees"]) > 175
    assert snr_db(record, read) > 10


@pytest.mark.parametrize("name", sample_names())
def test_waves_tell_a_reversed_recording(name: str) -> None:
    record = grounding.read_record(grounding.sample_path(name))
    score = upright_score(record)
    reversed_record = ECGRecord.from_array(
        -np.asarray(record.signal)[::-1, ::-1], record.fs, list(record.leads), units="mV"
    )
    assert score > 0
    assert upright_score(reversed_record) < 0


def test_rows_run_along_traces() -> None:
    seconds = np.arange(2000)
    ink = np.zeros((1600, 2000), bool)
    for row in (300, 700, 1100):
        ink[(row + 8 * np.sin(seconds / 30)).astype(int), seconds] = True
    assert seen_rows(ink) > 2 * seen_rows(ink.T)
