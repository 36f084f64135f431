"""Pacing spikes, and the beats that follow them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

import grounding
from grounding.delineation.paced import mark_paced
from grounding.delineation.types import Boundaries
from grounding.signal.pacing import pacing_spikes


@pytest.mark.parametrize("fs", [500, 1000])
def test_spikes_are_found_where_they_are(fs: int) -> None:
    record, truth = grounding.synthesize(rhythm="paced", fs=fs, duration_s=12, noise_snr_db=30, seed=4)
    found = pacing_spikes(list(record.signal), fs)
    assert len(found) == len(truth.spikes) >= 10
    assert np.abs(found - truth.spikes).max() <= 0.002 * fs


def test_a_spike_that_the_amplifier_is_slow_to_forget_is_a_step() -> None:
    """As in LUDB 111: the leads jump in one sample and stay there for 26 ms."""
    record = grounding.read_record(grounding.sample_path())
    onsets = grounding.measure(record).beats["qrs_onset"].dropna().to_numpy()
    signal, begins = record.signal.copy(), (onsets - 20).astype(int)
    for begin in begins:
        signal[:, begin : begin + 13] += 0.4
    np.testing.assert_array_equal(pacing_spikes(list(signal), record.fs), begins)
    slow = record.signal.copy()
    for begin in begins:  # the same bump, as slow as a QRS
        slow[:, begin - 6 : begin + 7] += 0.4 * np.hanning(13).astype(np.float32)
    assert pacing_spikes(list(slow), record.fs).size == 0


def test_seams_are_no_spikes() -> None:
    record = grounding.read_record(grounding.sample_path())
    assert pacing_spikes(list(np.tile(record.signal, (1, 12))), record.fs).size == 0


@pytest.mark.parametrize("fs", [100, 250])
def test_spikes_are_not_told_at_low_rates(fs: int) -> None:
    record, _ = grounding.synthesize(rhythm="paced", fs=fs)
    assert pacing_spikes(list(record.signal), fs).size == 0


def test_a_qrs_does_not_begin_before_its_spike() -> None:
    onset = np.array([100.0, 350.0, 600.0, np.nan, 1100.0])
    qrs = np.full((2, 5, 3), np.nan)
    qrs[:, :, 0] = np.stack([onset, onset + 6])
    empty = np.full((2, 5, 3), np.nan)
    edges = {"qrs_onset": onset.copy()}
    found = Boundaries(np.arange(5) * 250 + 110, empty, qrs, empty)
    spikes = np.array(
        [104.0, 349.0, 560.0, 1000.0]
    )  # inside, at the onset, of the atrium, too long before the next beat
    assert mark_paced(found, edges, spikes).tolist() == [True, True, True, False, False]
    np.testing.assert_array_equal(edges["qrs_onset"], [104, 350, 600, np.nan, 1100])
    np.testing.assert_array_equal(found.qrs[:, 0, 0], [104, 106])


@pytest.mark.parametrize("name", grounding.readers.sample_names())
def test_no_spikes_in_the_bundled_records(name: str) -> None:
    record = grounding.read_record(grounding.sample_path(name))
    assert pacing_spikes(list(record.signal), record.fs).size == 0


@pytest.mark.parametrize("name", ["ptbxl_13", "ptbxl_330"])
def test_beats_of_its_own_are_what_is_measured(name: str) -> None:
    """A pacemaker that stops after seven beats: the narrow beats after it are measured as they are without it."""
    own = grounding.read_record(grounding.sample_path(name))
    paced, truth = grounding.synthesize(70, rhythm="paced", qrs_ms=160, noise_snr_db=30, duration_s=6, seed=4)
    signal = np.concatenate([paced.signal[:, :2900], own.signal[:, 500:3500]], axis=1)
    m = grounding.measure(grounding.ECGRecord.from_array(signal, 500, own.leads))
    is_paced = m.beats["type"] == "paced"
    np.testing.assert_allclose(m.beats["qrs_onset"][is_paced], truth.spikes, atol=3)
    assert (m.beats["r_s"][~is_paced] > 5.8).all()
    assert m.intervals["qrs"] == pytest.approx(grounding.measure(own).intervals["qrs"], abs=8)


def test_paced_throughout_is_measured_as_it_is() -> None:
    record, truth = grounding.synthesize(70, rhythm="paced", qrs_ms=160, noise_snr_db=30, seed=4)
    m = grounding.measure(record)
    assert set(m.beats["type"]) == {"paced"}
    assert len(m.evidence("qrs").beats) >= 8  # it is read from the paced beats, and says so
    assert m.intervals["qrs"] == pytest.approx(truth.intervals["qrs"], abs=15)


def test_spikes_in_paced_recordings_alone(shared: Path) -> None:
    paths = sorted((shared / "data/ludb").glob("*.hea")) + sorted((shared / "data/ptbxl/records500").glob("*.hea"))[:60]
    claimed = {
        path.stem
        for path in paths
        if pacing_spikes(list((record := grounding.read_record(path)).signal), record.fs).size
    }
    assert claimed == {"45", "93", "95", "111"}


def test_own_beats_after_paced_ones_in_ludb(shared: Path) -> None:
    """LUDB 95: five narrow beats (102 ms) after six paced ones; cardiologists marked the narrow ones and one paced."""
    m = grounding.measure(grounding.read_record(shared / "data/ludb/95"))
    assert (m.beats["type"] == "paced").tolist() == [True] * 6 + [False] * 5
    assert m.extents["qrs"] == pytest.approx(102, abs=15)
    paced = m.beats["qrs_first_onset"][m.beats["type"] == "paced"]
    np.testing.assert_allclose(paced, [287, 787, 1287, 1787, 2287, 2787], atol=3)


def test_paced_recordings_of_ludb(shared: Path) -> None:
    """LUDB 45: atrial and ventricular pacing with one extrasystole; cardiologists' QRS is 193 ms, in 111 164 ms."""
    m = grounding.measure(grounding.read_record(shared / "data/ludb/45"))
    types = m.beats["type"].value_counts()
    assert types["paced"] >= 8
    assert types["premature_ventricular"] == 1
    assert m.extents["qrs"] == pytest.approx(193, abs=12)
    assert len(m.evidence("qrs").beats) >= 8  # it is read from the paced beats, and says so
    other = grounding.measure(grounding.read_record(shared / "data/ludb/111"))
    assert set(other.beats["type"]) == {"paced"}
    assert other.extents["qrs"] == pytest.approx(164, abs=15)


