"""What is done to the leads before the delineator sees them."""

from __future__ import annotations

import numpy as np
import pytest

import grounding
from grounding.measurement.features import without_mains


@pytest.mark.parametrize("tone", [50.0, 50.05, 60.0])
def test_mains_is_taken_out_and_the_rest_stays(tone: float) -> None:
    """50.05 Hz turns once against 50 Hz in 20 s."""
    record = grounding.read_record(grounding.sample_path()).resample(250.0)
    lead = np.tile(record.signal[1] - np.median(record.signal[1]), 2)
    mains = 0.3 * np.sin(2 * np.pi * tone * np.arange(len(lead)) / 250.0).astype(np.float32)
    off = without_mains(lead + mains) - lead
    assert np.abs(off[125:-125]).max() < 0.05
    assert off[125:-125].std() < 0.01


def test_intervals_stand_through_mains_as_large_as_the_ecg() -> None:
    record = grounding.read_record(grounding.sample_path())
    before = grounding.measure(record).intervals
    seconds = np.arange(record.n_samples) / record.fs
    noisy = record.signal + record.signal.std() * np.sqrt(2) * np.sin(2 * np.pi * 50.0 * seconds)
    after = grounding.measure(grounding.ECGRecord.from_array(noisy, record.fs, record.leads)).intervals
    for name in ("pr", "qrs", "qt"):
        assert after[name] == pytest.approx(before[name], abs=4.0)
