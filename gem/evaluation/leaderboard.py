"""A page of results: runs side by side, and what others published, marked as quoted."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import GemInputError
from .comparing import OWN_UNITS
from .items import item_benchmarks, samples_of
from .running import items_sha256

Column = tuple[str, str]  # kind of items, "" for all; metric
_PREAMBLE = """# Results

Made by `gem evaluate leaderboard`. In %, where a metric's name has no unit at its end, with 95 % intervals by
resampling patients; n is the number of items that could be scored. *Quoted* values are their authors', on the whole
published files and by their own judges: they were not measured here, and are near, not equal, to what `published`
gives. Whether records were used to make a model, or rules, is told by the page of benchmarks (`docs/benchmarks.md`).
"""


@dataclass(frozen=True)
class _Row:
    model: str
    n: str
    cells: Mapping[Column, str]


def leaderboard(runs: Sequence[Path], quoted: bool = False) -> str:
    """A Markdown page with a table for each benchmark and scoring.

    Args:
        runs: folders of finished runs.
        quoted: with what others published.

    Raises:
        GemInputError: a run is not finished.
    """
    tables: dict[tuple[str, str], list[_Row]] = {}
    every = [_figures(Path(folder)) for folder in runs]
    most: dict[str, int] = {}
    for figures in every:
        most[figures["benchmark"]] = max(most.get(figures["benchmark"], 0), figures["n"])
    for figures in every:
        of = figures["benchmark"]
        for scoring, kinds in figures["scorings"].items():
            if kinds:
                n = str(kinds[_main(kinds, of)]["n"])
                row = _Row(_name(figures, most[of]), n, dict(_cells(kinds, of)))
                tables.setdefault((of, scoring), []).append(row)
    sources: dict[str, list[str]] = {}
    for benchmark, by_model in _quoted().items() if quoted else ():
        for model, rows in by_model.items():
            cells = {("", row["metric"]): row["value"] for row in rows}
            tables.setdefault((benchmark, "published"), []).append(_Row(f"{model}, *quoted*", "", cells))
            sources.setdefault(benchmark, []).extend(row["source"] for row in rows)
    lines = [_PREAMBLE]
    last = ""
    for benchmark, scoring in sorted(tables):
        if benchmark != last:
            text = item_benchmarks[benchmark].text
            lines += [f"## {benchmark}", "", f"{text[0].upper()}{text[1:]}."]
            if benchmark in sources:
                lines += [f"Quoted from: {'; '.join(dict.fromkeys(sources[benchmark]))}."]
            lines += [""]
        last = benchmark
        lines += [f"`{scoring}`:", "", *_table(tables[benchmark, scoring]), ""]
    return "\n".join(lines)


def _figures(folder: Path) -> dict[str, Any]:
    path = folder / "figures.json"
    if not path.is_file():
        raise GemInputError("no figures.json: the run is not finished", where=str(folder), remedy="run it again")
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures


def _name(figures: Mapping[str, Any], most: int) -> str:
    """The model, and what else was changed or is no result; how many items were asked where others have more."""
    notes = [f"of {figures['n']} items"] if figures["n"] < most else []
    notes += [f"given {figures['control']}"] if figures.get("control") else []
    notes += [f"{figures['missing']} missing"] if figures.get("missing") else []
    if figures["items_sha256"] == _bundled_sha256(figures["benchmark"]):
        notes.append("bundled items, no result")
    return str(figures["model"]) + (f" ({', '.join(notes)})" if notes else "")


@lru_cache
def _bundled_sha256(benchmark: str) -> str:
    one = item_benchmarks[benchmark]
    return items_sha256(one.load(samples_of(one))) if one.samples else ""


def _cells(kinds: Mapping[str, Mapping[str, Any]], benchmark: str) -> Iterable[tuple[Column, str]]:
    main = _main(kinds, benchmark)
    for kind, metrics in sorted(kinds.items(), key=lambda one: (one[0] != main, one[0])):
        for name, cell in metrics.items():
            if name != "n" and cell["value"] is not None:
                factor = 1 if name.endswith(OWN_UNITS) else 100
                text = f"{factor * cell['value']:.1f}"
                if cell["low"] is not None:
                    text += f" [{factor * cell['low']:.1f} to {factor * cell['high']:.1f}]"
                yield ("" if kind == main else kind, name), text


def _main(kinds: Mapping[str, Any], benchmark: str) -> str:
    """The name of all items together, or of the condition that counts."""
    main = item_benchmarks[benchmark].main_condition or "all"
    return main if main in kinds else next(iter(kinds))


def _table(rows: Sequence[_Row]) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    heads = ["model", "n", *(f"{kind}: {name}" if kind else name for kind, name in columns)]
    out = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    return out + [
        f"| {' | '.join([row.model, row.n, *(row.cells.get(column, '') for column in columns)])} |" for row in rows
    ]


@lru_cache
def _quoted() -> dict[str, dict[str, list[dict[str, str]]]]:
    """Benchmark -> model -> rows of ``quoted.csv``."""
    out: dict[str, dict[str, list[dict[str, str]]]] = {}
    text = (files(__package__) / "quoted.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        out.setdefault(row["benchmark"], {}).setdefault(row["model"], []).append(row)
    return out