@pytest.mark.parametrize("up_ms", [6, 12, 20, 30])
@pytest.mark.parametrize("fs", [500, 1000])
def test_a_qrs_of_straight_lines_has_no_spike(up_ms: int, fs: int) -> None:
    """Simulators draw a QRS that leaves the baseline at once; a spike is over, or at its plateau, after 2 ms."""
    up, down = (np.linspace(a, b, round(s * fs) + 1)[1:] for a, b, s in ((0, 1.3, up_ms / 1000), (1.3, 0, 0.03)))
    p = 0.15 * np.sin(np.pi * np.linspace(0, 1, round(0.08 * fs)))
    t = 0.25 * np.sin(np.pi * np.linspace(0, 1, round(0.16 * fs)))
    beat = np.concatenate([p, np.zeros(round(0.06 * fs)), up, down, np.zeros(round(0.08 * fs)), t])
    x = np.zeros(10 * fs)
    for start in range(round(0.4 * fs), 9 * fs, round(0.6 * fs)):
        x[start : start + len(beat)] += beat
    gains = np.array([1, 1.6, 0.6, -1.3, 0.2, 1.1, -0.9, -0.3, 0.3, 0.9, 1.4, 1.9])
    m = grounding.measure(grounding.ECGRecord.from_array(gains[:, None] * x, fs, grounding.STANDARD_LEADS))
    assert "pacing_spikes" not in m.issues
    assert set(m.beats["type"]) == {"normal"}


def test_spikes_are_seen_where_some_leads_are_missing() -> None:
    leads = [np.zeros(5000, np.float32) for _ in range(4)]
    for lead in leads:
        lead[500::1000] = 1.0
    assert len(pacing_spikes(leads, 500)) == 5
    for lead in leads[:2]:
        lead[:2600] = np.nan
    np.testing.assert_array_equal(pacing_spikes(leads, 500), [500, 1500, 2500, 3500, 4500])


def _muscle_mv(shape: tuple[int, int], sd_mv: float, seed: int = 0) -> np.ndarray:
    """Noise between 20 and 150 Hz at 500 Hz, as muscles make it."""
    band = butter(4, (20, 150), "band", fs=500, output="sos")
    noise = sosfiltfilt(band, np.random.default_rng(seed).normal(size=shape), axis=1)
    return np.asarray(sd_mv * noise / noise.std(axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("sd_mv", [0.05, 0.07, 0.1])
@pytest.mark.parametrize("begin", [0, 2000, 4000])  # all the time, or a burst to the end
def test_muscle_noise_is_no_pacemaker(sd_mv: float, begin: int) -> None:
    record = grounding.read_record(grounding.sample_path())
    signal = record.signal.copy()
    signal[:, begin:] += _muscle_mv(signal.shape, sd_mv)[:, begin:]
    assert pacing_spikes(list(signal), record.fs).size == 0
    assert pacing_spikes([signal[1]], record.fs).size == 0


def test_spikes_are_found_in_muscle_noise() -> None:
    record, truth = grounding.synthesize(rhythm="paced", fs=500, duration_s=10, noise_snr_db=40, seed=4)
    found = pacing_spikes(list(record.signal + _muscle_mv(record.signal.shape, 0.03)), record.fs)
    assert len(found) == len(truth.spikes)
