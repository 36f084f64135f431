"""Many recordings to a table or to lines: a row for each whatever happens, none twice after a kill."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

import grounding
from gem import batch, batch_tables
from gem.batch import Counts, explain_to_jsonl, measure_to_table
from gem.batch_tables import COLUMNS
from gem.cli.entry import main
from gem.errors import GemInputError
from grounding import EcgError
from grounding.measurement.columns import BEAT_COLUMNS
from grounding.readers import find_recordings

SAMPLES = grounding.sample_path().parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings and a broken one."""
    place = tmp_path / "records"
    place.mkdir()
    for name in ("ptbxl_13", "ptbxl_330"):
        for suffix in (".hea", ".dat"):
            (place / f"{name}{suffix}").symlink_to(SAMPLES / f"{name}{suffix}")
    (place / "broken.hea").write_text("broken 2 500 5000\n")
    return place


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_header_and_its_data_are_one_recording(folder: Path) -> None:
    names = ["broken.hea", "ptbxl_13.hea", "ptbxl_330.hea"]
    assert [path.name for path in find_recordings([folder])] == names
    several = [folder / "ptbxl_13.dat", folder / "ptbxl_13", folder / "ptbxl_13.hea", folder]
    assert [path.name for path in find_recordings(several)] == ["ptbxl_13.hea", "broken.hea", "ptbxl_330.hea"]


def test_links_to_folders_are_followed_once(folder: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "one").symlink_to(folder)
    (outer / "around").symlink_to(outer)
    (outer / "scp_statements.csv").write_text("a,b\n1,2\n")
    assert [path.name for path in find_recordings([outer])] == ["broken.hea", "ptbxl_13.hea", "ptbxl_330.hea"]


def test_a_list_names_recordings_beside_it_or_from_here(folder: Path) -> None:
    listed = folder / "RECORDS"
    listed.write_text("ptbxl_330\n\nptbxl_13\ngone\n")
    with pytest.raises(EcgError, match="gone"):
        find_recordings([listed])
    found = find_recordings([listed], missing=True)
    assert [path.name for path in found] == ["ptbxl_330.hea", "ptbxl_13.hea", "gone"]
    samples = folder / "samples.txt"  # no list, but two leads
    samples.write_text("0.1 0.2\n" * 100)
    assert find_recordings([samples]) == [samples]


