"""CSV, Parquet, NPY and NPZ: the same recording as WFDB gives, and clear errors for what a file does not tell."""

from __future__ import annotations

import io
import os
import time
import tracemalloc
import zipfile
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
    given = read_record(tmp_path / "rec.csv", units="V")  # of the columns that name none
    np.testing.assert_allclose(given.lead("II"), record.lead("II"), atol=2e-4)
    np.testing.assert_allclose(given.lead("I"), 1000 * record.lead("I"), atol=0.2)


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


def test_parquet_with_time_stamps_text_and_other_columns(
    table: pd.DataFrame, record: ECGRecord, tmp_path: Path
) -> None:
    path = tmp_path / "rec.parquet"
    frame = table.drop(columns="time")
    stamps = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(len(frame)) * 2, unit="ms")
    frame.assign(timestamp=stamps, label="N", HR=70).to_parquet(path)
    found = read_record(path)
    same(found, record)
    assert found.meta["warnings"] == ("no numbers, left out: label", "no ECG by name, left out: HR")
    frame.set_index(stamps).to_parquet(path)
    same(read_record(path, fs=500), record)
    frame.set_index(stamps.rename("time")).to_parquet(path)
    same(read_record(path), record)
    with pytest.raises(EcgError, match="no column V9"):
        read_record(path, leads=["V9"])


