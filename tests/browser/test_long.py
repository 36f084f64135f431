"""Recordings of hours: seen as a whole and beat by beat, from a page of a size that is known beforehand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gem
import grounding
from gem.views.scene import MAX_SPANS, scene

sys.path.insert(0, str(Path(__file__).parent))
from looking import STAGE, VIEW, camera, dark_ink, layout, pixels

FS, HOURS = 250, 3
REAL = (102, 13, 139, 182, 286, 298, 330, 413, 424)  # of PTB-XL


@pytest.fixture(scope="module")
def long() -> gem.Explanation:
    """Hours of two leads: bundled recordings again and again."""
    parts = [grounding.read_record(grounding.sample_path(f"ptbxl_{k}")).resample(FS).select(["II", "V1"]) for k in REAL]
    signal = np.concatenate([parts[k % len(parts)].signal for k in range(HOURS * 360)], axis=1)
    record = grounding.ECGRecord.from_array(signal, FS, ["II", "V1"], record_id="holter")
    return gem.explain(record, text="QRS 100 ms. Premature ventricular contractions.")


@pytest.mark.slow
def test_hours_of_real_recordings_are_seen_to_their_end(
    opened: Callable[..., Any], long: gem.Explanation, tmp_path: Path
) -> None:
    record = long.record
    assert record is not None
    beats = long.measurement.beats
    assert len(beats) > 2 * MAX_SPANS
    path = long.save(tmp_path / "long.html")
    # base64 of two bytes a sample, the waves of each beat, and all else; docs/explorer.md has the figures of a day
    assert path.stat().st_size < record.signal.size * 8 / 3 + 200 * len(beats) + 2_000_000
    page = opened(path)
    assert page.get_by_label("Layout").input_value() == "rhythm"
    assert "3:00:00.0" in page.locator(".view header").inner_text()
    # the whole strip: each column of pixels has a QRS in it, as high as the lowest and highest samples there
    view = layout(page, "whole")
    image = pixels(page)
    rows = np.flatnonzero(dark_ink(image)[:, 20:-20].any(axis=1))
    reach = (rows.max() - rows.min()) / view["ky"] / 10  # mV
    lead = record.lead("II")
    assert reach == pytest.approx(float(lead.max() - lead.min()), abs=0.15)
    # to the end, by the key: what is drawn there are the last seconds
    layout(page, "rhythm")
    page.locator(".stage").focus()
    page.keyboard.press("End")
    view = camera(page)
    assert "3:00:00.0" in page.get_by_label("Place in the recording").get_attribute("aria-valuetext")
    panel = page.evaluate(f"{STAGE}.panels()[0]")
    r_s = float(beats["r_s"].iloc[-2])
    x = (r_s * 25 - view["x"]) * view["kx"]
    zero = (panel["y"] - view["y"]) * view["ky"]
    half = panel["height"] / 2 * view["ky"]
    ink = dark_ink(pixels(page))[int(zero - half) : int(zero + half), int(x) - 2 : int(x) + 3]
    value = float(lead[round(r_s * FS)])
    y = half - (value - panel["zero"]) * panel["mmPerMv"] * view["ky"]
    assert np.abs(np.flatnonzero(ink.any(axis=1)) - y).min() <= 2
    # a wave there, by a click; and what is said of it
    page.locator(".stage").click(position={"x": x, "y": zero})
    about = page.get_by_label("What is said of the chosen wave").inner_text()
    assert f"beat {len(beats) - 1}, QRS" in about
    # evidence has more places than are marked, and that is told
    page.get_by_role("button", name="Statement 1: show").click()
    proof = page.locator(".statement.chosen .proof").inner_text()
    assert f"the first {MAX_SPANS} are marked" in proof
    # beats of a type, and a frame with all of them in sight
    kinds = beats["type"].value_counts()
    page.get_by_role("button", name=f"normal {kinds['normal']}").click()
    layout(page, "whole")
    assert page.evaluate(f"{STAGE}.bandBoxes().length") == kinds["normal"]
    layout(page, "rhythm")
    page.evaluate(f"{VIEW}.goTo(3600)")
    inside = beats[(beats.type == "normal") & (beats.r_s + 0.12 > 3600) & (beats.r_s - 0.12 < 3610)]
    shown = page.evaluate(f"{STAGE}.bandBoxes().length") / page.evaluate(f"{STAGE}.panels().length")
    assert shown == pytest.approx(len(inside), abs=1)


def test_a_day_of_one_lead_is_seen_as_a_whole_and_beat_by_beat(mounted: Callable[..., Any]) -> None:
    """The peaks are all there in the overview: nothing is left out by taking every n-th sample."""
    fs, hours = 100, 6
    beat = np.zeros(fs, np.float32)
    beat[50] = 1.0
    signal = np.tile(beat, 3600 * hours)[None]
    signal[0, 3 * 3600 * fs + 50] = 3.0  # one tall beat, after three hours
    page = mounted(scene(grounding.ECGRecord.from_array(signal, fs, ["II"], record_id="night")))
    view = layout(page, "whole")
    image = pixels(page)
    ink = dark_ink(image)
    tops = np.array([np.flatnonzero(column).min(initial=999) for column in ink.T])
    middle = 3 * 3600 * 25 * view["kx"]
    tall = np.flatnonzero(tops < tops[20:-20].max() - 20)
    assert len(tall) <= 3
    assert abs(tall.mean() - middle) <= 2
    assert (tops[100:-100] < 200).all()  # a peak of every minute reaches its height
    layout(page, "rhythm")
    page.evaluate(f"{VIEW}.goTo(3 * 3600 - 2)")
    tall = np.flatnonzero(dark_ink(pixels(page)).any(axis=1))
    assert tall.size
    assert "3:00:0" in page.get_by_label("Place in the recording").get_attribute("aria-valuetext")
