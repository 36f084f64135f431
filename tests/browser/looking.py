"""What tests in a browser look at and do: the ECG on the canvas, its camera, drags, boundaries."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VIEW = "document.querySelector('#gem-view').view"
STAGE = f"{VIEW}.stage"


def camera(page: Any) -> dict[str, float]:
    return page.evaluate(f"(() => {{ {STAGE}.paint(); return {STAGE}.camera; }})()")


def pixels(page: Any) -> NDArray[np.int64]:
    """(height, width, 3) of the ECG, as the screen shows it."""
    shot = page.locator(".stage canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def layout(page: Any, name: str) -> dict[str, float]:
    page.get_by_label("Layout").select_option(name)
    page.mouse.move(1, 1)  # no hover over the ECG
    return camera(page)


def drag(page: Any, start: tuple[float, float], by: tuple[float, float]) -> None:
    """From a point of the stage."""
    box = page.locator(".stage").bounding_box()
    x, y = box["x"] + start[0], box["y"] + start[1]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by[0] / 2, y + by[1] / 2)
    page.mouse.move(x + by[0], y + by[1])
    page.mouse.up()


def dark_ink(image: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where the trace is: (height, width)."""
    return np.asarray(image.max(axis=2) < 110)


def row_of(view: dict[str, float], row: int) -> tuple[int, int]:
    """Top and bottom of a row of the 12 x 1 layout, px."""
    return round((5 + 15 * row - view["y"]) * view["ky"]), round((20 + 15 * row - view["y"]) * view["ky"])
