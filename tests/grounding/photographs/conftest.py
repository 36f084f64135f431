"""Photographs of drawn pages, made here: the truth is the recording that was drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import grounding
from grounding import ECGRecord
from grounding.paper import DistortedPage, PageStyle, distort, draw

Photograph = Callable[..., Path]


def photographed(record: ECGRecord, layout: str = "3x4", seed: int = 0) -> DistortedPage:
    """A page on a table, with a grid as in print, seen a little from aslant, wavy, with a shadow, noise and blur."""
    page = draw(record, layout, px_per_mm=7, style=PageStyle(grid="red", grid_lines="printed"))
    kinds = {"perspective": 0.15, "rotation": 0.015, "bending": 0.6, "table": 0.5, "shadow": 0.9}
    return distort(page, {**kinds, "blur": 0.7, "noise": 0.5}, seed=seed)


@pytest.fixture(scope="session")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path("ptbxl_139"))


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory, record: ECGRecord) -> Photograph:
    """A photograph of a drawn page, by layout and seed; each is made once."""
    folder = tmp_path_factory.mktemp("photographs")

    def make(layout: str = "3x4", seed: int = 0) -> Path:
        path = folder / f"{layout}-{seed}.jpg"
        if not path.exists():
            photographed(record, layout, seed).image.save(path, quality=85)
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
