"""Preparation of the leads for the delineator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

import grounding
from grounding.delineation.features import (
    _bounds,
    _interpolated,
    channels,
    net_input,
    stacked,
    without_mains,
    zero_phase,
)


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
        assert after[name] == pytest.approx(before[name], abs=5.0)


def test_a_stretch_of_the_input_is_that_stretch() -> None:
    signal = grounding.read_record(grounding.sample_path()).resample(250.0).signal
    whole = net_input(signal)
    for first, last in ((0, 700), (3, 4), (1111, len(signal[0])), (0, len(signal[0]))):
        np.testing.assert_array_equal(stacked(channels(signal), first, last), whole[:, :, first:last])


def test_millivolts_count_beside_shapes() -> None:
    """Twice as large, the leads over their usual size stay, and what is in millivolts grows, by less than twice."""
    signal = grounding.read_record(grounding.sample_path()).resample(250.0).signal
    once, twice = (np.abs(net_input(gain * signal)).max(axis=2) for gain in (1, 2))
    for row in (0, 4, 5):
        np.testing.assert_allclose(twice[:, row], once[:, row], rtol=1e-3)
    for row in (1, 2, 3, 6):
        assert (twice[:, row] > 1.03 * once[:, row]).all()
        assert (twice[:, row] < 2.0 * once[:, row]).all()


@pytest.mark.parametrize("gain", [0.4, 2.5])
def test_another_gain_moves_no_interval_far(gain: float) -> None:
    """Readers see a small QRS end sooner; a wrong gain must not make another record of it."""
    record = grounding.read_record(grounding.sample_path())
    plain = grounding.measure(record).intervals
    other = grounding.measure(grounding.ECGRecord.from_array(record.signal * gain, record.fs, record.leads)).intervals
    for name, limit_ms in (("pr", 8), ("qrs", 12), ("qt", 16)):
        assert other[name] == pytest.approx(plain[name], abs=limit_ms), name


def moved_without_voltages(paths: list[Path]) -> np.ndarray:
    """How much QRS and QT (records, 2) change when the leads are z-scores, ms."""
    moved = []
    for record in map(grounding.read_record, paths):
        scored = (record.signal - record.signal.mean(axis=1, keepdims=True)) / record.signal.std(axis=1, keepdims=True)
        bare = grounding.ECGRecord.from_array(scored, record.fs, record.leads, units="zscore")
        plain, other = grounding.measure(record).intervals, grounding.measure(bare).intervals
        moved.append([other[name] - plain[name] for name in ("qrs", "qt")])
    return np.array(moved)


def test_without_voltages_the_leads_are_taken_for_typical_ones() -> None:
    names = [name for name in grounding.readers.sample_names() if name.startswith("ptbxl")]
    moved = moved_without_voltages([grounding.sample_path(name) for name in names])
    assert np.abs(np.mean(moved, axis=0)).max() < 5
    assert np.abs(moved).max() < 12


def test_without_voltages_on_many_records(shared: Path) -> None:
    moved = moved_without_voltages(sorted((shared / "data/ptbxl/records500").glob("*.hea"))[::24])
    assert len(moved) >= 12
    assert np.abs(np.mean(moved, axis=0)).max() < 3
    assert np.abs(moved).max() < 16


@pytest.mark.parametrize("n", [2499, 5000, 7499, 60_001])
def test_sizes_between_blocks_are_those_of_numpy_interp(n: int) -> None:
    begins, ends = _bounds(n)
    size = np.random.default_rng(0).uniform(0.1, 2.0, (3, len(begins))).astype(np.float32)
    for first, last in ((0, n), (0, n // 3), (n // 5, n), (n // 2, n // 2 + 1), (n - 100, n)):
        expected = [np.interp(np.arange(first, last), (begins + ends) / 2, row) for row in size]
        found = np.broadcast_to(_interpolated(size, n, first, last), (3, last - first))
        assert np.array_equal(found, np.asarray(expected, np.float32))


@pytest.mark.parametrize("n", [1, 3, 4, 9, 700])
def test_a_window_at_any_place_is_a_part_of_the_whole_input(n: int) -> None:
    signal = np.random.default_rng(1).normal(size=(2, n)).astype(np.float32)
    inputs = channels(signal)
    whole = net_input(signal)
    for first, last in ((0, n), (0, max(1, n // 2)), (n // 3, n), (n // 3, n // 3 + 1), (max(0, n - 2), n)):
        assert np.array_equal(stacked(inputs, first, last), whole[:, :, first:last])
    edge = np.arange(n)
    slope = inputs.lead[:, np.minimum(edge + 4, n - 1)] - inputs.lead[:, np.maximum(edge - 4, 0)]
    assert np.allclose(whole[:, 2], 0.5 * np.arcsinh(slope / 0.01), atol=1e-4)


@pytest.mark.parametrize("padding", [0, 1, 100, 499])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_filtering_forward_and_backward_is_scipys(padding: int, kind: type) -> None:
    record = grounding.read_record(grounding.sample_path()).resample(250)
    leads, band = record.signal[:3, :500].astype(kind), butter(2, (0.5, 40.0), btype="bandpass", fs=250, output="sos")
    np.testing.assert_array_equal(zero_phase(band, leads, padding), sosfiltfilt(band, leads, axis=1, padlen=padding))
