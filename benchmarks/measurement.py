"""Measurement against cardiologists' marks: by cross-validation, and against NeuroKit2 on the same records.

    python benchmarks/measurement.py ../shared --cv RUNS     # RUNS/fold_0 ... from `python -m gem.training.delineator --fold`
    python benchmarks/measurement.py ../shared --systems nk-dwt nk-prominence
    python benchmarks/measurement.py ../shared --p-waves

``--cv`` measures each record with the weights that never saw it, for the folds that are there, and says which are not.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import grounding

ATRIAL_FIBRILLATION, ATRIAL_FLUTTER, SINUS = {"164889003", "AF"}, {"164890007", "AFL"}, {"426783006", "SNR"}


def scorer(shared: Path) -> ModuleType:
    """The script that scores everybody's measurement, as a module."""
    spec = importlib.util.spec_from_file_location("ludb_score", shared / "score" / "ludb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cross_validated(shared: Path, runs: Path) -> None:
    """Score every record whose fold was left out in one of the runs."""
    score = scorer(shared)
    grounding.measure(grounding.read_record(grounding.sample_path()))  # opens the measurement room
    delineators = sys.modules["grounding.measurement.delineators"]
    weights: dict[str, Path] = {}
    for run in sorted(runs.glob("fold_*")):
        card = json.loads((run / "delineator.json").read_text()) if (run / "delineator.json").is_file() else None
        if card is None:
            print(f"{run.name}: no weights, left out")
        else:
            weights |= dict.fromkeys(card["held_out"], run / "delineator.onnx")
    run_plainly, current = score.run_grounding, Path()

    def run_left_out(record: Path) -> Any:
        nonlocal current
        if weights[record.name] != current:
            current = weights[record.name]
            delineators.WEIGHTS = current  # type: ignore[attr-defined]
            delineators._session.cache_clear()
        return run_plainly(record)

    score.run_grounding = run_left_out
    with tempfile.TemporaryDirectory() as folder:
        for name in weights:
            for file in (shared / "data" / "ludb").glob(f"{name}.*"):
                os.symlink(file.resolve(), Path(folder) / file.name)
        score.show(score.score(Path(folder), "grounding"))


def p_waves(shared: Path) -> None:
    """Share of beats with a P wave on the CinC Challenge records, by the rhythm in their header."""
    kinds = {"atrial fibrillation": ATRIAL_FIBRILLATION, "atrial flutter": ATRIAL_FLUTTER, "sinus rhythm": SINUS}
    counts = {kind: [0, 0, 0] for kind in kinds}
    for path in sorted((shared / "data" / "challenge").glob("*.hea")):
        lines = [line for line in path.read_text().splitlines() if "Dx:" in line]
        codes = set(lines[0].split("Dx:")[1].strip().split(",")) if lines else set()
        for kind, wanted in kinds.items():
            if wanted & codes and not (kind == "sinus rhythm" and (ATRIAL_FIBRILLATION | ATRIAL_FLUTTER) & codes):
                beats = grounding.measure(grounding.read_record(path)).beats
                for i, value in enumerate((1, len(beats), int(beats["p_present"].astype(bool).sum()))):
                    counts[kind][i] += value
    for kind, (records, beats, found) in counts.items():
        print(f"{kind}: {records} records, {beats} beats, {100 * found / max(beats, 1):.1f} % with a P wave")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path, help="the folder with data/ and score/")
    parser.add_argument("--cv", type=Path, help="folder with the runs fold_0, fold_1, ...")
    parser.add_argument(
        "--systems", nargs="*", default=[], help="NeuroKit2's methods: nk-dwt, nk-cwt, nk-prominence, nk-peak"
    )
    parser.add_argument("--p-waves", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.cv:
        cross_validated(options.shared, options.cv)
    score = scorer(options.shared)
    for method in options.systems:
        score.show(score.score(options.shared / "data" / "ludb", method))
    if options.p_waves:
        p_waves(options.shared)


if __name__ == "__main__":
    main()
