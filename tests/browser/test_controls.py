"""Keys, pointer, menus and the overview: each does what its label says, and tells it to those who can't see it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gem
import grounding
from gem.views.scene import scene

sys.path.insert(0, str(Path(__file__).parent))
from looking import STAGE, VIEW, camera, dark_ink, drag, layout, pixels, row_of

KEYS = [
    *("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "+", "-", "0", "n", "p", "l", "Enter"),
    *("PageDown", "PageUp", "c", "m", "x", "Escape"),
]


def told(page: Any) -> str:
    """What a screen reader was told last."""
    return str(page.locator("[role=status]").inner_text())


def test_every_key_of_the_list_does_what_it_says(page: Any, explanation: gem.Explanation) -> None:
    layout(page, "lead")
    page.locator("summary", has_text="Keys").click()
    listed = page.locator(".menu kbd").all_inner_texts()
    words = {"←": "ArrowLeft", "→": "ArrowRight", "↑": "ArrowUp", "↓": "ArrowDown", "−": "-", "PgUp": "PageUp"}
    words |= {"PgDn": "PageDown", "Esc": "Escape"}
    assert sorted(words.get(key, key) for entry in listed for key in entry.split()) == sorted(KEYS)
    page.keyboard.press("Escape")
    stage = page.locator(".stage")
    stage.focus()
    press = page.keyboard.press
    before = camera(page)
    press("ArrowRight")
    assert (camera(page)["x"] - before["x"]) * before["kx"] == pytest.approx(40, abs=1)
    press("Shift+ArrowRight")
    assert (camera(page)["x"] - before["x"]) * before["kx"] == pytest.approx(240, abs=1)
    press("PageDown")
    press("PageUp")
    press("Home")
    assert camera(page)["x"] == 0
    press("End")
    view = camera(page)
    width = page.evaluate(f"{STAGE}.width")
    assert view["x"] + width / view["kx"] == pytest.approx(250, abs=0.5)  # 10 s
    press("0")
    # waves one by one, in the order of time, each told with its times
    waves = explanation.measurement.waves
    lead = waves[(waves.lead == "II") & waves.onset.notna() & waves.offset.notna()].sort_values("onset")
    said = []
    for _ in range(4):
        press("n")
        said.append(told(page))
    fs = explanation.measurement.fs
    for row, words_ in zip(lead.head(4).itertuples(), said, strict=True):
        assert words_.startswith(f"II, beat {row.beat + 1}, {row.wave}: {row.onset / fs:.2f} s to")
    press("p")
    assert told(page) == said[2]
    press("l")
    assert told(page).startswith("III, beat")
    press("Shift+L")
    assert told(page) == said[2]
    press("Enter")  # to what is said of it
    assert page.locator(".statement.told .number").first.evaluate("one => one === one.getRootNode().activeElement")
    stage.focus()
    press("Escape")
    assert page.get_by_label("What is said of the chosen wave").is_hidden()
    # calipers: on, made, both ends and both directions, marched out, off
    press("c")
    assert page.get_by_label("Calipers: measure").get_attribute("aria-pressed") == "true"
    press("ArrowRight")
    assert "200 ms · 300 bpm · 0.00 mV" in told(page)
    press("ArrowUp")
    assert "200 ms · 300 bpm · 0.05 mV" in told(page)
    press("Shift+ArrowDown")
    assert "\u22120.45 mV" in told(page)
    press("x")
    press("Shift+ArrowLeft")
    assert "240 ms" in told(page)
    press("m")
    assert page.get_by_label("march out").is_checked()
    press("Escape")
    assert page.evaluate(f"{STAGE}.tool") == "pan"
    assert page.locator(".caliper").is_hidden()


def test_what_is_pointed_at_is_marked_as_long(page: Any) -> None:
    layout(page, "12x1")
    assert page.evaluate(f"{STAGE}.markBoxes()") == []
    page.locator(".statement[data-index='3']").hover()
    assert len(page.evaluate(f"{STAGE}.markBoxes()")) >= 12 * 12
    page.mouse.move(1, 1)
    assert page.evaluate(f"{STAGE}.markBoxes()") == []
    # and a wave that is pointed at is named
    box = page.evaluate(
        f"(() => {{ const wave = {VIEW}.waves.get('V2').find(one => one.wave === 'QRS');"
        f" return {STAGE}.boxOf({STAGE}.panels().find(one => one.lead === 'V2'), wave.onset_s, wave.offset_s); }})()"
    )
    page.locator(".stage").hover(position={"x": (box["x0"] + box["x1"]) / 2, "y": (box["y0"] + box["y1"]) / 2})
    assert re.match(r"V2, beat \d+, QRS: ", page.locator(".tip").inner_text())
    assert "statement 3" in page.locator(".tip").inner_text()
    page.mouse.move(1, 1)
    assert page.locator(".tip").is_hidden()


def test_the_gain_is_that_of_the_paper(page: Any) -> None:
    """Lead II is twice as high at 10 as at 5 mm/mV, in pixels."""
    heights = []
    for gain in ("5 mm/mV", "10 mm/mV"):
        layout(page, "lead")
        page.get_by_label("Gain").select_option(gain)
        camera(page)
        rows = np.flatnonzero(dark_ink(pixels(page))[:, 150:-5].any(axis=1))
        heights.append(np.ptp(rows))
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.03)


def test_light_and_dark_by_a_button_and_by_the_system(page: Any) -> None:
    def lightness() -> float:
        camera(page)
        return float(np.median(pixels(page)))

    assert lightness() > 200
    page.get_by_label("Light or dark").click()
    assert lightness() < 60
    page.get_by_label("Light or dark").click()
    assert lightness() > 200
    page.evaluate(f"delete {VIEW}.outer.dataset.theme")
    page.emulate_media(color_scheme="dark")
    assert lightness() < 60


def test_what_was_left_out_of_the_measurement_is_hatched(mounted: Callable[..., Any]) -> None:
    """Two seconds of V3 without a signal, and V6 with none at all; the other leads stay plain."""
    record = grounding.read_record(grounding.sample_path("ptbxl_102"))
    signal = record.signal.copy()
    signal[record.leads.index("V3"), 1500:2500] = np.nan
    signal[record.leads.index("V6")] = 0.0
    broken = grounding.ECGRecord.from_array(signal, record.fs, record.leads)
    said = gem.explain(broken, text="QRS 99 ms.")
    quality = said.measurement.quality.set_index("lead")
    assert not quality.loc["V6", "usable"]
    ((start, end),) = quality.loc["V3", "unusable_spans_s"]
    page = mounted(scene(said))
    view = layout(page, "12x1")
    image = pixels(page)
    page.evaluate(f"{STAGE}.quality = new Map()")
    camera(page)
    hatched = np.abs(image - pixels(page)).sum(axis=2) > 30
    for row, lead in enumerate(grounding.STANDARD_LEADS):
        top, bottom = row_of(view, row)
        columns = np.flatnonzero(hatched[top + 3 : bottom - 3].any(axis=0))
        if lead == "V3":
            span = [(10 + 25 * second - view["x"]) * view["kx"] for second in (start, end)]
            assert (columns.min(), columns.max()) == pytest.approx(span, abs=2)
            assert end - start == pytest.approx(2, abs=0.3)
        elif lead == "V6":
            assert np.ptp(columns) > 240 * view["kx"]
        else:
            assert not columns.size, lead
    assert "V6: flat" in page.locator("section[aria-label=Measurements]").inner_text()


def test_the_overview_moves_the_stage_by_pointer_and_keys(mounted: Callable[..., Any]) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_102"))
    long = grounding.ECGRecord.from_array(np.tile(record.signal, 12), record.fs, record.leads)
    page = mounted(scene(long))
    overview = page.get_by_label("Place in the recording")
    for name in ("3x4", "rhythm"):
        layout(page, name)
        box = overview.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
        assert float(overview.get_attribute("aria-valuenow")) == pytest.approx(55, abs=0.6)
        overview.press("Home")
        assert overview.get_attribute("aria-valuenow") == "0.0"
        overview.press("PageDown")
        assert float(overview.get_attribute("aria-valuenow")) == pytest.approx(10, abs=0.2)
        overview.press("End")
        assert float(overview.get_attribute("aria-valuenow")) == pytest.approx(110, abs=0.2)
        drag_by = box["width"] / 12
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5 + drag_by, box["y"] + 20)
        page.mouse.up()
        assert float(overview.get_attribute("aria-valuenow")) == pytest.approx(65, abs=0.8)
    # dragging the paper moves the window
    layout(page, "rhythm")
    drag(page, (600, 60), (-200, 0))
    assert float(overview.get_attribute("aria-valuenow")) > 0.5


def test_criteria_stand_in_words_with_their_source(page: Any, explanation: gem.Explanation) -> None:
    criteria = page.locator("section[aria-label=Criteria]")
    for title in ("Undecided", "Not met"):
        if criteria.locator("summary", has_text=title).count():
            criteria.locator("summary", has_text=title).click()
    shown = criteria.inner_text()
    assert len(explanation.findings) > 40
    for finding in explanation.findings:
        assert finding.criterion in shown, finding.name
        assert not finding.source or finding.source in shown, finding.name
    met = criteria.locator("ul.criteria").first.inner_text()
    assert all(one.label in met for one in explanation.findings if one.present)
