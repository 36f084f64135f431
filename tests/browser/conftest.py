"""A real browser, and pages of real recordings; the tests are skipped where no Chromium is installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding

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
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file in a page of its own; at the end of the test no page may have met an error or fetched anything."""
    contexts, troubles = [], []

    def open_(path: Path | None, width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: message.type in ("error", "warning") and troubles.append(message.text))
        page.on(
            "request",
            lambda request: (
                request.url.startswith("http") and ".test/" not in request.url and troubles.append(request.url)
            ),
        )
        if path is not None:
            page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not troubles
