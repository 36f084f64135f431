"""The signal contract is executed: names, rate, units, window, filter, normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import grounding
from gem import GemConfigError, GemInputError
from gem.encoders import SignalContract
from gem.kernels.int16_samples import decoded
from grounding import STANDARD_LEADS, ECGRecord
from grounding.readers.samples import sample_names

RNG = np.random.default_rng(0)


def record(
    fs: float = 500, seconds: float = 10, leads: tuple[str, ...] = STANDARD_LEADS, units: str = "mV"
) -> ECGRecord:
    t = np.arange(int(fs * seconds)) / fs
    signal = np.stack([np.sin(2 * np.pi * (1 + i) * t) for i in range(len(leads))])
    return ECGRecord.from_array(signal, fs, leads, units)


def test_lead_order_is_by_name_unless_compat() -> None:
    contract = SignalContract()
    turned = record().select(tuple(reversed(STANDARD_LEADS)))
    np.testing.assert_allclose(contract.execute(turned)[0], contract.execute(record())[0])
    np.testing.assert_allclose(contract.execute(turned, compat=True)[0], contract.execute(record())[0][::-1])


@pytest.mark.parametrize("fs", [50, 100, 257, 500, 1000, 5000])
def test_any_rate_reaches_the_contracts(fs: float) -> None:
    signal, notes = SignalContract(fs_hz=500, n_samples=5000).execute(record(fs))
    assert signal.shape == (12, 5000)
    assert list(notes) == ([] if fs == 500 else [f"resampled from {fs} to 500 Hz"])
    np.testing.assert_allclose(signal[0, 500:4500], record(500).signal[0, 500:4500], atol=0.02)


def test_compat_neither_resamples_nor_filters() -> None:
    with pytest.warns(UserWarning, match="100 Hz where 500 Hz"):
        signal, notes = SignalContract(bandpass_hz=(0.5, 40)).execute(record(100), compat=True)
    assert len(notes) == 1
    np.testing.assert_array_equal(signal[:, :1000], record(100).signal)
    assert not signal[:, 1000:].any()


def test_compat_puts_zeros_where_no_number_is() -> None:
    holes = record().signal.copy()
    holes[2, :3] = np.nan, np.inf, -np.inf
    signal, _ = SignalContract().execute(ECGRecord.from_array(holes, 500, STANDARD_LEADS), compat=True)
    assert signal[2, :3].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(signal[2, 3:], record().signal[2, 3:])


def test_zscore_and_band() -> None:
    noisy = record()
    drifting = ECGRecord.from_array(noisy.signal + np.linspace(0, 3, 5000), 500, STANDARD_LEADS)
    contract = SignalContract(fs_hz=125, n_samples=1250, bandpass_hz=(0.5, 40), normalization="zscore")
    signal, _ = contract.execute(drifting)
    np.testing.assert_allclose(signal.std(axis=1), 1, atol=1e-3)
    flat = ECGRecord.from_array(np.full((12, 5000), 0.3), 500, STANDARD_LEADS)
    assert not contract.execute(flat)[0].any()


def test_one_lead_two_seconds_and_gaps_are_told() -> None:
    signal, notes = SignalContract(normalization="zscore").execute(record(seconds=2, leads=("II",)))
    assert signal[1].any()
    assert not signal[0].any()
    assert len(notes) == 2
    gappy = record().signal.copy()
    gappy[3, 100:200] = np.nan
    signal, notes = SignalContract().execute(ECGRecord.from_array(gappy, 500, STANDARD_LEADS))
    assert np.isfinite(signal).all()
    assert "missing" in notes[0]


def test_what_cannot_fit_is_refused() -> None:
    with pytest.raises(GemInputError, match="mV"):
        SignalContract().execute(record(units="zscore"))
    with pytest.raises(GemInputError, match="aVR"):
        SignalContract(missing_leads="error").execute(record(leads=("I", "II", "III")))
    with pytest.raises(GemInputError, match="3 leads"):
        SignalContract().execute(record(leads=("I", "II", "III")), compat=True)


def test_real_records_and_round_trip() -> None:
    contract = SignalContract(bandpass_hz=(0.5, 40.0), normalization="zscore")
    assert SignalContract.from_dict(contract.to_dict()) == contract
    for name in sample_names()[:3]:
        signal, _ = contract.execute(grounding.read_record(grounding.sample_path(name)))
        assert np.isfinite(signal).all()


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("normalization", ["none", "zscore"])
def test_int16_decodes_to_what_the_encoder_expects(normalization: str, compat: bool) -> None:
    contract = SignalContract(normalization=normalization)
    gappy = record().signal.copy()
    gappy[3, 100:200] = np.nan
    records = [grounding.read_record(grounding.sample_path(name)) for name in ("ptbxl_13", "ludb_13")]
    records += [ECGRecord.from_array(gappy[:, :2500], 500, STANDARD_LEADS)]
    records += [] if compat else [record(seconds=4, fs=257, leads=("V2", "II"))]
    for item in records:
        samples, notes = contract.execute_int16(item, compat)
        want, told = contract.execute(item, compat)
        assert notes == told
        assert samples.dtype == np.int16
        got = decoded(torch.from_numpy(samples)[None], zscore=normalization == "zscore")[0].numpy()
        scale = (
            np.nanstd(item.signal, axis=1).min() if normalization == "zscore" else 1.0
        )  # half a microvolt, in units of the spread
        np.testing.assert_allclose(got, want, atol=1e-3 / scale)
    if normalization == "none":
        samples, _ = contract.execute_int16(records[0], compat)
        np.testing.assert_array_equal(
            samples / np.float32(1000), contract.execute(records[0], compat)[0]
        )  # recorded in uV


def test_int16_is_refused_where_it_would_lose() -> None:
    with pytest.raises(GemConfigError, match="minmax"):
        SignalContract(normalization="minmax").execute_int16(record())
    with pytest.raises(GemInputError, match="40 mV"):
        SignalContract().execute_int16(ECGRecord.from_array(record().signal * 40, 500, STANDARD_LEADS))


def test_an_encoder_of_millivolts_gives_other_records_the_typical_size_and_says_so() -> None:
    typical = tuple(np.linspace(0.1, 0.3, 12).tolist())
    contract = SignalContract(fs_hz=125, n_samples=1250, typical_mv=typical)
    known, notes = contract.execute(record())
    np.testing.assert_allclose(known, SignalContract(fs_hz=125, n_samples=1250).execute(record())[0])
    assert not any("typical" in note for note in notes)
    for unit, gain in (("zscore", 1.0), ("adu", 700.0)):
        other = ECGRecord.from_array(gain * record().signal, 500, STANDARD_LEADS, unit)
        signal, notes = contract.execute(other)
        np.testing.assert_allclose(signal.std(1), typical, rtol=1e-3)
        assert f"the samples are in {unit}, not in mV" in notes[0]
        whole = decoded(torch.from_numpy(contract.execute_int16(other)[0])[None])[0].numpy()
        np.testing.assert_allclose(whole, signal, atol=0.001)
    flat = ECGRecord.from_array(np.zeros((12, 5000)), 500, STANDARD_LEADS, "adu")
    assert not contract.execute(flat)[0].any()
    three = record(leads=("I", "II", "V1"), units="adu")
    np.testing.assert_allclose(contract.execute(three)[0].std(1)[[0, 1, 6]], np.array(typical)[[0, 1, 6]], rtol=1e-3)
    assert SignalContract.from_dict(contract.to_dict()) == contract


@pytest.mark.parametrize(
    "values",
    [{"typical_mv": (0.1,)}, {"typical_mv": (0.0,) * 12}, {"typical_mv": (0.1,) * 12, "normalization": "zscore"}],
)
def test_typical_sizes_that_cannot_be_used_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(GemConfigError, match="typical_mv"):
        SignalContract(**values)


def test_what_was_not_recorded_is_zero_and_short_gaps_are_bridged() -> None:
    whole = grounding.read_record(grounding.sample_path())
    contract = SignalContract(fs_hz=125, n_samples=1250, bandpass_hz=(0.5, 40), typical_mv=(0.15,) * 12)
    signal = whole.signal.copy()
    signal[0, 1000:2000] = np.nan  # two seconds
    signal[1, 1000:1100] = np.nan  # a fifth of one
    gappy = ECGRecord.from_array(signal, whole.fs, whole.leads)
    made, notes = contract.execute(gappy)
    assert "zeros from 0.5 s on" in notes[0]
    assert not made[0, 250:500].any()
    assert made[1, 250:275].all()
    same, _ = contract.execute(whole)
    assert np.abs(made[2:] - same[2:]).max() == 0
    assert np.abs(made[0, 700:] - same[0, 700:]).max() < 0.01

    # of a lead without a known scale, the size is that of what was recorded
    unscaled = [
        grounding.ECGRecord.from_array(rows, whole.fs, whole.leads, "zscore") for rows in (whole.signal, signal)
    ]
    full, part = (contract.execute(one)[0] for one in unscaled)
    assert part[0, 700:].std() == pytest.approx(full[0, 700:].std(), rel=0.15)
