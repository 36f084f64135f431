"""Two runs of the same benchmark item by item."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GemInputError
from .items import item_benchmarks

ROUNDS = 2000
HARDLY_FALLS = 0.9  # share of a score that is left with a control
OWN_UNITS = ("_points", "_ms", "_db", "_bpm", "_deg", "_claims")  # endings of metrics that are no shares


def read_run(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The description and the rows of a run.

    Args:
        folder: of the run, finished or not.

    Raises:
        GemInputError: it holds no run.
    """
    try:
        described = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        whole = (folder / "items.jsonl").read_bytes()
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()  # a killed run may end within a line
        return described, [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise GemInputError(
            f"not a run ({error})", where=str(folder), remedy="gem evaluate NAME --out FOLDER makes one"
        ) from None


def compare_runs(one: Path, other: Path, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """The difference of two runs on the items that both have, as a paired test.

    The interval and the p value come from resampling patients with both runs' scores kept together.

    Args:
        one: folder of a run.
        other: folder of another run of the same benchmark.
        rounds: of resampling.
        seed: of the draws.

    Returns:
        ``models``, and ``scorings``: scoring -> metric -> ``one``, ``other``, ``difference`` (other less one), ``low``,
        ``high`` (95 %), ``p`` (two-sided) and ``n``.

    Raises:
        GemInputError: no runs, other benchmarks, or no item in common.
    """
    (first, rows), (second, others) = read_run(Path(one)), read_run(Path(other))
    if (first["benchmark"], first["items_sha256"]) != (second["benchmark"], second["items_sha256"]):
        raise GemInputError(
            "the runs are not of the same items", where=f"{one}, {other}", remedy="run both on the same --data"
        )
    if main := item_benchmarks[first["benchmark"]].main_condition:
        rows = [row for row in rows if row["kind"] == main]
    known = {row["id"]: row for row in others if row["scores"]}
    pairs = [(row, known[row["id"]]) for row in rows if row["scores"] and row["id"] in known]
    if not pairs:
        raise GemInputError("no item is scored in both runs", where=f"{one}, {other}", remedy="finish the runs")
    scorings: dict[str, Any] = {}
    for scoring in pairs[0][0]["scores"]:
        names = pairs[0][0]["scores"][scoring]["values"]
        scorings[scoring] = {name: _paired(pairs, scoring, name, rounds, seed) for name in names}
    controls = [_changed(first), _changed(second)]
    models = [first["model"], second["model"]]
    return {"benchmark": first["benchmark"], "models": models, "controls": controls, "scorings": scorings}


def _changed(run: Mapping[str, Any]) -> str | None:
    """How the inputs of a run differ from the recordings; None where they do not."""
    changes = [run.get("control"), f"{run['missing']} missing" if run.get("missing") else None]
    return " and ".join(change for change in changes if change) or None


def _paired(pairs: Sequence[tuple[Any, Any]], scoring: str, name: str, rounds: int, seed: int) -> dict[str, Any]:
    both = [
        (a["patient"], a["scores"][scoring]["values"][name], b["scores"][scoring]["values"][name])
        for a, b in pairs
        if name in a["scores"][scoring]["values"] and name in b["scores"][scoring]["values"]
    ]
    patients = {patient: place for place, patient in enumerate(dict.fromkeys(row[0] for row in both))}
    values = np.array([row[1:] for row in both], np.float64)
    where = np.array([patients[row[0]] for row in both])
    differences = np.bincount(where, values[:, 1] - values[:, 0], len(patients))
    counts = np.bincount(where, minlength=len(patients))
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [
            differences[picked].sum() / counts[picked].sum()
            for picked in rng.integers(0, len(patients), (rounds, len(patients)))
        ]
    )
    low, high = np.percentile(drawn, [2.5, 97.5])
    # how often the resampled difference has the other sign, or none
    p = min(1.0, 2 * (min((drawn <= 0).sum(), (drawn >= 0).sum()) + 1) / (rounds + 1))
    one, other = values.mean(0)
    return {
        "one": float(one),
        "other": float(other),
        "difference": float(other - one),
        "low": float(low),
        "high": float(high),
        "p": float(p),
        "n": len(both),
    }


def comparison_table(compared: Mapping[str, Any]) -> str:
    """The comparison for the terminal.

    Args:
        compared: from ``compare_runs``.
    """
    names = [
        model + (f" given {control}" if control else "")
        for model, control in zip(compared["models"], compared["controls"], strict=True)
    ]
    lines = [f"{compared['benchmark']}: {names[0]} and {names[1]}"]
    for scoring, metrics in compared["scorings"].items():
        for name, cell in metrics.items():
            lines.append(
                f"{scoring:10s}{name:14s}n {cell['n']:5d}  {cell['one']:.3f}  {cell['other']:.3f}  difference "
                f"{cell['difference']:+.3f} [{cell['low']:+.3f} {cell['high']:+.3f}]  p {cell['p']:.3g}"
            )
    if compared["controls"][0] is None and compared["controls"][1]:
        kept = [
            f"{scoring} {name}"
            for scoring, metrics in compared["scorings"].items()
            for name, cell in metrics.items()
            if not name.endswith(OWN_UNITS) and hardly_falls(cell["one"], cell["other"])
        ]
        if kept:
            gone = "what is missing" if "missing" in compared["controls"][1] else "the ECG"
            lines.append(f"hardly falls without {gone}, and does not come from it: {', '.join(kept)}")
    return "\n".join(lines)


def hardly_falls(one: float, other: float) -> bool:
    """Whether a score keeps more than 90 % of its value when the input is changed or gone; a score of 0 can't tell.

    Args:
        one: with the input as it is.
        other: with the changed one.
    """
    return one > 0 and other > HARDLY_FALLS * one
