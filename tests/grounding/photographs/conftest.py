"""Photographs of drawn pages, made here: the truth is the recording that was drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import grounding
from grounding import ECGRecord
from grounding.paper import draw

Photograph = Callable[..., Path]


def bent(page: np.ndarray, seed: int, tilt: float = 0.06, degrees: float = 3.0, wave_px: float = 6.0) -> np.ndarray:
    """A page (height, width, 3) on a dark table: in perspective, turned, wavy, with a shadow, noise and blur."""
    pick = np.random.default_rng(seed)
    height, width = page.shape[:2]
    rows, columns = int(height * 1.15), int(width * 1.15)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    u, v = x / columns - 0.5, y / rows - 0.5
    depth = 1 + tilt * u + 0.7 * tilt * v
    angle = np.radians(degrees)
    a, b = (u * np.cos(angle) + v * np.sin(angle)) / depth, (v * np.cos(angle) - u * np.sin(angle)) / depth
    at_x = (a * 1.15 + 0.5) * width + wave_px * np.sin(7 * v + 3 * u)
    at_y = (b * 1.15 + 0.5) * height + wave_px * np.sin(6 * u + 1)
    inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
    shadow = 1 - 0.35 / (1 + np.exp(-(u - v + 0.1) * 25))
    out = np.empty((rows, columns, 3))
    for channel in range(3):
        plane = ndimage.map_coordinates(page[..., channel].astype(np.float64), [at_y, at_x], order=1, mode="nearest")
        out[..., channel] = np.where(inside, plane * shadow, 40.0)
        out[..., channel] = ndimage.gaussian_filter(out[..., channel], 0.7)
    return (out + pick.normal(0, 3, out.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path("ptbxl_139"))


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory, record: ECGRecord) -> Photograph:
    """A photograph of a drawn page, by layout and seed; each is made once."""
    folder = tmp_path_factory.mktemp("photographs")

    def make(layout: str = "3x4", seed: int = 0, **more: float) -> Path:
        path = folder / f"{layout}-{seed}-{'-'.join(map(str, more.values()))}.jpg"
        if not path.exists():
            Image.fromarray(bent(np.asarray(draw(record, layout, px_per_mm=7).image), seed, **more)).save(
                path, quality=85
            )
        return path

    return make


@pytest.fixture(scope="session")
def read(photograph: Photograph) -> ECGRecord:
    """The first photograph, read once."""
    return grounding.read_record(photograph())


def snr_db(truth: ECGRecord, read: ECGRecord, shift_s: float = 0.1) -> float:
    """Power of the drawn signal against that of the error, over what was read, at the best common shift."""
    fs, best = 500, -99.0
    for shift in range(-int(shift_s * fs), int(shift_s * fs) + 1, 2):
        power = error = 0.0
        for lead in read.leads:
            want, got = truth.lead(lead), read.lead(lead)
            n = min(len(want), len(got))
            got = np.roll(got[:n], shift)
            known = np.isfinite(got) & np.isfinite(want[:n])
            a, b = want[:n][known], got[known]
            power += float(((a - a.mean()) ** 2).sum())
            error += float(((a - a.mean() - b + b.mean()) ** 2).sum())
        best = max(best, 10 * np.log10(power / error))
    return best
