"""The page that ``gem explain`` writes: from disk, without script, on paper, on a phone, for everyone, and inert."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.views.scene import scene

sys.path.insert(0, str(Path(__file__).parent))
from looking import VIEW

SCRIPT = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 1'><b>bold</b>]]>--><!--\u2028{{1}}"


def troubles_of(page: Any) -> list[str]:
    """Serious and critical issues that axe-core finds."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{issue['id']}: {node['html'][:150]}"
        for issue in found
        if issue["impact"] in ("serious", "critical")
        for node in issue["nodes"]
    ]


def test_a_page_of_ten_seconds_is_small_and_soon_there(opened: Callable[..., Any], saved: Path) -> None:
    assert saved.stat().st_size < 1_000_000
    page = opened(saved)
    # docs/explorer.md has the figure; other tests share this machine
    assert page.evaluate("performance.getEntriesByName('gem-view')[0].startTime") < 1500
    assert page.evaluate(f"{VIEW}.stage.frames") >= 1
    assert page.evaluate("getComputedStyle(document.querySelector('.gem-static')).display") == "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_nothing_serious(opened: Callable[..., Any], saved: Path, scheme: str, width: int) -> None:
    page = opened(saved, width, 800, color_scheme=scheme)
    page.get_by_role("button", name="Statement 3: show").click()
    page.get_by_label("Calipers: measure").click()
    page.locator("summary", has_text="Leads").click()
    assert troubles_of(page) == []
    page.keyboard.press("Escape")
    page.locator("summary", has_text="Not met").click()
    page.locator("[data-boundary=qrs_onset]").press("Shift+ArrowRight")
    page.locator(".filters [data-verdict=contradicted]").click()
    assert page.locator(".recheck").count() > 0
    assert troubles_of(page) == []


def test_axe_finds_nothing_serious_without_script(opened: Callable[..., Any], saved: Path, tmp_path: Path) -> None:
    """axe-core is a script itself: the page as it is printed, without ours."""
    text = re.sub(r"<script.*?</script>", "", saved.read_text(), flags=re.DOTALL)
    (tmp_path / "plain.html").write_text(text)
    assert troubles_of(opened(tmp_path / "plain.html")) == []


@pytest.mark.parametrize("script", [True, False])
def test_nothing_scrolls_sideways_on_a_phone(opened: Callable[..., Any], tmp_path: Path, script: bool) -> None:
    long = "W" * 120
    said = gem.explain(grounding.sample_path("ptbxl_286"), text=f"LBBB. {long}. {long} {long}.")
    named = replace(said, record_id=long, record=replace(said.record, record_id=long))
    page = opened(named.save(tmp_path / "x.html"), 375, 740, has_touch=True, java_script_enabled=script)
    if script:
        page.get_by_role("button", name="Statement 1: show").click()
        page.locator("summary", has_text="Not met").click()
        page.locator("summary", has_text="Leads").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        # the paper can be read: at least 3 px a millimetre
        assert page.evaluate(f"{VIEW}.stage.camera.kx") >= 3
    else:
        assert page.locator("ol").bounding_box()["width"] <= 375
        assert page.locator(".gem").bounding_box()["width"] <= 375
        wide = page.locator(".gem table, .gem p, .gem h1, .gem svg").all()
        assert all((box := part.bounding_box())["x"] + box["width"] <= 376 for part in wide)


def test_without_script_everything_is_said(
    opened: Callable[..., Any], saved: Path, explanation: gem.Explanation
) -> None:
    page = opened(saved, java_script_enabled=False)
    seen = page.locator("main").inner_text()
    for statement in explanation.statements:
        assert statement.text in seen
    assert "245 ms" in seen
    assert page.locator(".gem svg image").is_visible()


def test_what_needs_no_script_comes_back_where_the_view_fails(browser: Any, saved: Path, tmp_path: Path) -> None:
    broken = saved.read_text().replace('"version":1', '"version":1,', 1)
    (tmp_path / "broken.html").write_text(broken)
    page = browser.new_page()
    page.goto((tmp_path / "broken.html").as_uri())
    page.locator(".gem-static ol").wait_for(state="visible")
    page.close()


