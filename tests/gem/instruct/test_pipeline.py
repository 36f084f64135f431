"""gem instruct: what is kept, what is refused, and that nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gem.instruct import pipeline
from gem.instruct.lessons import Lesson, LessonCase
from gem.instruct.output import all_rows, read_gem_json
from gem.instruct.pipeline import instruct
from gem.instruct.sources import find_sources
from gem.instruct.teachers import TeacherError
from grounding import EcgError, ECGRecord, Measurement, find, measure, read_record, sample_path


class Fake:
    name, concurrency = "fake", 1

    def __init__(self, text: str | None) -> None:
        self.text = text

    def describe(self) -> dict[str, Any]:
        return {"teacher": self.name}

    def answer(self, lesson: Lesson) -> list[str]:
        if self.text is None:
            raise TeacherError("no answer")
        return [self.text for _ in lesson.turns]


SOURCES = find_sources([sample_path("ptbxl_102"), sample_path("ptbxl_13")])


def test_a_removed_shard_is_made_again_and_the_data_is_the_same(tmp_path: Path) -> None:
    summary = instruct(SOURCES, tmp_path, shard_size=1)
    assert summary["records"] == 2
    assert len(read_gem_json(tmp_path / "instructions.json")) == summary["items"] > 0
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "shards" / "00001.parquet").unlink()
    instruct(SOURCES, tmp_path, shard_size=1)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    with pytest.raises(EcgError, match="other seed"):
        instruct(SOURCES, tmp_path, shard_size=1, seed=1)


@pytest.mark.parametrize(
    ("text", "status"),
    [("The heart rate is 31 bpm.", "rejected"), ("Lorem ipsum dolor sit amet.", "rejected"), (None, "failed")],
)
def test_bad_teachers_lose_nothing_and_add_nothing(tmp_path: Path, text: str | None, status: str) -> None:
    instruct(SOURCES[:1], tmp_path, Fake(text), task_names=["interpretation", "report"])
    rows = list(all_rows(tmp_path))
    assert [row["status"] for row in rows] == [status] * 2
    assert read_gem_json(tmp_path / "instructions.json") == []
    assert all(row["reason"] for row in rows)


class Meddling(Fake):
    """Something happens to the folder before each answer."""

    def __init__(self, then: Any) -> None:
        super().__init__("The heart rate is 31 bpm.")
        self.then = then

    def answer(self, lesson: Lesson) -> list[str]:
        self.then()
        return super().answer(lesson)


def test_an_exception_in_one_recording_is_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(record: ECGRecord) -> Measurement:
        if record.record_id == SOURCES[0].id:
            raise IndexError("list index out of range")
        return measure(record)

    monkeypatch.setattr(pipeline, "measure", stumble)
    summary = instruct(SOURCES, tmp_path, Fake("x"), task_names=["report"])
    rows = list(all_rows(tmp_path))
    assert [(row["record_id"], row["status"]) for row in rows] == [
        (SOURCES[0].id, "failed"),
        (SOURCES[1].id, "rejected"),
    ]
    assert rows[0]["reason"].startswith("IndexError: list index out of range")
    assert summary["status"] == {"failed": 1, "rejected": 1}
    monkeypatch.undo()
    again = instruct(SOURCES, tmp_path, Fake("x"), task_names=["report"], retry=True)
    assert again["status"] == {"rejected": 2}


def test_a_file_whose_name_is_not_utf8_is_a_row(tmp_path: Path) -> None:
    bad = tmp_path / "pat\udcff.csv"
    try:
        bad.write_text("I,II\n0,0\n")
    except (OSError, UnicodeError):
        pytest.skip("file names are bytes on Linux")
    summary = instruct([*find_sources([bad]), *SOURCES[:1]], tmp_path / "out", task_names=["report"])
    assert summary["records"] == 2
    assert summary["status"]["unreadable"] == 1


def test_a_folder_that_vanishes_is_an_error_that_names_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(EcgError, match=r"out: the folder was removed"):
        instruct(SOURCES, out, Meddling(lambda: shutil.rmtree(out, ignore_errors=True)), task_names=["report"])
    assert not out.exists()
    assert instruct(SOURCES, out, Fake("x"), task_names=["report"])["records"] == 2


def test_a_shard_that_vanishes_is_an_error_that_names_it(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    teacher = Meddling(lambda: shutil.rmtree(shards, ignore_errors=True))
    with pytest.raises(EcgError, match=r"00000\.parquet: the shard is missing"):
        instruct(SOURCES, tmp_path, teacher, task_names=["report"], shard_size=1)
    assert instruct(SOURCES, tmp_path, Fake("x"), task_names=["report"], shard_size=1)["records"] == 2


def _beside(shards: Path) -> None:
    shutil.copy(shards / "00000.parquet", shards / "00099.parquet")


def _swapped(shards: Path) -> None:
    shutil.copy(shards / "00000.parquet", shards / "00001.parquet")


def _other_columns(shards: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), shards / "00001.parquet")


def _no_parquet(shards: Path) -> None:
    (shards / "00001.parquet").write_bytes(b"PAR1")


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (_beside, r"00099\.parquet: not a shard of this run"),
        (_swapped, r"00001\.parquet: a shard of other recordings"),
        (_other_columns, r"00001\.parquet: not a shard of ours: it has other columns"),
        (_no_parquet, r"00001\.parquet: not a shard of ours"),
    ],
)
def test_a_foreign_shard_is_an_error_that_names_it(put: Any, said: str, tmp_path: Path) -> None:
    instruct(SOURCES, tmp_path, Fake("x"), task_names=["report"], shard_size=1)
    put(tmp_path / "shards")
    with pytest.raises(EcgError, match=said):
        instruct(SOURCES, tmp_path, Fake("x"), task_names=["report"], shard_size=1)


@pytest.mark.parametrize("text", ["{", "", "[]", '"a"', "5", "[" * 100_000, "\xff"])
def test_a_broken_run_json_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    instruct(SOURCES[:1], tmp_path, Fake("x"), task_names=["report"])
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(EcgError, match=r"run\.json: "):
        instruct(SOURCES[:1], tmp_path, Fake("x"), task_names=["report"])


def test_the_run_json_of_other_options_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"plan": 5}))
    with pytest.raises(EcgError, match="a run with other"):
        instruct(SOURCES[:1], tmp_path, Fake("x"), task_names=["report"])


def test_what_a_file_does_not_tell_can_be_told(tmp_path: Path) -> None:
    record = read_record(sample_path("ptbxl_102"))
    np.savetxt(tmp_path / "rec.csv", record.signal[:2].T, delimiter=",", header="I,II", comments="")
    (source,) = find_sources([tmp_path / "rec.csv"], fs=500, units="mV")
    assert source.read().fs == 500
    assert instruct([source], tmp_path / "out", task_names=["report"])["status"] == {"kept": 1}
    (source,) = find_sources([tmp_path / "rec.csv"])
    with pytest.raises(EcgError, match=r"fs|rate"):
        source.read()


def test_criteria_are_put_into_words_when_they_are_cited() -> None:
    measurement = measure(read_record(sample_path()))
    findings = find(measurement)
    items = LessonCase(measurement, findings).items
    assert "<pr>" in items
    assert "<c_unknown>" not in items
    waiting = sum("_collect" in vars(finding) for finding in findings)
    assert items["<c_long_qtc>" if "<c_long_qtc>" in items else f"<c_{findings[-1].name}>"].kind == "criterion"
    assert sum("_collect" in vars(finding) for finding in findings) >= waiting - 1
    tags = list(items)
    assert len(tags) == len(items) == len(set(tags))
    rules = [tag for tag in tags if tag.startswith("<c_")]
    assert rules == [f"<c_{finding.name}>" for finding in findings]
    assert all(items[tag].tag == tag for tag in tags)
    assert all(items[tag].evidence for tag in tags if tag.startswith("<e_"))