def test_parquet_columns_of_other_types(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "rec.parquet"
    one = pa.array([0.25, 0.5, -0.125] * 10)
    columns = {
        "I": one.cast(pa.decimal128(10, 6)),
        "II": pa.array([1, None, 2] * 10),
        "V1": pa.array([True, False, None] * 10),
    }
    pq.write_table(pa.table(columns), path)
    found = read_record(path, fs=500)
    np.testing.assert_allclose(found.lead("I")[:3], [0.25, 0.5, -0.125])
    np.testing.assert_array_equal(found.lead("II")[:3], [1, np.nan, 2])
    np.testing.assert_array_equal(found.lead("V1")[:3], [1, 0, np.nan])
    pq.write_table(pa.table([one, one], names=["ECG", "ECG"]), path)
    assert read_record(path, fs=500).leads == ("ECG", "ECG 2")


def peak_bytes(path: Path, **options: object) -> tuple[int, str]:
    """Most memory that Python and pyarrow took for a file that is refused, and the error."""
    import pyarrow as pa

    tracemalloc.start()
    before = pa.total_allocated_bytes()
    with pytest.raises(EcgError) as caught:
        read_record(path, **options)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before
    tracemalloc.stop()
    return peak, str(caught.value)


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = "x" * (1 << 20)
    path = tmp_path / "text.parquet"
    pq.write_table(pa.table({"I": pa.array([text] * 300)}), path, compression="zstd", store_schema=False)
    peak, message = peak_bytes(path, fs=500)
    assert "hold text: I" in message
    assert peak < 20e6
    pq.write_table(
        pa.table({"I": np.arange(300.0), "note": [text] * 300}), path, compression="zstd", store_schema=False
    )
    begun = time.process_time()
    assert read_record(path, fs=500).leads == ("I",)
    assert time.process_time() - begun < 1
    path = tmp_path / "constant.parquet"
    pq.write_table(pa.table({"I": np.zeros(10_000_000)}), path, compression="zstd")
    peak, message = peak_bytes(path, fs=500)
    assert "unpacks to 80000000" in message
    assert peak < 20e6
    path = tmp_path / "constant.npz"
    np.savez_compressed(path, signal=np.zeros((1, 10_000_000)), fs=500, leads=["I"])
    peak, message = peak_bytes(path)
    assert "unpacks to" in message
    assert peak < 20e6


def test_an_npz_whose_array_promises_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "rec.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2, 10**9)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("signal.npy", header.getvalue() + bytes(1600))
    peak, message = peak_bytes(path, fs=500, leads=["I", "II"])
    assert "promises 16000000000 bytes" in message
    assert peak < 20e6
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("signal.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(1600))
    assert "no NumPy array" in peak_bytes(path, fs=500, leads=["I", "II"])[1]


def test_npz_in_other_forms(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.npz"
    note = np.array({"who": "someone"}, dtype=object)
    np.savez(path, I=record.lead("I"), II=record.lead("II"), HR=np.full(record.n_samples, 70.0), fs=[500], note=note)
    found = read_record(path)
    same(found, record.select(["I", "II"]))
    assert found.meta["warnings"] == ("no ECG by name, left out: HR",)
    names = np.array([f"D{name}" if set(name) == {"I"} else name for name in record.leads])
    np.savez(path, signal=1000 * record.signal.T, fs=500.0, leads=names, units="µV")
    same(read_record(path), record)
    picked = read_record(path, leads=["V1", "II"])
    same(picked, record.select(["V1", "II"]))
    np.savez(path, signal=record.signal[:3], fs=500, leads=["I", "PLETH", "II"])
    assert read_record(path).leads == ("I", "II")
    np.savez(path, signal=record.signal[:2], fs=500, leads=["ECG", "ECG"])
    assert read_record(path).leads == ("ECG", "ECG 2")
    assert read_record(path, leads=["I", "II"]).leads == ("I", "II")
    np.savez(path, signal=record.signal[:2], fs=500, leads=["I", "II"], units="")
    assert not read_record(path).has_millivolts
    np.savez(path, signal=record.signal[:2], fs=[500, 500], leads=["I", "II"])
    with pytest.raises(EcgFormatError, match="fs holds 2 values"):
        read_record(path)


def test_npy_with_a_field_per_lead(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.npy"
    rows = np.zeros(record.n_samples, dtype=[("time", "f8"), ("I", "f4"), ("PLETH", "f4"), ("label", "U3")])
    rows["time"], rows["I"] = np.arange(record.n_samples) / 500, record.lead("I")
    np.save(path, rows)
    found = read_record(path)
    same(found, record.select(["I"]))
    assert found.meta["warnings"] == ("no numbers, left out: label", "no ECG by name, left out: PLETH")


def test_a_file_name_that_is_not_utf8(table: pd.DataFrame, record: ECGRecord, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff\xfename.csv"))
    table.to_csv(path, index=False)
    found = read_record(path)
    same(found, record)
    assert found.record_id == "bad??name"
    path.write_text("I\n1\n")
    with pytest.raises(EcgError) as caught:
        read_record(path)
    assert "bad" in str(caught.value).encode("utf-8").decode("utf-8")


@pytest.mark.parametrize("path", ["~nobody_of_this_name/x", None, 5, b"x", [], "\0"])
def test_what_is_no_path(path: object) -> None:
    with pytest.raises(EcgError) as caught:
        read_record(path)  # type: ignore[arg-type]
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fs": "fast"}, "sampling rate fast"),
        ({"fs": -1}, "sampling rate -1"),
        ({"leads": 5}, "leads is 5"),
        ({"units": 5}, "unknown unit 5"),
        ({"age": "old"}, "age is 'old'"),
        ({"sex": "?"}, "sex is"),
        ({"format": 5}, "no reader is called 5"),
        ({"format": ""}, "no reader is called ''"),
        ({"group": 1}, "no option 'group'"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, object], message: str) -> None:
    with pytest.raises(EcgError, match=message):
        read_record(sample_path(), **options)  # type: ignore[arg-type]


def test_every_option_for_every_table(table: pd.DataFrame, record: ECGRecord, tmp_path: Path) -> None:
    given = {"fs": 400, "leads": ["V2", "I"], "units": "uV", "age": 61, "sex": "m"}
    table.to_csv(tmp_path / "rec.csv", index=False)
    table.to_parquet(tmp_path / "rec.parquet")
    np.savez(tmp_path / "rec.npz", signal=record.signal, fs=500, leads=list(record.leads))
    for path in (tmp_path / "rec.csv", tmp_path / "rec.parquet", tmp_path / "rec.npz", sample_path()):
        found = read_record(path, **given)  # type: ignore[arg-type]
        assert (found.fs, found.leads, found.meta["age"], found.meta["sex"]) == (400, ("V2", "I"), 61.0, "male")
        np.testing.assert_allclose(found.signal, record.select(["V2", "I"]).signal / 1000, atol=1e-6)


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
