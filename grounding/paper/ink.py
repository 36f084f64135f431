"""Drawing primitives: the grid and anti-aliased strokes as NumPy arrays, and Pillow's built-in font."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

PAPER = (255, 247, 246)
FINE, BOLD = (250, 219, 217), (240, 172, 170)
INK = (22, 24, 38)
STEP_PX = 0.5  # distance between the discs of a stroke; a smaller one makes no visible difference


@lru_cache(maxsize=8)
def grid(width: int, height: int, px_per_mm: float) -> NDArray[np.uint8]:
    """Pink millimetre paper.

    Args:
        width: pixels.
        height: pixels.
        px_per_mm: resolution.

    Returns:
        (height, width, 4), RGB and 255; read-only, since pictures share it.
    """
    image = np.empty((height, width, 4), np.uint8)
    image[:] = (*PAPER, 255)
    # below 3 pixels per mm the 1 mm lines would fill the paper, so only those of 5 mm are drawn
    steps = [(1, FINE)] * (px_per_mm >= 3) + [(5, BOLD)]
    for step, colour in steps:
        thick = 2 if step == 5 and px_per_mm >= 8 else 1
        for axis, size in ((0, height), (1, width)):
            at = np.unique(np.round(np.arange(0, size / px_per_mm + step, step) * px_per_mm).astype(int))
            for offset in range(thick):
                lines = at[at + offset < size] + offset
                if axis == 0:
                    image[lines, :, :3] = colour
                else:
                    image[:, lines, :3] = colour
    image.setflags(write=False)
    return image


def stroke(coverage: NDArray[np.uint8], x: NDArray[np.float64], y: NDArray[np.float64], radius: float) -> None:
    """Draw a polyline into a coverage mask; NaN interrupts the line.

    The line is a row of anti-aliased discs at most half a pixel apart. A pixel keeps the largest coverage, so that
    crossings are not darker.

    Args:
        coverage: (height, width), 0-255, changed in place.
        x: (points,), pixels.
        y: (points,), pixels.
        radius: half the thickness, pixels.
    """
    height, width = coverage.shape
    x, y = _dense(x, y)
    inside = (x > -radius) & (x < width + radius) & (y > -radius) & (y < height + radius)
    x, y = x[inside].astype(np.float32), y[inside].astype(np.float32)
    if not x.size:
        return
    reach = int(np.ceil(radius + 0.5))
    margin = 2 * reach + 1  # discs may lie outside by as much
    wide = width + 2 * margin
    padded = np.zeros((height + 2 * margin, wide), np.uint8)
    flat = padded.reshape(-1)
    column, line = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    dx, dy = x - column - np.float32(0.5), y - line - np.float32(0.5)
    place = (line + margin) * wide + column + margin
    offsets = range(-reach, reach + 1)
    across, down = ([(part - step) ** 2 for step in offsets] for part in (dx, dy))
    edge = (radius + 0.5) ** 2
    for row, distance_y in zip(offsets, down, strict=True):
        for side, distance_x in zip(offsets, across, strict=True):
            if max(abs(row) - 0.5, 0.0) ** 2 + max(abs(side) - 0.5, 0.0) ** 2 > edge:
                continue  # no disc reaches so far, wherever in its pixel its centre lies
            squared = distance_x + distance_y
            near = np.flatnonzero(squared < edge)
            ink = radius + 0.5 - np.sqrt(squared[near])
            value = (ink.clip(0.0, 1.0) * 255).astype(np.uint8)
            np.maximum.at(flat, place[near] + (row * wide + side), value)
    np.maximum(coverage, padded[margin : margin + height, margin : margin + width], out=coverage)


def _dense(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points at most STEP_PX apart along a polyline; points in the same quarter pixel as the one before are dropped."""
    cell_x, cell_y = np.round(x * 4), np.round(y * 4)
    kept = np.ones(len(x), bool)
    kept[1:] = (cell_x[1:] != cell_x[:-1]) | (cell_y[1:] != cell_y[:-1])
    x, y = x[kept], y[kept]
    if len(x) < 2:
        finite = np.isfinite(x) & np.isfinite(y)
        return x[finite], y[finite]
    dx, dy = np.diff(x), np.diff(y)
    length = np.hypot(dx, dy)
    pieces = np.where(np.isfinite(length), np.ceil(np.nan_to_num(length) / STEP_PX), 1).astype(np.int64).clip(1, 20_000)
    start = np.repeat(np.arange(len(dx)), pieces)
    within = (np.arange(len(start)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / np.repeat(pieces, pieces)
    # a finite point next to a gap is drawn too, though the step to the gap is NaN
    along_x, along_y = np.nan_to_num(dx), np.nan_to_num(dy)
    out_x = np.append(x[start] + within * along_x[start], x[-1])
    out_y = np.append(y[start] + within * along_y[start], y[-1])
    finite = np.isfinite(out_x) & np.isfinite(out_y)
    return out_x[finite], out_y[finite]


def blend(image: NDArray[np.uint8], coverage: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    """Draw a coverage mask in one colour over an image.

    Args:
        image: (height, width, 4), RGB and 255, contiguous, changed in place.
        coverage: (height, width), 0-255.
        colour: RGB.
    """
    pixels = np.flatnonzero(coverage.reshape(-1) != 0)
    flat = image.view(np.uint32).reshape(-1)  # a pixel at a time
    share = coverage.reshape(-1)[pixels].astype(np.uint16)[:, None]
    total = flat[pixels].view(np.uint8).reshape(-1, 4) * (255 - share) + np.array((*colour, 255), np.uint16) * share
    total += 128
    total += total >> 8  # and with the next shift, division by 255, rounded
    flat[pixels] = (total >> 8).astype(np.uint8).view(np.uint32)[:, 0]


@lru_cache(maxsize=32)
def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font, which has the same glyphs on every machine.

    Args:
        size_px: height.
    """
    return ImageFont.load_default(size_px)
