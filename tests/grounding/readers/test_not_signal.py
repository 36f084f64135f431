"""Samples that are not an ECG are cut off or missing, and no ECG is taken for such samples."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from writers import WRITERS

import grounding
from grounding import ECGRecord, read_record, sample_path
from grounding.readers import not_signal, sample_names
from grounding.readers.not_signal import Pulse, find_pulse, without_non_signal
from grounding.synthetic import synthesize


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


def with_pulse(record: ECGRecord, height: float = 1.0, at: str = "end", line_s: float = 0.1) -> ECGRecord:
    """0.1 s of zero, a square of 0.2 s in every lead, 0.1 s of zero: as the carts of Philips write it."""
    line, top = round(line_s * record.fs), round(0.2 * record.fs)
    block = np.zeros((record.n_leads, 2 * line + top), np.float32)
    block[:, line : line + top] = height
    parts = [record.signal, block] if at == "end" else [block, record.signal]
    return replace(record, signal=np.concatenate(parts, axis=1))


@pytest.mark.parametrize("name", WRITERS)
def test_in_every_format(record: ECGRecord, name: str, tmp_path: Path) -> None:
    suffix, write = WRITERS[name]
    record = record.crop(0, 9.6)  # ten seconds with the pulse: EDF stores whole ones
    write(with_pulse(record), tmp_path / f"a{suffix}")
    found = read_record(tmp_path / f"a{suffix}")
    assert found.n_samples == record.n_samples
    np.testing.assert_allclose(found.select(record.leads).signal, record.signal, atol=2.1e-3)
    assert "calibration pulse of 1 mV" in found.meta["warnings"][-1]
    assert grounding.measure(found).heart_rate == pytest.approx(grounding.measure(record).heart_rate, abs=0.2)


@pytest.mark.parametrize("at", ["start", "end"])
@pytest.mark.parametrize("leads", [12, 6, 3, 2, 1])
def test_at_either_end_in_few_leads(record: ECGRecord, leads: int, at: str) -> None:
    part = record.select(record.leads[6 : 6 + leads])
    found = without_non_signal(with_pulse(part, at=at))
    np.testing.assert_array_equal(found.signal, part.signal)
    assert found.meta.get("cut_from_start_s", 0.0) == pytest.approx(0.4 if at == "start" else 0.0)


def test_at_both_ends(record: ECGRecord) -> None:
    found = without_non_signal(with_pulse(with_pulse(record, at="start")))
    np.testing.assert_array_equal(found.signal, record.signal)


def test_a_lead_without_an_electrode_holds_the_pulse_alone(record: ECGRecord) -> None:
    signal = record.signal.copy()
    signal[[7, 11]] = 0
    found = without_non_signal(with_pulse(replace(record, signal=signal)))
    np.testing.assert_array_equal(found.signal, signal)


def test_leads_computed_from_the_others(record: ECGRecord) -> None:
    """III, aVR, aVL and aVF by lead algebra have the pulse at heights of their own: 0, -1 and 0.5."""
    made = with_pulse(record)
    signal = made.signal.copy()
    tail = slice(record.n_samples, None)
    for row, height in ((2, 0.0), (3, -1.0), (4, 0.5), (5, 0.5)):
        signal[row, tail] *= height
    np.testing.assert_array_equal(without_non_signal(replace(made, signal=signal)).signal, record.signal)


def test_rounded_by_a_filter_and_in_noise(record: ECGRecord) -> None:
    made = with_pulse(record, line_s=0.2)
    signal = made.signal.copy()
    tail = signal[:, record.n_samples - 1 :]
    tail[:] = np.apply_along_axis(np.convolve, 1, tail, [0.25, 0.5, 0.25], "same")
    tail += np.random.default_rng(0).normal(0, 0.004, tail.shape).astype(np.float32)
    found = without_non_signal(replace(made, signal=signal))
    assert record.n_samples - 5 <= found.n_samples <= record.n_samples + 60


@pytest.mark.parametrize(("gain", "told"), [(1.0, False), (0.5, True), (10.0, True), (1e-3, True)])
def test_its_height_checks_the_gain(record: ECGRecord, gain: float, told: bool) -> None:
    made = with_pulse(record)
    found = without_non_signal(replace(made, signal=made.signal * np.float32(gain)))
    assert found.n_samples == record.n_samples
    assert any("the gain may be wrong" in line for line in found.meta["warnings"]) == told


def test_without_a_unit_its_height_is_told(record: ECGRecord) -> None:
    made = with_pulse(record)
    raw = replace(made, signal=made.signal * 200, meta={**made.meta, "units": "adu"})
    assert any(
        "if the calibration pulse of 200 units is 1 mV" in line for line in without_non_signal(raw).meta["warnings"]
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rhythm": "paced"},
        {"rhythm": "paced", "qrs_ms": 200.0, "noise_snr_db": 20.0},
        {"rate_bpm": 40.0},
        {"rate_bpm": 180.0},
        {"conduction": "lbbb", "qrs_ms": 180.0},
        {"rhythm": "avb3"},
        {"rhythm": "flutter", "mains_mv": 0.1},
        {"ectopy": ("pvc", 3), "baseline_mv": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("leads", [1, 2, 12])
def test_synthetic_recordings_keep_every_sample(options: dict[str, Any], seed: int, leads: int) -> None:
    made, _ = synthesize(seed=seed, **options)
    made = made.select(made.leads[:leads])
    assert without_non_signal(made) is made


@pytest.mark.parametrize("name", sample_names())
def test_bundled_recordings_keep_every_sample(name: str) -> None:
    assert read_record(sample_path(name)).n_samples == 5000


def test_a_pulse_between_beats_is_left(record: ECGRecord) -> None:
    """With ECG on both sides it may be an artefact of the recording: nothing is cut out of the middle."""
    both = np.concatenate([with_pulse(record).signal, record.signal], axis=1)
    assert find_pulse(both, record.fs) is None
    short = with_pulse(record.crop(0, 1.5)).signal
    assert find_pulse(np.concatenate([short, record.signal[:, :1000]], axis=1), record.fs) is None


@pytest.mark.parametrize("at_end", [True, False])
def test_an_appended_block_is_cut_off(record: ECGRecord, at_end: bool) -> None:
    block = np.full((12, 400), 0.0 if at_end else -0.3, np.float32)
    parts = [record.signal, block] if at_end else [block, record.signal]
    found = without_non_signal(replace(record, signal=np.concatenate(parts, axis=1)))
    np.testing.assert_array_equal(found.signal, record.signal)
    assert "no lead moves" in found.meta["warnings"][-1]
    assert ("cut_from_start_s" in found.meta) != at_end


def test_leads_that_were_not_stored_all_the_time_are_missing_there(record: ECGRecord) -> None:
    """2.5 s of each lead, zero elsewhere, as exports of printed pages have it."""
    signal = np.zeros_like(record.signal)
    for row in range(12):
        part = slice(1250 * (row // 3), 1250 * (row // 3 + 1))
        signal[row, part] = record.signal[row, part]
    found = without_non_signal(replace(record, signal=signal))
    for row in range(12):
        part = slice(1250 * (row // 3), 1250 * (row // 3 + 1))
        np.testing.assert_array_equal(found.signal[row, part], record.signal[row, part])
        assert np.isfinite(found.signal[row]).sum() == 1250
    assert "taken as missing" in found.meta["warnings"][-1]


def test_a_lead_that_never_moves_is_left_to_the_quality_gate(record: ECGRecord) -> None:
    signal = record.signal.copy()
    signal[3] = 0
    still = replace(record, signal=signal)
    assert without_non_signal(still) is still


@pytest.mark.parametrize(("code", "per_mv"), [(-32768, 200), (32767, 1000), (-32768, 1000), (32767, 400)])
def test_codes_of_integers_are_missing_samples(record: ECGRecord, code: int, per_mv: int) -> None:
    signal = record.signal.copy()
    signal[1, 1000:1200] = code / per_mv
    signal[4, 4000:4700] = code / per_mv
    found = without_non_signal(replace(record, signal=signal))
    assert np.isnan(found.signal).sum() == 900
    assert np.isnan(found.signal[1, 1000:1200]).all()
    assert "codes for missing samples: II (0.4 s" in found.meta["warnings"][-1]


def test_codes_without_a_unit(record: ECGRecord) -> None:
    raw = np.round(record.signal * 400)
    raw[2, 700:900] = -32768
    found = without_non_signal(replace(record, signal=raw, meta={**record.meta, "units": "adu"}))
    assert np.isnan(found.signal[2, 700:900]).all()
    assert np.isnan(found.signal).sum() == 200


def test_spikes_and_clipped_waves_are_no_codes(record: ECGRecord) -> None:
    """A pacing spike is high and short, also where all have one height; a clipped wave touches the other samples."""
    spikes = record.signal.copy()
    for at in range(300, 5000, 500):
        spikes[:, at : at + 2] = 12.0
    clipped = np.clip(record.signal * 40, -12, 12)
    for signal in (spikes, clipped):
        made = replace(record, signal=signal)
        assert without_non_signal(made) is made


@pytest.mark.parametrize("folder", ["ludb", "ptbxl/records500", "challenge", "qtdb"])
def test_shared_recordings_keep_every_sample(shared: Path, folder: str) -> None:
    """Every fifth; of 3,534 recordings of these and ptbxl_more, three have one lead that is constant for seconds."""
    for header in sorted((shared / "data" / folder).rglob("*.hea"))[::5]:
        assert not any("cut off" in line or "codes for" in line for line in read_record(header).meta["warnings"]), (
            header
        )


@pytest.mark.parametrize(("n_samples", "fs"), [(0, 500.0), (1000, 0.01)])
def test_no_pulse_where_there_is_no_room_for_one(n_samples: int, fs: float) -> None:
    assert find_pulse(np.zeros((2, n_samples), np.float32), fs) is None


def test_a_recording_is_not_cut_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ECGRecord.from_array(np.tile([0.0] * 40 + [1.0] * 20 + [0.0] * 40, (2, 1)), 100, ("I", "II"))
    pulses = iter([Pulse(50, 100, True, 60, 80, 1.0), Pulse(0, 50, True, 10, 30, 1.0)])
    monkeypatch.setattr(not_signal, "find_pulse", lambda *_: next(pulses, None))
    assert without_non_signal(record).n_samples == record.n_samples


@pytest.mark.parametrize("n_leads", [1, 2, 3, 8, 12])
def test_a_step_is_judged_by_the_medians_over_the_leads(n_leads: int) -> None:
    """The shortcut past the leads that are too far apart finds what NumPy's medians find."""
    rng = np.random.default_rng(n_leads)
    found = 0
    for _ in range(40):
        leads = rng.normal(0, 0.01, (n_leads, 600)).round(3)
        leads[:, 200:320] += rng.choice([0.3, 1.0]) + rng.normal(0, rng.choice([0.0, 0.02]), (n_leads, 1))
        steps = leads[:, 6:] - leads[:, :-6]
        middle = np.median(steps, axis=0)
        similar = np.abs(middle) * not_signal.TOLERANCE > np.median(np.abs(steps - middle), axis=0)
        assert np.array_equal(not_signal.steps_of(leads, 6)[1], similar)
        found += bool(similar.any())
    assert found > 5
