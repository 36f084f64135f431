"""A real browser, and pages of real recordings; the tests are skipped where no Chromium is installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.views.scripts import bundle

playwright_api = pytest.importorskip("playwright.sync_api", reason='pip install "gem-ecg[browser]"')

TEXT = (
    "Sinus rhythm. First-degree AV block with PR 240 ms. QRS 300 ms. T-wave inversion in V1. LBBB. "
    "Atrial fibrillation in the past. Nothing else to say."
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, headless."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no chromium")
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def explanation() -> gem.Explanation:
    """What a text says of a bundled recording; no model is asked."""
    return gem.explain(grounding.read_record(grounding.sample_path("ptbxl_102")), text=TEXT)


@pytest.fixture(scope="session")
def saved(explanation: gem.Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that it is saved as."""
    return explanation.save(tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def watched(browser: Any) -> Iterator[Callable[..., Any]]:
    """Makes pages; at the end of the test none may have met an error, or asked another server than its own."""
    contexts, troubles = [], []

    def make(width: int = 1280, height: int = 900, server: str = "file:", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: message.type in ("error", "warning") and troubles.append(message.text))
        page.on(
            "request",
            lambda request: request.url.startswith((server, "data:", "blob:")) or troubles.append(request.url),
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture
def opened(watched: Callable[..., Any]) -> Callable[..., Any]:
    """Opens a file in a page of its own."""

    def open_(path: Path, width: int = 1280, height: int = 900, **options: Any) -> Any:
        page = watched(width, height, **options)
        page.goto(path.as_uri())
        return page

    return open_


@pytest.fixture
def page(opened: Callable[..., Any], saved: Path) -> Any:
    """The page of ``explanation``."""
    return opened(saved)


@pytest.fixture
def mounted(watched: Callable[..., Any]) -> Callable[..., Any]:
    """Mounts a scene in an empty page, with a host whose ``edit`` is a Python function, if one is given."""

    def mount(made: dict[str, Any], edit: Callable[..., Any] | None = None, **options: Any) -> Any:
        page = watched(**options)
        page.set_content("<!DOCTYPE html><html lang=en><title>x</title><main id=gem-view></main>")
        page.add_script_tag(content=bundle() + "\nwindow.mount = mount;", type="module")
        page.wait_for_function("() => Boolean(window.mount)")
        if edit is not None:
            page.expose_function("editInPython", edit)
        page.evaluate(
            """made => { const place = document.getElementById("gem-view");
            place.view = window.mount(place, made, window.editInPython ? { edit: window.editInPython } : {}); }""",
            made,
        )
        return page

    return mount
