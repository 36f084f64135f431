"""``gem evaluate`` as a process, on a few real records of fold 8, with the bundled model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def evaluate(shared: Path, out: Path, *arguments: str) -> dict[str, object]:
    command = [
        sys.executable,
        "-m",
        "gem",
        "evaluate",
        *arguments,
        "--records",
        str(shared / "data"),
        "--json",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    result: dict[str, object] = json.loads(out.read_text())
    return result


def test_classification(shared: Path, tmp_path: Path) -> None:
    result = evaluate(shared, tmp_path / "c.json", "classification", "--folds", "8", "--limit", "24")
    for figure in ("macro_auc", "macro_f1", "balanced_accuracy"):
        assert set(result[figure]) == {"both", "signal", "picture"}  # type: ignore[call-overload]
    assert result["n"] == 24


def test_explanations(shared: Path, tmp_path: Path) -> None:
    result = evaluate(shared, tmp_path / "e.json", "explanations", "--folds", "8", "--limit", "6")
    assert result["numeric_supported"] == 1.0
    assert {"finding_supported", "diagnosis_accuracy", "n"} <= set(result)
    assert set(result["conditions"]) == {  # type: ignore[call-overload]
        "own_with_facts", "other_with_facts", "own_without_facts", "other_without_facts",
    }  # fmt: skip
