"""``gem evaluate`` as a process, with the bundled model on the bundled records laid out like PTB-XL, also with gaps."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gem
from gem.cli.evaluate import add_arguments
from gem.data.labelled import usable
from gem.evaluation.explanations import CONDITIONS

FIGURES = ("asserted_supported", "diagnosis_accuracy")


def evaluate(root: Path, out: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    command = [sys.executable, "-m", "gem", "evaluate", *arguments, "--records", str(root), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(out.read_text()), done.stdout


@pytest.fixture(scope="module")
def other_folds(ptbxl_like: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folds 9 and 10: a raw and three filtered records, one that has no file and one whose file is cut off."""
    root = tmp_path_factory.mktemp("root") / "data"
    shutil.copytree(ptbxl_like, root)
    (cut,) = (root / "ptbxl" / "records500").rglob("00102*.dat")
    cut.write_bytes(cut.read_bytes()[:100])
    for gone in (root / "ptbxl" / "records500").rglob("00286*"):
        gone.unlink()
    kept = (13, 102, 286, 10330, 10413, 10424)
    with (root / "ptbxl" / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["ecg_id"]) in kept]
    with (root / "ptbxl" / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "strat_fold": 9 + i % 2} for i, row in enumerate(rows))
    return root


def test_classification(ptbxl_like: Path, tmp_path: Path) -> None:
    folds = [word for fold in range(1, 9) for word in ("--folds", str(fold))]
    result, printed = evaluate(ptbxl_like, tmp_path / "c.json", "classification", *folds, "--limit", "12")
    for figure in ("macro_auc", "macro_f1", "balanced_accuracy"):
        assert set(result[figure]) == {"both", "signal", "picture", "pixels"}
        assert figure in printed
        assert all(low <= high for low, high in result["intervals"][figure].values())
    assert result["n"] == 12
    assert result["skipped"] == {}
    assert set(result["ece"]) == {"both", "signal", "picture", "pixels"}
    assert all(0 <= value <= 1 for errors in result["ece"].values() for value in errors.values())
    assert (
        {"NORM", "CD"} < set(result["per_class_auc"]) == set(result["per_class_n"]) == set(result["per_class_interval"])
    )
    assert sum(row["n"] for row in result["reliability"]) == 12 * 5
    assert [row["low"] for row in result["asserted"]] == sorted(row["low"] for row in result["asserted"])
    assert result["abstention"]["share"][0] == 1.0


def test_other_folds_with_gaps(other_folds: Path, tmp_path: Path) -> None:
    both = ("--folds", "9", "--folds", "10")
    explained, printed = evaluate(other_folds, tmp_path / "e.json", "explanations", *both)
    assert explained["n"] == 4
    assert explained["folds"] == [9, 10]
    assert len(explained["skipped"]) == 2
    assert "left out: 2 records" in printed
    assert explained["verdicts"]["inserted"]["supported"] > 4
    assert "contradicted" not in explained["verdicts"]["inserted"]
    assert list(explained["conditions"]) == list(CONDITIONS)
    for name, figures in explained["conditions"].items():
        assert {*FIGURES, "diagnosis_accuracy_interval", "verdicts"} <= set(figures)
        assert name in printed
    assert {name: explained[name] for name in FIGURES} == {
        name: explained["conditions"]["own_with_facts"][name] for name in FIGURES
    }
    # without facts there is no number to cite
    without = explained["conditions"]["own_without_facts"]["verdicts"]
    assert without["inserted"].get("supported", 0) < explained["verdicts"]["inserted"]["supported"]


def test_gaps_have_reasons(other_folds: Path, tmp_path: Path) -> None:
    samples, skipped = usable(other_folds, (9, 10))
    assert len(samples) + len(skipped) == 6
    assert sum("neither a raw recording" in reason for reason in skipped.values()) == 1
    shutil.copytree(other_folds, tmp_path / "copy")
    (tmp_path / "copy" / "ptbxl_filtered" / "signals_125hz.npz").unlink()
    samples, skipped = usable(tmp_path / "copy", (9, 10))
    assert {sample.source for sample in samples} == {"raw"}
    assert len(skipped) == 5
    shutil.rmtree(tmp_path / "copy" / "ptbxl" / "records500")
    with pytest.raises(gem.GemInputError, match="no record of fold 9, 10"):
        usable(tmp_path / "copy", (9, 10))


def test_folds_may_be_repeated() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["explanations", "--records", "x", "--folds", "9", "--folds", "10"]).folds == [9, 10]
