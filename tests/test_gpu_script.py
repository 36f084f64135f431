"""``benchmarks/gpu.sh`` rehearsed on the CPU: every part writes rows, and one that fails or is cut stops no other."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("environment", "tests", "recipes", "bench", "shapes", "llava", "tiles", "training")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="shell blocks are read by bash")


def rehearse(
    out: Path, *words: str, python: str | Path = sys.executable
) -> tuple[int, list[dict[str, str]], list[dict[str, str]]]:
    """The script's status, how each part ended, and all rows."""
    command = ["bash", str(ROOT / "benchmarks" / "gpu.sh"), str(out), "--rehearse", *words]
    env = {**os.environ, "PYTHON": str(python), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1500, check=False)
    found = [out / f"{name}.csv" for name in ("parts", "rows")]
    read = [list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else [] for path in found]
    assert (out / "report.md").read_text().count("\n## ") == len(read[0]), done.stdout + done.stderr
    return done.returncode, read[0], read[1]


@pytest.mark.slow
def test_every_part_writes_its_table(tmp_path: Path) -> None:
    code, parts, rows = rehearse(tmp_path)
    log = (tmp_path / "log.txt").read_text()[-6000:]
    assert [(part["part"], part["status"]) for part in parts] == [(name, "ok") for name in PARTS], log
    assert code == 0
    assert {row["part"] for row in rows} == set(PARTS)
    assert not [row for row in rows if row["status"] == "failed"]
    found = {(row["part"], row["what"], row["figure"]): row["value"] for row in rows}
    assert int(found["tests", "test_layer_norm.py", "passed"]) >= 1
    assert int(found["tests", "test_recording.py", "passed"]) >= 2
    for key in (
        ("environment", "copy", "bandwidth"),
        ("recipes", "gem, FSDP2 on one rank", "two steps"),
        ("bench", "merge, GEM-7B, batch 1, bfloat16, forward", "kernel"),
        ("shapes", "encode, batch 1, eager", "median"),
        ("shapes", "prefill, batch 8", "median"),
        ("shapes", "a decoding step, batch 8", "median"),
        ("llava", "ours, packed", "throughput"),
        ("tiles", "merge, GEM-7B, batch 8, (1, 4096)", "forward"),
        ("training", "gem_nano_signal", "rate"),
        ("training", "gem_135m_align", "rate"),
    ):
        assert float(found[key]) > 0, key
    # a few files, so that they can be fetched together
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.md",
        "rows.csv",
        "parts.csv",
        "log.txt",
        "kernels.csv",
        "kernels.md",
        "llava.csv",
    }


def test_what_fails_or_has_no_time_is_told_and_stops_nothing(tmp_path: Path) -> None:
    """Part 8 has no data; then part 5 is cut, and nothing is left for part 6."""
    code, parts, rows = rehearse(tmp_path / "a", "--parts", "8,1", "--data", str(tmp_path / "nowhere"))
    assert code == 1
    (training, environment) = parts
    assert training["status"].startswith("failed: the part: FileNotFoundError: no folder")
    assert environment["status"] == "ok"
    assert [row["status"] for row in rows if row["part"] == "training"] == ["failed"]
    stuck = tmp_path / "python"  # a part that never ends, however fast the machine
    stuck.write_text(f'#!/bin/bash\ncase "$*" in *gpu_parts.py*) exec sleep 600 ;; esac\nexec {sys.executable} "$@"\n')
    stuck.chmod(0o755)
    # a part is begun with five seconds left: the script's own start may take as long on a busy machine
    code, parts, rows = rehearse(tmp_path / "b", "--parts", "5,6", "--seconds", "10", python=stuck)
    assert code == 1
    assert re.fullmatch(r"cut at ([5-9]|10) s", parts[0]["status"])
    assert parts[1]["status"] == "not run: the time was up"


def test_lines_of_pytest_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from gpu_parts import outcome_of

    lines = {
        "[gw3] [ 12%] PASSED tests/gem/kernels/test_merge.py::test_a[1-2] ": ("PASSED", "test_merge.py", "test_a[1-2]"),
        "tests/gem/kernels/test_merge.py::test_b FAILED                  [ 50%]": ("FAILED", "test_merge.py", "test_b"),
        "tests/gem/kernels/test_x.py::test_c SKIPPED (no GPU) [ 60%]": ("SKIPPED", "test_x.py", "test_c"),
        "ERROR tests/gem/kernels/test_y.py - ImportError: no": ("ERROR", "test_y.py", ""),
        "FAILED tests/gem/kernels/test_merge.py::test_b - assert 1 == 2": None,  # of the summary: counted before
        "PASSED is a word": None,
        "==== 3 passed in 2.3s ====": None,
    }
    assert {line: outcome_of(line) for line in lines} == lines
