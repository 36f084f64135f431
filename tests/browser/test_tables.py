"""What notebooks show of objects (``_repr_html_``) can be read in light and dark, whoever says which it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding

# what a page around says -> (whether what is shown is dark, attributes of <html>, attributes of <body>)
THEMES = {
    "nothing": (None, "", ""),
    "jupyterlab light": (False, "", 'data-jp-theme-light="true"'),
    "jupyterlab dark": (True, "", 'data-jp-theme-light="false"'),
    "vs code light": (False, "", 'data-vscode-theme-kind="vscode-light"'),
    "vs code dark": (True, "", 'data-vscode-theme-kind="vscode-dark"'),
    "colab light": (False, 'theme="light"', ""),
    "colab dark": (True, 'theme="dark"', ""),
}
COLOURS = {True: "#e6e6e6;background:#111", False: "#111;background:#fff"}


@pytest.fixture(scope="module")
def shown(explanation: gem.Explanation) -> dict[str, str]:
    """The HTML of each kind of object; all verdicts, a value that is missing, and one that was moved by hand."""
    assert explanation.record is not None
    without_p = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_330")))
    other = gem.explain(explanation.record, text="PR 300 ms. Left bundle branch block.")
    objects = {
        "record": explanation.record,
        "measurement": without_p,
        "edited measurement": without_p.edited({"p_onset": -200}),
        "findings": grounding.find(without_p),
        "explanation": explanation,
        "comparison": gem.compare(explanation.record, {"one": explanation.text, "two": other.text}),
    }
    return {name: one._repr_html_() for name, one in objects.items()}


def poor_contrast(page: Any) -> tuple[list[str], int]:
    """Texts whose contrast axe-core finds too low, and how many texts it could judge."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, options={"runOnly": ["color-contrast"]}).response
    poor = [
        f"{node['html'][:80]} {node['any'][0]['message'][:120]}" for v in found["violations"] for node in v["nodes"]
    ]
    return poor, sum(len(rule["nodes"]) for rule in found["passes"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_objects_are_readable_in_every_theme(
    opened: Callable[..., Any], shown: dict[str, str], tmp_path: Path, scheme: str
) -> None:
    for theme, (says, root, body) in THEMES.items():
        dark = scheme == "dark" if says is None else says
        parts = "".join(f"<section aria-label={json.dumps(name)}>{html}</section>" for name, html in shown.items())
        path = tmp_path / f"{theme.replace(' ', '_')}.html"
        path.write_text(
            f"<!DOCTYPE html><html lang=en {root}><meta charset=utf-8><title>x</title>"
            f"<body {body} style='color:{COLOURS[dark]}'><main>{parts}</main></body></html>"
        )
        page = opened(path, color_scheme=scheme)
        poor, judged = poor_contrast(page)
        assert poor == [], theme
        assert judged >= 4 * len(shown)
        ground = page.locator(".gem").first.evaluate("element => getComputedStyle(element).backgroundColor")
        lightness = sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(",")))
        assert (lightness < 200) == dark, (theme, ground)
        page.emulate_media(media="print", color_scheme=scheme)
        printed = page.locator(".gem").first.evaluate("element => getComputedStyle(element).backgroundColor")
        assert printed == "rgb(255, 255, 255)"
