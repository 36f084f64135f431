"""Which files of a folder are recordings: each recording once, none left without a word."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from grounding.readers import find_recordings

HEADER = "{name} 1 500 5000\n{name}.dat 16 1000/mV 16 0 0 0 0 II\n"


def names(folder: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [path.name for path in find_recordings([folder])]


def test_segments_and_trends_are_parts_of_a_record(tmp_path: Path) -> None:
    (tmp_path / "day.hea").write_text("# a comment\nday/3 1 500 10000\nday_layout 0\na_1 5000\n~ 1000\na_2 4000\n")
    (tmp_path / "day_layout.hea").write_text("day_layout 1 500 0\n~ 0 1000/mV 16 0 0 0 0 II\n")
    for name in ("a_1", "a_2", "alone"):
        (tmp_path / f"{name}.hea").write_text(HEADER.format(name=name))
        (tmp_path / f"{name}.dat").write_bytes(bytes(10000))
    (tmp_path / "dayn.hea").write_text("dayn 1 0.0166666666667/125 72\nan.dat 16 10/bpm 16 0 0 0 0 HR\n")
    (tmp_path / "an.dat").write_bytes(bytes(144))
    assert names(tmp_path) == ["alone.hea", "day.hea"]


def test_a_real_record_of_several_segments_is_one(shared: Path) -> None:
    assert names(shared / "data" / "devices" / "wfdb" / "s25047") == ["s25047-2704-05-04-10-44.hea"]


def test_forms_of_one_recording_are_one(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text(HEADER.format(name="a"))
    for name in ("a.dat", "a.csv", "a.png", "a.atr", "a.json", "b.xml", "b.png", "b.pdf", "c.png", "LICENSE.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert names(tmp_path) == ["a.hea", "b.xml", "c.png"]


def test_signal_files_of_another_name_belong_to_their_header(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text(HEADER.format(name="a").replace("a.dat", "other.dat"))
    (tmp_path / "other.dat").write_bytes(bytes(10000))
    assert names(tmp_path) == ["a.hea"]


def test_names_without_an_extension_are_told_by_their_content(tmp_path: Path) -> None:
    for name in ("IM000001", "1.2.840.113619.2"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(100))
    (tmp_path / "README").write_text("words")
    assert names(tmp_path) == ["1.2.840.113619.2", "IM000001"]


def test_what_may_hold_a_recording_is_not_left_silently(tmp_path: Path) -> None:
    for name, head in (("a.mat", b""), ("b.dat", b""), ("c.csv.gz", b"\x1f\x8b"), ("d.h5", b"\x89HDF\r\n\x1a\n")):
        (tmp_path / name).write_bytes(head)
    (tmp_path / "notes.md").write_text("words")
    with pytest.warns(UserWarning, match=r"skipped: 4 files: .*a\.mat \(no header.*c\.csv\.gz \(this is a gzip"):
        assert find_recordings([tmp_path]) == []


def test_what_is_written_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("a.csv", "t.csv", "out/b.png"):
        (tmp_path / name).write_text("1")
    assert [path.name for path in find_recordings([tmp_path], out=tmp_path / "t.csv")] == ["a.csv", "b.png"]
    assert [path.name for path in find_recordings([tmp_path], out=tmp_path / "out")] == ["a.csv", "t.csv"]