def test_it_prints_on_two_pages(opened: Callable[..., Any], saved: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    page = opened(saved)
    for paper in ("A4", "Letter"):
        printed = pypdf.PdfReader(io.BytesIO(page.pdf(format=paper, print_background=True)))
        assert len(printed.pages) == 2, paper
        text = " ".join(part.extract_text() for part in printed.pages)
        assert "First-degree AV block with PR 240 ms" in text
        assert "QTc (Fridericia)" in text
        assert sum(len(part.images) for part in printed.pages) >= 1
    # what was moved by hand on the screen is not in print: that is said
    page.locator("[data-boundary=qrs_onset]").press("Shift+ArrowRight")
    moved = " ".join(part.extract_text() for part in pypdf.PdfReader(io.BytesIO(page.pdf())).pages)
    assert "moved by hand" in moved


@pytest.mark.parametrize("script", [True, False])
def test_names_and_texts_are_inert(opened: Callable[..., Any], tmp_path: Path, script: bool) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    leads = (*record.leads[:10], "<img src=x onerror='window.hit=1'>", "</script><svg onload='window.hit=1'>")
    odd = grounding.ECGRecord(record.signal, record.fs, leads, SCRIPT, {**record.meta, "warnings": (SCRIPT,)})
    said = gem.explain(odd, text=f"QRS 100 ms. {SCRIPT} is here. \U0001f600 PR 300 ms.")
    page = opened(said.save(tmp_path / "x.html"), java_script_enabled=script)
    assert "bold" in page.locator(".view" if script else ".gem").inner_text()
    assert page.locator("main b:text-is('bold')").count() == 0
    assert page.locator("main img").count() == 0
    if not script:
        return
    assert page.evaluate("window.hit") is None
    assert page.locator(".view h2").text_content() == odd.record_id
    assert page.evaluate(f"{VIEW}.scene.record.id") == odd.record_id
    assert page.evaluate(f"{VIEW}.scene.record.leads") == list(odd.leads)
    for name in ("12x1", "lead", "3x4"):
        page.get_by_label("Layout").select_option(name)
    # what a claim underlines is counted in characters, also behind one that UTF-16 has as two
    assert page.locator(".claim", has_text="PR 300 ms").inner_text() == "PR 300 ms"
    page.get_by_role("button", name="Statement 1: show").click()
    assert page.evaluate("window.hit") is None


def test_the_policy_lets_no_other_script_run_and_nothing_out(browser: Any, saved: Path) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(saved.as_uri())
    page.evaluate(
        """() => { const script = document.createElement("script"); script.textContent = "window.hit = 1";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hit=2'>");
        return fetch("https://example.org/").catch(() => null); }"""
    )
    assert page.evaluate("window.hit") is None
    assert sum("Content Security Policy" in line for line in said) >= 2
    page.close()


def test_a_scene_is_json_and_holds_the_samples() -> None:
    import base64

    import numpy as np

    said = gem.explain(grounding.sample_path("ptbxl_330"), text="Atrial fibrillation.")
    made = json.loads(json.dumps(scene(said), allow_nan=False))
    assert said.record is not None
    for row, text in enumerate(made["record"]["samples"]):
        steps = np.frombuffer(base64.b64decode(text), "<i2")
        mv = steps * made["record"]["scale"] + made["record"]["offsets"][row]
        assert np.abs(mv - said.record.signal[row]).max() <= 0.0005 + 1e-6
    assert [part["text"] for part in made["statements"]] == [part.text for part in said.statements]
    for part in made["statements"]:
        assert all(part["text"][claim["start"] : claim["end"]] == claim["text"] for claim in part["claims"])


def test_a_long_recording_is_drawn_from_its_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    import base64

    import numpy as np

    import gem.views.scene as module

    monkeypatch.setattr(module, "MAX_SAMPLES", 1000)
    signal = np.random.default_rng(0).normal(0, 0.1, (2, 5003)).astype(np.float32)
    signal[0, 777] = 4.0
    signal[1, 100:300] = np.nan
    made = module.encoded(signal)
    every = made["every"]
    kept = [np.frombuffer(base64.b64decode(text), "<i2") for text in made["samples"]]
    assert sum(map(len, kept)) <= 1000 + 4
    assert kept[0][2 * (777 // every) + 1] * made["scale"] == pytest.approx(4.0, abs=0.001)
    for row, values in enumerate(kept):
        for block in range(len(values) // 2):
            part = signal[row, block * every : (block + 1) * every]
            if not np.isfinite(part).any():
                assert (values[2 * block : 2 * block + 2] == module.MISSING).all()
                continue
            pair = values[2 * block : 2 * block + 2] * made["scale"]
            assert pair == pytest.approx([np.nanmin(part), np.nanmax(part)], abs=0.001)
