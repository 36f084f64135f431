"""Tables as other libraries write them: long, transposed, with gaps, with units told elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io

from grounding import EcgFormatError, ECGRecord, EcgSignalError, read_record, sample_path
from grounding.leads import STANDARD_LEADS, canonical_leads
from grounding.readers.columns import split_unit

EIGHT = ("I", "II", *STANDARD_LEADS[6:])


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path("ptbxl_102"))


@pytest.fixture(scope="module")
def table(record: ECGRecord) -> pd.DataFrame:
    return pd.DataFrame(record.signal.T, columns=record.leads)


def same(found: ECGRecord, record: ECGRecord, atol: float = 1e-6) -> None:
    assert (found.leads, found.fs) == (record.leads, record.fs)
    assert found.has_millivolts
    np.testing.assert_allclose(found.signal, record.signal, atol=atol)


def long_table(table: pd.DataFrame) -> pd.DataFrame:
    return table.reset_index(names="sample").melt("sample", var_name="lead", value_name="mV")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_row_for_each_sample_of_each_lead(
    suffix: str, table: pd.DataFrame, record: ECGRecord, tmp_path: Path
) -> None:
    path = tmp_path / f"long{suffix}"

    def write(frame: pd.DataFrame) -> Path:
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
        return path

    frame = long_table(table)
    same(read_record(write(frame), fs=500), record)
    same(read_record(write(frame.sort_values(["sample", "lead"], kind="stable")), fs=500).select(record.leads), record)
    timed = frame.assign(time=frame["sample"] / 500, uV=frame["mV"] * 1000)[["time", "lead", "uV"]]
    same(read_record(write(timed)), record)
    for wrong, why in (
        (frame.assign(quality=1.0), "the numbers are in mV, quality"),
        (frame.iloc[:-9], "their numbers differ"),
        (frame.replace({"lead": {"V6": "PLETH"}}), "in other rows 'PLETH'"),
        (frame.replace({"lead": {"V6": None}}), "in other rows ''"),
        (timed.assign(time=timed["time"] + (timed["lead"] == "V6")), "at other times"),
    ):
        with pytest.raises(EcgSignalError, match=why):
            read_record(write(wrong), fs=500)


@pytest.mark.parametrize("labels", [["N", "V"], ["II", "II"], ["I", "noise"], ["walking", "rest"]])
def test_other_text_is_a_label(labels: list[str], table: pd.DataFrame, tmp_path: Path) -> None:
    column = np.resize(labels, len(table))
    table[["II"]].assign(label=column).to_csv(tmp_path / "a.csv", index=False)
    table[["II"]].assign(label=column).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        found = read_record(tmp_path / name, fs=500)
        assert found.leads == ("II",)
        assert found.meta["warnings"] == ("no numbers, left out: label",)


@pytest.mark.parametrize("name", [None, "lead", "Ableitung"])
def test_a_transposed_table_has_a_row_per_lead(
    name: str | None, table: pd.DataFrame, record: ECGRecord, tmp_path: Path
) -> None:
    turned = table.T
    turned.index.name = name
    turned.to_csv(tmp_path / "a.csv")
    same(read_record(tmp_path / "a.csv", fs=500), record)
    turned.iloc[:, :300].to_csv(tmp_path / "a.csv")
    same(read_record(tmp_path / "a.csv", fs=500), record.crop(0, 0.6))


def with_gap(table: pd.DataFrame) -> str:
    lines = table.to_csv(index=False).splitlines()
    return "\n".join([*lines[:2001], *[""] * 1500, *lines[3501:], "", "", ""])


@pytest.mark.parametrize("leads", [list(STANDARD_LEADS), ["II"]])
def test_empty_lines_between_rows_are_missing_samples(
    leads: list[str], table: pd.DataFrame, record: ECGRecord, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(with_gap(table[leads]))
    found = read_record(tmp_path / "a.csv", fs=500)
    assert found.n_samples == 5000
    assert np.isnan(found.signal[:, 2000:3500]).all()
    np.testing.assert_allclose(found.signal[:, 3500:], record.select(leads).signal[:, 3500:], atol=1e-6)
    assert found.meta["warnings"] == ("1500 empty lines between the rows, taken as missing samples",)


def test_empty_lines_of_other_kinds_are_nothing(table: pd.DataFrame, record: ECGRecord, tmp_path: Path) -> None:
    path, text = tmp_path / "a.csv", table.to_csv(index=False)
    path.write_bytes(text.replace("\n", "\r\r\n").encode())  # one after each row: a fault of line ends
    same(read_record(path, fs=500), record)
    lines = text.splitlines()
    path.write_text("\n".join([*lines[:100], "", "# a remark", "", "", *lines[100:]]))
    same(read_record(path, fs=500), record)
    timed = table.copy()
    timed.insert(0, "time", np.arange(5000) / 500)
    lines = timed.to_csv(index=False).splitlines()
    path.write_text("\n".join([*lines[:100], "", "", *lines[100:]]))  # the time goes on: nothing is missing
    same(read_record(path), record)
    path.write_text(with_gap(timed))
    with pytest.raises(EcgSignalError, match="not evenly spaced"):
        read_record(path)


def rows(signal: np.ndarray, form: str) -> str:
    text = io.StringIO()
    np.savetxt(text, signal.T, fmt=form, delimiter=",")
    return text.getvalue()


@pytest.mark.parametrize(
    ("title", "form", "factor", "in_mv"),
    [
        ("# units: uV\n# fs: 500 Hz\n", "%d", 1000, True),
        ("Patient,X\nUnits,µV\nSampling rate,500\n", "%d", 1000, True),
        ("# fs: 500\n# Resolution: 4.88 uV/LSB\n# unit: uV\n", "%d", 1000, True),
        ("# fs: 500\n# Resolution: 4.88 uV/LSB\n", "%.6f", 1, True),  # of the device; these are no steps
        ("# fs: 500\n# Resolution: 5 uV/LSB\n", "%d", 200, False),  # steps, or microvolts?
        ("# fs: 500 Hz\n# gain: 200 adu/mV\n", "%d", 200, False),
        ("# fs: 500 Hz\n# units: adu\n", "%d", 200, False),
        ("# fs: 500 Hz\n# care unit: ICU\n", "%.6f", 1, True),
    ],
)
def test_units_in_title_lines(
    title: str, form: str, factor: float, in_mv: bool, record: ECGRecord, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(title + ",".join(record.leads) + "\n" + rows(np.round(record.signal * factor, 6), form))
    found = read_record(path)
    if in_mv:
        same(found, record, atol=0.002)
        assert found.meta["warnings"] == ()
    else:
        assert found.meta["units"] == "adu"
        assert any("not millivolts" in text for text in found.meta["warnings"])
    assert found.fs == 500


@pytest.mark.parametrize("form", ["{}-uV", "{}:uV", "{}uV", "uV_{}", "{}.uV", "{} µV", "uV-{}"])
def test_units_in_names(form: str) -> None:
    for lead in STANDARD_LEADS:
        assert split_unit(form.format(lead)) == (lead, "µV" if "µ" in form else "uV")


@pytest.mark.parametrize("name", ["V1-V2", "x-ray", "I-V", "CV", "MV", "ECG-II", "PAV"])
def test_names_that_end_like_units_are_names(name: str) -> None:
    assert split_unit(name) == (name, None)


@pytest.mark.parametrize("augmented", [("VR", "VL", "VF"), ("R", "L", "F"), ("vr", "vl", "vf")])
def test_augmented_leads_without_their_a(augmented: tuple[str, ...]) -> None:
    assert canonical_leads(["I", "II", "III", *augmented, *STANDARD_LEADS[6:]]) == STANDARD_LEADS
    for others in (["I", "II", "III"], ["I", "II", "III", "aVR", *STANDARD_LEADS[6:]], list(STANDARD_LEADS[6:])):
        assert not {"aVL", "aVF"} & set(canonical_leads([*others, *augmented]))
    assert "aVL" not in canonical_leads(["I", "II", "III", *augmented[1:], *STANDARD_LEADS[6:]])


@pytest.mark.parametrize(
    "keys",
    [
        {"p_signal": "signal", "fs": 500, "sig_name": "leads", "units": ["mV"] * 12},
        {"signals": "signal", "Fs": 500, "lead": "leads", "Unit": "mV"},
        {"ECG": "signal", "sr": 500.0, "Leads": "leads"},
    ],
)
def test_keys_of_an_archive(keys: dict[str, object], record: ECGRecord, tmp_path: Path) -> None:
    arrays = {"signal": record.signal.T, "leads": list(record.leads)}
    np.savez(tmp_path / "a.npz", **{key: arrays.get(str(value), value) for key, value in keys.items()})
    same(read_record(tmp_path / "a.npz"), record)


def test_units_and_gains_of_an_archive(record: ECGRecord, tmp_path: Path) -> None:
    path, leads = tmp_path / "a.npz", list(record.leads)
    factors = np.array([1000.0] * 6 + [1.0] * 6)[:, None]
    np.savez(path, signal=record.signal * factors, fs=500, leads=leads, units=["uV"] * 6 + ["mV"] * 6)
    same(read_record(path), record)
    np.savez(path, signal=record.signal, fs=500, leads=leads, units=["uV", "mV"])
    with pytest.raises(EcgFormatError, match="2 values for 12 leads"):
        read_record(path)
    steps = np.round(record.signal * 200).astype(np.int16)
    np.savez(path, signal=steps, fs=500, leads=leads, gain=200)
    found = read_record(path)
    assert found.meta["units"] == "adu"
    assert "'gain', which is not applied" in found.meta["warnings"][0]


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_eight_leads_are_completed_in_every_format(
    suffix: str, table: pd.DataFrame, record: ECGRecord, tmp_path: Path
) -> None:
    path, eight = tmp_path / f"a{suffix}", table[list(EIGHT)]
    if suffix == ".npz":
        np.savez(path, signal=eight.to_numpy().T, fs=500, leads=list(EIGHT))
    elif suffix == ".csv":
        eight.to_csv(path, index=False)
    else:
        eight.to_parquet(path)
    found = read_record(path, fs=500)
    same(found, record, atol=0.002)
    assert found.meta["derived_leads"] == ("III", "aVR", "aVL", "aVF")
    assert read_record(path, fs=500, leads=["III", "V1"]).leads == ("III", "V1")
    assert read_record(path, fs=500, leads=list(EIGHT)).leads == EIGHT
    assert len(read_record(path, fs=500, units="zscore").leads) == 8  # each scaled by itself: no sum holds
    with pytest.raises(EcgSignalError, match=r"no (column|channel) III"):
        read_record(path, fs=500, units="zscore", leads=["III"])


def test_two_leads_stay_two(table: pd.DataFrame, tmp_path: Path) -> None:
    table[["I", "II"]].to_csv(tmp_path / "a.csv", index=False)
    assert read_record(tmp_path / "a.csv", fs=500).leads == ("I", "II")


@pytest.mark.parametrize("version", ["4", "5"])
def test_a_matrix_without_a_header(version: str, record: ECGRecord, tmp_path: Path) -> None:
    path, leads = tmp_path / "a.mat", list(record.leads)
    scipy.io.savemat(path, {"val": np.round(record.signal * 1000).astype(np.int16)}, format=version)
    with pytest.raises(EcgFormatError, match=r"no header file .* pass fs= and leads="):
        read_record(path)
    same(read_record(path, fs=500, leads=leads, units="uV"), record, atol=0.001)
    found = read_record(path, fs=500, leads=leads)
    assert found.meta["units"] == "adu"
    assert "without a header that tells their gain" in found.meta["warnings"][0]
    scipy.io.savemat(path, {"ecg": record.signal.T.astype(float), "fs": 500.0}, format=version)
    same(read_record(path, fs=500, leads=leads), record)
