"""ECGRecord: what it takes, what it refuses, and what select, crop and resample keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from grounding import STANDARD_LEADS, EcgError, ECGRecord, EcgSignalError, read_record, sample_path
from grounding.record import UNITS_MV, canonical_lead


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("avr", "aVR"),
        ("MDC_ECG_LEAD_V3", "V3"),
        ("ECG II", "II"),
        (" v6 ", "V6"),
        ("Lead aVF", "aVF"),
        ("MLII", "II"),
        ("-aVR", "-aVR"),
    ],
)
def test_lead_names(given_name: str, expected: str) -> None:
    """A Cabrera -aVR is not aVR: it has the other sign."""
    assert canonical_lead(given_name) == expected


@pytest.mark.parametrize("unit", sorted(UNITS_MV))
def test_units_become_millivolts(unit: str) -> None:
    record = ECGRecord.from_array(np.full((1, 10), 2 / UNITS_MV[unit]), 500, ["I"], units=unit)
    np.testing.assert_allclose(record.signal, 2, rtol=1e-6)
    assert record.has_millivolts


def test_units_without_voltage_are_kept_apart() -> None:
    assert not ECGRecord.from_array(np.ones((1, 10)), 500, ["I"], units="zscore").has_millivolts


@pytest.mark.parametrize(
    ("signal", "fs", "leads", "units", "message"),
    [
        (np.zeros((500, 2)), 500, ["I", "II"], "mV", "transposed"),
        (np.zeros((2, 500)), 500, ["I", "I"], "mV", "more than once"),
        (np.zeros((2, 500)), 500, ["I"], "mV", "2 rows but 1"),
        (np.zeros(500), 500, ["I"], "mV", "1 axes"),
        (np.zeros((1, 0)), 500, ["I"], "mV", "empty"),
        (np.zeros((1, 500)), 0, ["I"], "mV", "sampling rate"),
        (np.zeros((1, 500)), float("nan"), ["I"], "mV", "sampling rate"),
        (np.zeros((1, 500)), "fast", ["I"], "mV", "sampling rate"),
        (np.zeros((1, 500)), 500, ["I"], "parsec", "unknown unit"),
        (np.full((1, 500), np.nan), 500, ["I"], "mV", "finite"),
        ([["a", "b"]], 500, ["I"], "mV", "not numeric"),
        ([[1, 2], [3]], 500, ["I", "II"], "mV", "not numeric"),
    ],
)
def test_what_is_refused(signal: object, fs: object, leads: list[str], units: str, message: str) -> None:
    with pytest.raises(EcgSignalError, match=message) as caught:
        ECGRecord.from_array(signal, fs, leads, units=units)  # type: ignore[arg-type]
    assert caught.value.remedy


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.bool_]), arrays.array_shapes(max_dims=3, max_side=6)
    ),
    st.one_of(st.floats(), st.integers(-10, 2000)),
    st.lists(st.text(max_size=4), max_size=6),
    st.sampled_from(["mV", "uV", "adu", "zscore", "??"]),
)
def test_anything_gives_a_record_or_an_ecg_error(signal: np.ndarray, fs: float, leads: list[str], units: str) -> None:
    try:
        record = ECGRecord.from_array(signal, fs, leads, units=units)
    except EcgError:
        return
    assert record.signal.dtype == np.float32
    assert record.signal.shape == (len(leads), signal.shape[1])
    assert not np.isinf(record.signal).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fs": float("nan")}, "sampling rate"),
        ({"fs": 0}, "sampling rate"),
        ({"fs": -500.0}, "sampling rate"),
        ({"fs": float("inf")}, "sampling rate"),
        ({"fs": None}, "sampling rate"),
        ({"fs": 10**400}, "sampling rate"),
        ({"signal": np.zeros((12, 0), np.float32)}, "empty"),
        ({"signal": np.zeros(12, np.float32)}, "1 axes"),
        ({"signal": None}, "0 axes"),
        ({"signal": [["a"] * 12]}, "not numeric"),
        ({"leads": ("I", "II")}, "12 rows but 2"),
        ({"leads": ("I",) * 12}, "more than once"),
        ({"leads": None}, "leads is None"),
        ({"record_id": None}, "record_id is None"),
        ({"record_id": 5}, "record_id is 5"),
        ({"meta": [1]}, "meta is a list"),
        ({"meta": "x"}, "meta is a str"),
        ({"meta": {"age": "old"}}, "age is 'old'"),
        ({"meta": {"age": -1}}, "age is -1"),
        ({"meta": {"age": 1e9}}, "age is"),
        ({"meta": {"sex": 3}}, "sex is 3"),
        ({"meta": {"sex": "x"}}, "sex is 'x'"),
        ({"meta": {"units": "bogus"}}, "units are 'bogus'"),
    ],
)
def test_a_record_checks_itself(record: ECGRecord, change: dict[str, object], message: str) -> None:
    with pytest.raises(EcgSignalError, match=message) as caught:
        replace(record, **change)  # type: ignore[arg-type]
    assert caught.value.remedy
    fields = {name: getattr(record, name) for name in ("signal", "fs", "leads", "record_id", "meta")}
    with pytest.raises(EcgSignalError, match=message):
        ECGRecord(**(fields | change))


def test_a_record_is_brought_into_its_own_form(record: ECGRecord) -> None:
    signal = record.signal.astype(">f8")
    signal[3, 7] = np.inf
    other = replace(
        record,
        signal=np.asfortranarray(signal),
        fs=np.float32(500),
        leads=list(record.leads),
        meta={"age": np.float32(50), "sex": "F"},
        record_id="bad\udcff",
    )
    assert other.signal.dtype == np.float32
    assert other.signal.flags.c_contiguous
    assert np.isnan(other.signal[3, 7])
    assert isinstance(other.fs, float)
    assert other.leads == record.leads
    assert (other.meta["age"], other.meta["sex"]) == (50.0, "female")
    assert other.record_id == "bad?"
    assert replace(record, meta={"age": float("nan"), "sex": None}).meta == {"age": None, "sex": None}
    assert replace(record, record_id="other").signal is record.signal


def test_names_from_memory_are_kept_where_they_are_spelled_otherwise() -> None:
    record = ECGRecord.from_array(np.ones((2, 10)), 500, ["Ableitung I", "V1"])
    assert record.meta["channel_names"] == {"I": "Ableitung I"}
    assert "warnings" not in record.meta
    assert record.lead("Ableitung I") is not None
    unknown = ECGRecord.from_array(np.ones((12, 10)), 500, [f"X{k}" for k in range(12)])
    assert "none of the 12 names is a standard lead" in unknown.meta["warnings"][0]
    assert ECGRecord.from_array(np.ones((2, 10)), 500, ["II", "MLII"]).lead("MLII") is not None
    assert ECGRecord.from_array(np.ones((1, 10)), 500, "II").leads == ("II",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": None}, "unknown unit None"),
        ({"units": 5}, "unknown unit 5"),
        ({"meta": [1]}, "meta is a list"),
        ({"leads": None}, "leads is None"),
        ({"record_id": None}, "record_id is None"),
    ],
)
def test_other_wrong_types(options: dict[str, object], message: str) -> None:
    arguments = {"signal": np.ones((1, 10)), "fs": 500, "leads": ["I"]} | options
    with pytest.raises(EcgSignalError, match=message):
        ECGRecord.from_array(**arguments)  # type: ignore[arg-type]


def test_select_standard_and_crop(record: ECGRecord) -> None:
    assert record.select(["v1", "II"]).leads == ("V1", "II")
    with pytest.raises(EcgSignalError, match="no lead V9"):
        record.select(["V9"])
    three = record.select(["V2", "II", "I"]).standard()
    assert three.leads == STANDARD_LEADS
    assert np.isnan(three.lead("V1")).all()
    np.testing.assert_array_equal(three.lead("II"), record.lead("II"))
    part = record.crop(2, 4.5)
    np.testing.assert_array_equal(part.signal, record.signal[:, 1000:2250])
    with pytest.raises(EcgSignalError, match="nothing lies between"):
        record.crop(20, 30)


@pytest.mark.parametrize("fs", [100, 250, 360, 1000])
def test_resampling_keeps_duration_time_and_amplitude(record: ECGRecord, fs: float) -> None:
    other = record.resample(fs)
    assert other.fs == fs
    assert other.duration_s == pytest.approx(record.duration_s, abs=1.5 / fs)
    back = other.resample(500).signal[:, 100:4900]
    limit = 0.5 if fs == 100 else 0.06  # mV at the steepest slope of this QRS, which 100 Hz cannot hold
    assert np.abs(back - record.signal[:, 100:4900]).max() < limit


def test_missing_stays_missing_when_resampled(record: ECGRecord) -> None:
    signal = record.signal.copy()
    signal[3, 1000:2000] = np.nan
    signal[4] = np.nan
    other = ECGRecord.from_array(signal, 500, record.leads).resample(250)
    assert np.isnan(other.signal[3, 505:995]).all()
    assert np.isnan(other.signal[4]).all()
    assert np.isfinite(np.delete(other.signal, [3, 4], axis=0)).all()
