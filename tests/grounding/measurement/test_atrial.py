"""Atria and ventricles apart: P waves without a QRS, PP rate, PR growth, flutter."""

from __future__ import annotations

import pytest

import grounding


def rhythm(**options: object) -> tuple[grounding.Measurement, set[str]]:
    record, _ = grounding.synthesize(**options)  # type: ignore[arg-type]
    m = grounding.measure(record)
    return m, {finding.name for finding in grounding.find(m) if finding.present}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sinus_rhythm_has_one_p_for_every_qrs(seed: int) -> None:
    m, found = rhythm(rate_bpm=70, seed=seed)
    assert m.rhythm["atrial_rate_bpm"] == pytest.approx(70, abs=1)
    assert m.rhythm["p_per_qrs"] == 1.0
    assert m.rhythm["dropped_beats"] == 0
    assert m.rhythm["pr_trend_ms"] == pytest.approx(0, abs=1)
    assert not {"second_degree_av_block", "third_degree_av_block", "atrial_flutter"} & found


def test_wenckebach_grows_and_mobitz_drops() -> None:
    m, found = rhythm(rhythm="avb2_wenckebach", rate_bpm=60, seed=1)
    assert m.rhythm["atrial_rate_bpm"] == pytest.approx(60, abs=1)
    assert m.rhythm["pr_trend_ms"] == pytest.approx(30, abs=5)
    assert m.rhythm["dropped_beats"] >= 1
    assert "second_degree_av_block" in found
    m, found = rhythm(rhythm="avb2_mobitz2", rate_bpm=60, seed=1)
    assert m.rhythm["dropped_beats"] == 3
    assert m.rhythm["p_per_qrs"] == pytest.approx(10 / 7)
    assert m.rhythm["pr_trend_ms"] == pytest.approx(0, abs=1)
    assert "second_degree_av_block" in found
    assert m.evidence("atrial_rate_bpm").unit == "bpm"


@pytest.mark.parametrize("cut_ms", [40, 100])
def test_a_p_wave_whose_qrs_comes_after_the_recording_is_not_dropped(cut_ms: int) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    onsets = grounding.measure(record).beats["qrs_onset"].dropna()
    end = int(onsets.iloc[-1]) - round(cut_ms / 1000 * record.fs)
    m = grounding.measure(grounding.ECGRecord.from_array(record.signal[:, :end], record.fs, record.leads))
    assert m.rhythm["dropped_beats"] == 0
    assert m.rhythm["p_per_qrs"] == 1.0


def test_flutter_has_a_rate_and_fibrillation_has_none() -> None:
    told = [rhythm(rhythm="flutter", rate_bpm=rate, seed=seed) for rate in (60, 150) for seed in range(3)]
    flutter = [m for m, found in told if "atrial_flutter" in found]
    assert len(flutter) >= 4  # some pass for P waves: docs/measurement.md
    assert all(m.rhythm["atrial_rate_bpm"] == pytest.approx(300, abs=3) for m in flutter)
    m, found = rhythm(rhythm="af", rate_bpm=90, seed=1)
    assert m.rhythm["atrial_rate_bpm"] is None
    assert "flutter" in m.reasons["atrial_rate_bpm"]
    assert "atrial_flutter" not in found


def test_a_delineator_that_sees_no_lone_p_says_so() -> None:
    m = grounding.measure(grounding.read_record(grounding.sample_path()), delineator="classical")
    if m.rhythm["p_share"] >= 0.5:
        assert m.rhythm["dropped_beats"] is None
        assert "before a QRS only" in m.reasons["dropped_beats"]
    else:
        assert "P wave was found before" in m.reasons["dropped_beats"]
