"""A wrong gain is told by the height of the QRS complexes, and nothing in millivolts is claimed then."""

from __future__ import annotations

import numpy as np
import pytest

from grounding import ECGRecord, find, measure, read_record, sample_path
from grounding.readers import sample_names

IN_MV = (
    "low_qrs_voltage",
    "left_ventricular_hypertrophy",
    "st_elevation",
    "st_depression",
    "tall_t_wave",
)


@pytest.mark.parametrize("gain", [0.01, 0.02, 10.0])
@pytest.mark.parametrize("name", ["ptbxl_13", "ptbxl_102"])
def test_a_wrong_gain_is_an_issue_and_leaves_intervals_as_they_are(name: str, gain: float) -> None:
    plain = read_record(sample_path(name))
    record = ECGRecord.from_array(plain.signal * gain, plain.fs, plain.leads)
    right, wrong = measure(plain), measure(record)
    assert wrong.issues == ("implausible_gain",)
    assert not wrong.has_millivolts
    assert wrong.heart_rate == pytest.approx(right.heart_rate, abs=0.5)
    for interval in ("pr", "qrs", "qt"):
        assert wrong.intervals[interval] == pytest.approx(right.intervals[interval], abs=6), interval
    found = {finding.name: finding.present for finding in find(wrong)}
    assert all(found[finding] is None for finding in IN_MV)
    usual = {finding.name for finding in find(right) if finding.present}
    assert {name for name, present in found.items() if present} <= usual


@pytest.mark.parametrize("name", sample_names())
def test_the_bundled_recordings_have_plausible_gains(name: str) -> None:
    assert "implausible_gain" not in measure(read_record(sample_path(name))).issues


def test_low_voltage_is_low_voltage() -> None:
    """A third of the usual amplitude is seen in patients, and said."""
    plain = read_record(sample_path())
    m = measure(ECGRecord.from_array(plain.signal / 3, plain.fs, plain.leads))
    assert m.issues == ()
    assert m.has_millivolts
    assert "low_qrs_voltage" in {finding.name for finding in find(m) if finding.present}


@pytest.mark.parametrize(("hz", "size_mv"), [(50.0, 0.1), (60.0, 0.1), (50.0, 0.3)])
def test_mains_changes_neither_amplitudes_nor_findings(hz: float, size_mv: float) -> None:
    plain = read_record(sample_path("ptbxl_13"))
    hum = size_mv * np.sin(2 * np.pi * hz * np.arange(plain.n_samples) / plain.fs) * np.linspace(0.5, 1, 12)[:, None]
    noisy = ECGRecord.from_array(plain.signal + hum, plain.fs, plain.leads)
    right, got = measure(plain), measure(noisy)
    for column in ("j_mv", "t_mv"):
        np.testing.assert_allclose(got.lead_summary[column], right.lead_summary[column], atol=0.03)
    new = {f.name for f in find(got) if f.present} - {f.name for f in find(right) if f.present}
    assert not new


def test_an_artefact_costs_its_own_seconds_alone() -> None:
    """10 mV of movement for three seconds, and one sample of 50 mV: the beats elsewhere are measured as they are."""
    plain = read_record(sample_path())
    t = np.arange(plain.n_samples) / plain.fs
    within = np.clip((t - 3) / 3, 0, 1)
    moved = 10 * np.sin(np.pi * within) ** 2 * np.sin(2 * np.pi * 1.7 * (t - 3)) * np.linspace(1, 0.6, 12)[:, None]
    glitch = np.where(np.arange(plain.n_samples) == 2500, 50.0, 0.0)
    right = measure(plain)
    for artefact in (moved, glitch):
        for leads in (plain.leads, ("II", "V1")):
            record = ECGRecord.from_array(plain.signal + artefact, plain.fs, plain.leads).select(leads)
            m = measure(record)
            assert m.heart_rate == pytest.approx(right.heart_rate, rel=0.1)
            assert m.quality["usable"].all()
            assert any("implausible_amplitude" in row for row in m.quality["issues"])
            starts = [span for row in m.quality["unusable_spans_s"] for span in row]
            assert min(a for a, _ in starts) >= 2.5
            assert max(b for _, b in starts) <= 6.5


def test_a_saturated_amplifier_hides_no_beats_elsewhere() -> None:
    """As in a monitor's recording: at the limits for a second, and far off around it."""
    plain = read_record(sample_path()).select(("II", "V1"))
    t = np.arange(plain.n_samples) / plain.fs
    swing = np.where((t > 3) & (t < 6), 6 * np.sin(2 * np.pi * 0.9 * (t - 3)), 0.0)
    record = ECGRecord.from_array(np.clip(plain.signal + swing, -2.6, 2.6), plain.fs, plain.leads)
    right, m = measure(plain), measure(record)
    assert all("saturated" in row for row in m.quality["issues"])
    elsewhere = [r for r in right.beats["r_s"] if r < 2.4 or r > 6.6]
    got = m.beats["r_s"].to_numpy()
    assert all(np.abs(got - r).min() < 0.02 for r in elsewhere)
