"""CSV, Parquet, NPY and NPZ: the same recording as WFDB gives, and clear errors for what a file does not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grounding import EcgError, EcgFormatError, ECGRecord, EcgSignalError, read_record, sample_path


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


@pytest.fixture
def table(record: ECGRecord) -> pd.DataFrame:
    frame = pd.DataFrame(record.signal.T.round(4).astype(np.float64), columns=list(record.leads))
    frame.insert(0, "time", np.arange(record.n_samples) / record.fs)
    return frame


def same(found: ECGRecord, expected: ECGRecord) -> None:
    assert found.fs == expected.fs
    assert found.leads == expected.leads
    np.testing.assert_allclose(found.signal, expected.signal, atol=2e-4)


@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_delimited_text(table: pd.DataFrame, record: ECGRecord, tmp_path: Path, sep: str, suffix: str) -> None:
    path = tmp_path / f"rec{suffix}"
    table.to_csv(path, sep=sep, index=False)
    same(read_record(path), record)
    assert read_record(path).record_id == "rec"


def test_decimal_comma_index_and_comments(table: pd.DataFrame, record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    text = "# exported somewhere\n" + table.to_csv(sep=";", decimal=",", index=True)
    path.write_text(text)
    same(read_record(path), record)


def test_parquet(table: pd.DataFrame, record: ECGRecord, tmp_path: Path) -> None:
    table.to_parquet(tmp_path / "rec.parquet")
    same(read_record(tmp_path / "rec.parquet"), record)


def test_npy_either_way_round(record: ECGRecord, tmp_path: Path) -> None:
    for array in (record.signal, record.signal.T):
        np.save(tmp_path / "rec.npy", array)
        same(read_record(tmp_path / "rec.npy", fs=500, leads=record.leads), record)


def test_npz_carries_all(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.npz"
    np.savez(path, signal=(record.signal * 1000).round().astype(np.int16), fs=500, leads=list(record.leads), units="uV")
    found = read_record(path)
    np.testing.assert_allclose(found.signal, record.signal, atol=6e-4)
    assert found.fs == 500
    assert read_record(path, units="adu").has_millivolts is False


def test_units_in_column_names_and_time_in_ms(table: pd.DataFrame, record: ECGRecord, tmp_path: Path) -> None:
    frame = table.rename(columns={"time": "time_ms", "II": "II (uV)", "V1": "V1 [mV]"})
    frame["time_ms"] *= 1000
    frame["II (uV)"] *= 1000
    frame.to_csv(tmp_path / "rec.csv", index=False)
    same(read_record(tmp_path / "rec.csv"), record)
    picked = read_record(tmp_path / "rec.csv", leads=["V1", "II"])
    assert picked.leads == ("V1", "II")
    assert read_record(tmp_path / "rec.csv", fs=250).fs == 250


def test_without_a_header_the_leads_must_be_named(table: pd.DataFrame, record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    table.drop(columns="time").to_csv(path, index=False, header=False)
    same(read_record(path, fs=500, leads=record.leads), record)
    with pytest.raises(EcgSignalError, match="not named"):
        read_record(path, fs=500)
    with pytest.raises(EcgSignalError, match=r"sampling rate.*pass fs="):
        read_record(path, leads=record.leads)
    with pytest.raises(EcgSignalError, match="3 leads are named"):
        read_record(path, fs=500, leads=["I", "II", "III"])


def test_errors_name_the_place(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    table.drop(columns="time").to_csv(path, index=False)
    with pytest.raises(EcgSignalError, match="pass fs="):
        read_record(path)
    with pytest.raises(EcgSignalError, match="no column V9"):
        read_record(path, fs=500, leads=["V9"])
    with pytest.raises(EcgError, match="no option 'rate'"):
        read_record(path, rate=500)
    table.drop(index=range(100, 200)).to_csv(path, index=False)
    with pytest.raises(EcgSignalError, match="not evenly spaced"):
        read_record(path)
    text = table.head(50).to_csv(index=False).replace("0.004", "oops", 1)
    path.write_text(text)
    with pytest.raises(EcgFormatError, match=r"row \d+ holds 'oops'"):
        read_record(path)
    path.write_text("# nothing\n\n")
    with pytest.raises(EcgFormatError, match="no row"):
        read_record(path)


def test_missing_cells_are_missing_samples(table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[10:19, "V2"] = np.nan
    table.to_csv(tmp_path / "rec.csv", index=False)
    found = read_record(tmp_path / "rec.csv")
    assert np.isnan(found.lead("V2")).sum() == 10
    assert np.isfinite(found.lead("V1")).all()


def test_an_npy_that_promises_too_much_or_holds_objects(tmp_path: Path) -> None:
    path = tmp_path / "rec.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2, 10**10)})
        file.write(bytes(1600))
    with pytest.raises(EcgError):
        read_record(path, fs=500, leads=["I", "II"])
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(EcgError):
        read_record(path, fs=500, leads=["I"])


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".npz", ".parquet"])
def test_mutated_bytes_give_a_record_or_an_ecg_error(table: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rec{suffix}"
    short = table.head(200)
    values = short.drop(columns="time").to_numpy().T
    leads = list(short.columns[1:])
    match suffix:
        case ".csv":
            short.to_csv(path, index=False)
        case ".parquet":
            short.to_parquet(path)
        case ".npy":
            np.save(path, values)
        case _:
            np.savez(path, signal=values, fs=500, leads=leads)
    original = path.read_bytes()
    options = {"fs": 500, "leads": leads} if suffix == ".npy" else {}
    rng = np.random.default_rng(1)
    refused = 0
    for trial in range(60):
        data = bytearray(original)
        for _ in range(rng.integers(1, 8)):
            data[rng.integers(min(len(data), 2000) if trial % 2 else len(data))] = rng.integers(256)
        path.write_bytes(bytes(data[: rng.integers(1, len(data))] if trial % 3 == 0 else data))
        try:
            read_record(path, **options)
        except EcgError:
            refused += 1
    assert refused > 0


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("0123456789.,;\t\n -+eEnaI V#time\"'\x00é"), max_size=200))
def test_any_text_gives_a_record_or_an_ecg_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(text, encoding="utf-8")
    try:
        leads = read_record(path, fs=500, leads=["I"]).leads
    except EcgError:
        return
    assert leads == ("I",)
