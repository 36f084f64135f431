"""Leads printed after each other: tremor in one of them, a beat seen twice, a tall T wave, a beat that is lost."""

from __future__ import annotations

import numpy as np
import pytest

import grounding
from grounding.delineation import learned
from grounding.delineation.doubt import doubtful
from grounding.record import fill_missing

COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
SHAKING = (0, 2, 3, 4, 5)  # rows of I, III, aVR, aVL, aVF


@pytest.fixture(scope="module")
def page() -> grounding.ECGRecord:
    """A recording as three rows of four columns show it, with a rhythm strip of lead II."""
    record = grounding.read_record(grounding.sample_path("ptbxl_139"))
    signal = np.full(record.signal.shape, np.nan, np.float32)
    for number, leads in enumerate(COLUMNS):
        part = slice(round(2.5 * number * record.fs), round(2.5 * (number + 1) * record.fs))
        for lead in leads:
            signal[record.leads.index(lead), part] = record.lead(lead)[part]
    signal[1] = record.lead("II")
    return grounding.ECGRecord.from_array(signal, record.fs, record.leads, units="mV")


def changed(record: grounding.ECGRecord, signal: np.ndarray) -> grounding.ECGRecord:
    return grounding.ECGRecord.from_array(signal, record.fs, record.leads, units="mV")


def with_tremor(page: grounding.ECGRecord) -> grounding.ECGRecord:
    """The limb leads but the strip shake 5.5 times a second by 0.5 mV, with muscle noise."""
    signal, time, draws = page.signal.copy(), np.arange(page.n_samples) / page.fs, np.random.default_rng(0)
    for row in SHAKING:
        phase = draws.uniform(0, 6) + np.cumsum(draws.normal(0, 0.03, len(time)))
        noise = np.convolve(draws.normal(0, 1, len(time)), np.ones(10) / np.sqrt(10), "same")
        signal[row] += (0.5 * np.sin(2 * np.pi * 5.5 * time + phase) + 0.2 * noise).astype(np.float32)
    return changed(page, signal)


def test_stretches_of_tremor_are_in_doubt_and_others_are_not(page: grounding.ECGRecord) -> None:
    for record, shaking in ((page, ()), (with_tremor(page), SHAKING)):
        at_250_hz = record.resample(250).signal
        present = np.isfinite(at_250_hz)
        shares = doubtful(fill_missing(at_250_hz), present).sum(axis=1) / present.sum(axis=1)
        assert np.flatnonzero(shares > 0.5).tolist() == list(shaking)
        assert (np.delete(shares, shaking) < 0.1).all()


def test_the_rate_comes_from_leads_that_show_beats(page: grounding.ECGRecord) -> None:
    wanted = grounding.measure(page).heart_rate
    assert grounding.measure(with_tremor(page)).heart_rate == pytest.approx(wanted, abs=1)


def test_a_beat_that_a_page_does_not_show_is_no_pause(page: grounding.ECGRecord) -> None:
    measured = grounding.measure(page)
    beat = int(measured.beats["r_sample"].iloc[len(measured.beats) // 2])
    signal = page.signal.copy()
    around = slice(beat - round(0.08 * page.fs), beat + round(0.08 * page.fs))
    signal[:, around] = signal[:, around.start : around.start + 1]  # a flat line where it was
    lost = grounding.measure(changed(page, signal))
    assert len(lost.beats) == len(measured.beats) - 1
    assert lost.heart_rate == pytest.approx(measured.heart_rate, abs=1)


def test_intervals_count_alike_where_a_rhythm_is_irregular() -> None:
    from grounding.measurement.assembly import _usual

    regular = np.array([0.8, 0.81, 0.79, 0.8, 0.4, 0.4, 0.8, 1.6])
    assert _usual(regular).tolist() == [0.8, 0.81, 0.79, 0.8, 0.8]
    irregular = np.array([0.5, 0.9, 0.7, 1.2, 0.6])
    assert _usual(irregular).tolist() == irregular.tolist()


def test_of_two_beats_at_once_the_surer_is_kept() -> None:
    beats = np.array([100, 130, 400, 700, 740])
    strength = np.zeros(1000, np.float32)
    strength[beats] = (0.6, 0.9, 0.8, 0.9, 0.7)
    assert beats[learned._apart(beats, strength)].tolist() == [130, 400, 700]


def test_a_tall_t_wave_is_not_the_qrs() -> None:
    time = np.arange(1000) / 250
    qrs, t_wave = (lambda at: np.exp(-(((time - at) / 0.012) ** 2))), (lambda at: np.exp(-(((time - at) / 0.06) ** 2)))
    signal = np.stack([0.4 * qrs(at) + 0.8 * t_wave(at + 0.28) for at in (0.8, 1.6, 2.4)]).sum(0)[None]
    taken = np.array([round(250 * (at + 0.28)) for at in (0.8, 1.6, 2.4)])
    strength = np.zeros(1000, np.float32)
    for at in (0.8, 1.6, 2.4):
        strength[round(250 * at) - 5 : round(250 * at) + 6] = 0.3
    moved = learned._not_t_waves(taken, strength, signal)
    assert np.abs(moved / 250 - (0.8, 1.6, 2.4)).max() < 0.02
    # where nothing before it may be a QRS, it stays
    assert learned._not_t_waves(taken, np.zeros(1000, np.float32), signal).tolist() == taken.tolist()
