"""A wave is reported only if it exceeds the noise."""

from __future__ import annotations

import numpy as np
import pytest

import grounding
from grounding import STANDARD_LEADS, ECGRecord

FS = 500


def bumps(t_mv: float, p_mv: float, noise_mv: float, leads: int, seed: int = 0) -> ECGRecord:
    """QRS complexes, with P and T waves of a given height, on noise."""
    rng, n = np.random.default_rng(seed), 10 * FS
    x = np.zeros(n)

    def add(at: int, mv: float, ms: float) -> None:
        width = round(ms * FS / 1000)
        x[at : at + width] += mv * np.sin(np.pi * np.arange(width) / width) ** 2

    for start in range(200, n - 350, 400):
        add(start - 80, p_mv, 90)
        add(start, 1.0, 50)
        add(start + 22, -0.4, 50)
        add(start + 110, t_mv, 160)
    gains = np.linspace(0.6, 1.4, leads)[:, None]
    return ECGRecord.from_array(gains * x + rng.normal(0, noise_mv, (leads, n)), FS, STANDARD_LEADS[:leads])


@pytest.mark.parametrize("leads", [1, 2, 12])
@pytest.mark.parametrize("noise_mv", [0.0, 0.002, 0.005, 0.01])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_t_wave_where_there_is_none(leads: int, noise_mv: float, seed: int) -> None:
    m = grounding.measure(bumps(0.0, 0.0, noise_mv, leads, seed))
    assert len(m.beats) >= 11
    assert m.intervals["qt"] is None
    assert m.intervals["pr"] is None
    assert m.waves[m.waves["wave"] != "QRS"]["onset"].isna().all()
    assert m.reasons["qt"] in ("no T wave stands out of the noise", "the boundaries of the T wave were not found")


@pytest.mark.parametrize("leads", [1, 12])
def test_small_waves_are_still_seen(leads: int) -> None:
    m = grounding.measure(bumps(0.12, 0.08, 0.005, leads))
    assert m.intervals["qt"] is not None
    assert m.beats["p_present"].mean() > 0.8


def test_real_recordings_keep_their_waves() -> None:
    for name in grounding.readers.sample_names():
        m = grounding.measure(grounding.read_record(grounding.sample_path(name)))
        assert m.intervals["qt"] is not None, name
        assert not any("stands out" in reason for reason in m.reasons.values()), name
