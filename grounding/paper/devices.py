"""What a camera, a scanner, a fax machine and a JPEG file do to a picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from .kinds import distortion
from .sheet import Sheet

FAX_PX_PER_MM = (8.04, 3.85)  # ITU-T T.4: 1728 points on 215 mm, 3.85 lines per mm, or twice as many
GRAIN_PX = 640  # a camera's noise is repeated after so many pixels: making it anew takes longer than all else


@distortion("shape")
def uneven_feed(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """A scanner or printer that does not move the paper evenly: rows are stretched here and pressed together there."""
    rows = np.arange(2 * max(sheet.size))
    drift = sum(
        pick.uniform(0.2, 0.6) * np.sin(2 * np.pi * (rows / (pick.uniform(25, 120) * sheet.px_per_mm) + pick.random()))
        for _ in range(3)
    )
    sheet.feed_px = np.asarray(drift, np.float64) * strength * sheet.px_per_mm * 0.5


@distortion("device")
def blur(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Out of focus: a point becomes a spot, here a square one."""
    sheet.image = sheet.image.filter(ImageFilter.BoxBlur(pick.uniform(0.6, 1.6) * strength))


@distortion("device")
def noise(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """The noise of a camera's sensor in poor light, of brightness and a little of colour."""
    level = pick.uniform(3, 9) * strength
    grain = pick.standard_normal((GRAIN_PX, GRAIN_PX, 1), np.float32)
    colour = pick.standard_normal((GRAIN_PX // 2, GRAIN_PX // 2, 3), np.float32).repeat(2, 0).repeat(2, 1)
    levels = np.clip(128.5 + level * (grain + colour / 3), 0, 255).astype(np.uint8)
    width, height = sheet.size
    whole = Image.fromarray(np.tile(levels, (-(-height // GRAIN_PX), -(-width // GRAIN_PX), 1))[:height, :width])
    sheet.image = ImageChops.add(sheet.image, whole, 1, -128)


@distortion("device")
def scanner_lines(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Dust on a scanner's glass: streaks over the whole picture, and bands of different brightness."""
    width, height = sheet.size
    upright = bool(pick.random() < 0.5)
    length = width if upright else height
    factor = 1 + 0.03 * strength * np.sin(2 * np.pi * np.arange(length) / pick.uniform(20, 90))
    tint = np.ones((length, 3))
    for _ in range(max(1, int(pick.poisson(6 * strength)))):
        at, wide = int(pick.integers(length)), int(pick.integers(1, 4))
        tint[at : at + wide] *= 1 - strength * pick.uniform(0.05, 0.5) * pick.dirichlet([2, 2, 2]) * 1.5
    profile = np.clip(factor[:, None] * tint / 1.03 * 255, 0, 255).astype(np.uint8)
    streaks = Image.fromarray(profile[None, :, :] if upright else profile[:, None, :])
    sheet.image = ImageChops.multiply(sheet.image, streaks.resize((width, height), Image.Resampling.NEAREST))


@distortion("device")
def fax(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Sent by fax: black and white, by a threshold or dots, at the machine's resolution, with lost lines."""
    width, height = sheet.size
    lines = 1 if pick.random() < 0.4 * strength else 2
    size = tuple(
        max(1, round(side / sheet.px_per_mm * per_mm))
        for side, per_mm in zip((width, height), (FAX_PX_PER_MM[0], FAX_PX_PER_MM[1] * lines), strict=True)
    )
    grey = sheet.image.convert("L").resize((size[0], size[1]), Image.Resampling.BILINEAR)
    if pick.random() < 0.6:
        black = grey.convert("1")  # dots, by the diffusion of errors
    else:
        white = float(np.percentile(np.asarray(grey)[::8, ::8], 80))
        black = grey.point(lambda value: 255 * (value > white * 0.88), "1")
    points = np.array(black)
    for _ in range(int(pick.poisson(3 * strength))):
        row = int(pick.integers(1, size[1]))
        points[row] = points[row - 1] if pick.random() < 0.7 else True
    whole = Image.fromarray((points * np.uint8(255)).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    sheet.image = whole.convert("RGB")


@distortion("device")
def jpeg(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Compressed by JPEG, at strength 1 with a quality of 15 to 50."""
    quality = int(np.clip(95 - strength * pick.uniform(45, 80), 5, 95))
    out = io.BytesIO()
    sheet.image.save(out, "JPEG", quality=quality)
    sheet.image = Image.open(out).convert("RGB")
