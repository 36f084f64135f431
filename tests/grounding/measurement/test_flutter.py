"""Regular atrial waves: found where they are, at fixed ratios too, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from grounding.measurement.flutter import regular_waves

FS = 250
T_END = 0.26 * FS
RNG = np.random.default_rng(0)


def recording(rr_s: list[float], waves_per_s: float, wave_mv: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(3 leads, 10 s), QRS onsets and offsets: narrow QRS, T waves that end at 0.24 s, and an independent saw-tooth."""
    n = 10 * FS
    time = np.arange(n) / FS
    onsets = 0.2 + np.concatenate([[0.0], np.cumsum(np.resize(rr_s, 40))])
    onsets = onsets[onsets < 9.5]
    signal = np.zeros((3, n))
    for onset in onsets:
        signal += np.exp(-(((time - onset - 0.04) / 0.012) ** 2)) * np.array([[1.0], [0.6], [-0.8]])
        signal += 0.2 * np.exp(-(((time - onset - 0.17) / 0.03) ** 2)) * np.array([[1.0], [0.5], [0.7]])
    saw = (time * waves_per_s) % 1.0
    signal += wave_mv * (saw - saw.mean()) * np.array([[-1.0], [-0.8], [0.5]])
    signal += 0.01 * RNG.normal(size=signal.shape)
    return signal, onsets * FS, (onsets + 0.08) * FS


def look(*args: object) -> tuple[float, float, float]:
    signal, onsets, offsets = recording(*args)  # type: ignore[arg-type]
    found = regular_waves(signal, onsets, offsets, T_END, np.ones(len(onsets), bool))
    assert found is not None
    return 60 * found.rate_hz, found.explained, found.lag_correlation


@pytest.mark.parametrize("rr_s", [[0.8], [0.4, 0.8], [0.6, 0.8, 1.0], [0.8, 0.4, 0.6, 0.6]])
def test_waves_of_300_per_minute_are_found_whatever_their_conduction(rr_s: list[float]) -> None:
    rate, explained, _ = look(rr_s, 5.0, 0.2)
    assert rate == pytest.approx(300, abs=3)
    assert explained > 0.6


def test_two_to_one_is_like_itself_one_wave_later() -> None:
    rate, _, lag_correlation = look([0.4], 5.0, 0.25)
    assert rate == pytest.approx(300, abs=3)
    assert lag_correlation > 0.6


@pytest.mark.parametrize("rr_s", [[0.8], [0.62, 0.9, 0.71, 1.1]])
def test_where_there_are_none_little_is_explained(rr_s: list[float]) -> None:
    assert look(rr_s, 5.0, 0.0)[1] < 0.3


def test_waves_whose_rate_wanders_are_explained_less() -> None:
    signal, onsets, offsets = recording([0.7, 0.9, 0.6, 1.0], 5.0, 0.0)
    time = np.arange(signal.shape[1]) / FS
    phase = np.cumsum(6.0 + 1.5 * np.sin(2 * np.pi * 0.37 * time) + np.sin(2 * np.pi * 0.91 * time)) / FS
    signal += 0.1 * np.sin(2 * np.pi * phase)
    found = regular_waves(signal, onsets, offsets, T_END, np.ones(len(onsets), bool))
    assert found is not None
    assert found.explained < 0.4


def test_beats_of_another_shape_are_left_out() -> None:
    signal, onsets, offsets = recording([0.8], 5.0, 0.2)
    strange = np.arange(len(onsets)) % 4 == 2
    time = np.arange(signal.shape[1]) / FS
    for onset in onsets[strange] / FS:
        signal += 2.0 * np.exp(-(((time - onset - 0.08) / 0.04) ** 2)) - 1.2 * np.exp(
            -(((time - onset - 0.18) / 0.03) ** 2)
        )
    with_them = regular_waves(signal, onsets, offsets, T_END, np.ones(len(onsets), bool))
    without = regular_waves(signal, onsets, offsets, T_END, ~strange)
    assert with_them is not None
    assert without is not None
    assert 60 * without.rate_hz == pytest.approx(300, abs=3)
    assert without.explained > with_them.explained + 0.2


def test_too_little_to_look_at_is_none() -> None:
    signal, onsets, offsets = recording([0.8], 5.0, 0.2)
    usual = np.ones(len(onsets), bool)
    assert regular_waves(signal[:, : 3 * FS], onsets[:3], offsets[:3], 100, usual[:3]) is None
    assert regular_waves(signal, np.full(len(onsets), np.nan), offsets, 100, usual) is None


def test_a_long_recording_is_looked_at_in_stretches() -> None:
    """Over a minute the phase is lost; within ten seconds it is not."""
    signal, onsets, offsets = recording([0.8], 5.0, 0.2)
    other, *_ = recording([0.8], 5.1, 0.2)
    both = np.concatenate([signal, other], axis=1)
    on, off = (np.concatenate([x, x + signal.shape[1]]) for x in (onsets, offsets))
    found = regular_waves(both, on, off, T_END, np.ones(len(on), bool))
    assert found is not None
    assert found.explained > 0.6
