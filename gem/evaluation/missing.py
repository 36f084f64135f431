"""The protocol of missing modalities: the same items with 25, 50, 75 and 100 % of the signal or the picture gone.

After ECG-R1, whose shares these are; its paper was not at hand. That each item loses its share, and not that share
of the items the whole modality, is our reading. A score that keeps more than 90 % of its value does not come from what
is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .comparing import OWN_UNITS, hardly_falls
from .inputs import SHARES
from .running import run_benchmark


def run_missing(name: str, model: str, modality: str, out: str | Path | None = None, **options: Any) -> dict[str, Any]:
    """Run a benchmark with everything there, and with each share of a modality gone.

    Args:
        name: of the benchmark.
        model: see ``run_benchmark``.
        modality: ``signal`` or ``picture``.
        out: folder of the runs: ``whole``, ``signal_25``, ... in it; None keeps nothing.
        **options: of ``run_benchmark``.

    Returns:
        ``benchmark``, ``model``, ``modality``, ``scores``: scoring -> metric -> per cent gone (as a string, ``"0"`` is
        the whole) -> value; ``kept``: those that hardly fall where all of it is gone.

    Raises:
        GemInputError: see ``run_benchmark``.
    """
    scores: dict[str, dict[str, dict[str, float | None]]] = {}
    for percent in (0, *SHARES):
        missing = f"{modality}:{percent}" if percent else None
        folder = None if out is None else Path(out) / (f"{modality}_{percent}" if percent else "whole")
        figures = run_benchmark(name, model, out=folder, missing=missing, **options)
        for scoring, kinds in figures["scorings"].items():
            for metric, cell in next(iter(kinds.values()), {}).items():
                if metric != "n":
                    scores.setdefault(scoring, {}).setdefault(metric, {})[str(percent)] = cell["value"]
    kept = [
        f"{scoring} {metric}"
        for scoring, metrics in scores.items()
        for metric, values in metrics.items()
        if not metric.endswith(OWN_UNITS) and hardly_falls(values.get("0") or 0.0, values.get("100") or 0.0)
    ]
    return {"benchmark": name, "model": model, "modality": modality, "scores": scores, "kept": kept}


def missing_table(result: Mapping[str, Any]) -> str:
    """The results for the terminal.

    Args:
        result: from ``run_missing``.
    """
    heads = [str(percent) for percent in (0, *SHARES)]
    lines = [f"{result['benchmark']} by {result['model']}, per cent of the {result['modality']} gone:"]
    lines.append(" " * 44 + "".join(f"{head:>9s}" for head in heads))
    for scoring, metrics in result["scores"].items():
        for metric, values in metrics.items():
            factor = 1 if metric.endswith(OWN_UNITS) else 100
            cells = [values.get(head) for head in heads]
            texts = ["-" if cell is None else f"{factor * cell:.1f}" for cell in cells]
            lines.append(f"{scoring:10s}{metric:34s}" + "".join(f"{text:>9s}" for text in texts))
    if result["kept"]:
        lines.append(f"hardly falls, and does not come from the {result['modality']}: {', '.join(result['kept'])}")
    return "\n".join(lines)
