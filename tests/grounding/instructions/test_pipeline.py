"""gem instruct: what is kept, what is refused, and that nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grounding import EcgError, sample_path
from grounding.instructions.lessons import Lesson
from grounding.instructions.output import all_rows, read_gem_json
from grounding.instructions.pipeline import instruct
from grounding.instructions.sources import find_sources
from grounding.instructions.teachers import TeacherError


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


@pytest.mark.parametrize(("text", "status"), [("The heart rate is 31 bpm.", "rejected"), ("Lorem ipsum dolor sit amet.", "rejected"), (None, "failed")])  # fmt: skip
def test_bad_teachers_lose_nothing_and_add_nothing(tmp_path: Path, text: str | None, status: str) -> None:
    instruct(SOURCES[:1], tmp_path, Fake(text), task_names=["interpretation", "report"])
    rows = list(all_rows(tmp_path))
    assert [row["status"] for row in rows] == [status] * 2
    assert read_gem_json(tmp_path / "instructions.json") == []
    assert all(row["reason"] for row in rows)
