"""Tables of reports, age and sex are joined to the recordings that they name, and to no others."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

import grounding
from gem.batch import measure_to_table
from gem.instruct.pipeline import instruct
from gem.instruct.sources import find_sources
from gem.patients import PatientRow, read_table
from grounding.errors import EcgFormatError

SAMPLES = grounding.sample_path().parent


def record(place: Path, text: str = "") -> Path:
    """A recording of a name of one's choice, with more lines in its header."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SAMPLES / "ptbxl_13.dat", place.with_suffix(".dat"))
    header = (SAMPLES / "ptbxl_13.hea").read_text().replace("ptbxl_13", place.name)
    header = "".join(line for line in header.splitlines(keepends=True) if not line.startswith("#"))
    place.with_suffix(".hea").write_text(header + text)
    return place


def told(folder: Path, table: Path | None = None) -> dict[str, tuple[str, float | None, str | None]]:
    return {one.ecg: (one.report, one.age, one.sex) for one in find_sources([folder], table)}


def test_equal_names_in_several_folders_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        record(tmp_path / f"pat{number}" / "ecg")
    (tmp_path / "labels.csv").write_text(
        "path,report,age,sex\n" + "".join(f"pat{n}/ecg.hea,of {n},{30 + n},female\n" for n in (1, 2, 3))
    )
    assert told(tmp_path) == {f"pat{n}/ecg": (f"of {n}", 30.0 + n, "female") for n in (1, 2, 3)}
    assert told(tmp_path / "pat2") == {"ecg": ("of 2", 32.0, "female")}


def test_a_name_that_fits_several_fits_none(tmp_path: Path) -> None:
    for number in (1, 2):
        record(tmp_path / f"pat{number}" / "ecg")
    (tmp_path / "labels.csv").write_text("record,report\necg,of one of them\n")
    with pytest.warns(UserWarning, match="2 recordings have a name that fits several"):
        assert {report for report, *_ in told(tmp_path).values()} == {""}
    (tmp_path / "labels.csv").write_text("record,report\npat1/ecg,of 1\n")
    with pytest.warns(UserWarning, match="names 1 of 2 recordings"):
        assert [report for report, *_ in told(tmp_path).values()] == ["of 1", ""]
    shutil.move(tmp_path / "pat2", tmp_path / "pat3")  # the row is of a recording that is there
    with pytest.warns(UserWarning, match="names 1 of 2 recordings"):
        assert [report for report, *_ in told(tmp_path).values()] == ["of 1", ""]


def test_a_number_that_counts_the_rows_names_nobody(tmp_path: Path) -> None:
    for number in (1, 3):
        record(tmp_path / f"0000{number}_hr")
    (tmp_path / "labels.csv").write_text("id,filename,report\n1,00003_hr,of 3\n3,00001_hr,of 1\n")
    assert [report for report, *_ in told(tmp_path).values()] == ["of 1", "of 3"]
    (tmp_path / "labels.csv").write_text("id,report\n1,of whom?\n")
    with pytest.warns(UserWarning, match="it names none of 2 recordings"):
        assert [report for report, *_ in told(tmp_path).values()] == ["", ""]


def test_a_table_reaches_no_further_than_its_folder(tmp_path: Path) -> None:
    """PTB-XL's records are known by their number, which in LUDB is another patient's."""
    record(tmp_path / "ptbxl" / "00001_hr")
    record(tmp_path / "ludb" / "1")
    (tmp_path / "ptbxl" / "labels.csv").write_text("ecg_id,age,sex,scp_codes,report\n1,56.0,1,{},sinusrhythmus\n")
    both = {one.id: one for one in find_sources([tmp_path / "ptbxl", tmp_path / "ludb"])}
    assert (both["ptbxl-00001_hr"].report, both["ptbxl-00001_hr"].sex) == ("sinusrhythmus", "female")
    assert (both["ludb-1"].report, both["ludb-1"].age) == ("", None)
    shutil.move(tmp_path / "ptbxl" / "labels.csv", tmp_path / "labels.csv")
    with pytest.warns(UserWarning, match="names 1 of 2"):
        assert told(tmp_path)["ludb/1"] == ("", None, None)


@pytest.mark.parametrize(
    ("table", "age", "sex"),
    [
        ("record,age,sex\nrec,64,F\n", 64.0, "female"),
        ("Record;Age;Sex\nrec.hea;64 years;male\n", 64.0, "male"),
        ("record,age,sex\nrec,300,M\n", None, "male"),
        ("record,age,sex\nrec,6 months,\n", 0.5, None),
        ("record,age,sex\nrec,64,1\n", 64.0, None),  # 1 is male in some data sets
    ],
)
@pytest.mark.filterwarnings("ignore:.*its sex is a number")
def test_age_and_sex_as_tables_write_them(table: str, age: float | None, sex: str | None, tmp_path: Path) -> None:
    record(tmp_path / "rec")
    (tmp_path / "labels.csv").write_text(table)
    assert told(tmp_path)["rec"] == ("", age, sex)


def test_what_a_table_lacks_is_said(tmp_path: Path) -> None:
    record(tmp_path / "rec")
    (tmp_path / "labels.csv").write_text("record,age,sex\nrec,64,1\n")
    with pytest.warns(UserWarning, match="its sex is a number"):
        find_sources([tmp_path])
    (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    with pytest.warns(UserWarning, match="not a table of reports"):
        find_sources([tmp_path])
    with pytest.raises(EcgFormatError, match="not a table of reports"):
        read_table(tmp_path / "labels.csv")


def test_a_recordings_own_age_is_not_overwritten(tmp_path: Path) -> None:
    source = record(tmp_path / "rec", "#Age: 64\n#Sex: M\n")
    (tmp_path / "labels.csv").write_text("record,age,sex,report\nrec,20,F,sinus rhythm\n")
    (one,) = find_sources([tmp_path])
    meta = one.read().meta
    assert (meta["age"], meta["sex"]) == (64.0, "male")
    assert "labels.csv gives the age 20, the recording 64, which is used" in meta["warnings"]
    assert any("the sex female" in text for text in meta["warnings"])
    near = PatientRow(age=63.0, sex="male").on(grounding.read_record(source))  # rounded otherwise
    assert near.meta["warnings"] == ()


def test_warnings_and_patients_are_in_the_table_and_in_the_instructions(tmp_path: Path) -> None:
    header = record(tmp_path / "in" / "rec").with_suffix(".hea")
    header.write_text("rec 12\n" + header.read_text().partition("\n")[2])
    (tmp_path / "in" / "labels.csv").write_text("record,age,sex\nrec,64,F\n")
    measure_to_table([tmp_path / "in"], tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["age"], row["sex"]) == ("64.0", "female")
    assert "the header has no sampling rate; 250 Hz" in row["warnings"]
    summary = instruct(find_sources([tmp_path / "in"]), tmp_path / "out", task_names=["report"])
    (item,) = json.loads((tmp_path / "out" / "instructions.json").read_text())
    assert any("no sampling rate" in text for text in item["warnings"])
    assert summary["with warnings"] == 1
