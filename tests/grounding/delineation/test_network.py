"""The network in windows: the result does not depend on them, and memory grows only with the input."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import grounding
from grounding.delineation import network
from grounding.delineation.features import BLOCK, CHANNELS, net_input
from grounding.delineation.learned import WEIGHTS, _tops
from grounding.record import fill_missing


def at_250_hz(record: grounding.ECGRecord) -> np.ndarray:
    signal = fill_missing(record.resample(250).signal)
    return signal - np.median(signal, axis=1, keepdims=True)


def repeated(record: grounding.ECGRecord, times: int) -> grounding.ECGRecord:
    return grounding.ECGRecord.from_array(np.tile(record.signal, (1, times)), record.fs, record.leads)


def same_reading(signal: np.ndarray, window: int) -> network.NetworkOutput:
    """Read in windows and as a whole, and compare both; returns the latter."""
    whole = network.read(signal, WEIGHTS, window=1 << 30)
    cut = network.read(signal, WEIGHTS, window=window)
    for name in ("lead", "kind", "begin", "stop"):
        np.testing.assert_array_equal(getattr(cut.runs, name), getattr(whole.runs, name), name)
    for name in ("first", "last"):  # samples; rounding differs with the shape of the window
        np.testing.assert_allclose(getattr(cut.runs, name), getattr(whole.runs, name), atol=2e-3)
    np.testing.assert_allclose(cut.runs.weight, whole.runs.weight, rtol=1e-4)
    for name in ("p", "qrs", "inside", "spread"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), atol=2e-5)
    return whole


def test_windows_give_what_one_piece_gives() -> None:
    """With 2.6 s to a window, every other beat lies at a seam, and every wave at one or another."""
    record, _ = grounding.synthesize(rate_bpm=83, noise_snr_db=20, baseline_mv=0.2, duration_s=47, seed=3)
    assert len(same_reading(at_250_hz(record), 20 * network.STRIDE).runs.lead) > 12 * 60 * 2
    real = repeated(grounding.read_record(grounding.sample_path()), 3)
    same_reading(at_250_hz(real), 7 * network.STRIDE)


def test_windows_give_what_one_piece_gives_on_long_recordings(shared: Path) -> None:
    paths = sorted((shared / "data" / "challenge").glob("*.hea"))
    long = [r for r in map(grounding.read_record, paths[::2]) if r.duration_s > 20]
    assert len(long) >= 3
    for record in long[:3]:
        same_reading(at_250_hz(record), 40 * network.STRIDE)


def test_the_overlap_is_more_than_the_network_sees() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (1, CHANNELS, 3200)).astype(np.float32)
    net = network._session(WEIGHTS)
    plain, reach = net.run(None, {"x": x})[0], 0
    for at in range(1600, 1600 + network.STRIDE):
        changed = x.copy()
        changed[:, :, at] += 50
        seen = np.flatnonzero(np.abs(net.run(None, {"x": changed})[0] - plain).max(axis=(0, 1)))
        reach = max(reach, at - seen[0], seen[-1] - at)
    assert 300 < reach <= network.REACH


def test_leads_are_scaled_stretch_by_stretch() -> None:
    """A gain that doubles half-way, or a lead that comes off, leaves the rest of a long recording as it is."""
    record, _ = grounding.synthesize(duration_s=60, seed=1)
    signal = at_250_hz(record)
    plain = net_input(signal)[:, 0]
    louder = signal.copy()
    louder[:, 30 * 250 :] *= 2
    np.testing.assert_allclose(
        np.ptp(net_input(louder)[:, 0, -BLOCK:], axis=1), np.ptp(plain[:, -BLOCK:], axis=1), rtol=0.05
    )
    off = signal.copy()
    off[3, : 30 * 250] = 0
    scaled = net_input(off)[:, 0]
    assert np.abs(scaled[3, : 25 * 250]).max() < 0.1 * np.abs(plain[3]).max()
    np.testing.assert_allclose(scaled[3, -BLOCK:], plain[3, -BLOCK:], atol=0.05)


def test_memory_grows_with_the_input_alone() -> None:
    """A copy at 250 Hz, the copy filtered, a mask of recorded samples, and tables: about twice the signal at 500 Hz."""
    record = grounding.read_record(grounding.sample_path())
    grounding.measure(record)
    peaks = []
    for times in (12, 36):
        long = repeated(record, times)
        tracemalloc.start()
        beats = len(grounding.measure(long).beats)
        peaks.append((tracemalloc.get_traced_memory()[1], long.signal.nbytes))
        tracemalloc.stop()
        assert beats == pytest.approx(times * 13.8, rel=0.03)
    (less, short), (more, longer) = peaks
    assert more - less < 2.3 * (longer - short)


def test_places_are_rounded_the_same_in_windows_of_any_length() -> None:
    """Exactly, so that a day measured in long windows has the digits of one measured in short ones."""
    at = 3 * network.WINDOW + 5000
    probs = np.full((1, 4, 200), 0.1, np.float32)
    probs[0, 0], probs[0, 2, 80:120] = 0.5, 0.83
    found = [
        network._changes(np.pad(probs, ((0, 0), (0, 0), (before, 0)), mode="edge"), 1, at - before, np.zeros((1, 1)))
        for before in (0, 4000, network.WINDOW)
    ]
    for other in found[1:]:
        for one, two in zip(found[0][:5], other[:5], strict=True):
            np.testing.assert_array_equal(one, two)
    assert found[0][1].tolist() == [at + 80, at + 120]


def test_few_leads_are_read_in_longer_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    windows = network._windows
    monkeypatch.setattr(network, "_windows", lambda *given: asked.append(given[2]) or windows(*given))
    signal = at_250_hz(grounding.read_record(grounding.sample_path()))
    for leads in (12, 3, 1):
        network.read(signal[:leads], WEIGHTS)
    assert asked == [network.WINDOW, 4 * network.WINDOW, 12 * network.WINDOW]


def test_beats_are_the_highest_samples_of_their_stretches() -> None:
    values = np.random.default_rng(0).integers(0, 9, 300).astype(np.float32)  # with equal ones: the first counts
    starts, ends = np.arange(3, 280, 25), np.arange(3, 280, 25) + np.arange(8, 20)
    wanted = [a + int(np.argmax(values[a:b])) for a, b in zip(starts, ends, strict=True)]
    assert _tops(values, starts, ends).tolist() == wanted
    assert _tops(values, starts[:0], ends[:0]).tolist() == []
