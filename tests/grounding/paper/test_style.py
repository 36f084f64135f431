"""Looks of a page, and what is printed on it: each choice is seen in the picture, and its truth is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from grounding import EcgError, ECGRecord, measure, read_record, sample_path
from grounding.paper import CABRERA_LEADS, Page, PageHeader, PageStyle, draw, varied_page
from grounding.paper.style import CHOICES


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path("ptbxl_139"))


def ink_at(page: Page, x: float, y: float) -> bool:
    """Whether a position of the page is on a trace."""
    pixels = np.asarray(page.image)
    return bool(pixels[round(y) - 2 : round(y) + 2, round(x) - 2 : round(x) + 2].max(axis=-1).min() < 120)


@pytest.mark.parametrize(("name", "choice"), [(name, one) for name, known in CHOICES.items() for one in known[1:]])
def test_each_choice_is_seen(record: ECGRecord, name: str, choice: str) -> None:
    plain, chosen = draw(record, px_per_mm=4), draw(record, px_per_mm=4, style=PageStyle(**{name: choice}))
    assert plain.image.tobytes() != chosen.image.tobytes()
    assert plain.layout == chosen.layout
    assert chosen.image.tobytes() == draw(record, px_per_mm=4, style=PageStyle(**{name: choice})).image.tobytes()


def test_no_grid_is_white(record: ECGRecord) -> None:
    pixels = np.asarray(draw(record, px_per_mm=4, labels=False, style=PageStyle(grid="none")).image)
    assert set(np.unique(pixels[:20])) == {253}


def test_no_pulse_and_one_on_the_right(record: ECGRecord) -> None:
    for pulse, left, right in (("left", 4, 0), ("first", 1, 0), ("right", 0, 4), ("none", 0, 0)):
        page = draw(record, px_per_mm=4, labels=False, style=PageStyle(pulse=pulse))
        rows = sorted({panel.y_mm for panel in page.layout.panels})
        assert sum(ink_at(page, 10.5 * 4, (y - 10) * 4) for y in rows) == left
        assert sum(ink_at(page, 273 * 4, (y - 10) * 4) for y in rows) == right


@pytest.mark.parametrize("mm_per_s", [25.0, 50.0])
@pytest.mark.parametrize("mm_per_mv", [5.0, 10.0, 20.0])
def test_speed_and_gain(mm_per_s: float, mm_per_mv: float) -> None:
    signal = np.zeros((1, 5000))
    signal[:, 500:520] = 1.0
    record = ECGRecord.from_array(signal, 500, ["II"])
    page = draw(record, "1x1", leads=["II"], px_per_mm=6, mm_per_s=mm_per_s, mm_per_mv=mm_per_mv)
    panel = page.layout.panels[0]
    (x, y), *_ = page.layout.pixels("II", 1.02, 1.0)
    assert x == pytest.approx((panel.x_mm + 1.02 * mm_per_s) * 6)
    assert y == pytest.approx((panel.y_mm - mm_per_mv) * 6)
    assert ink_at(page, x, y)
    assert ink_at(page, 10.5 * 6, (panel.y_mm - mm_per_mv) * 6), "the calibration pulse has the gain"
    assert page.layout.located(x, y) == ("II", pytest.approx(1.02), pytest.approx(1.0))
    assert page.layout.to_dict()["mm_per_s"] == mm_per_s
    assert any(f"{mm_per_s:g} mm/s   {mm_per_mv:g} mm/mV" in text.words for text in page.texts)
    assert panel.end_s == 250 / mm_per_s


def test_the_cabrera_order_draws_avr_upside_down(record: ECGRecord) -> None:
    page = draw(record, leads=CABRERA_LEADS, rhythm=None)
    assert [panel.label for panel in page.layout.panels] == list(CABRERA_LEADS)
    panel = page.layout.panels_of("aVR")[0]
    assert panel.inverted
    first, last = round(panel.start_s * record.fs), round(panel.end_s * record.fs)
    beat = first + int(np.argmin(record.lead("aVR")[first:last]))  # its QRS points down
    (x, y), *_ = page.layout.pixels("aVR", beat / record.fs, float(record.lead("aVR")[beat]))
    assert y < panel.y_mm * page.layout.px_per_mm
    assert ink_at(page, x, y)
    assert page.layout.located(x, y)[2] == pytest.approx(float(record.lead("aVR")[beat]))
    assert any(text.words == "-aVR" and text.lead == "aVR" for text in page.texts)


def test_simultaneous_columns(record: ECGRecord) -> None:
    page = draw(record, simultaneous=True)
    assert {(panel.start_s, panel.end_s) for panel in page.layout.panels if not panel.rhythm} == {(0.0, 2.5)}


@pytest.mark.parametrize("wording", ["long", "short", "german"])
@pytest.mark.parametrize("place", ["left", "right", "line"])
def test_a_header_prints_what_was_measured(record: ECGRecord, wording: str, place: str) -> None:
    found = measure(record)
    header = PageHeader(found, ("Ward 3", "15 mm Hg"), wording, place)
    page = draw(record, header=header)
    printed = {name: value for text in page.texts for name, value in text.values.items()}
    assert printed["heart_rate"] == round(found.heart_rate)
    assert {name: printed[name] for name in ("pr", "qrs", "qt")} == {
        name: round(found.intervals[name]) for name in ("pr", "qrs", "qt")
    }
    values = [text for text in page.texts if text.role == "value"]
    for text in values:
        assert all(str(round(value)) in text.words for value in text.values.values())
    assert {"Ward 3", "15 mm Hg"} <= {text.words for text in page.texts}
    assert max(text.box.y1 for text in values) < (page.layout.panels[0].y_mm - 10) * page.layout.px_per_mm
    boxes = [text.box for text in page.texts if text.role in ("value", "header")]
    for index, a in enumerate(boxes):
        for b in boxes[index + 1 :]:
            assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 + 2 or b.y1 <= a.y0 + 2


def test_letters_are_in_their_boxes(record: ECGRecord) -> None:
    page = draw(record, dpi=150, header=PageHeader(measure(record)))
    bare = np.asarray(draw(record, dpi=150, labels=False).image).astype(int)
    # the rows of a page without text are elsewhere, so only the header is compared
    changed = np.abs(np.asarray(page.image).astype(int) - bare).max(axis=-1) > 60
    outside = changed.copy()
    for text in page.texts:
        x0, y0, x1, y1 = (round(value) for value in text.box)
        outside[y0:y1, x0:x1] = False
    header = round(40 * page.layout.px_per_mm / 2)
    assert changed[:header].sum() > 1000
    assert outside[:header].sum() == 0


@dataclass
class Nothing:
    """A measurement in which nothing was measured."""

    heart_rate: float | None = None
    axis: float | None = None
    intervals: dict[str, float | None] = field(default_factory=dict)


def test_nothing_is_made_up(record: ECGRecord) -> None:
    page = draw(record, header=PageHeader(Nothing()))
    values = [text for text in page.texts if text.role == "value"]
    assert [text.words for text in values] == ["-- BPM", "-- ms", "-- ms", "--/-- ms", "--"]
    assert not any(text.values for text in values)
    assert not any(text.role == "value" for text in draw(record, header=PageHeader(lines=["A line"])).texts)


def test_fonts(record: ECGRecord, tmp_path: Path) -> None:
    plain = draw(record, px_per_mm=6)
    dots = draw(record, px_per_mm=6, style=PageStyle(font="dots"))
    assert [text.words for text in dots.texts] == [text.words for text in plain.texts]
    face = ImageFont.load_default(20).path
    (tmp_path / "letters.ttf").write_bytes(face.getvalue() if hasattr(face, "getvalue") else Path(face).read_bytes())
    same = draw(record, px_per_mm=6, style=PageStyle(font=str(tmp_path / "letters.ttf")))
    assert same.image.tobytes() == plain.image.tobytes()
    with pytest.raises(EcgError, match="no font"):
        draw(record, style=PageStyle(font=str(tmp_path / "none.ttf")))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda record: PageStyle(grid="purple"), "use one of pink"),
        (lambda record: PageStyle(trace_mm=9), "0.05 to 2"),
        (lambda record: PageHeader(wording="klingon"), "use one of long"),
        (lambda record: draw(record, mm_per_s=0), "paper speed"),
        (lambda record: draw(record, mm_per_mv=float("nan")), "gain"),
    ],
)
def test_looks_that_do_not_exist_are_said(record: ECGRecord, make, words: str) -> None:
    with pytest.raises(EcgError, match=words):
        make(record)


def test_varied_pages_vary(record: ECGRecord) -> None:
    options = [varied_page(seed) for seed in range(120)]
    assert varied_page(5) == varied_page(5)
    assert {one["layout"] for one in options} == {"3x4", "6x2", "12x1", "4x3", "1x1"}
    assert {one["mm_per_s"] for one in options} == {25.0, 50.0}
    assert {one["mm_per_mv"] for one in options} == {5.0, 10.0, 20.0}
    assert {one["style"].grid for one in options} == set(CHOICES["grid"])
    for one in options[:12]:
        page = draw(record, px_per_mm=3, **one)
        assert page.layout.mm_per_mv == one["mm_per_mv"]
        assert not page.layout.missing
