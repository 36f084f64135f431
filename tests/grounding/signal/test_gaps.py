"""Gaps in a recording: nothing is measured in them or across them, and the rest is measured as without them."""

from __future__ import annotations

import numpy as np
import pytest

import grounding
from grounding import STANDARD_LEADS, ECGRecord, Measurement
from grounding.signal.gaps import crosses, merged, presence, spans_of, spans_without_leads

FS = 500


@pytest.fixture(scope="module")
def steady() -> ECGRecord:
    """Perfectly regular, 83 bpm, 30 s."""
    return grounding.synthesize(83.3, pr_ms=180, qt_ms=380, duration_s=30, noise_snr_db=30, seed=3)[0]


def without(
    record: ECGRecord, value: float, *stretches: tuple[float, float], leads: slice = slice(None)
) -> Measurement:
    signal = record.signal.copy()
    for begin, end in stretches:
        signal[leads, round(begin * FS) : round(end * FS)] = value
    return grounding.measure(ECGRecord.from_array(signal, record.fs, record.leads))


def near(a: Measurement, b: Measurement, ms: float = 6.0) -> None:
    assert a.heart_rate == pytest.approx(b.heart_rate, abs=0.5)
    for name in ("pr", "qrs", "qt"):
        assert a.intervals[name] == pytest.approx(b.intervals[name], abs=ms), name


def test_spans() -> None:
    assert spans_of(np.array([False, True, True, False, True]), 2).tolist() == [[1, 3]]
    assert merged([(7, 9), (0, 3), (2, 5), (5, 6)]).tolist() == [[0, 6], [7, 9]]
    present = presence([np.array([[2, 4]]), np.empty((0, 2), np.intp)], 10, scale=2.0)
    assert np.flatnonzero(~present[0]).tolist() == [4, 5, 6, 7]
    assert present[1].all()
    assert len(spans_without_leads(present, 10.0)) == 0  # the other lead is there
    assert spans_without_leads(present[:1], 10.0).tolist() == [[4, 8]]
    assert crosses(np.array([0, 3, 8.0, np.nan]), np.array([3, 9, 9.0, 9]), np.array([[4, 8]])).tolist() == [
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("value", [np.nan, 0.0, 3.0])
def test_no_interval_spans_a_gap(steady: ECGRecord, value: float) -> None:
    whole = grounding.measure(steady)
    m = without(steady, value, (12.1, 15.9))
    near(m, whole)
    assert m.rhythm["rr_max_ms"] == pytest.approx(whole.rhythm["rr_max_ms"], abs=12)
    assert m.rhythm["rr_cv"] < 0.03
    assert m.beats["rr_prev_ms"].isna().sum() == 2  # of the first beat, and of the first one after the gap
    assert not m.beats["r_s"].between(12.2, 15.8).any()


def test_a_beat_that_is_missing_is_not_a_pause(steady: ECGRecord) -> None:
    r = grounding.measure(steady).beats["r_s"].to_numpy()
    m = without(steady, np.nan, (r[10] - 0.1, r[10] + 0.1))
    assert m.heart_rate == pytest.approx(83.3, abs=0.5)
    assert m.rhythm["rr_max_ms"] < 800
    # one sample or two are bridged
    bridged = without(steady, np.nan, (r[10] + 0.2, r[10] + 0.206))
    assert len(bridged.beats) == len(r)
    assert bridged.beats["rr_prev_ms"].notna().sum() == len(r) - 1


def test_what_one_lead_lacks_the_others_show(steady: ECGRecord) -> None:
    m = without(steady, np.nan, (5, 9), leads=slice(0, 4))
    near(m, grounding.measure(steady))
    assert m.beats["rr_prev_ms"].isna().sum() == 1
    waves = m.waves[m.waves["lead"] == "II"].dropna()
    assert not waves["onset"].between(5.0 * FS, 8.99 * FS).any()
    assert m.quality.set_index("lead")["usable"].all()


@pytest.mark.parametrize("strip", [True, False], ids=["with a rhythm strip", "without"])
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_printed_page(strip: bool, value: float) -> None:
    """Three rows of four leads, 2.5 s each: everything is read where each lead is."""
    record, _truth = grounding.synthesize(83.3, pr_ms=170, qt_ms=380, axis_deg=60, noise_snr_db=30, seed=5)
    whole = grounding.measure(record)
    signal = np.full_like(record.signal, value)
    for row in range(12):
        part = slice(round(2.5 * (row // 3) * FS), round(2.5 * (row // 3 + 1) * FS))
        signal[row, part] = record.signal[row, part]
    if strip:
        signal[1] = record.signal[1]
    m = grounding.measure(ECGRecord.from_array(signal, FS, STANDARD_LEADS))
    near(m, whole, ms=10)
    assert m.axis == pytest.approx(whole.axis, abs=6)
    assert m.quality["usable"].all()
    summary, complete = (x.lead_summary.set_index("lead") for x in (m, whole))
    for lead in STANDARD_LEADS:
        assert summary.loc[lead, "r_mv"] == pytest.approx(complete.loc[lead, "r_mv"], abs=0.05), lead
    assert not m.issues


def test_minutes_with_a_bad_stretch_are_measured(steady: ECGRecord) -> None:
    long = ECGRecord.from_array(np.tile(steady.signal, (1, 6)), FS, steady.leads)
    m = without(long, 0.0, (31.0, 34.2), (90.0, 91.0))
    near(m, grounding.measure(long))
    spans = m.quality["unusable_spans_s"].iloc[0]
    assert spans[0] == pytest.approx((31.0, 34.2), abs=0.2)


def test_nothing_left_is_nothing_measured(steady: ECGRecord) -> None:
    m = without(steady, 0.0, (0.0, 29.0))
    assert m.intervals["qt"] is None
    assert "no lead is good enough" in m.reasons["qt"]
    back = Measurement.from_dict(without(steady, np.nan, (5, 9)).to_dict())
    assert back.quality["unusable_spans_s"].iloc[3] == ((5.0, 9.0),)
    assert back.extents["qt"] > 0
