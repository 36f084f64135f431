"""An ECG that was read from a picture: the page shows the reader's own picture, with evidence marked on its waves."""

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
from gem.cli.entry import main

sys.path.insert(0, str(Path(__file__).parent))
from looking import STAGE, camera, pixels

EDGE_S = 0.4  # at the left of a strip a calibration pulse or a part of a beat may lie
TEXT = "QRS duration 90 ms."
QRS = re.compile("QRS (duration|complex lasts)")  # as the text above and the model word it


def strokes(page: Any, panel: dict[str, Any], kx: float) -> list[float]:
    """Where the picture on the screen has steep strokes in a panel (QRS complexes), px of the stage."""
    box = panel["box"]
    half = 9 * kx  # mm, so that other rows are left out
    middle = (box["y0"] + box["y1"]) / 2
    x0 = box["x0"]
    dark = pixels(page)[int(middle - half) : int(middle + half), int(x0) : int(box["x1"])].max(axis=2)
    # what is darker than the lines of the grid in its column and its row
    lines = np.minimum(np.median(dark, axis=0), np.median(dark, axis=1)[:, None])
    tall = np.convolve((dark < 0.72 * lines).sum(axis=0), np.ones(3), "same")
    columns = np.flatnonzero(tall > 0.5 * tall.max())
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 5) + 1)
    return [x0 + float(group.mean()) for group in groups if group.mean() > EDGE_S * 25 * kx]


def check_marks_on_waves(page: Any, statement: int) -> None:
    """Each QRS of the strip, found in the picture's own ink, lies in one mark, and each mark on one QRS."""
    assert page.get_by_label("Layout").input_value() == "picture"
    page.wait_for_function(f"() => {STAGE}.image.complete")
    kx = camera(page)["kx"]
    panels = page.evaluate(f"{STAGE}.panels().map(panel => ({{ ...panel, box: {STAGE}.boxOf(panel) }}))")
    (strip,) = (panel for panel in panels if panel["strip"])
    found = strokes(page, strip, kx)
    page.get_by_role("button", name=f"Statement {statement}: show").click()
    page.mouse.move(1, 1)
    boxes = page.evaluate(f"{STAGE}.markBoxes()")
    middle = (strip["box"]["y0"] + strip["box"]["y1"]) / 2
    marks = sorted(
        (box["x0"], box["x1"])
        for box in boxes
        if box["lead"] == strip["lead"] and box["y0"] < middle < box["y1"] and box["start_s"] > EDGE_S
    )
    assert len(marks) >= 7
    assert {box["lead"] for box in boxes} >= {"I", "aVR", "V1", "V6"}
    assert [[a - 1 <= x <= b + 1 for a, b in marks].count(True) for x in found] == [1] * len(marks)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> gem.Explanation:
    """A bundled recording, drawn on paper and read from the picture again."""
    path = tmp_path_factory.mktemp("drawn") / "paper.png"
    grounding.render(grounding.read_record(grounding.sample_path("ptbxl_13"))).save(path)
    return gem.explain(path, text=TEXT)


def test_a_picture_is_shown_with_its_evidence(
    opened: Callable[..., Any], drawn: gem.Explanation, tmp_path: Path
) -> None:
    path = drawn.save(tmp_path / "x.html")
    assert path.read_text().count("data:image/jpeg") == 1  # with script and without: the same
    page = opened(path)
    check_marks_on_waves(page, 1)
    # what was read can be laid over it: it covers the picture's own trace
    before = pixels(page)
    page.locator("summary", has_text="Leads").click()
    page.get_by_label("trace over the photograph").check()
    page.keyboard.press("Escape")
    page.mouse.move(1, 1)
    camera(page)
    changed = np.abs(pixels(page) - before).sum(axis=2) > 90
    dark = before.max(axis=2) < 160  # the trace; the lines of the grid are lighter
    near = np.zeros_like(dark)
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            near |= np.roll(dark, (dy, dx), (0, 1))
    assert changed.sum() > 2000
    assert (changed & near).sum() > 0.97 * changed.sum()


@pytest.mark.slow
def test_the_users_photograph_is_shown_with_its_evidence(
    opened: Callable[..., Any], shared: Path, tmp_path: Path
) -> None:
    """Photographs by phones of crumpled, turned and written-on paper; the first by the command itself."""
    photos = shared / "data" / "pictures" / "photos"
    assert main(["explain", str(photos / "00012_hr.jpg"), "--html", str(tmp_path / "00012_hr.html")]) == 0
    gem.explain(photos / "01185_hr.jpg", text=TEXT).save(tmp_path / "01185_hr.html")
    for name in ("00012_hr", "01185_hr"):
        page = opened(tmp_path / f"{name}.html")
        said = page.locator(".statement", has_text=QRS).first.get_attribute("data-index")
        check_marks_on_waves(page, int(said))
