"""The median beat: aligned with the boundaries, of the usual beats, at the record's rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import grounding
from grounding import ECGRecord, EcgSignalError, Measurement


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path("ptbxl_413"))


@pytest.fixture(scope="module")
def measured(record: ECGRecord) -> Measurement:
    return grounding.measure(record)


def test_it_looks_like_a_beat_and_lies_between_its_boundaries(record: ECGRecord, measured: Measurement) -> None:
    beat = grounding.median_beat(record, measured)
    assert beat.signal.shape[0] == 12
    assert beat.fs == record.fs
    assert beat.n_beats == int((measured.beats["type"] == "normal").sum()) < len(measured.beats)
    time, places = beat.time_ms, measured.boundaries
    assert time[round(beat.r_sample)] == pytest.approx(0, abs=1000 / beat.fs)
    onset, end, t_end, p_onset = (places[name] for name in ("qrs_onset", "qrs_offset", "t_offset", "p_onset"))
    assert onset is not None
    assert end is not None
    assert t_end is not None
    assert p_onset is not None
    slopes = np.abs(np.diff(beat.signal, axis=1)).max(axis=0)
    steepest = time[int(slopes.argmax())]
    assert onset < steepest < end
    assert time[0] < p_onset
    assert t_end < time[-1]
    # amplitudes of the table were read in the same beat
    row = measured.lead_summary.set_index("lead").loc["V5"]
    inside = (time >= onset - 8) & (time <= end)
    assert beat.signal[record.leads.index("V5"), inside].max() == pytest.approx(row["r_mv"], abs=0.02)


def test_moved_boundaries_do_not_change_it(record: ECGRecord, measured: Measurement) -> None:
    after = measured.edited({"qrs_offset": (measured.boundaries["qrs_offset"] or 0) + 30})
    one, other = grounding.median_beat(record, measured), grounding.median_beat(record, after)
    np.testing.assert_array_equal(one.signal, other.signal)
    assert one.r_sample == other.r_sample


def test_a_lead_that_is_off_is_missing_and_a_gap_is_left_out() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    signal = record.signal.copy()
    signal[3] = np.nan
    signal[7, : 6 * 500] = np.nan  # only the last four seconds of V2
    part = replace(record, signal=signal)
    beat = grounding.median_beat(part, grounding.measure(part))
    assert np.isnan(beat.signal[3]).all()
    assert np.isfinite(beat.signal[7]).all()
    whole = grounding.median_beat(record, grounding.measure(record))
    assert np.corrcoef(beat.signal[7], whole.signal[7, : beat.signal.shape[1]])[0, 1] > 0.98


def test_one_beat_at_the_edge_is_enough() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13")).crop(0, 1.2)
    measured = grounding.measure(record)
    assert 1 <= len(measured.beats) <= 2
    beat = grounding.median_beat(record, measured)
    assert np.isfinite(beat.signal[1, round(beat.r_sample)])


def test_another_record_is_refused(record: ECGRecord, measured: Measurement) -> None:
    for other in (replace(record, record_id="other"), record.select(["II"]), record.crop(0, 5)):
        with pytest.raises(EcgSignalError, match="the measurement is of ptbxl_413"):
            grounding.median_beat(other, measured)


def test_without_beats_it_says_so() -> None:
    noise = ECGRecord.from_array(np.random.default_rng(0).normal(0, 0.02, (2, 5000)), 500, ["I", "II"])
    with pytest.raises(EcgSignalError, match="no beat with a QRS onset"):
        grounding.median_beat(noise, grounding.measure(noise))