def test_a_row_for_each_recording_whatever_happens(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    assert measure_to_table([folder], out) == Counts(3, 0, 1)
    broken, normal, fibrillation = rows(out)
    assert list(broken) == list(COLUMNS)
    assert broken["error"]
    assert broken["heart_rate_bpm"] == ""
    measured = grounding.measure(grounding.read_record(SAMPLES / "ptbxl_13"))
    assert float(normal["pr_ms"]) == measured.intervals["pr"]
    assert float(normal["heart_rate_bpm"]) == measured.heart_rate
    assert normal["findings"].split("; ") == [one.name for one in grounding.find(measured) if one.present]
    assert fibrillation["pr_ms"] == ""
    assert "pr: a P wave was found before 9% of the beats only" in fibrillation["missing"]


def test_a_crash_in_one_recording_is_its_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(path: Path, **options: Any) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(grounding, "read_record", crash)
    (row,) = batch.measured_rows([folder / "ptbxl_13.hea"], batch.DEFAULTS)
    assert row["error"] == "ZeroDivisionError: a fault of ours"


def test_csv_goes_on_after_a_line_that_was_cut_off(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    measure_to_table([folder], out)
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    for left in (b"".join(lines[:2]), b"".join(lines[:2]) + lines[2][:40], lines[0], b"", lines[0][:10]):
        out.write_bytes(left)
        counts = measure_to_table([folder], out)
        assert out.read_bytes() == whole
        assert counts.kept == max(0, left.count(b"\n") - 1)
    assert measure_to_table([folder], out) == Counts(3, 3, 0)
    assert out.read_bytes() == whole


def test_parquet_goes_on_after_its_last_part(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_tables, "ROWS_PER_PART", 2)
    out = tmp_path / "table.parquet"
    assert measure_to_table([folder], out) == Counts(3, 0, 1)
    whole = pd.read_parquet(out)
    assert whole["record_id"].tolist()[1:] == ["ptbxl_13", "ptbxl_330"]
    assert str(whole["pr_ms"].dtype) == "float64"
    (out / "part-000001.parquet").unlink()
    (out / "part-000001.partial").write_bytes(b"PAR1")
    assert measure_to_table([folder], out) == Counts(3, 2, 0)
    pd.testing.assert_frame_equal(pd.read_parquet(out), whole)


@pytest.mark.parametrize("name", ["other.csv", "other.jsonl", "other.txt"])
def test_another_file_is_not_written_over(name: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / name
    out.write_text("a,b\n1,2\n")
    with pytest.raises(GemInputError, match="name"):
        explain_to_jsonl([folder], out) if name == "other.jsonl" else measure_to_table([folder], out)
    assert out.read_text() == "a,b\n1,2\n"


def test_processes_give_the_same_table(folder: Path, tmp_path: Path) -> None:
    measure_to_table([folder], tmp_path / "one.csv", jobs=1)
    measure_to_table([folder], tmp_path / "two.csv", jobs=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_a_dask_cluster_gives_the_same_table(folder: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    measure_to_table([folder], tmp_path / "one.csv")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        measure_to_table([folder], tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_ray_gives_the_same_table(folder: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from ray.util.joblib import register_ray  # type: ignore[import-not-found,unused-ignore]

    measure_to_table([folder], tmp_path / "one.csv")
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        register_ray()
        with joblib.parallel_config("ray", n_jobs=2):
            measure_to_table([folder], tmp_path / "two.csv")
    finally:
        ray.shutdown()
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_lines_of_explanations(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.jsonl"
    assert explain_to_jsonl([folder], out) == Counts(3, 0, 1)
    broken, normal, _ = map(json.loads, out.read_text().splitlines())
    assert set(broken) == {"file", "error"}
    assert normal["file"].endswith("ptbxl_13.hea")
    assert normal["text"].startswith("Summary: ")
    assert normal["statements"][0]["claims"]
    assert all(finding["present"] for finding in normal["findings"])
    assert "waves" not in normal["measurement"]
    whole = out.read_bytes()
    out.write_bytes(whole[: whole.index(b"\n") + 20])
    assert explain_to_jsonl([folder], out) == Counts(3, 1, 0)
    assert out.read_bytes() == whole


def test_the_command_measures_names_from_the_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{folder / 'ptbxl_13'}\n{folder / 'gone'}\n"))
    assert main(["measure", "-"]) == 1
    said = capsys.readouterr()
    first, second = csv.DictReader(io.StringIO(said.out))
    assert first["record_id"] == "ptbxl_13"
    assert second["error"]
    assert "2 recordings, 1 with an error" in said.err


def test_the_command_says_what_is_for_one_recording(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", str(folder), "--json"]) == 2
    assert "--json is for one recording" in capsys.readouterr().err
    assert main(["explain", str(folder), "--jobs", "2"]) == 2
    assert "--jsonl" in capsys.readouterr().err


def test_a_users_findings_are_known_in_the_workers(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("- {name: any_rate, label: any rate, group: g, when: heart_rate > 0, source: this test}")
    out = tmp_path / "table.csv"
    words = ["measure", str(folder), "--jobs", "2", "-o", str(out), "--import", str(mine)]
    done = subprocess.run([sys.executable, "-m", "gem", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # the broken one
    assert [row["findings"].endswith("any_rate") for row in rows(out)] == [False, True, True]


def test_a_killed_command_goes_on(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "table.csv"
    measure_to_table([SAMPLES], whole)
    words = [sys.executable, "-m", "gem", "measure", str(SAMPLES), "-o", str(out)]
    child = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while child.poll() is None and not (out.exists() and out.read_bytes().count(b"\n") > 3):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    assert out.read_bytes() == whole.read_bytes()


def test_the_beats_of_a_long_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = grounding.read_record(SAMPLES / "ptbxl_13").select(["I", "II"])
    long = tmp_path / "long.npz"
    np.savez(long, signal=np.tile(record.signal, (1, 80)), fs=record.fs, leads=list(record.leads))
    out = tmp_path / "beats.parquet"
    assert main(["measure", str(long), "--beats", str(out)]) == 0
    table = pd.read_parquet(out)
    assert tuple(table.columns) == BEAT_COLUMNS
    assert table["beat"].tolist() == list(range(len(table)))
    assert len(table) == pytest.approx(80 * 13, abs=3)
    assert table["r_s"].iloc[-1] > 795
    assert capsys.readouterr().out.startswith(f"0:00:00 to 0:13:20: {len(table)} beats, 78 bpm, PR")
    assert not list(tmp_path.glob("*.partial"))
    for words in ([str(long), str(long), "--beats", str(out)], [str(long), "--beats", str(tmp_path / "b.csv")]):
        assert main(["measure", *words]) == 2


def test_beats_lie_where_the_file_has_them(tmp_path: Path) -> None:
    """What a reader cuts off the beginning (zeros that pad it) counts."""
    record = grounding.read_record(SAMPLES / "ptbxl_13")
    padded = np.pad(record.signal, ((0, 0), (1000, 0)))
    np.savez(tmp_path / "padded.npz", signal=padded, fs=record.fs, leads=list(record.leads))
    np.savez(tmp_path / "plain.npz", signal=record.signal, fs=record.fs, leads=list(record.leads))
    (late,) = batch.beats_to_parquet(tmp_path / "padded.npz", tmp_path / "late.parquet")
    (part,) = batch.beats_to_parquet(tmp_path / "plain.npz", tmp_path / "plain.parquet")
    assert (late.start_s, late.end_s) == (part.start_s + 2, part.end_s + 2)
    moved, plain = pd.read_parquet(tmp_path / "late.parquet"), pd.read_parquet(tmp_path / "plain.parquet")
    np.testing.assert_allclose(moved["r_s"], plain["r_s"] + 2)
    for name in ("r_sample", "qrs_onset", "qrs_first_onset", "t_offset"):
        np.testing.assert_allclose(moved[name], plain[name] + 1000)
    np.testing.assert_allclose(late.waves["peak"], part.waves["peak"] + 1000)


@pytest.fixture
def unknown_rate(tmp_path: Path) -> Path:
    """A folder with a recording that does not tell its rate."""
    place = tmp_path / "unknown"
    place.mkdir()
    record = grounding.read_record(SAMPLES / "ptbxl_13")
    pd.DataFrame(record.signal.T * 1000, columns=record.leads).to_csv(place / "one.csv", index=False)
    return place


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_rows_of_other_options_are_not_mixed(name: str, unknown_rate: Path, tmp_path: Path) -> None:
    out, told = tmp_path / name, batch.BatchOptions({"fs": 500.0, "units": "uV"})
    assert measure_to_table([unknown_rate], out) == Counts(1, 0, 1)
    with pytest.warns(UserWarning, match="1 of its rows are errors"):
        assert measure_to_table([unknown_rate], out) == Counts(1, 1, 0)
    with pytest.raises(GemInputError, match=r"other options \(none\).*--retry"):
        measure_to_table([unknown_rate], out, told)
    assert measure_to_table([unknown_rate], out, told, retry=True) == Counts(1, 0, 0)
    table = pd.read_csv(out) if name == "t.csv" else pd.read_parquet(out)
    assert table["options"].tolist() == ["fs=500.0 units=uV"]
    assert table["heart_rate_bpm"].notna().all()
    for other in (told._replace(delineator="classical"), batch.BatchOptions({"fs": 250.0, "units": "uV"})):
        with pytest.raises(GemInputError, match=r"other options \(fs=500.0 units=uV\).*repeat"):
            measure_to_table([unknown_rate], out, other, retry=True)


def test_lines_of_other_options_are_not_mixed(unknown_rate: Path, tmp_path: Path) -> None:
    out, told = tmp_path / "said.jsonl", batch.BatchOptions({"fs": 500.0, "units": "uV"})
    assert explain_to_jsonl([unknown_rate], out) == Counts(1, 0, 1)
    with pytest.raises(GemInputError, match="--retry"):
        explain_to_jsonl([unknown_rate], out, told)
    assert explain_to_jsonl([unknown_rate], out, told, retry=True) == Counts(1, 0, 0)
    (line,) = map(json.loads, out.read_text().splitlines())
    assert line["options"] == "fs=500.0 units=uV"


def test_a_recording_is_known_again_by_another_path(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.hea").unlink()
    monkeypatch.chdir(folder)
    assert measure_to_table(["."], tmp_path / "t.csv") == Counts(2, 0, 0)
    assert measure_to_table([folder], tmp_path / "t.csv") == Counts(2, 2, 0)


def test_a_name_with_a_line_break_is_one_row(unknown_rate: Path, tmp_path: Path) -> None:
    (unknown_rate / "one.csv").rename(unknown_rate / "o\nn\re.csv")
    told = batch.BatchOptions({"fs": 500.0, "units": "uV"})
    for out in (tmp_path / "t.csv", tmp_path / "t.parquet"):
        assert measure_to_table([unknown_rate], out, told) == Counts(1, 0, 0)
        assert measure_to_table([unknown_rate], out, told) == Counts(1, 1, 0)
    (row,) = rows(tmp_path / "t.csv")
    assert row["file"].endswith("o\\nn\\re.csv")


def test_tables_in_the_folder_are_no_recordings(folder: Path) -> None:
    (folder / "broken.hea").unlink()
    for name in ("a.csv", "b.csv", "c.parquet", "d.parquet"):
        assert measure_to_table([folder], folder / name) == Counts(2, 0, 0), name
    assert measure_to_table([folder], folder / "a.csv") == Counts(2, 2, 0)


def test_warnings_of_the_reader_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = (SAMPLES / "ptbxl_13.hea").read_text()
    (tmp_path / "ptbxl_13.hea").write_text("ptbxl_13 12\n" + header.partition("\n")[2])
    (tmp_path / "ptbxl_13.dat").symlink_to(SAMPLES / "ptbxl_13.dat")
    assert main(["measure", str(tmp_path / "ptbxl_13.hea")]) == 0
    assert "warning: the header has no sampling rate" in capsys.readouterr().out
    assert main(["measure", str(tmp_path / "ptbxl_13.hea"), "--beats", str(tmp_path / "b.parquet")]) == 0
    assert "warning: the header has no sampling rate" in capsys.readouterr().err


def test_no_recording_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rec.mat").write_bytes(b"MATLAB 5.0")
    (tmp_path / "rec.csv.gz").write_bytes(b"\x1f\x8b")
    assert main(["explain", str(tmp_path)]) == 2
    assert "no recording was found" in capsys.readouterr().err
    assert main(["measure", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "0 recordings" in said
    assert "skipped: 2 files" in said
    assert "no header (.hea) names it" in said
    assert "this is a gzip archive" in said


def test_what_the_device_measured_is_in_the_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = grounding.read_record(SAMPLES / "ptbxl_13")
    record.meta["device"] = {"pr": 160.0, "heart_rate": 61.0, "statements": ("Sinus rhythm",)}
    monkeypatch.setattr(grounding, "read_record", lambda path, **options: record)
    (row,) = batch.measured_rows([folder / "ptbxl_13.hea"], batch.DEFAULTS)
    assert (row["device_pr_ms"], row["device_heart_rate_bpm"], row["device_qt_ms"]) == (160.0, 61.0, None)
