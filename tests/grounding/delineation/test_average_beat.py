"""The classical delineator: NeuroKit2 on average beats."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import grounding
from grounding import STANDARD_LEADS, ECGRecord, Measurement

FS = 500


def classical(signal: np.ndarray, leads: tuple[str, ...] = STANDARD_LEADS) -> Measurement:
    return grounding.measure(ECGRecord.from_array(signal, FS, leads), "classical")


@pytest.fixture(scope="module")
def steady() -> tuple[ECGRecord, Measurement]:
    record = grounding.synthesize(75, pr_ms=180, qt_ms=380, duration_s=12, noise_snr_db=25, seed=3)[0]
    return record, grounding.measure(record, "classical")


@pytest.mark.parametrize(
    "wanted",
    [
        {"rate_bpm": 60, "pr_ms": 160, "qt_ms": 410},
        {"rate_bpm": 95, "pr_ms": 140, "qt_ms": 330},
        {"rate_bpm": 50, "pr_ms": 220, "qt_ms": 440, "axis_deg": -60.0},
        {"rate_bpm": 70, "pr_ms": 170, "qrs_ms": 150.0, "qt_ms": 430, "conduction": "lbbb"},
    ],
)
def test_intervals_of_the_generator_come_back(wanted: dict) -> None:
    record, truth = grounding.synthesize(**wanted, duration_s=10, noise_snr_db=30, seed=5)
    m = grounding.measure(record, "classical")
    assert m.heart_rate == pytest.approx(truth.heart_rate, abs=1)
    for name, within in (("pr", 15), ("qrs", 30), ("qt", 25)):  # a drawn QRS has no margin, as readers leave around it
        assert m.intervals[name] == pytest.approx(truth.intervals[name], abs=within), name


def test_real_recordings_are_measured_as_the_learned_delineator_does() -> None:
    for name in ("ptbxl_102", "ptbxl_139"):
        record = grounding.read_record(grounding.sample_path(name))
        ours, learned = grounding.measure(record, "classical"), grounding.measure(record)
        assert abs(len(ours.beats) - len(learned.beats)) <= 1, name  # NeuroKit2 needs more than 30 ms before an R
        for interval, within in (("pr", 20), ("qrs", 20), ("qt", 30)):
            assert ours.intervals[interval] == pytest.approx(learned.intervals[interval], abs=within), (name, interval)


def test_a_lead_upside_down_or_missing_changes_little(steady: tuple[ECGRecord, Measurement]) -> None:
    record, before = steady
    signal = record.signal.copy()
    signal[7] = -signal[7]
    signal[4] = np.nan
    m = classical(signal)
    for name in ("pr", "qrs", "qt"):
        assert m.intervals[name] == pytest.approx(before.intervals[name], abs=10), name
    assert m.waves.query("lead == 'aVL'")["onset"].isna().all()


def test_nothing_is_measured_where_something_is_missing(steady: tuple[ECGRecord, Measurement]) -> None:
    record, before = steady
    signal = record.signal.copy()
    signal[:, 4 * FS : 6 * FS] = np.nan  # all leads
    signal[2, 8 * FS : 9 * FS] = np.nan  # one
    m = classical(signal)
    assert not ((m.beats["r_s"] > 4) & (m.beats["r_s"] < 6)).any()
    assert m.heart_rate == pytest.approx(before.heart_rate, abs=1)
    for name in ("pr", "qrs", "qt"):
        assert m.intervals[name] == pytest.approx(before.intervals[name], abs=10), name
    third = m.waves.query("lead == 'III'")
    places = third[["onset", "offset"]].to_numpy() / FS
    assert not ((places > 8.01) & (places < 8.99)).any()
    for wave, rows in m.waves.groupby("wave"):
        assert not ((rows["onset"] < 4 * FS) & (rows["offset"] > 6 * FS)).any(), wave


def test_beats_of_another_shape_have_boundaries_of_their_own() -> None:
    record, _ = grounding.synthesize(70, ectopy=("pvc", 4), duration_s=12, noise_snr_db=30, seed=2)
    m = grounding.measure(record, "classical")
    kinds = m.beats["type"] == "premature_ventricular"
    assert kinds.sum() >= 2
    width = m.beats["qrs_ms"]
    assert width[kinds].median() > width[~kinds].median() + 25


def test_no_p_waves_in_fibrillation() -> None:
    shares = []
    for seed in range(4):
        record, _ = grounding.synthesize(90, rhythm="af", duration_s=10, noise_snr_db=30, seed=seed)
        shares.append(grounding.measure(record, "classical").rhythm["p_share"])
    assert np.median(shares) <= 0.25, shares


def test_one_lead_and_few_beats_are_measured(steady: tuple[ECGRecord, Measurement]) -> None:
    record, before = steady
    one = classical(record.signal[1:2], ("II",))
    assert one.intervals["qrs"] == pytest.approx(before.intervals["qrs"], abs=25)
    short = classical(record.signal[:, : 3 * FS])
    assert short.intervals["qt"] == pytest.approx(before.intervals["qt"], abs=30)


def test_neurokit_is_imported_only_where_it_is_used() -> None:
    code = """
import sys, grounding
record = grounding.read_record(grounding.sample_path())
grounding.measure(record)
assert "neurokit2" not in sys.modules
grounding.measure(record, "classical")
assert "neurokit2" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
