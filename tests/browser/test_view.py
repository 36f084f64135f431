"""The view in a real browser, on real recordings: what a reader points at, drags and types does what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gem
import grounding
from gem.views.scene import scene
from gem.views.scripts import STATIC, bundle

sys.path.insert(0, str(Path(__file__).parent))
from looking import STAGE, camera, dark_ink, drag, layout, pixels, row_of

# pixels of the trace
INK = f"""(() => {{ const {{ canvas }} = {STAGE};
const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {{ willReadFrequently: true }});
copy.drawImage(canvas, 0, 0);
const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height);
let found = 0;
for (let i = 0; i < data.length; i += 4) found += Math.max(data[i], data[i + 1], data[i + 2]) < 110;
return found; }})()"""
LEAD = 1  # of twelve rows: II


def test_calipers_read_200_ms_and_half_a_millivolt_over_five_millimetres(page: Any) -> None:
    """The millimetres are those of the printed grid, found in the picture."""
    layout(page, "lead")
    page.evaluate(f"{STAGE}.zoom(1.7, 0, 0)")
    camera(page)
    image = pixels(page)
    red_less_blue = np.median(image[..., 0] - image[..., 2], axis=0)  # of a column: the grid, not the trace
    strength = np.convolve(red_less_blue - np.median(red_less_blue), np.ones(3), "same")
    peaks = np.flatnonzero(strength > 34)
    lines = [round(float(group.mean())) for group in np.split(peaks, np.flatnonzero(np.diff(peaks) > 4) + 1)]
    steps = np.diff(lines)
    assert len(lines) > 10
    assert np.ptp(steps) <= 2, lines
    page.get_by_label("Calipers: measure").click()
    first = lines[3]
    drag(page, (first + 0.5, 150), (float(lines[4] - first), 0))
    reading = page.locator(".caliper output")
    ms = float(reading.inner_text().split()[1])
    assert ms == pytest.approx(200, abs=200 / steps.mean() + 1)  # a pixel
    assert float(reading.inner_text().split("·")[1].split()[0]) == pytest.approx(60000 / ms, rel=0.005)
    # a caliper that is taken at its end changes by that end
    down = camera(page)["ky"] * 5
    drag(page, (float(lines[4]) + 0.5, 150), (float(lines[5] - lines[4]), -down))
    assert float(reading.inner_text().split()[1]) == pytest.approx(400, abs=400 / steps.mean() + 1)
    assert "0.50 mV" in reading.inner_text()


@pytest.mark.parametrize(("name", "lead"), [("3x4", "V5"), ("6x2", "aVF"), ("12x1", "V2"), ("rhythm", "II")])
def test_calipers_measure_any_lead_in_any_layout(page: Any, name: str, lead: str) -> None:
    layout(page, name)
    box = page.evaluate(f"{STAGE}.boxOf({STAGE}.panels().find(panel => panel.lead === '{lead}'))")
    page.get_by_label("Calipers: measure").click()
    view = camera(page)
    drag(page, (box["x0"] + 30, (box["y0"] + box["y1"]) / 2 + 2), (25 * 0.36 * view["kx"], 0))
    said = page.locator(".caliper output").inner_text()
    assert said.startswith(f"{lead}: 3")
    assert float(said.split()[1]) == pytest.approx(360, abs=1)


def test_calipers_march_out_by_pointer_keys_and_numbers(page: Any) -> None:
    layout(page, "12x1")
    page.get_by_label("Calipers: measure").click()
    page.get_by_label("from (s)").fill("1.448")
    page.get_by_label("length (ms)").fill("728")
    page.get_by_label("length (ms)").press("Enter")
    reading = page.locator(".caliper output")
    assert "728 ms · 82 bpm" in reading.inner_text()
    view = camera(page)
    before = pixels(page)
    page.get_by_label("march out").check()
    camera(page)
    top, bottom = row_of(view, LEAD)
    changed = (np.abs(pixels(page) - before)[top + 2 : bottom - 26].sum(axis=2) > 60).mean(axis=0) > 0.3
    lines = [(10 + 25 * (1.448 + 0.728 * k) - view["x"]) * view["kx"] for k in range(-1, 12) if k not in (0, 1)]
    assert all(changed[int(x) - 1 : int(x) + 2].any() for x in lines)
    assert changed.sum() <= 3 * len(lines)
    page.locator(".stage").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert "748 ms" in reading.inner_text()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    assert "744 ms" in reading.inner_text()
    page.keyboard.press("Escape")
    assert page.evaluate(f"{STAGE}.caliper") is None


def test_marks_of_a_statement_lie_on_its_waves_to_the_pixel(page: Any, explanation: gem.Explanation) -> None:
    record = explanation.record
    assert record is not None
    view = layout(page, "12x1")
    plain = pixels(page)
    page.get_by_role("button", name="Statement 3: show").click()  # QRS 300 ms
    page.mouse.move(1, 1)
    camera(page)
    marked = pixels(page)
    tinted = np.abs(marked - plain).sum(axis=2) > 12
    (part,) = explanation.statements[2].evidence
    assert part.quantity == "qrs"
    assert len(part.spans_s) == 13
    for row, lead in enumerate(grounding.STANDARD_LEADS):
        top, bottom = row_of(view, row)
        light = plain[top + 1 : bottom - 2].min(axis=2) > 140  # no trace there
        share = (tinted[top + 1 : bottom - 2] & light).sum(axis=0) / np.maximum(light.sum(axis=0), 1)
        spans = [[(10 + 25 * second - view["x"]) * view["kx"] for second in span] for span in part.spans_s]
        inside = {x for a, b in spans for x in range(int(np.ceil(a)) + 1, int(b) - 1)}
        edges = {x for a, b in spans for edge in (a, b) for x in range(int(edge) - 1, int(edge) + 2)}
        for x in np.flatnonzero(light.sum(axis=0) > 4):
            assert x in edges or (share[x] > 0.9) == (int(x) in inside), (lead, x, share[x])
        # and the drawn QRS lies in it: its largest deflection is where the samples have it
        ink = dark_ink(plain[top:bottom])
        signal = record.lead(lead)
        for a, b in part.spans_s:
            first, last = round(a * record.fs), round(b * record.fs)
            level = float(np.median(signal))
            peak = first + int(np.argmax(np.abs(signal[first:last] - level)))
            if abs(signal[peak] - level) > 0.7 or abs(signal[peak] - level) < 0.3:
                continue  # beyond its row, where other leads are drawn, or too low to tell
            x0, x1 = (int((10 + 25 * second - view["x"]) * view["kx"]) for second in (a, b))
            places = [np.flatnonzero(ink[:, x]) for x in range(x0, x1 + 1)]
            reach = [0 if not len(place) else np.abs(place - (bottom - top) / 2).max() for place in places]
            column = int((10 + 25 * peak / record.fs - view["x"]) * view["kx"]) - x0
            assert max(reach[max(0, column - 1) : column + 2]) >= max(reach) - 1, (lead, a)


def test_a_wave_lists_what_is_said_of_it(page: Any, explanation: gem.Explanation) -> None:
    layout(page, "lead")
    view = camera(page)
    waves = explanation.measurement.waves
    fs = explanation.measurement.fs
    for wave, told, untold in (("P", "First-degree AV block", "QRS 300 ms"), ("QRS", "QRS 300 ms", "First-degree")):
        row = waves[(waves.lead == "II") & (waves.wave == wave) & (waves.beat == 3)].iloc[0]
        x = ((row.onset + row.offset) / 2 / fs * 25 - view["x"]) * view["kx"]
        page.locator(".stage").click(position={"x": x, "y": 180})
        about = page.get_by_label("What is said of the chosen wave")
        assert f"II, beat 4, {wave}:" in about.inner_text()
        assert told in about.inner_text()
        assert untold not in about.inner_text()
        assert page.locator(".statement.told").count() >= 1
    about.get_by_role("button", name="3. QRS 300 ms").click()  # and back to the statement
    assert page.locator(".statement.chosen").get_attribute("data-index") == "3"
    # by keys: the next wave, and what is said of it, is told to a screen reader
    page.locator(".stage").focus()
    page.keyboard.press("n")
    page.keyboard.press("n")
    assert "beat" in page.locator("[role=status]").inner_text()
    page.keyboard.press("l")
    assert page.locator("[role=status]").inner_text().startswith(("III", "Lead III"))


def test_statements_are_filtered_by_verdict(page: Any, explanation: gem.Explanation) -> None:
    for verdict in ("contradicted", "unsupported", "not_checkable", "supported"):
        page.locator(f".filters [data-verdict={verdict}]").click()
        shown = [int(part.get_attribute("data-index")) for part in page.locator(".statement").all()]
        wanted = [
            k
            for k, part in enumerate(explanation.statements, 1)
            if verdict in {part.verdict, *(claim.verdict for claim in part.claims)}
        ]
        assert shown == wanted
        assert shown
    page.locator(".filters [data-verdict=supported]").click()
    assert page.locator(".statement").count() == len(explanation.statements)


def test_numbers_lead_to_the_measured_table_and_back(page: Any) -> None:
    page.get_by_role("button", name="Statement 2: show").click()
    page.locator(".statement.chosen .link", has_text="PR interval").click()
    row = page.locator("tr.flash")
    assert row.get_attribute("data-quantity") == "pr"
    assert "245 ms" in row.inner_text()
    page.locator("[data-quantity=qt] .link").click()
    boxes = page.evaluate(f"{STAGE}.markBoxes()")
    assert boxes
    assert page.locator(".statement.chosen").count() == 0
    page.get_by_role("button", name="first-degree AV block").click()
    assert page.evaluate(f"{STAGE}.markBoxes()") != boxes


def test_wheel_pinch_and_keys_zoom_and_move(page: Any) -> None:
    before = camera(page)
    stage = page.locator(".stage")
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.wheel(0, -200)  # the document's own wheel, until the ECG is chosen
    assert camera(page)["kx"] == before["kx"]
    stage.focus()
    page.mouse.wheel(0, -400)
    near = camera(page)
    assert near["kx"] > 1.3 * before["kx"]
    assert near["kx"] == near["ky"]
    for x, key, at in (("x", "kx", 300), ("y", "ky", 100)):  # what is under the pointer stays there
        assert near[x] + at / near[key] == pytest.approx(before[x] + at / before[key], abs=0.5)
    drag(page, (300, 100), (-50, -20))
    moved = camera(page)
    assert (moved["x"] - near["x"]) * near["kx"] == pytest.approx(50, abs=1)
    assert (moved["y"] - near["y"]) * near["ky"] == pytest.approx(20, abs=1)
    page.keyboard.press("ArrowLeft")
    assert camera(page)["x"] < moved["x"]
    page.keyboard.press("-")
    assert camera(page)["kx"] < moved["kx"]
    page.keyboard.press("+")
    page.keyboard.press("0")
    assert camera(page) == pytest.approx(before)


def test_two_fingers_zoom(opened: Callable[..., Any], saved: Path) -> None:
    page = opened(saved, 375, 740, has_touch=True)
    before = camera(page)
    box = page.locator(".stage").bounding_box()
    client = page.context.new_cdp_session(page)

    def touch(kind: str, *xs: float) -> None:
        points = [{"x": box["x"] + x, "y": box["y"] + 120, "id": k} for k, x in enumerate(xs)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 130, 190)
    for apart in (70, 90, 120):
        touch("touchMove", 160 - apart / 2, 160 + apart / 2)
    touch("touchEnd")
    assert camera(page)["kx"] == pytest.approx(2 * before["kx"], rel=0.2)


def test_leads_are_hidden_and_laid_over_each_other(page: Any) -> None:
    page.locator("summary", has_text="Leads").click()
    for name in ("aVR", "V6"):
        page.get_by_label(name, exact=True).uncheck()
    panels = page.evaluate(f"{STAGE}.panels().map(panel => panel.lead)")
    assert "aVR" not in panels
    assert "V6" not in panels
    assert "V5" in panels
    page.get_by_label("on one line").check()
    ys = page.evaluate(f"[...new Set({STAGE}.panels().map(panel => panel.y))]")
    assert len(ys) == 1
    image = pixels(page)
    for colour in ((0, 114, 178), (194, 90, 0), (0, 122, 90)):  # blue, orange, green: told apart without colour vision
        assert (np.abs(image - colour).sum(axis=2) < 60).sum() > 100


def test_every_layout_draws_every_record(mounted: Callable[..., Any]) -> None:
    """Twelve leads, one lead, no voltages, samples that are missing, none at all."""
    record = grounding.read_record(grounding.sample_path("ptbxl_413"))
    holes = record.signal.copy()
    holes[:, 1000:2000] = np.nan
    holes[3] = np.nan
    make = grounding.ECGRecord.from_array
    records = [
        record,
        record.select(["V2"]),
        make(holes, record.fs, record.leads),
        make(record.signal * 100 + 7, record.fs, record.leads, units="adu"),
        make(record.signal[:, :700], record.fs, record.leads),
        make(record.signal + 900, record.fs, record.leads),  # a large offset
    ]
    made = [scene(one) for one in records] + [scene(grounding.measure(record))]
    page = mounted(made[0])
    for one in made:
        names = page.evaluate(
            """one => { const place = document.getElementById("gem-view"); place.view.destroy();
            place.view = window.mount(place, one);
            return place.view.stage ? [...place.view.toolbar.layouts.options].map(option => option.value) : null; }""",
            one,
        )
        if names is None:
            assert "not drawn" in page.locator(".columns").inner_text()
            continue
        for name in names:
            layout(page, name)
            assert page.evaluate(INK) > 300, name


def test_beats_are_told_by_type(mounted: Callable[..., Any]) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_413"))
    said = gem.explain(record, text="Premature ventricular contractions.")
    types = said.measurement.beats["type"].value_counts()
    page = mounted(scene(said))
    button = page.get_by_role("button", name=f"premature ventricular {types['premature_ventricular']}")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.evaluate(f"{STAGE}.bands.length") == types["premature_ventricular"]
    assert page.evaluate(f"{STAGE}.unusual.length") == (types.drop("normal")).sum()


def test_the_modules_run_as_files_too(watched: Callable[..., Any], explanation: gem.Explanation) -> None:
    """A host may serve them one by one; together they have at most 250 kB."""
    page = watched(server="https://view.test/")
    page.route(
        "https://view.test/**",
        lambda route: route.fulfill(
            body=(STATIC / route.request.url.rsplit("/", 1)[1]).read_text()
            if route.request.url.endswith(".js")
            else "<!DOCTYPE html><title>x</title><div id=gem-view></div>",
            content_type="text/javascript" if route.request.url.endswith(".js") else "text/html",
        ),
    )
    page.goto("https://view.test/")
    page.evaluate(
        "async made => { (await import('/view.js')).mount(document.getElementById('gem-view'), made) }",
        scene(explanation),
    )
    assert page.locator(".statement").count() == len(explanation.statements)
    assert len(bundle().encode()) < 250_000
