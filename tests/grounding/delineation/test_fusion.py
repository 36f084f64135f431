"""Fusion of leads and beats on values with known results; P waves and fibrillatory waves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import grounding
from grounding.delineation.fusion import (
    MIN_CORRELATION_BEFORE,
    clinical_boundaries,
    corrected_qt,
    correlation_before_qrs,
    frontal_axis,
    fuse,
    interquartile_mean,
    mean_correlation,
)
from grounding.delineation.types import Boundaries
from grounding.synthetic import Rhythm, synthesize


@pytest.mark.parametrize(("rhythm", "has_p"), [("sinus", True), ("af", False)])
def test_beats_look_alike_before_the_qrs_where_there_are_p_waves(rhythm: Rhythm, has_p: bool) -> None:
    record, truth = synthesize(
        75, rhythm=rhythm, rr_sd_ms=100.0 if has_p else 0.0, noise_snr_db=20.0, duration_s=20.0, seed=1
    )
    signal = record.resample(250.0).signal
    waves = truth.waves
    onsets = waves[waves["wave"] == "QRS"]["onset"].to_numpy(float) / 2
    assert (correlation_before_qrs(signal, onsets) >= MIN_CORRELATION_BEFORE) == has_p
    assert correlation_before_qrs(signal, np.array([10.0, np.nan, 400.0])) == 0.0  # one beat has room before it


@pytest.mark.parametrize(("name", "beats_with_p"), [("ptbxl_13", 12), ("ptbxl_102", 13)])
def test_an_irregular_sinus_rhythm_keeps_its_p_waves(name: str, beats_with_p: int) -> None:
    """A real recording with up to 0.5 s of pause before each P wave, and P waves in II, III and aVF only."""
    record = grounding.read_record(grounding.sample_path(name))
    beats = grounding.measure(record).beats.dropna(subset=["p_onset", "p_offset"])
    signal, rng, parts, last = record.signal.copy(), np.random.default_rng(0), [], 0
    for onset, offset in beats[["p_onset", "p_offset"]].astype(int).itertuples(index=False):
        first, end = onset - 6, offset + 6
        for row in (0, 3, 4, 6, 7, 8, 9, 10, 11):
            signal[row, first:end] = np.linspace(signal[row, first], signal[row, end], end - first)
        pause = np.repeat(signal[:, first - 1 : first], int(rng.uniform(0, 0.5) * record.fs), axis=1)
        parts += [signal[:, last:first], pause]
        last = first
    longer = np.concatenate([*parts, signal[:, last:]], axis=1)
    found = grounding.measure(grounding.ECGRecord.from_array(longer, record.fs, record.leads))
    assert found.rhythm["rr_cv"] > 0.1
    assert found.beats["p_present"].sum() == beats_with_p
    assert "atrial_fibrillation" not in {finding.name for finding in grounding.find(found) if finding.present}


def test_early_atrial_beats_leave_the_others_p_waves(shared: Path) -> None:
    """Early atrial beats between sinus beats, P waves clear in II only."""
    beats = grounding.measure(grounding.read_record(shared / "data" / "challenge" / "JS20052.hea")).beats
    assert beats["p_present"].sum() >= 4


def test_muscle_noise_hardly_widens_the_qrs() -> None:
    record = grounding.read_record(grounding.sample_path())
    before = grounding.measure(record).intervals["qrs"]
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=record.signal.shape), axis=1)
    spectrum[:, np.fft.rfftfreq(record.n_samples, 1 / record.fs) < 20] = 0
    noise = np.fft.irfft(spectrum, record.n_samples, axis=1)
    noise *= record.signal.std() * 10 ** (-5 / 20) / noise.std()  # 5 dB
    measured = grounding.measure(grounding.ECGRecord.from_array(record.signal + noise, record.fs, record.leads))
    assert any("noise" in issues for issues in measured.quality["issues"])
    assert before is not None
    assert measured.intervals["qrs"] == pytest.approx(before, abs=12.0)


@pytest.mark.parametrize(
    ("qt", "rr", "expected"),
    [
        (400, 1000, (400.0, 400.0, 400.0, 400.0)),  # at 60 bpm all four leave QT as it is
        (
            360,
            640,
            (450.0, 417.7, 415.4, 419.1),
        ),  # worked by hand: 360/0.8, 360/0.64^(1/3), 360+154*0.36, 360+1.75*33.75
        (480, 1500, (391.9, 419.3, 403.0, 445.0)),
    ],
)
def test_corrected_qt(qt: float, rr: float, expected: tuple[float, ...]) -> None:
    found = corrected_qt(qt, rr)
    assert list(found) == ["qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges"]
    assert list(found.values()) == pytest.approx(expected, abs=0.06)
    assert set(corrected_qt(None, rr).values()) == set(corrected_qt(qt, None).values()) == {None}


@pytest.mark.parametrize("degrees", [-150, -60, 0, 30, 90, 150])
def test_frontal_axis_turns_all_the_way_round(degrees: float) -> None:
    angle = np.radians(degrees)  # of a dipole; aVF sees sqrt(3)/2 of what a limb lead of the same length would
    assert frontal_axis(np.cos(angle), np.sin(angle) * np.sqrt(3) / 2) == pytest.approx(degrees)


def test_the_interquartile_mean_is_robust_and_does_not_jump() -> None:
    plain = np.array([400.0, 402, 398, 401, 399, 400])
    assert interquartile_mean(plain) == pytest.approx(400)
    assert interquartile_mean(np.append(plain, 3000.0)) == pytest.approx(400.3, abs=0.3)
    two_sorts = np.array([400.0] * 4 + [420.0] * 4)
    one_less = two_sorts[1:]
    assert abs(np.median(one_less) - np.median(two_sorts)) == 10
    assert abs(interquartile_mean(one_less) - interquartile_mean(two_sorts)) < 3.5
    assert interquartile_mean(np.array([410.0])) == 410


def test_mean_correlation_distinguishes_beats_from_noise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(10, 200))
    assert abs(mean_correlation(noise)) < 0.1
    assert mean_correlation(noise[:1] + 0.3 * noise) > 0.8
    columns = np.full((10, 400), np.nan)  # one lead recorded in the first half, another in the second
    columns[:5, :200], columns[5:, 200:] = noise[:1] + 0.3 * noise[:5], noise[1:2] + 0.3 * noise[5:]
    assert mean_correlation(columns) > 0.8
    columns[:5, :200], columns[5:, 200:] = noise[:5], noise[5:]
    assert abs(mean_correlation(columns)) < 0.15


def test_clinical_boundaries_lie_where_the_usual_lead_has_them() -> None:
    """Four of twelve leads begin earlier: the extent is the second of them, the clinical onset a third of the leads."""
    onsets = np.array([90.0, 92, 94, 96, 100, 100, 100, 100, 100, 100, 100, 100])
    table = np.stack([onsets, np.full(12, np.nan), 220 - onsets], axis=1)[:, None]
    beats = np.array([105])
    found = Boundaries(beats, table - 50, table, table + 60)
    extents = fuse(found, np.zeros((12, 400)), np.empty(0), np.array([12]))
    edges = clinical_boundaries(found, extents)
    assert extents["p_onset"] == pytest.approx([42])  # the extent of P is not corrected by the slope
    assert edges["qrs_onset"] == pytest.approx([96 + (100 - 96) * (11 / 3 - 3)])
    assert edges["qrs_offset"] == pytest.approx(220 - edges["qrs_onset"])
    assert edges["p_onset"] == pytest.approx([94 + (96 - 94) * 0.75 - 50])
    one = Boundaries(beats, table[:1] - 50, table[:1], table[:1] + 60)
    assert clinical_boundaries(one, extents)["qrs_onset"] == pytest.approx([90])  # one lead is the record
    none = {edge: np.full(1, np.nan) for edge in extents}
    assert all(np.isnan(values).all() for values in clinical_boundaries(found, none).values())
