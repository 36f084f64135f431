"""The axis survives the loss of millivolts; voltages are only guesses."""

from __future__ import annotations

import numpy as np
import pytest

from gem.evaluation.reasoning import estimate_millivolts
from grounding import ECGRecord, measure, read_record, sample_path


def test_axis_is_recovered_from_lead_algebra() -> None:
    record = read_record(sample_path())
    assert estimate_millivolts(record) is record
    centred = record.signal - record.signal.mean(axis=1, keepdims=True)
    scored = ECGRecord.from_array(centred / centred.std(axis=1, keepdims=True), record.fs, record.leads, units="zscore")
    assert measure(scored).axis is None
    made = estimate_millivolts(scored)
    assert made.has_millivolts
    assert made.meta["millivolts_estimated"]
    truth = measure(record).axis
    assert truth is not None
    assert measure(made).axis == pytest.approx(truth, abs=8.0)
    one, two, three = (made.signal[made.leads.index(lead)] for lead in ("I", "II", "III"))
    assert np.abs(one + three - two).max() < 0.05 * np.abs(two).max()
