"""A long recording in parts has the beats that it has as a whole, each once and in its place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import grounding
from grounding.measurement.parts import POSITIONS


@pytest.fixture(scope="module")
def long() -> grounding.ECGRecord:
    """Seven minutes of three leads at 250 Hz, in which rate and noise change, and half a minute of nothing."""
    pieces = [
        grounding.read_record(grounding.sample_path(name)).resample(250.0).signal[:3]
        for name in ("ptbxl_13", "ptbxl_330", "ptbxl_102")
    ]
    signal = np.concatenate([np.tile(piece, (1, 14)) for piece in pieces], axis=1)
    signal = signal - np.median(signal, axis=1, keepdims=True)
    signal += np.random.default_rng(0).normal(0, 0.005, signal.shape).astype(np.float32)
    signal[:, 60_000:67_500] = np.nan
    return grounding.ECGRecord.from_array(signal, 250.0, ["I", "II", "III"], record_id="long")


def test_every_beat_is_there_once_and_in_its_place(long: grounding.ECGRecord) -> None:
    parts = list(grounding.measure_parts(long, part_s=60.0))
    whole = grounding.measure(long)
    assert len(parts) == 7
    assert [part.start_s for part in parts[1:]] == [part.end_s for part in parts[:-1]]
    assert (parts[0].start_s, parts[-1].end_s) == (0.0, long.duration_s)
    beats = pd.concat([part.beats for part in parts], ignore_index=True)
    assert beats["beat"].tolist() == list(range(len(beats)))
    assert beats["r_sample"].is_monotonic_increasing
    expected = whole.beats["r_sample"].to_numpy(float)
    distance = np.abs(beats["r_sample"].to_numpy(float)[:, None] - expected)
    assert len(beats) == pytest.approx(len(expected), abs=2)
    assert np.mean(distance.min(axis=0) <= 10) > 0.99  # 40 ms
    assert np.allclose(beats["r_s"] * 250, beats["r_sample"])
    assert np.nanmax(np.abs(beats["qrs_onset"] - beats["r_sample"])) < 60
    same_rr = np.abs(np.diff(beats["r_s"]) * 1000 - beats["rr_prev_ms"].iloc[1:]) < 10
    assert same_rr.mean() > 0.98  # also between parts; not across the half minute of nothing
    for name in ("waves", "lead_features"):
        table = pd.concat([getattr(part, name) for part in parts], ignore_index=True)
        assert sorted(set(table["beat"])) == list(range(len(beats)))
        assert len(table) == len(beats) * (9 if name == "waves" else 3)
    qrs = pd.concat([part.waves for part in parts]).query("wave == 'QRS' and lead == 'II'").set_index("beat")
    assert np.nanmax(np.abs(qrs["onset"] - beats["r_sample"])) < 60


def test_a_measurement_has_its_parts_own_time(long: grounding.ECGRecord) -> None:
    part = list(grounding.measure_parts(long, part_s=60.0))[2]
    assert part.offset_s == 110.0
    shifted = part.measurement.beats["r_s"] + part.offset_s
    assert set(part.beats["r_s"].round(6)) <= set(shifted.round(6))


def test_a_short_recording_is_one_part() -> None:
    record = grounding.read_record(grounding.sample_path())
    (part,) = grounding.measure_parts(record)
    whole = grounding.measure(record)
    for name in ("beats", "waves", "lead_features"):
        pd.testing.assert_frame_equal(getattr(part, name), getattr(whole, name))
    assert set(POSITIONS) < set(part.beats.columns)


def test_nothing_to_measure_and_parts_that_are_too_short() -> None:
    flat = grounding.ECGRecord.from_array(np.zeros((2, 50_000)), 250.0, ["I", "II"])
    parts = list(grounding.measure_parts(flat, part_s=60.0))
    assert [len(part.beats) for part in parts] == [0, 0, 0]
    assert parts[-1].end_s == 200.0
    with pytest.raises(grounding.EcgError, match="60 s or more"):
        next(grounding.measure_parts(flat, part_s=30.0))


def test_processes_give_the_same(long: grounding.ECGRecord) -> None:
    record = long.crop(0, 200)
    one, two = (pd.concat([p.beats for p in grounding.measure_parts(record, 60.0, n_jobs=n)]) for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)
