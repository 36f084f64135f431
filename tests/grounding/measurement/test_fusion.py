"""P waves told from fibrillatory waves by what comes before each QRS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import grounding
from grounding.measurement.fusion import SAME_BEFORE, alike_before
from grounding.synthetic import Rhythm, synthesize


@pytest.mark.parametrize(("rhythm", "has_p"), [("sinus", True), ("af", False)])
def test_beats_look_alike_before_the_qrs_where_there_are_p_waves(rhythm: Rhythm, has_p: bool) -> None:
    record, truth = synthesize(
        75, rhythm=rhythm, rr_sd_ms=100.0 if has_p else 0.0, noise_snr_db=20.0, duration_s=20.0, seed=1
    )
    signal = record.resample(250.0).signal
    waves = truth.waves
    onsets = waves[waves["wave"] == "QRS"]["onset"].to_numpy(float) / 2
    assert (alike_before(signal, onsets) >= SAME_BEFORE) == has_p
    assert alike_before(signal, np.array([10.0, np.nan, 400.0])) == 0.0  # one beat has room before it


def test_an_irregular_sinus_rhythm_keeps_its_p_waves(shared: Path) -> None:
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
