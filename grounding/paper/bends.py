"""How the page lies and is seen: bent, folded, crumpled, turned, from aslant, fed unevenly."""

from __future__ import annotations

import numpy as np

from .kinds import distortion
from .marks import smooth_noise
from .sheet import COARSE, Field, Sheet

BESIDE_SHARE = 0.04  # of the picture at each side, where the page's edges are seen


@distortion("shape")
def bending(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """One or two wide waves of the whole page."""
    sheet.margin = max(sheet.margin, BESIDE_SHARE)
    width, height = sheet.size
    for _ in range(int(pick.integers(1, 3))):
        turn = pick.uniform(0, 2 * np.pi)
        along = (sheet.light.x * np.cos(turn) + sheet.light.y * np.sin(turn)) / max(width, height)
        wave = np.sin(2 * np.pi * (along * pick.uniform(0.5, 1.2) + pick.random()))
        sheet.relief_mm += (strength * pick.uniform(4, 9) * wave).astype(np.float32)


@distortion("shape")
def folds(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """A page that was folded once to three times: its parts are tilted, and the creases are seen."""
    sheet.margin = max(sheet.margin, BESIDE_SHARE)
    width, height = sheet.size
    ways = pick.choice(["half", "thirds", "cross", "askew"])
    lines = {
        "half": [(0.5, 0.0)],
        "thirds": [(1 / 3, 0.0), (2 / 3, 0.0)],
        "cross": [(0.5, 0.0), (0.5, np.pi / 2)],
        "askew": [(pick.uniform(0.2, 0.8), pick.uniform(0, np.pi))],
    }[str(ways)]
    turned = pick.choice([0.0, np.pi / 2])
    for part, turn in lines:
        turn += turned + pick.normal(0, 0.02)
        x, y = part * width, part * height
        across = ((sheet.light.x - x) * np.cos(turn) + (sheet.light.y - y) * np.sin(turn)) / sheet.px_per_mm
        up = pick.choice([-1, 1]) * pick.uniform(3, 7) * strength
        sheet.relief_mm += (up * (1 - np.exp(-np.abs(across) / pick.uniform(25, 50)))).astype(np.float32)
        _crease(sheet, across, 0.5 * strength)


def _crease(sheet: Sheet, across_mm: Field, strength: float) -> None:
    """The print is rubbed off along a crease, and dirt lies in it."""
    near = np.exp(-((across_mm / 0.55) ** 2))
    sheet.light.fade(np.clip(1 - strength * near, 0.1, 1).astype(np.float32))
    sheet.light.shade *= (1 - 0.35 * strength * np.exp(-(((across_mm - 0.7) / 0.6) ** 2))).astype(np.float32)


@distortion("shape")
def crumpling(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """A page that was crumpled and smoothed again: many short sharp creases, and dents between them."""
    sheet.margin = max(sheet.margin, BESIDE_SHARE)
    shape = sheet.relief_mm.shape
    coarse_per_mm = sheet.px_per_mm / COARSE
    relief = smooth_noise(pick, shape, 25 * coarse_per_mm) * pick.uniform(1.0, 2.0)
    worn = np.zeros(shape, np.float32)
    for _ in range(int(pick.integers(40, 80))):
        half = pick.uniform(12, 55) * coarse_per_mm
        wide = pick.uniform(4, 11) * coarse_per_mm
        row, column, turn = pick.uniform(0, shape[0]), pick.uniform(0, shape[1]), pick.uniform(0, np.pi)
        reach_y = half * abs(np.sin(turn)) + 3 * wide
        reach_x = half * abs(np.cos(turn)) + 3 * wide
        top, left = max(int(row - reach_y), 0), max(int(column - reach_x), 0)
        view = (slice(top, max(int(row + reach_y), top + 1)), slice(left, max(int(column + reach_x), left + 1)))
        y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
        dy, dx = (y - row)[view[0]], (x - column)[:, view[1]]
        along, across = dx * np.cos(turn) + dy * np.sin(turn), np.abs(dy * np.cos(turn) - dx * np.sin(turn))
        ends = np.clip(1 - (np.abs(along) / half) ** 2, 0, 1)
        height = pick.choice([-1, 1]) * pick.uniform(0.5, 1.8)
        relief[view] += (height * ends * np.exp(-across / wide)).astype(np.float32)
        worn[view] = np.maximum(worn[view], (abs(height) / 3 * ends * np.exp(-((across / 0.8) ** 2))))
    sheet.relief_mm += strength * relief
    sheet.light.fade(np.clip(1 - strength * worn, 0.2, 1))


@distortion("shape")
def rotation(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Turned by any angle: at strength 1 all are equally likely, else up to that share of half a turn."""
    sheet.degrees += pick.uniform(-180, 180) * min(strength, 1.0)
    sheet.margin = max(sheet.margin, BESIDE_SHARE)


@distortion("shape")
def perspective(sheet: Sheet, pick: np.random.Generator, strength: float) -> None:
    """Seen from aslant: the camera stands up to 20 degrees beside the middle, and is turned by a few."""
    about_y, about_x = pick.uniform(-1, 1, 2) * 20.0 * min(strength, 2.0) ** 0.5
    sheet.tilt_degrees = float(about_y), float(about_x)
    sheet.degrees += pick.normal(0, 1.5) * strength
    sheet.margin = max(sheet.margin, BESIDE_SHARE)
