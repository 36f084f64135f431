"""A drawn page, photographed: what is read back is what was drawn; what is no ECG is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import grounding
from grounding import EcgFormatError, ECGRecord, EcgSignalError
from grounding.paper import PageStyle, draw
from grounding.photographs.arrangement import arrange
from grounding.photographs.lattice import find_lattice
from grounding.photographs.limb_leads import check_limb_leads
from grounding.photographs.picture import grid_lines, load_picture

from .conftest import Photograph, photographed, snr_db


def test_the_grid_is_followed_through_perspective_and_waves(photograph: Photograph, record: ECGRecord) -> None:
    picture = load_picture(photograph())
    lattice = find_lattice(grid_lines(picture).astype(np.float64))
    assert lattice.period_px == pytest.approx(35, rel=0.15)  # 5 mm at 7 pixels per mm, seen at an angle
    seen = np.isfinite(lattice.u)
    assert seen.mean() > 0.6
    # every node lies where the page was bent to, in periods from one common line
    drawn = photographed(record)
    on_page = [at / 35 for at in drawn.warp.to_page(lattice.x, lattice.y)]
    inside = seen & (on_page[0] > 0) & (on_page[0] < 279.4 / 5) & (on_page[1] > 0) & (on_page[1] < 215.9 / 5)
    assert inside.sum() > 0.9 * seen.sum()
    for found, true in zip((lattice.u, lattice.v), on_page, strict=True):
        away = (found - true)[inside]
        away -= np.round(np.median(away))
        assert np.percentile(np.abs(away), 50) < 0.05
        assert np.percentile(np.abs(away), 90) < 0.2


def test_a_photograph_is_read_as_it_was_drawn(read: ECGRecord, record: ECGRecord) -> None:
    assert read.meta["format"] == "picture"
    assert set(read.leads) == set(record.leads)
    assert snr_db(record, read) > 10
    about = read.meta["picture"]
    assert about["mm_per_mv"] == pytest.approx(10, rel=0.05)
    assert all(one["quality"] == "good" for one in about["quality"].values())
    # each lead at its printed time
    printed = {
        lead: np.flatnonzero(np.isfinite(read.lead(lead)))[[0, -1]] / read.fs for lead in ("I", "aVR", "V4", "II")
    }
    assert printed["I"] == pytest.approx([0, 2.5], abs=0.06)
    assert printed["aVR"] == pytest.approx([2.5, 5], abs=0.06)
    assert printed["V4"] == pytest.approx([7.5, 10], abs=0.06)
    assert printed["II"] == pytest.approx([0, 10], abs=0.06)


def test_what_is_measured_on_the_photograph(read: ECGRecord, record: ECGRecord) -> None:
    wanted, found = grounding.measure(record), grounding.measure(read)
    assert found.heart_rate == pytest.approx(wanted.heart_rate, abs=1)
    assert found.intervals["qrs"] == pytest.approx(wanted.intervals["qrs"], abs=20)
    assert found.intervals["qt"] == pytest.approx(wanted.intervals["qt"], abs=30)


def test_places_lead_back_to_the_photograph(photograph: Photograph, read: ECGRecord) -> None:
    places, picture = read.meta["picture"]["places"], load_picture(photograph())
    seconds = np.linspace(5.2, 7.3, 60)
    at = np.round(places.pixels("V2", seconds)).astype(int)
    dark = picture.min(-1)
    # the line is the darkest thing within a millimetre
    nearest = [
        dark[y - 4 : y + 5, x - 4 : x + 5].min() / np.median(dark[y - 40 : y + 41, x - 40 : x + 41]) for x, y in at
    ]
    assert np.mean(np.array(nearest) < 0.6) > 0.9
    assert np.isnan(places.pixels("V2", [1.0])).all()


@pytest.mark.parametrize("name", ["text", "plot", "blank", "noise"])
def test_what_is_no_ecg_is_refused(tmp_path: Path, name: str) -> None:
    image = Image.new("RGB", (900, 700), "white")
    pen = ImageDraw.Draw(image)
    if name == "text":
        for row in range(30):
            pen.text(
                (40, 20 + 22 * row), "The quick brown fox jumps over the lazy dog, again and again. " * 2, fill="black"
            )
    elif name == "plot":
        pen.line([(50, 650), (850, 650)], fill="black", width=3)
        pen.line([(50, 50), (50, 650)], fill="black", width=3)
        pen.line([(50 + x, 400 - int(200 * np.sin(x / 90))) for x in range(800)], fill="blue", width=3)
    elif name == "noise":
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8))
    path = tmp_path / f"{name}.png"
    image.save(path)
    with pytest.raises(EcgSignalError, match=f"{name}.png"):
        grounding.read_record(path)


def test_grid_without_traces_is_refused(tmp_path: Path) -> None:
    from grounding.paper.ink import grid

    path = tmp_path / "grid.png"
    Image.fromarray(grid(1400, 1000, 6.0)).save(path)
    with pytest.raises(EcgSignalError, match="no traces"):
        grounding.read_record(path)


def test_damaged_and_odd_pictures(tmp_path: Path, photograph: Photograph) -> None:
    data = photograph().read_bytes()
    for name, content in {"cut.jpg": data[: len(data) // 3], "not.png": b"\x89PNG\r\n\x1a\nrest"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EcgFormatError, match=name):
            grounding.read_record(tmp_path / name)
    Image.new("L", (50, 40)).save(tmp_path / "small.png")
    with pytest.raises(EcgFormatError, match="50 x 40"):
        grounding.read_record(tmp_path / "small.png")


def test_layouts_and_wrong_ones(photograph: Photograph, record: ECGRecord) -> None:
    six = grounding.read_record(photograph("6x2"))
    assert set(six.leads) == set(record.leads)
    with pytest.raises(EcgSignalError, match="no layout is called '5x5'"):
        grounding.read_record(photograph(), layout="5x5")
    with pytest.raises(EcgSignalError, match="rows"):
        arrange([np.zeros(2200)] * 4, 200, 2200, 40, "12x1")


def test_twelve_rows_with_a_rhythm_strip_are_read(tmp_path: Path, record: ECGRecord) -> None:
    draw(record, "12x1", rhythm="II", dpi=200, style=PageStyle(grid="red", grid_lines="printed")).image.save(
        tmp_path / "page.png"
    )
    read = grounding.read_record(tmp_path / "page.png")
    assert [cell.lead for cell in read.meta["picture"]["places"].cells][-2:] == ["V6", "II"]
    assert snr_db(record, read) > 12


def test_lines_that_are_no_limb_leads_are_refused(record: ECGRecord) -> None:
    check_limb_leads(record)
    check_limb_leads(record.select(["II", "V1", "V5"]))  # nothing to compare
    signal = np.array(record.signal)
    slope = np.linspace(0, 3, record.n_samples)
    signal[record.leads.index("II")] = np.sin(np.arange(record.n_samples) / 40)
    check_limb_leads(ECGRecord.from_array(signal, record.fs, record.leads))  # one lead may be read amiss
    for lead in ("aVR", "aVL", "aVF"):  # straight lines of the same slope, and noise: streets
        signal[record.leads.index(lead)] = slope + np.random.default_rng(len(lead)).normal(0, 0.05, record.n_samples)
    with pytest.raises(EcgSignalError, match="no ECG, or one of another layout"):
        check_limb_leads(ECGRecord.from_array(signal, record.fs, record.leads))


@pytest.mark.parametrize("px_per_mm", [None, 8.0])
def test_a_page_is_read_as_this_library_draws_it(tmp_path: Path, record: ECGRecord, px_per_mm: float | None) -> None:
    """Lines a pixel wide: read too sharply, they fall between the pixels of the flat page, or seem to be finer ones."""
    image = grounding.render(record) if px_per_mm is None else draw(record, px_per_mm=px_per_mm).image
    image.save(tmp_path / "page.png")
    read = grounding.read_record(tmp_path / "page.png")
    assert set(read.meta["warnings"]) <= {"no paper speed is read: 25 mm/s is assumed"}  # of small or unread print
    assert snr_db(record, read) > 13
    wanted, found = grounding.measure(record), grounding.measure(read)
    assert found.intervals["qrs"] == pytest.approx(wanted.intervals["qrs"], abs=12)
    assert found.intervals["qt"] == pytest.approx(wanted.intervals["qt"], abs=15)


@pytest.mark.parametrize("seed", [1, 2])
def test_other_photographs_of_the_page(photograph: Photograph, record: ECGRecord, seed: int) -> None:
    """With 1 the header looks like a row; with 2 there are specks between pulses and leads: all was 160 ms early."""
    read = grounding.read_record(photograph(seed=seed))
    assert set(read.leads) == set(record.leads)
    assert snr_db(record, read) > 13
