"""Boundaries of the median beat that a person moves or sets: intervals, findings and verdicts follow."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.views.scene import scene

sys.path.insert(0, str(Path(__file__).parent))
from looking import STAGE, VIEW


def interval(page: Any, name: str) -> str:
    return page.locator(f"[data-interval={name}]").inner_text()


def move_boundary(page: Any, name: str, ms: float) -> None:
    """Drag a boundary of the median beat."""
    handle = page.locator(f"[data-boundary={name}] rect")
    handle.scroll_into_view_if_needed()
    scale = page.evaluate(f"{VIEW}.boundaries.beat.scale")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + ms * scale / 2, y)
    page.mouse.move(x + ms * scale, y)
    page.mouse.up()


def test_a_boundary_moved_by_20_ms_changes_pr_by_20_ms(page: Any, explanation: gem.Explanation) -> None:
    """In a page without Python: intervals follow, and what rests on them is to be re-checked."""
    pr, qrs = (explanation.measurement.intervals[name] for name in ("pr", "qrs"))
    assert pr is not None
    assert qrs is not None
    assert interval(page, "pr") == f"PR {pr:.0f} ms"
    move_boundary(page, "qrs_onset", 20)
    edits = page.evaluate(f"{VIEW}.edits()")
    assert edits["intervals_ms"]["pr"] == pytest.approx(pr + 20, abs=0.6)  # a tenth of a pixel is 0.1 ms
    assert edits["intervals_ms"]["qrs"] == pytest.approx(qrs - 20, abs=0.6)
    assert interval(page, "pr").startswith(f"PR {edits['intervals_ms']['pr']:.0f} ms (was {pr:.0f})")
    recheck = [part.get_attribute("data-index") for part in page.locator(".statement:has(.recheck)").all()]
    assert recheck == ["2", "3", "5"]
    assert "moved by hand" in page.locator("[data-quantity=pr]").inner_text()
    # the same by keys
    page.locator("[data-boundary=p_onset]").focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    after = page.evaluate(f"{VIEW}.edits()")
    assert after["intervals_ms"]["pr"] == pytest.approx(edits["intervals_ms"]["pr"] + 20, abs=0.2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export edits").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert [edit["boundary"] for edit in saved["edits"]] == ["qrs_onset", "p_onset"]
    assert saved["edits"][0]["from_ms"] == pytest.approx(explanation.measurement.boundaries["qrs_onset"], abs=0.01)
    assert (saved["record_id"], saved["method"]) == ("ptbxl_102", "boundary moved by hand in the view")
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
    assert interval(page, "pr") == f"PR {pr:.0f} ms"
    assert page.locator(".recheck").count() == 0


def test_the_page_computes_the_intervals_that_python_measures(mounted: Callable[..., Any]) -> None:
    """Boundaries that are moved, and that are set where none was measured."""
    for name, moved in (
        ("ptbxl_102", {"p_onset": -300.0, "qrs_onset": -50.0, "t_offset": 360.5}),
        ("ptbxl_413", {"qrs_offset": 71.0, "p_offset": -160.0}),
        ("ptbxl_330", {"p_onset": -230.0, "p_offset": -120.0}),
    ):
        said = gem.explain(grounding.sample_path(name), text="")
        page = mounted(scene(said))
        told = page.evaluate(
            f"async moved => {{ await {VIEW}.boundaries.apply(moved); return {VIEW}.edits().intervals_ms; }}",
            moved,
        )
        python = said.measurement.edited(moved).intervals
        assert python != said.measurement.intervals
        assert told == pytest.approx(dict(python), abs=0.02), name


def editing(said: gem.Explanation) -> tuple[Callable[[dict[str, float]], dict[str, Any]], list[dict[str, float]]]:
    """What edits an explanation for the page, and the edits that it is asked for."""
    asked: list[dict[str, float]] = []

    def edit(moved: dict[str, float]) -> dict[str, Any]:
        asked.append(moved)
        return scene(said.edited(moved) if moved else said)

    return edit, asked


@pytest.mark.parametrize("by", ["pointer", "keys"])
def test_a_boundary_that_was_not_measured_is_set(mounted: Callable[..., Any], by: str) -> None:
    """In a recording without P waves: intervals, findings and verdicts follow from the one that a person sees."""
    said = gem.explain(grounding.sample_path("ptbxl_330"), text="First-degree AV block. PR interval 240 ms.")
    edit, asked = editing(said)
    page = mounted(scene(said), edit)
    verdicts = page.locator(".statement p > .chip:not(.kind)")
    assert "contradicted" in verdicts.nth(0).inner_text()
    assert "not checkable" in verdicts.nth(1).inner_text()
    assert page.locator("[data-interval=pr]").count() == 0
    page.get_by_role("button", name="Set P onset").click()
    handle = page.locator("[data-boundary=p_onset]")
    assert handle.evaluate("element => element === element.getRootNode().activeElement")
    assert "was not measured" in interval(page, "pr")  # a preview: nothing is set before the person sets it
    assert asked == []
    onset = said.measurement.boundaries["qrs_onset"]
    assert onset is not None
    if by == "pointer":
        beat = f"{VIEW}.boundaries.beat"
        x = page.evaluate(f"{beat}.xOf({onset - 240})")
        page.locator(".median svg").click(position={"x": x, "y": 120})
    else:
        for _ in range(8):
            handle.press("Shift+ArrowLeft")
    page.wait_for_function(f"{VIEW}.root.querySelector('[data-index=\"2\"]').innerText.includes('supported')")
    assert list(asked[-1]) == ["p_onset"]
    assert asked[-1]["p_onset"] == pytest.approx(onset - 240, abs=8)
    assert [one.inner_text().split()[1] for one in verdicts.all()] == ["supported", "supported"]
    assert "was not measured" in interval(page, "pr")
    assert "set at" in page.locator(".median").inner_text()
    assert "moved by hand" in page.locator("[data-quantity=pr]").inner_text()
    assert page.locator("section[aria-label=Criteria]").get_by_text("first-degree AV block").is_visible()
    page.locator(".statement[data-index='2'] .number").click()
    assert len(page.evaluate(f"{STAGE}.markBoxes()")) > 12
    with page.expect_download() as download:
        page.get_by_role("button", name="Export edits").click()
    (edit_,) = json.loads(Path(download.value.path()).read_text())["edits"]
    assert (edit_["boundary"], edit_["from_ms"]) == ("p_onset", None)
    # a second one, offered and set where it is offered, by Enter
    page.get_by_role("button", name="Set P end").click()
    page.locator("[data-boundary=p_offset]").press("Enter")
    page.wait_for_function(f"{VIEW}.scene.edits.length === 2")
    assert page.get_by_role("button", name="Set P").count() == 0
    for left in (1, 0) if by == "pointer" else (*range(8, 0, -1), 0):
        page.get_by_role("button", name="Undo").click()
        page.wait_for_function(
            f"left => {VIEW}.boundaries.undone.length === left && !{VIEW}.root.querySelector('[aria-busy]')",
            arg=left,
        )
    assert "not checkable" in verdicts.nth(1).inner_text()
    assert asked[-1] == {}


def test_with_python_the_verdict_follows_a_boundary(mounted: Callable[..., Any], explanation: gem.Explanation) -> None:
    edit, asked = editing(explanation)
    page = mounted(scene(explanation), edit)
    second = page.locator(".statement[data-index='2']")
    assert "supported" in second.inner_text()
    move_boundary(page, "p_onset", 60)
    page.wait_for_function(f"{VIEW}.root.querySelector('[data-index=\"2\"]').innerText.includes('contradicted')")
    assert list(asked[-1]) == ["p_onset"]
    again = explanation.edited(asked[-1])
    assert again.measurement.intervals["pr"] == pytest.approx(explanation.measurement.intervals["pr"] - 60, abs=0.6)
    assert interval(page, "pr").startswith(f"PR {again.measurement.intervals['pr']:.0f} ms (was ")
    assert page.locator(".recheck").count() == 0
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(f"!{VIEW}.root.querySelector('[data-index=\"2\"]').innerText.includes('contradicted')")
    assert asked[-1] == {}


def test_an_edit_that_python_refuses_is_told_and_taken_back(
    mounted: Callable[..., Any], explanation: gem.Explanation
) -> None:
    def refuse(moved: dict[str, float]) -> None:
        raise ValueError("this recording is read-only")

    page = mounted(scene(explanation), refuse)
    before = interval(page, "pr")
    move_boundary(page, "p_onset", 40)
    page.get_by_role("alert").filter(has_text="read-only").wait_for()
    assert interval(page, "pr") == before
