"""Measurement on real records, on synthetic ones with exact truth, and on recordings that can't be measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import grounding
from grounding.measurement import delineators, measure_many
from grounding.measurement.result import (
    BEAT_COLUMNS,
    INTERVALS,
    LEAD_FEATURE_COLUMNS,
    LEAD_SUMMARY_COLUMNS,
    WAVE_COLUMNS,
)


@pytest.fixture(scope="module")
def record() -> grounding.ECGRecord:
    return grounding.read_record(grounding.sample_path())


@pytest.fixture(scope="module")
def measured(record: grounding.ECGRecord) -> grounding.Measurement:
    return grounding.measure(record)


def test_tables_have_the_columns_that_are_promised(measured: grounding.Measurement) -> None:
    assert tuple(measured.waves.columns) == WAVE_COLUMNS
    assert tuple(measured.beats.columns) == BEAT_COLUMNS
    assert tuple(measured.lead_features.columns) == LEAD_FEATURE_COLUMNS
    assert tuple(measured.lead_summary.columns) == LEAD_SUMMARY_COLUMNS
    assert len(measured.waves) == 12 * 3 * len(measured.beats)
    assert tuple(measured.intervals) == INTERVALS
    json.dumps(measured.to_dict(), allow_nan=False)


def test_every_missing_value_has_a_reason() -> None:
    for name in grounding.readers.sample_names():
        m = grounding.measure(grounding.read_record(grounding.sample_path(name)))
        missing = [key for key, value in {**m.intervals, **m.rhythm}.items() if value is None]
        missing += ["axis"] if m.axis is None else []
        assert all(m.reasons.get(key) for key in missing), (name, missing)


@pytest.mark.parametrize(
    ("rate", "pr", "qrs", "qt", "axis"), [(60, 160, 96, 400, 45), (90, 210, 110, 350, -45), (75, 130, 90, 380, 100)]
)
def test_synthetic_truth(rate: float, pr: float, qrs: float, qt: float, axis: float) -> None:
    record, _ = grounding.synthesize(rate_bpm=rate, pr_ms=pr, qrs_ms=qrs, qt_ms=qt, axis_deg=axis, seed=1)
    m = grounding.measure(record)
    assert m.heart_rate == pytest.approx(rate, abs=1)
    assert m.intervals["pr"] == pytest.approx(pr, abs=25)
    # cardiologists, from whom the network learned, bound a QRS wider than the generator's waves reach: 28-34 ms, see docs
    assert m.intervals["qrs"] == pytest.approx(qrs + 30, abs=15)
    assert m.intervals["qt"] == pytest.approx(qt + 20, abs=20)
    assert m.axis == pytest.approx(axis, abs=20)


@pytest.mark.parametrize("name", ["learned", "classical", "nk_prominence"])
def test_registered_delineators_measure(record: grounding.ECGRecord, name: str) -> None:
    m = grounding.measure(record, delineator=name)
    assert m.heart_rate == pytest.approx(83, abs=2)
    assert 60 < m.intervals["qrs"] < 130
    assert name in m.methods["qrs"]


def test_an_unknown_delineator_names_the_nearest(record: grounding.ECGRecord) -> None:
    with pytest.raises(grounding.EcgRegistryError, match="learned"):
        grounding.measure(record, delineator="learnt")
    assert {"learned", "classical", "nk_dwt"} <= set(delineators)


@pytest.mark.parametrize("fs", [125, 250, 1000, 2000])
def test_sampling_rate_moves_no_interval_by_more_than_one_sample(
    record: grounding.ECGRecord, measured: grounding.Measurement, fs: float
) -> None:
    other = grounding.measure(record.resample(fs))
    for name in ("pr", "qrs", "qt"):
        assert other.intervals[name] == pytest.approx(measured.intervals[name], abs=max(4.0, 1000 / fs))
    assert other.axis == pytest.approx(measured.axis, abs=1)


def test_units_offset_and_lead_order_change_nothing(
    record: grounding.ECGRecord, measured: grounding.Measurement
) -> None:
    turned = grounding.ECGRecord.from_array(
        (record.signal[::-1] + 0.4) * 1000, record.fs, record.leads[::-1], units="uV", record_id="turned"
    )
    other = grounding.measure(turned)
    for name in ("rr", "pr", "qrs", "qt"):
        assert other.intervals[name] == pytest.approx(measured.intervals[name], abs=2)
    assert other.axis == pytest.approx(measured.axis, abs=0.5)


def test_what_cannot_be_measured_is_none_with_a_reason() -> None:
    flat = grounding.measure(grounding.ECGRecord.from_array(np.zeros((12, 5000)), 500, grounding.STANDARD_LEADS))
    assert all(value is None for value in flat.intervals.values())
    assert "flat" in flat.reasons["pr"]
    assert len(flat.beats) == 0
    short = grounding.measure(
        grounding.ECGRecord.from_array(np.random.default_rng(0).normal(size=(1, 60)), 500, ["II"])
    )
    assert "0.12 s" in short.reasons["qt"]


def test_one_lead_two_seconds_and_nan_still_measure(record: grounding.ECGRecord) -> None:
    one = grounding.measure(record.select(["II"]))
    assert one.intervals["qrs"] is not None
    assert one.axis is None
    assert "limb leads" in one.reasons["axis"]
    assert grounding.measure(record.crop(0, 2)).heart_rate is not None
    holes = record.signal.copy()
    holes[3] = np.nan
    holes[5, 1000:1500] = np.nan
    m = grounding.measure(grounding.ECGRecord.from_array(holes, record.fs, record.leads))
    assert m.intervals["pr"] == pytest.approx(grounding.measure(record).intervals["pr"], abs=6)
    assert not m.quality.set_index("lead").loc["aVR", "usable"]


def test_fifty_hertz_gives_rate_but_no_boundaries(record: grounding.ECGRecord) -> None:
    m = grounding.measure(record.resample(50))
    assert m.heart_rate == pytest.approx(83, abs=2)
    assert m.intervals["qt"] is None
    assert "50 Hz" in m.reasons["qt"]


def test_evidence_points_at_the_beats(measured: grounding.Measurement) -> None:
    evidence = measured.evidence("pr")
    assert evidence.value == measured.intervals["pr"]
    assert len(evidence.spans_s) == len(evidence.beats) > 5
    lengths = [1000 * (end - start) for start, end in evidence.spans_s]
    assert np.median(lengths) == pytest.approx(evidence.value, abs=8)


def test_processes_give_the_same(record: grounding.ECGRecord, measured: grounding.Measurement) -> None:
    many = measure_many([record, record.crop(0, 5)], n_jobs=2)
    assert dict(many[0].intervals) == dict(measured.intervals)


def test_ludb_boundaries_agree_with_cardiologists(shared: Path) -> None:
    """A sanity bound on training records, not a figure to quote: docs/measurement.md has the cross-validated ones."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("ludb_score", shared / "score" / "ludb.py")
    assert spec is not None
    assert spec.loader is not None
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    result = score.score(shared / "data" / "ludb", "grounding", limit=8)
    assert result["total"]["se40"] > 90
    assert result["total"]["ppv40"] > 90
    assert result["intervals"]["pr"]["mae_ms"] < 15


