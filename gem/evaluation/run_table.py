"""The figures of a run for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .comparing import OWN_UNITS
from .items import item_benchmarks
from .judging.agreement import judges_table

NAMED = 8  # things that were not read


def figures_table(figures: Mapping[str, Any]) -> str:
    """The results for the terminal.

    Args:
        figures: from ``run_benchmark``.
    """
    lines = [f"{figures['benchmark']} by {figures['model']}: {figures['n']} items"]
    for scoring, kinds in figures["scorings"].items():
        for kind, metrics in kinds.items():
            cells = [_cell(name, cell) for name, cell in metrics.items() if name != "n"]
            lines.append(f"{scoring:10s} {kind:32s} n {metrics['n']:5d}  " + "  ".join(cells))
    for scoring, counts in figures["reasons"].items():
        if counts:
            lines.append(f"{scoring:10s} not right: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    if figures["not_scored"]:
        lines.append("not scored: " + ", ".join(f"{n} {name}" for name, n in figures["not_scored"].items()))
    if figures.get("not_read"):
        lines.append(_not_read_line(figures["not_read"], figures["n"]))
    if figures.get("bertscore", True) is None:
        lines.append("BERTScore left out: no model was named (--bertscore FOLDER), and none is fetched")
    lines += judges_table(figures.get("judges", {}))
    if figures.get("skipped"):
        number, reason = next(iter(figures["skipped"].items()))
        lines.append(f"left out: {len(figures['skipped'])} records, {number} first: {reason}")
    table = item_benchmarks[figures["benchmark"]].details_table
    if table is not None and "details" in figures:
        lines += table(figures["details"]).splitlines()
    return "\n".join(
        [*lines, "% (points, ms, dB, bpm, degrees where the name says so), with 95 % bootstrap intervals by patient"]
    )


def _not_read_line(unread: Mapping[str, Any], n: int) -> str:
    named = [f"{what} ({count})" for what, count in list(unread["what"].items())[:NAMED]]
    more = len(unread["what"]) - NAMED
    told = ": " + ", ".join(named) + (f" and {more} more" if more > 0 else "") if named else ""
    return f"not read by rules: {unread['items']} of {n} items{told}"


def _cell(name: str, cell: Mapping[str, Any]) -> str:
    if cell["value"] is None or cell["low"] is None:
        return f"{name} -"
    factor = 1 if name.endswith(OWN_UNITS) else 100
    return f"{name} {factor * cell['value']:.1f} [{factor * cell['low']:.1f}-{factor * cell['high']:.1f}]"
