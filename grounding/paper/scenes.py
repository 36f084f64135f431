"""The light on a page, what lies around it, and a screen that shows it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .kinds import distortion
from .marks import smooth_noise
from .sheet import COARSE, Light, Sheet

TABLES = ((128, 92, 62), (86, 60, 42), (190, 186, 180), (60, 62, 66), (214, 210, 202), (58, 74, 88))
TRIAD_PX = 3  # red, green and blue of a screen, a column each
BEZEL_MM = 4.0


@distortion("paper")
def screen(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """A monitor that shows the page: coloured columns, dark gaps between rows, a black frame."""
    width, height = sheet.size
    dip = pick.uniform(0.18, 0.36) * min(strength, 2.0)
    triad = np.full((2 * TRIAD_PX, TRIAD_PX, 3), 1 - dip)
    triad[:, np.arange(TRIAD_PX), np.arange(TRIAD_PX)] = 1
    triad[TRIAD_PX - 1 :: TRIAD_PX] *= 1 - dip / 2
    triad *= pick.uniform([0.86, 0.9, 0.94], 1.0)  # its white
    times = -(-height // (2 * TRIAD_PX)), -(-width // TRIAD_PX), 1
    tiles = np.tile((triad * 255).astype(np.uint8), times)[:height, :width]
    sheet.image = ImageChops.multiply(sheet.image, Image.fromarray(tiles))
    frame = round(BEZEL_MM * sheet.px_per_mm)
    ImageDraw.Draw(sheet.image).rectangle((0, 0, width - 1, height - 1), outline=(22, 22, 24), width=frame)


@distortion("scene")
def shadow(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Light from one side, and the shadow of a hand or a telephone."""
    light = sheet.light
    u, v = light.x / sheet.size[0] - 0.5, light.y / sheet.size[1] - 0.5
    turn = pick.uniform(0, 2 * np.pi)
    light.shade *= (1 + strength * 0.25 * (u * np.cos(turn) + v * np.sin(turn))).astype(np.float32)
    turn = pick.uniform(0, 2 * np.pi)
    edge = u * np.cos(turn) + v * np.sin(turn) + 0.06 * np.sin(7 * (v * np.cos(turn) - u * np.sin(turn)) + turn)
    dark = pick.uniform(0.25, 0.5) * min(strength, 1.6)
    far = (edge - pick.uniform(-0.2, 0.25)) * pick.uniform(12, 60)
    light.shade *= (1 - dark / (1 + np.exp(np.clip(-far, -50, 50)))).astype(np.float32)


@distortion("scene")
def glare(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """One or two lamps or windows mirrored on the paper."""
    light = sheet.light
    for _ in range(int(pick.integers(1, 3))):
        x, y = pick.uniform(0.1, 0.9) * sheet.size[0], pick.uniform(0.1, 0.9) * sheet.size[1]
        turn, wide = pick.uniform(0, np.pi), pick.uniform(0.06, 0.16) * max(sheet.size)
        along = (light.x - x) * np.cos(turn) + (light.y - y) * np.sin(turn)
        across = (light.y - y) * np.cos(turn) - (light.x - x) * np.sin(turn)
        away = (along / (wide * pick.uniform(1, 3))) ** 2 + (across / wide) ** 2
        peak = min(pick.uniform(0.6, 0.95) * strength, 0.97)
        light.fade((1 - peak * np.exp(-away)).astype(np.float32))


@distortion("scene")
def moire(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Coloured bands where the camera's pixels beat with those of a screen or a halftone."""
    light = sheet.light
    turn, period = pick.uniform(0, 2 * np.pi), pick.uniform(14, 60)
    along = light.x * np.cos(turn) + light.y * np.sin(turn)
    across = light.y * np.cos(turn) - light.x * np.sin(turn)
    phase = 2 * np.pi * (along + 0.00004 * pick.uniform(0.5, 3) * across**2) / period
    apart = pick.uniform(0.5, 2.0)
    bands = np.stack([np.cos(phase + channel * apart) for channel in range(3)], axis=-1)
    light.colour((1 + 0.09 * min(strength, 2.0) * bands).astype(np.float32))


@distortion("shape")
def table(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """A table of wood or cloth beside the page, and the page's shadow on it."""
    sheet.margin = max(sheet.margin, pick.uniform(0.02, 0.07))
    colour, along_x, streaky = TABLES[int(pick.integers(len(TABLES)))], pick.random() < 0.5, pick.uniform(0, 1.2)

    def beside(seen: Sheet) -> Image.Image:
        light = Light(seen.size)
        rows, columns = light.shade.shape
        streaks = streaky * smooth_noise(pick, (rows if along_x else columns, 1), 2)
        grain = smooth_noise(pick, (rows, columns), 10) + (streaks if along_x else streaks.T)
        light.shade *= np.clip(1 + 0.09 * min(strength, 2.0) * grain, 0.3, 1.7)
        cover = seen.cover.resize((columns, rows), Image.Resampling.BOX)
        mm = seen.px_per_mm / COARSE
        x, y = (int(value) for value in pick.uniform(-3, 3, 2) * mm)
        under = ImageChops.offset(cover, x, y).filter(ImageFilter.BoxBlur(2 * mm))
        light.shade *= 1 - 0.5 * np.asarray(under, np.float32) / 255
        return light.apply(Image.new("RGB", seen.size, colour))

    sheet.beside = beside