def test_time_shift_copies_and_100_hz_move_no_interval(
    record: grounding.ECGRecord, measured: grounding.Measurement
) -> None:
    for shift in (1, 2, 7):
        other = grounding.measure(grounding.ECGRecord.from_array(record.signal[:, shift:], record.fs, record.leads))
        for name in ("pr", "qrs", "qt"):
            assert other.intervals[name] == pytest.approx(measured.intervals[name], abs=4), (
                shift,
                name,
            )  # one sample of the 250 Hz that are analysed
    # ten seconds twice over: the seam may cost a beat
    twice = grounding.measure(
        grounding.ECGRecord.from_array(np.concatenate([record.signal, record.signal], axis=1), record.fs, record.leads)
    )
    for name in ("pr", "qrs", "qt"):
        assert twice.intervals[name] == pytest.approx(measured.intervals[name], abs=4)
    coarse = grounding.measure(record.resample(100))
    for name in ("pr", "qrs", "qt"):
        assert coarse.intervals[name] == pytest.approx(measured.intervals[name], abs=10)


def test_a_measurement_comes_back_from_json(measured: grounding.Measurement) -> None:
    back = grounding.Measurement.from_dict(json.loads(json.dumps(measured.to_dict())))
    assert back.to_dict() == measured.to_dict()
    assert [f.to_dict() for f in grounding.find(back)] == [f.to_dict() for f in grounding.find(measured)]
    short = grounding.Measurement.from_dict(measured.to_dict(tables=False))
    assert len(short.beats) == 0
    assert tuple(short.waves.columns) == WAVE_COLUMNS
    with pytest.raises(grounding.EcgFormatError, match="to_dict"):
        grounding.Measurement.from_dict({"record_id": "x"})


@pytest.mark.parametrize(("leads", "size_mv"), [(12, 0.02), (12, 0.1), (1, 0.05)])
def test_noise_has_no_beats(leads: int, size_mv: float) -> None:
    for seed in range(3):
        noise = size_mv * np.random.default_rng(seed).normal(size=(leads, 5000))
        m = grounding.measure(grounding.ECGRecord.from_array(noise, 500, grounding.STANDARD_LEADS[:leads]))
        assert m.heart_rate is None
        assert m.reasons["heart_rate"]
        assert len(m.beats) == 0
