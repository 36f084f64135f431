"""What happens on the paper: handwriting, stains, punch holes, and the fading of thermal paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from . import ink
from .kinds import distortion
from .sheet import Field, Sheet

PENS = ((28, 46, 120), (24, 24, 28), (150, 30, 36))
HOLE_MM, HOLES_APART_MM, HOLE_EDGE_MM = 6.0, 80.0, 12.0  # ISO 838
STAIN = np.array([0.86, 0.72, 0.5], np.float32)  # coffee
AGED = np.array([0.99, 0.97, 0.89], np.float32)


def smooth_noise(pick: np.random.Generator, shape: tuple[int, int], reach: float) -> Field:
    """Random values (rows, columns), smooth over ``reach`` points, mean 0 and SD 1."""
    # noise is drawn and smoothed on a grid as coarse as it may be, and stretched
    step = max(1, int(reach / 2))
    rows, columns = (-(-side // step) + 1 for side in shape)
    small = ndimage.gaussian_filter(pick.standard_normal((rows, columns), np.float32), reach / step, mode="wrap")
    small = (small - small.mean()) / max(float(small.std()), 1e-6)
    whole = Image.fromarray(small).resize((columns * step, rows * step), Image.Resampling.BICUBIC)
    return np.asarray(whole, np.float32)[: shape[0], : shape[1]]


@distortion("paper")
def handwriting(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Words, ticks and rings of a pen."""
    colour = PENS[int(pick.integers(len(PENS)))]
    width, height = sheet.size
    lines = []
    for _ in range(max(1, round(4 * strength * pick.uniform(0.5, 1.5)))):
        size = pick.uniform(4, 8) * sheet.px_per_mm
        x, y = pick.uniform(0.05, 0.8) * width, pick.uniform(0.08, 0.92) * height
        kind = pick.choice(["word", "word", "word", "ring", "tick"])
        if kind == "ring":
            turn = np.linspace(0, 2 * np.pi * pick.uniform(1.0, 1.2), 60)
            line = np.stack([1.6 * np.cos(turn + 1), np.sin(turn + 1) + 0.04 * turn]) * size
        elif kind == "tick":
            line = np.array([[0, 0.3, 1.1], [0, 0.6, -0.9]]) * size
        else:
            line = _word(pick) * size
        slant = pick.normal(0, 0.12)
        lines.append(np.stack([x + line[0] * np.cos(slant) - line[1] * np.sin(slant),
                               y + line[0] * np.sin(slant) + line[1] * np.cos(slant)]))  # fmt: skip
    pixels = np.array(sheet.image.convert("RGBA"))
    ink.strokes(pixels, lines, max(pick.uniform(0.4, 0.6) * sheet.px_per_mm / 2, 0.6), colour)
    sheet.image = Image.frombytes("RGB", sheet.size, pixels.tobytes(), "raw", "RGBX")


def _word(pick: np.random.Generator) -> NDArray[np.float64]:
    """Loops from left to right, as of joined letters, (2, points) in heights of a letter."""
    letters = int(pick.integers(3, 9))
    t = np.linspace(0, letters, 16 * letters)
    knots = np.arange(letters + 1)
    tall = np.interp(t, knots, pick.choice([0.3, 0.35, 0.45, 0.9], letters + 1))
    wide = np.interp(t, knots, pick.uniform(0.05, 0.35, letters + 1))
    turn = 2 * np.pi * t + np.interp(t, knots, pick.uniform(-0.8, 0.8, letters + 1))
    return np.stack([0.55 * t + wide * np.sin(turn), -tall * (1 + np.cos(turn)) / 2 + 0.1 * np.sin(turn / 2)])


@distortion("paper")
def stains(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Rings and spots of coffee."""
    light = sheet.light
    depth = np.zeros_like(light.shade)
    for _ in range(int(pick.integers(1, 4))):
        x, y = pick.uniform(0, sheet.size[0]), pick.uniform(0, sheet.size[1])
        radius = pick.uniform(8, 38) * sheet.px_per_mm
        wobble = smooth_noise(pick, depth.shape, 12) * 0.03
        away = np.hypot(light.x - x, light.y - y) / radius + wobble
        ring = np.exp(-(((away - 1) / 0.05) ** 2)) * pick.uniform(0.4, 1.0)
        inside = pick.uniform(0.05, 0.45) / (1 + np.exp(np.clip((away - 1) * 40, -50, 50)))
        depth = np.maximum(depth, (ring + inside).astype(np.float32))
    light.colour(1 - (1 - STAIN) * np.clip(depth * strength, 0, 1.3)[..., None])


@distortion("paper")
def punch_holes(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Two or four holes of a punch at one edge; stronger ones are nearer to the traces."""
    width, height = sheet.size
    count, along_top = int(pick.choice([2, 2, 4])), bool(pick.random() < 0.4)
    edge = (HOLE_EDGE_MM * (0.5 + 0.5 * strength)) * sheet.px_per_mm
    apart, radius = HOLES_APART_MM * sheet.px_per_mm, HOLE_MM / 2 * sheet.px_per_mm
    middle = (width if along_top else height) / 2 + pick.normal(0, 3) * sheet.px_per_mm
    cover = np.array(sheet.cover)
    for index in range(count):
        place = middle + (index - (count - 1) / 2) * apart
        x, y = (place, edge) if along_top else (edge, place)
        left, top = max(int(x - radius) - 2, 0), max(int(y - radius) - 2, 0)
        part = cover[top : int(y + radius) + 3, left : int(x + radius) + 3]
        rows, columns = np.mgrid[0 : part.shape[0], 0 : part.shape[1]]
        away = np.hypot(columns + left + 0.5 - x, rows + top + 0.5 - y)
        part[:] = np.minimum(part, (np.clip(away - radius + 0.5, 0, 1) * 255).astype(np.uint8))
    sheet.cover = Image.fromarray(cover)


@distortion("paper")
def thermal_fading(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Old thermal paper: yellowed, the print pale in places, lines where the print head was dead."""
    light = sheet.light
    faded = 0.5 + 0.22 * smooth_noise(pick, light.shade.shape, 60)
    light.fade(np.clip(1 - strength * faded, 0.18, 1).astype(np.float32))
    aged = np.clip(strength * (0.8 + 0.3 * smooth_noise(pick, light.shade.shape, 40)), 0, 2)
    light.colour(1 - (1 - AGED) * aged[..., None])
    paper = np.percentile(np.asarray(sheet.image)[::16, ::16], 90, axis=(0, 1)).astype(int)
    pen = ImageDraw.Draw(sheet.image)
    for _ in range(int(pick.poisson(1.5 * strength))):
        row = int(pick.integers(sheet.size[1]))
        pen.line([(0, row), (sheet.size[0], row)], fill=tuple(paper.tolist()), width=int(pick.integers(1, 3)))
