"""Run a benchmark into a folder that a killed run continues from, and compute its figures.

``run.json`` says what was run, ``items.jsonl`` has a line for each item in the order of the benchmark, ``figures.json``
the results. Nothing in them depends on the time, so that a run that was killed ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from grounding._version import __version__
from grounding.errors import EcgError

from ..errors import GemInputError
from .answerers import Answerer, answerer
from .inputs import Inputs
from .items import INPUT_MISSING, INSTRUMENT, REQUEST_FAILED, Item, ItemBenchmark, item_benchmarks, means

ROUNDS = 500  # of the bootstrap
Row = dict[str, Any]


def run_benchmark(
    name: str,
    model: str,
    data: str | Path,
    records: str | Path | None,
    out: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    retry: bool = False,
    control: str | None = None,
) -> dict[str, Any]:
    """Answer and score the items of a benchmark.

    Args:
        name: of the benchmark.
        model: see ``gem.evaluation.answerers.answerer``.
        data: folder or file of its items, as its authors publish it.
        records: folder of the recordings.
        out: folder of the run, which continues if it is there; None keeps nothing.
        limit: only the first ``limit`` items.
        seed: of ``random`` and of the bootstrap.
        retry: ask again where no answer could be had.
        control: what is given in place of the recordings, see ``Inputs``.

    Returns:
        ``benchmark``, ``model``, ``n``, ``not_scored`` (reason -> number), ``scorings``: scoring -> kind -> metric ->
        ``value``, ``low``, ``high`` (95 %, by patient) and ``n``; ``reasons``: scoring -> reason -> number.

    Raises:
        GemInputError: no items, or the folder holds another run.
        GemError: the model can't be loaded.
    """
    benchmark = item_benchmarks[name]
    every = benchmark.load(Path(data))
    items = every[:limit]
    if not items:
        raise GemInputError("no items", where=str(data), remedy=f"{name} is offered at {benchmark.source}")
    inputs = Inputs(records, control)
    settings = {**_settings(benchmark, model, every, len(items), seed), "control": control}
    done: list[Row] = []
    if out is not None:
        done = _resume(Path(out), settings, retry)
    rows = list(done)
    if len(done) < len(items):
        who = answerer(model, benchmark, every, seed)
        for row in _answered(who, benchmark, items[len(done) :], inputs):
            rows.append(row)
            if out is not None:
                _append(Path(out) / "items.jsonl", row)
    figures = {**settings, **summarise(benchmark, rows, seed)}
    if out is not None:
        _write(Path(out) / "figures.json", figures)
    return figures


def _settings(benchmark: ItemBenchmark, model: str, items: Sequence[Item], n: int, seed: int) -> dict[str, Any]:
    digest = hashlib.sha256(repr(items).encode()).hexdigest()
    versions = {"gem-ecg": __version__, "numpy": np.__version__, "python": platform.python_version()}
    settings = {"benchmark": benchmark.name, "model": model, "n": n, "seed": seed}
    return {**settings, "items_sha256": digest, "versions": versions}


def _resume(out: Path, settings: dict[str, Any], retry: bool) -> list[Row]:
    """The rows that are there; an incomplete last line is removed."""
    out.mkdir(parents=True, exist_ok=True)
    described = out / "run.json"
    if described.is_file():
        if json.loads(described.read_text(encoding="utf-8")) != settings:
            raise GemInputError(
                "the folder holds a run of something else (model, items, seed or versions)",
                where=str(out),
                remedy="name another --out",
            )
    else:
        _write(described, settings)
    path = out / "items.jsonl"
    if not path.is_file():
        return []
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if kept != whole:
        with path.open("r+b") as file:
            file.truncate(len(kept))
    rows: list[Row] = [json.loads(line) for line in kept.splitlines()]
    failed = next((n for n, row in enumerate(rows) if row["reason"] == REQUEST_FAILED), len(rows))
    if retry and failed < len(rows):  # the rows behind it are asked again, too: the order stays that of the items
        rows = rows[:failed]
        part = path.with_suffix(".tmp")
        part.write_bytes(b"".join(_line(row) for row in rows))
        part.replace(path)
    return rows


def _line(row: Row) -> bytes:
    return (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _append(path: Path, row: Row) -> None:
    with path.open("ab") as file:
        file.write(_line(row))


def _write(path: Path, value: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)


def _answered(who: Answerer, benchmark: ItemBenchmark, items: Sequence[Item], inputs: Inputs) -> Iterator[Row]:
    """A row for each item, in order, however many are asked at the same time."""

    def one(item: Item) -> Row:
        return answer_item(who, benchmark, item, inputs)

    if who.parallel == 1:
        yield from map(one, items)
        return
    waiting = iter(items)
    with ThreadPoolExecutor(who.parallel) as pool:
        while batch := list(islice(waiting, 4 * who.parallel)):
            yield from pool.map(one, batch)


def answer_item(who: Answerer, benchmark: ItemBenchmark, item: Item, inputs: Inputs) -> Row:
    """Ask about one item and score the answer.

    Args:
        who: answers.
        benchmark: whose scorers are used.
        item: the question.
        inputs: the recordings.
    """
    row: Row = {
        "id": item.item_id,
        "kind": item.kind,
        "records": list(item.records),
        "patient": inputs.patient(item.records[0]) if item.records else item.item_id,
        "prompt": item.prompt,
        "truth": list(item.truth),
        "answer": None,
        "reason": None,
        "problem": None,
        "scores": {},
    }
    if problem := inputs.problem(item.records):
        return {**row, "reason": INPUT_MISSING, "problem": problem}
    try:
        row["answer"] = who.answer(item, inputs)
    except ConnectionError as error:
        return {**row, "reason": REQUEST_FAILED, "problem": str(error)}
    except EcgError as error:
        return {**row, "reason": INPUT_MISSING, "problem": str(error)}
    for scoring, scorer in benchmark.scorers.items():
        score = scorer(item, row["answer"])
        row["scores"][scoring] = {
            "values": dict(score.values),
            "reason": score.reason,
            "labels": list(score.labels),
        }
    first = next(iter(row["scores"].values()))
    row["reason"] = first["reason"]
    return row


def summarise(benchmark: ItemBenchmark, rows: Sequence[Row], seed: int = 0) -> dict[str, Any]:
    """The figures of a run.

    Args:
        benchmark: of the rows.
        rows: as in ``items.jsonl``.
        seed: of the bootstrap.
    """
    scored = [row for row in rows if row["scores"]]
    out: dict[str, Any] = {"not_scored": _counts(row["reason"] for row in rows if not row["scores"])}
    out["scorings"], out["reasons"] = {}, {}
    for scoring in benchmark.scorers:
        statistic = benchmark.statistics.get(scoring, means)
        there = [row for row in scored if row["scores"][scoring]["reason"] not in INSTRUMENT]
        kinds = list(dict.fromkeys(row["kind"] for row in there))
        groups = {kind: [row for row in there if row["kind"] == kind] for kind in kinds}
        if len(kinds) > 1:
            groups = {"all": there, **groups}
        out["scorings"][scoring] = {
            kind: _with_intervals(statistic, group, scoring, seed) for kind, group in groups.items()
        }
        out["reasons"][scoring] = _counts(row["scores"][scoring]["reason"] for row in scored)
    return out


def _counts(reasons: Any) -> dict[str, int]:
    known = [reason for reason in reasons if reason]
    return {reason: known.count(reason) for reason in sorted(set(known))}


def _with_intervals(statistic: Any, rows: Sequence[Row], scoring: str, seed: int) -> dict[str, Any]:
    """Every metric with its 95 % interval by resampling patients."""
    by_patient: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        score = {**row["scores"][scoring], "truth": row["truth"]}
        by_patient.setdefault(row["patient"], []).append(score)
    patients = list(by_patient.values())
    value = statistic([score for scores in patients for score in scores])
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in value}
    for _ in range(ROUNDS):
        picked = [score for place in rng.integers(0, len(patients), len(patients)) for score in patients[place]]
        for name, one in statistic(picked).items():
            drawn.setdefault(name, []).append(one)
    out: dict[str, Any] = {"n": len(rows)}
    for name, one in value.items():
        known = [x for x in drawn[name] if not np.isnan(x)]
        low, high = np.percentile(known, [2.5, 97.5]).tolist() if known else (None, None)
        out[name] = {"value": None if np.isnan(one) else float(one), "low": low, "high": high}
    return out


def figures_table(figures: Mapping[str, Any]) -> str:
    """The results for the terminal.

    Args:
        figures: from ``run_benchmark``.
    """
    lines = [f"{figures['benchmark']} by {figures['model']}: {figures['n']} items"]
    for scoring, kinds in figures["scorings"].items():
        for kind, metrics in kinds.items():
            cells = [
                f"{name} {100 * cell['value']:.1f} [{100 * cell['low']:.1f}-{100 * cell['high']:.1f}]"
                if cell["value"] is not None and cell["low"] is not None
                else f"{name} -"
                for name, cell in metrics.items()
                if name != "n"
            ]
            lines.append(f"{scoring:10s} {kind:32s} n {metrics['n']:5d}  " + "  ".join(cells))
    for scoring, counts in figures["reasons"].items():
        if counts:
            lines.append(f"{scoring:10s} not right: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    if figures["not_scored"]:
        lines.append("not scored: " + ", ".join(f"{n} {name}" for name, n in figures["not_scored"].items()))
    return "\n".join([*lines, "%, with 95 % bootstrap intervals by patient"])
