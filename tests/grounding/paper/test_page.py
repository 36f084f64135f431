"""ECG paper: what is drawn where, from real recordings and from ones with known shape."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ImageStat

from grounding import STANDARD_LEADS, EcgError, ECGRecord, EcgSignalError, Evidence, read_record, render, sample_path
from grounding.paper import draw, plan


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


def spike_at(second: float, fs: float = 500, seconds: float = 10, leads: tuple[str, ...] = STANDARD_LEADS) -> ECGRecord:
    """1 mV for 40 ms at one moment, in all leads."""
    signal = np.zeros((len(leads), int(seconds * fs)))
    signal[:, round(second * fs) : round((second + 0.04) * fs)] = 1.0
    return ECGRecord.from_array(signal, fs, leads)


def ink_in(page, box) -> int:
    """Dark pixels in a box."""
    x0, y0, x1, y1 = (round(value) for value in box)
    return int((np.asarray(page.image)[y0:y1, x0:x1].max(axis=-1) < 120).sum())


@pytest.mark.parametrize("layout", ["3x4", "6x2", "12x1"])
def test_two_renders_are_equal_to_the_byte(record: ECGRecord, layout: str) -> None:
    assert render(record, layout).tobytes() == render(record, layout).tobytes()


def test_the_default_page_is_letter_at_150_dpi(record: ECGRecord) -> None:
    assert render(record).size == (1650, 1275)
    assert render(record, dpi=150).tobytes() == render(record).tobytes()
    assert render(record, width_px=336).width == 336


@pytest.mark.parametrize("fs", [100, 250, 500, 1000, 5000])
@pytest.mark.parametrize("layout", ["3x4", "6x2", "12x1"])
def test_a_deflection_lies_where_the_layout_says(fs: float, layout: str) -> None:
    page = draw(spike_at(1.5, fs), layout, labels=False)
    (x, y), *_ = page.layout.pixels("I", 1.52, 1.0)
    pixels = np.asarray(page.image)
    assert pixels[round(y) - 2 : round(y) + 3, round(x)].max(axis=-1).min() < 120, "its top is inked"
    panel = page.layout.panels_of("I")[0]
    assert y == pytest.approx(page.layout.y_px(panel, 0.0) - 10 * page.layout.px_per_mm)
    assert x - page.layout.x_px(panel, 0.52) == pytest.approx(25 * page.layout.px_per_mm)


def test_columns_show_consecutive_time_and_a_lead_may_be_there_twice(record: ECGRecord) -> None:
    page = draw(record)
    assert [panel.start_s for panel in page.layout.panels_of("V1")] == [5.0]
    assert len(page.box("II", 0.2, 0.5)) == 2
    assert len(page.box("II", 4.0, 4.5)) == 1, "only the rhythm strip shows it"
    assert page.box("V1", 0.0, 1.0) == ()


def test_missing_leads_stay_blank_with_a_note(record: ECGRecord) -> None:
    page = draw(record.select(["I", "II"]))
    assert set(page.layout.missing) == set(STANDARD_LEADS) - {"I", "II"}
    panel = next(p for p in page.layout.to_dict()["panels"] if p["lead"] == "V5")
    x0, y0, x1, y1 = panel["box_px"]
    bare = draw(record.select(["I", "II"]), labels=False)
    assert ink_in(bare, (x0 + 8, y0, x1, y1)) == 0
    assert bare.image.tobytes() != page.image.tobytes()


def test_a_gap_in_a_lead_is_a_gap_on_paper() -> None:
    full = spike_at(9.9)
    signal = full.signal.copy()
    signal[:, 500:750] = np.nan
    page = draw(ECGRecord.from_array(signal, 500, STANDARD_LEADS), labels=False)
    assert ink_in(page, page.box("I", 1.05, 1.45)[0]) == 0
    assert ink_in(page, page.box("I", 0.2, 0.8)[0]) > 50


def test_one_lead_two_seconds() -> None:
    page = draw(spike_at(0.5, seconds=2, leads=("V2",)))
    assert {panel.lead for panel in page.layout.panels if panel.rhythm} == {"V2"}
    assert all(panel.end_s <= 2 for panel in page.layout.panels)
    assert page.layout.pixels("V2", 0.5, 0.0)


def test_a_record_without_standard_leads_shows_its_own() -> None:
    page = draw(spike_at(0.5, leads=("ECG", "MCL1")))
    assert {panel.lead for panel in page.layout.panels} == {"ECG", "MCL1"}


def test_leads_can_be_chosen(record: ECGRecord) -> None:
    page = draw(record, "2x1", leads=["V1", "aVR"], rhythm=None)
    assert [panel.lead for panel in page.layout.panels] == ["V1", "aVR"]


def test_a_long_record_is_paged(record: ECGRecord) -> None:
    long = spike_at(31.0, seconds=60)
    assert draw(long, start_s=30).layout.pixels("II", 31.0, 1.0)
    assert not draw(long).layout.pixels("II", 31.0, 1.0)
    with pytest.raises(EcgSignalError, match="it is 60 s long"):
        draw(long, start_s=60)


def test_an_uncalibrated_record_fits_the_paper_and_has_no_pulse(record: ECGRecord) -> None:
    adu = ECGRecord.from_array(record.signal * 4000, record.fs, record.leads, units="adu")
    page = draw(adu)
    assert not page.layout.calibrated
    assert page.layout.to_dict()["mm_per_mv"] is None
    beats = ink_in(draw(adu, labels=False), (30, 200, 104, 1200))
    assert beats == 0, "a calibration pulse would claim millivolts"
    assert ink_in(draw(adu, labels=False), page.box("II", 0.2, 2.0)[0]) > 300


def test_a_wrong_gain_stays_on_the_page(record: ECGRecord) -> None:
    huge = ECGRecord.from_array(record.signal * 1e6, record.fs, record.leads)
    page = draw(huge, labels=False)
    assert ink_in(page, (0, 0, page.image.width, 40)) == 0


def test_evidence_is_marked_where_it_was_read(record: ECGRecord) -> None:
    page = draw(record)
    evidence = Evidence("r", "pr", 180.0, "ms", leads=("II",), spans_s=((1.0, 1.2),))
    marked = page.mark(evidence, label="1")
    changed = (np.asarray(marked.image) != np.asarray(page.image)).any(axis=-1)
    inside = np.zeros_like(changed)
    for x0, y0, x1, y1 in page.box("II", 1.0, 1.2):
        inside[int(y0) : int(y1) + 2, int(x0) : int(x1) + 30] = True
        assert changed[int(y0) + 2 : int(y1) - 2, int(x0) + 2 : int(x1) - 2].mean() > 0.95
    assert not (changed & ~inside).any()
    assert ImageStat.Stat(page.image).sum == ImageStat.Stat(draw(record).image).sum, "the first page stays as it was"


def test_record_wide_evidence_goes_to_the_rhythm_strip(record: ECGRecord) -> None:
    page = draw(record)
    wide = Evidence("r", "heart_rate", 70.0, "bpm", leads=STANDARD_LEADS, spans_s=((0.0, 10.0),))
    (box,) = page.layout.evidence_boxes(wide)
    assert box == page.box("II", 0, 10)[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "4by3"}, "rows x columns"),
        ({"px_per_mm": 2, "dpi": 100}, "give one of"),
        ({"px_per_mm": 4000}, "px_per_mm"),
        ({"layout": "1x1", "leads": ["I", "II"]}, "don't fit"),
    ],
)
def test_requests_that_cannot_be_drawn_say_why(record: ECGRecord, options: dict, words: str) -> None:
    with pytest.raises(EcgError, match=words):
        plan(record, **options)


def test_small_pictures_are_fast(record: ECGRecord) -> None:
    render(record, px_per_mm=2)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        render(record, px_per_mm=2)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.1, "ten times the measured time: only a rewrite that loops in Python fails"


def test_a_picture_stays_as_it_is_when_the_next_is_drawn(record: ECGRecord) -> None:
    """Pages of one size are drawn in the same memory, one after the other and each thread in its own."""
    part = record.crop(2.0, 8.0)
    first, second = render(record), render(part)
    before, after = first.tobytes(), second.tobytes()
    assert before != after
    small = render(record, px_per_mm=3)
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(render, [record, part] * 8))
    assert first.tobytes() == before
    assert [page.tobytes() for page in pages] == [before, after] * 8
    assert render(record, px_per_mm=3).tobytes() == small.tobytes()
