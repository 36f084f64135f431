"""EDF, EDF+ and BDF: units, names, invalid gains, annotations, gaps, and headers that claim too much."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest

from grounding import EcgFormatError, ECGRecord, EcgSignalError, read_record, sample_path


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


def write(path: Path, record: ECGRecord, leads: Sequence[str], labels: Sequence[str], **options: Any) -> None:
    kind, file = (edfio.BdfSignal, edfio.Bdf) if path.suffix == ".bdf" else (edfio.EdfSignal, edfio.Edf)
    signals = [
        kind(
            1000 * record.lead(lead).astype(float),
            record.fs,
            label=label,
            physical_dimension="uV",
            physical_range=(-6000, 6000),
        )
        for lead, label in zip(leads, labels, strict=True)
    ]
    file(signals, **options).write(path)


def edit(path: Path, at: int, new: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("unit", [b"\xb5V", "µV".encode(), "μV".encode(), b"mcV", b"UV", b"uv/bit"])
def test_spellings_of_microvolt(record: ECGRecord, tmp_path: Path, suffix: str, unit: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, record, ["II"], ["ECG II"])
    edit(path, 256 + 96, unit.ljust(8))
    found = read_record(path)
    assert found.has_millivolts
    np.testing.assert_allclose(found.lead("II"), record.lead("II"), atol=1e-3)


@pytest.mark.parametrize("unit", [b"        ", b"parsec  ", b"?V      "])
def test_a_blank_or_odd_unit_is_said_and_can_be_given(record: ECGRecord, tmp_path: Path, unit: bytes) -> None:
    path = tmp_path / "a.edf"
    write(path, record, ["II"], ["ECG II"])
    edit(path, 256 + 96, unit)
    found = read_record(path)
    assert not found.has_millivolts
    assert f"({unit.decode().strip() or 'none'})" in found.meta["warnings"][0]
    np.testing.assert_allclose(read_record(path, units="uV").lead("II"), record.lead("II"), atol=1e-3)


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("at", [104, 120])
def test_minimum_equal_to_maximum_is_no_gain(record: ECGRecord, tmp_path: Path, suffix: str, at: int) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, record, ["II"], ["ECG II"])
    data = path.read_bytes()
    edit(path, 256 + at, data[256 + at + 8 : 256 + at + 16])
    found = read_record(path)
    assert found.meta["units"] == "adu"
    assert "not calibrated" in found.meta["warnings"][0]
    edit(path, 256 + at, b"none    ")
    assert read_record(path).meta["units"] == "adu"


def test_an_eeg_beside_the_ecg_is_not_measured(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "sleep.edf"
    labels = ["EEG Fpz-Cz", "EOG horizontal", "Resp oro-nasal", "EMG submental", "ECG"]
    write(path, record, ["I", "III", "V1", "V2", "II"], labels, annotations=[edfio.EdfAnnotation(1.0, None, "Stage W")])
    found = read_record(path)
    assert found.leads == ("ECG",)
    np.testing.assert_allclose(found.lead("ECG"), record.lead("II"), atol=1e-3)
    assert "left out: EEG Fpz-Cz, EOG horizontal, Resp oro-nasal, EMG submental" in found.meta["warnings"][0]
    assert read_record(path, leads=["EEG Fpz-Cz"]).leads == ("EEG Fpz-Cz",)


def test_two_channels_of_one_name(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    write(path, record, ["I", "II"], ["EKG", "EKG"])
    found = read_record(path)
    assert found.leads == ("EKG", "EKG 2")
    assert any("same name" in line for line in found.meta["warnings"])
    named = read_record(path, leads=["I", "II"])
    np.testing.assert_allclose(named.signal, record.select(["I", "II"]).signal, atol=1e-3)


def test_sex_and_age_of_an_edf_plus_patient(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    write(
        path,
        record,
        ["II"],
        ["II"],
        patient=edfio.Patient(sex="F", birthdate=date(1950, 5, 2)),
        recording=edfio.Recording(startdate=date(2020, 1, 1)),
    )
    assert (read_record(path).meta["age"], read_record(path).meta["sex"]) == (69.0, "female")
    meta = read_record(path, age=70, sex="male").meta
    assert (meta["age"], meta["sex"]) == (70.0, "male")


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_the_gaps_of_an_interrupted_recording_are_missing_samples(
    record: ECGRecord, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, record, ["I", "II"], ["I", "II"], annotations=[])
    data = bytearray(path.read_bytes())
    data[192:197] = suffix[1:].upper().encode() + b"+D"
    start = 256 * 4
    length = (len(data) - start) // 10
    tal = 2 * 500 * (3 if suffix == ".bdf" else 2)
    for number in range(10):
        at = start + number * length + tal
        onset = number + 2.5 * (number >= 5)
        data[at : start + (number + 1) * length] = f"+{onset:g}\x14\x14\0".encode().ljust(length - tal, b"\0")[
            : length - tal
        ]
    path.write_bytes(data)
    found = read_record(path)
    assert found.n_samples == 6250
    assert np.isnan(found.signal[:, 2500:3750]).all()
    np.testing.assert_allclose(found.signal[:, :2500], record.select(["I", "II"]).signal[:, :2500], atol=1e-3)
    np.testing.assert_allclose(found.signal[:, 3750:], record.select(["I", "II"]).signal[:, 2500:], atol=1e-3)
    assert "1 gaps of 2.5 s" in found.meta["warnings"][0]
    at = start + 9 * length + tal
    edit(path, at, b"+9e9".ljust(4))
    with pytest.raises(EcgFormatError, match="does not say when"):
        read_record(path)
    edit(path, at, b"+2\x14\x14")
    with pytest.raises(EcgFormatError, match="overlap"):
        read_record(path)


def test_a_gap_of_a_century_takes_no_memory(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    write(path, record, ["I"], ["I"], annotations=[edfio.EdfAnnotation(5.0, None, "a remark, so that there is room")])
    data = bytearray(path.read_bytes())
    data[192:197] = b"EDF+D"
    length = (len(data) - 768) // 10
    at = 768 + 9 * length + 1000
    data[at : at + 16] = b"+3000000000\x14\x14\0\0\0"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(EcgFormatError, match="unpacks to"):
        read_record(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_recorder_that_was_stopped(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    write(path, record, ["II"], ["II"])
    edit(path, 236, b"-1      ")
    np.testing.assert_allclose(read_record(path).lead("II"), record.lead("II"), atol=1e-3)


def test_equals_edfio(record: ECGRecord, tmp_path: Path) -> None:
    for suffix, read in ((".edf", edfio.read_edf), (".bdf", edfio.read_bdf)):
        path = tmp_path / f"a{suffix}"
        write(path, record, ["I", "V6"], ["I", "V6"])
        expected = np.stack([signal.data for signal in read(path).signals]) / 1000
        np.testing.assert_allclose(read_record(path).signal, expected, rtol=1e-6, atol=1e-7)


def test_only_annotations(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    edfio.Edf([], annotations=[edfio.EdfAnnotation(0.0, None, "x")]).write(path)
    with pytest.raises((EcgFormatError, EcgSignalError)):
        read_record(path)
