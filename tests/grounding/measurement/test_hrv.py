"""Heart rate variability against values calculated by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import grounding
from grounding.measurement.columns import BEAT_COLUMNS
from grounding.measurement.result import Measurement

NN_MS = (800.0, 850.0, 790.0, 860.0, 800.0, 810.0, 900.0, 780.0, 820.0, 800.0, 850.0, 830.0)


@pytest.fixture(scope="module")
def sample() -> Measurement:
    return grounding.measure(grounding.read_record(grounding.sample_path()))


def of(sample: Measurement, rr_ms, types=None, missing=()) -> Measurement:
    """A measurement with such intervals; ``missing`` are those that something missing lies in."""
    rr = np.asarray(rr_ms, float)
    r_s = np.concatenate([[0.4], 0.4 + rr.cumsum() / 1000])
    previous = np.concatenate([[np.nan], rr])
    previous[[index + 1 for index in missing]] = np.nan
    beats = pd.DataFrame(
        {"r_s": r_s, "rr_prev_ms": previous, "type": types or ["normal"] * len(r_s)}, columns=list(BEAT_COLUMNS)
    )
    calm = {**sample.rhythm, "af_probability": 0.02}
    return dataclasses.replace(sample, beats=beats, duration_s=max(10.0, float(r_s[-1] + 0.4)), rhythm=calm)


def rmssd(differences) -> float:
    return float(np.sqrt(np.mean(np.square(differences))))


def test_rmssd_of_ten_seconds_is_that_of_the_formula_and_the_rest_has_a_reason(sample):
    values = grounding.hrv(of(sample, NN_MS))
    assert values["rmssd_ms"] == pytest.approx(rmssd([50, -60, 70, -60, 10, 90, -120, 40, -20, 50, -20]))
    assert values["n_intervals"] == 12
    for name, least in (("sdnn_ms", "60 s"), ("pnn50_percent", "60 s"), ("lf_hf", "120 s")):
        assert values[name] is None
        assert least in values["reasons"][name]


def test_an_early_beat_takes_its_intervals_and_their_differences_with_it(sample):
    rr = [800.0, 850.0, 790.0, 500.0, 1100.0, 860.0, 800.0, 810.0, 900.0, 780.0, 820.0]
    types = ["normal"] * 12
    types[4] = "premature_ventricular"  # ends the interval of 500 ms
    values = grounding.hrv(of(sample, rr, types))
    assert values["rmssd_ms"] == pytest.approx(rmssd([50, -60, -60, 10, 90, -120, 40]))
    assert values["n_intervals"] == 9


def test_a_gap_is_respected(sample):
    rr = [800.0, 850.0, 790.0, 3000.0, 860.0, 800.0, 810.0, 900.0]
    values = grounding.hrv(of(sample, rr, missing=[3]))
    assert values["rmssd_ms"] == pytest.approx(rmssd([50, -60, -60, 10, 90]))


def test_a_minute_has_sdnn_and_pnn50(sample):
    rr = NN_MS * 7
    values = grounding.hrv(of(sample, rr))
    assert values["sdnn_ms"] == pytest.approx(np.std(rr, ddof=1))
    assert values["pnn50_percent"] == pytest.approx(100 * (np.abs(np.diff(rr)) > 50).sum() / len(rr))
    assert values["lf_hf"] is None


@pytest.mark.parametrize(("swing_hz", "low"), [(0.1, True), (0.25, False)])
def test_bands_tell_slow_from_fast_swings(sample, swing_hz, low):
    rr, at = [], 0.4
    while at < 300:
        rr.append(800.0 + 40.0 * np.sin(2 * np.pi * swing_hz * at))
        at += rr[-1] / 1000
    values = grounding.hrv(of(sample, rr))
    assert values["lf_hf"] > 5 if low else values["lf_hf"] < 0.2


def test_no_variability_of_a_sinus_node_in_fibrillation_nor_without_beats(sample):
    m = of(sample, NN_MS)
    values = grounding.hrv(dataclasses.replace(m, rhythm={**m.rhythm, "af_probability": 0.9}))
    assert values["rmssd_ms"] is None
    assert "fibrillate" in values["reasons"]["rmssd_ms"]
    values = grounding.hrv(dataclasses.replace(m, beats=m.beats.iloc[:0]))
    assert values["rmssd_ms"] is None
    assert "normal beats" in values["reasons"]["rmssd_ms"]
    assert values["n_intervals"] == 0
