"""Pictures of the page for README and docs, made from today's code.

    python docs/screenshots.py [--chromium /usr/bin/chromium] [--out docs/images]

They show a bundled recording with a text about it, so that no model is needed and every run gives the same.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import gem
import grounding

TEXT = (
    "Sinus rhythm, 83 bpm. PR is 245 ms, constant, every P conducts. QRS duration 300 ms. "
    "T-wave inversion in aVL. Left bundle branch block. Atrial fibrillation in 2019."
)
COLOURS = 256  # of a picture: paper, ink and a few accents


def save(shot: bytes, path: Path) -> None:
    """As a PNG of few colours."""
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        page_file = gem.explain(grounding.sample_path("ptbxl_102"), text=TEXT).save(Path(folder) / "page.html")
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])

        def opened(width: int, height: int, **options: Any) -> Any:
            page = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
            page.goto(page_file.as_uri())
            return page

        def shown(page: Any) -> bytes:
            page.wait_for_timeout(300)  # until transitions have ended
            shot: bytes = page.screenshot()
            return shot

        page = opened(1400, 900)
        page.get_by_role("button", name="Statement 2: show").click()
        page.mouse.move(1, 1)
        save(shown(page), args.out / "explain.png")

        page = opened(1400, 720, color_scheme="dark")
        page.get_by_label("Layout").select_option("lead")
        page.get_by_label("Calipers: measure").click()
        stage = page.locator(".stage").bounding_box()
        page.mouse.move(stage["x"] + 277, stage["y"] + 80)
        page.mouse.down()
        page.mouse.move(stage["x"] + 416, stage["y"] + 170, steps=4)
        page.mouse.up()
        page.get_by_label("march out").check()
        save(shown(page), args.out / "calipers.png")

        page = opened(1400, 1000)
        handle = page.locator("[data-boundary=qrs_onset]")
        handle.scroll_into_view_if_needed()
        for _ in range(2):
            handle.press("Shift+ArrowRight")
        page.locator(".median").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        save(page.locator(".median").screenshot(), args.out / "median_beat.png")

        page = opened(375, 760, has_touch=True)
        save(shown(page), args.out / "phone.png")
        browser.close()


if __name__ == "__main__":
    main()
