"""Pages that are read back from their own pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import grounding
from grounding import ECGRecord, EcgSignalError
from grounding.paper import CABRERA_LEADS, Page, PageStyle, draw
from grounding.readers.samples import sample_names


def snr_db(page: Page, record: ECGRecord, trace_mm: float = PageStyle.trace_mm) -> list[float]:
    """Of each printed stretch, dB, with the best shift of up to 4 ms."""
    read = page.read(trace_mm)
    out = []
    for panel in page.layout.panels:
        start = round((panel.start_s - min(one.start_s for one in page.layout.panels)) * read.fs)
        got = read.lead(panel.lead)[start : start + round((panel.end_s - panel.start_s) * read.fs)]
        want = record.resample(read.fs).lead(panel.lead)[round(panel.start_s * read.fs) :][: len(got)]
        got, want = got[: len(want)], want - np.median(want)
        known = np.isfinite(got)
        assert known.mean() > 0.9
        noise = min(np.mean((np.roll(got, shift) - want)[known][5:-5] ** 2) for shift in (-2, -1, 0, 1, 2))
        out.append(10 * np.log10(np.mean(want[known] ** 2) / noise))
    return out


@pytest.mark.parametrize("layout", ["3x4", "6x2", "12x1"])
def test_a_page_is_read_back_from_its_pixels(layout: str) -> None:
    name = "ptbxl_13"
    record = grounding.read_record(grounding.sample_path(name))
    page = draw(record, layout)
    assert np.median(snr_db(page, record)) > 12
    read = page.read()
    assert read.has_millivolts
    assert read.fs == 500
    # what is not printed is not there
    first = page.layout.panels[0]
    outside = read.lead(first.lead)[round((first.end_s + 0.1) * read.fs) :]
    assert np.isnan(outside).all()
    assert grounding.measure(read).heart_rate == pytest.approx(grounding.measure(record).heart_rate, abs=1)


def test_what_is_measured_on_pages_is_what_is_measured_on_records() -> None:
    names = [name for name in sample_names() if name.startswith("ptbxl")]
    differences = []
    for name in names:
        record = grounding.read_record(grounding.sample_path(name))
        if record.has_millivolts:
            pairs = (grounding.measure(one).intervals["qrs"] for one in (record, draw(record).read()))
            own, read = pairs
            if own and read:
                differences.append(read - own)
    assert len(differences) > 3
    assert np.median(np.abs(differences)) < 8


def test_the_pixels_are_read_and_not_the_record() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    page = draw(record)
    half = page.image.copy()
    middle = page.image.width // 2
    half.paste((255, 255, 255), (middle, 0, *page.image.size))
    read = Page(half, page.layout, page.texts).read()
    assert np.isfinite(read.lead("I")).any()
    assert not np.isfinite(read.lead("V4")).any()
    blank = Page(Image.new("RGB", page.image.size, "white"), page.layout)
    with pytest.raises(EcgSignalError, match="no trace"):
        blank.read()


def test_a_page_without_any_lead_of_its_layout() -> None:
    page = draw(grounding.read_record(grounding.sample_path()))
    panels = tuple(replace(panel, missing="not recorded") for panel in page.layout.panels)
    page = replace(page, layout=replace(page.layout, panels=panels))
    with pytest.raises(EcgSignalError, match="no lead"):
        page.read()


def test_leads_upside_down_and_leads_without_voltages() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    page = draw(record, leads=CABRERA_LEADS)
    turned = page.read().lead("aVR")
    shown = next(panel for panel in page.layout.panels if panel.lead == "aVR")
    part = slice(round(shown.start_s * 500) + 50, round(shown.end_s * 500) - 50)
    assert np.corrcoef(turned[part], record.lead("aVR")[part])[0, 1] > 0.9
    scaled = record.signal / record.signal.std(1, keepdims=True)
    scored = ECGRecord.from_array(scaled, record.fs, record.leads, "zscore")
    read = draw(scored).read()
    assert not read.has_millivolts


def test_the_pens_thickness_counts() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    thick = draw(record, style=PageStyle(trace_mm=0.8))
    assert np.median(snr_db(thick, record, 0.8)) > np.median(snr_db(thick, record)) + 0.5
