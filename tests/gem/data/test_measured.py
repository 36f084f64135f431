"""Measured values to learn: what is known of a record in its place, NaN where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

import grounding
from gem.data.measured import NAMES, measured, standardize
from gem.data.samples import Sample
from grounding.synthetic import synthesize


def sample_of(record: grounding.ECGRecord, age: float | None = 300.0) -> Sample:
    return Sample("1", "1", 1, age, "male", ("NORM",), (), (), (), {}, "", "raw", lambda: record)


def test_values_stand_under_their_names() -> None:
    record, truth = synthesize(rate_bpm=60, pr_ms=180)
    values = dict(zip(NAMES, measured(sample_of(record)), strict=True))
    assert values["rr"] == pytest.approx(1000, abs=5)
    assert values["pr"] == pytest.approx(truth.intervals["pr"], abs=25)
    assert values["age"] == 92.0
    assert values["male"] == 1.0
    # a z-scored encoder sees no millivolts, so it is not asked for any
    assert np.isnan(values["II qrs_amplitude_mv"])
    scored = grounding.ECGRecord.from_array(
        record.signal / record.signal.std(1, keepdims=True), record.fs, record.leads, units="zscore"
    )
    assert dict(zip(NAMES, measured(sample_of(scored)), strict=True))["II qrs_amplitude_mv"] > 1
    # and the other way round in one of millivolts
    in_mv = dict(zip(NAMES, measured(sample_of(record), millivolts=True), strict=True))
    usual = grounding.measure(record).lead_features.query("lead == 'II'")["qrs_amplitude_mv"].median()
    assert in_mv["II qrs_amplitude_mv"] == pytest.approx(usual, rel=1e-5)
    unknown = dict(zip(NAMES, measured(sample_of(scored), millivolts=True), strict=True))
    assert np.isnan(unknown["II qrs_amplitude_mv"])
    assert unknown["rr"] == pytest.approx(1000, abs=5)


def test_what_cannot_be_measured_is_nan() -> None:
    flat = grounding.ECGRecord.from_array(np.zeros((12, 5000), np.float32), 500.0, grounding.STANDARD_LEADS)
    values = dict(zip(NAMES, measured(sample_of(flat, age=None)), strict=True))
    assert np.isnan([values["rr"], values["V1 qt_interval_ms"], values["age"]]).all()


def test_columns_are_brought_to_one_scale() -> None:
    values = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 5.0], [2.0, np.nan, 5.0], [np.nan, np.nan, 5.0]])
    out = standardize(values)
    np.testing.assert_allclose(np.nanmean(out[:, 0]), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(out[:, 0]), 1, rtol=1e-6)
    assert np.isnan(out[3, 0])
    assert np.isnan(out[:, 1:]).all()
    assert np.nanmax(standardize(np.r_[np.zeros(99), 100.0][:, None])) == 3.0
