"""Run a benchmark into a folder that a killed run continues from, and compute its figures.

``run.json`` says what was run, ``items.jsonl`` has a line for each item in the order of the benchmark, ``figures.json``
the results. Nothing in them depends on the time, so that a run that was killed ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from grounding._version import __version__
from grounding.errors import EcgError

from ..errors import GemInputError
from .answerers import Answerer, answerer
from .comparing import OWN_UNITS
from .inputs import BUNDLED, Inputs
from .items import (
    INPUT_MISSING,
    INSTRUMENT,
    JUDGE_FAILED,
    REQUEST_FAILED,
    GroundedScorer,
    Item,
    ItemBenchmark,
    Score,
    item_benchmarks,
    means,
    samples_of,
)
from .judging.agreement import add_cost, judged, judges_table
from .judging.asking import Judge, judges_of, mean_score
from .reports import mean_of_batches, with_bertscore

if TYPE_CHECKING:
    from ..metrics.bert import BertScorer

ROUNDS = 500  # of the bootstrap
NAMED = 8  # things that were not read, in the table
RETRIED = "items.retried.jsonl"
Row = dict[str, Any]


def run_benchmark(
    name: str,
    model: str,
    data: str | Path | None = None,
    records: str | Path | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    retry: bool = False,
    control: str | None = None,
    missing: str | None = None,
    judges: Sequence[str] = (),
    judge_repeats: int = 1,
    judge_price: tuple[float, float] | None = None,
    bertscore: str | Path | None = None,
    batch: int = 1,
) -> dict[str, Any]:
    """Answer and score the items of a benchmark.

    Args:
        name: of the benchmark.
        model: see ``gem.evaluation.answerers.answerer``.
        data: folder or file of its items, as its authors publish it; None takes the ten bundled ones, and with them
            the bundled recordings.
        records: folder of the recordings.
        out: folder of the run, which continues if it is there; None keeps nothing.
        limit: only the first ``limit`` items.
        seed: of ``random`` and of the bootstrap.
        retry: ask again where no answer, or no judgement, could be had.
        control: what is given in place of the recordings, see ``Inputs``.
        missing: ``signal:50``, ``picture:100``, ...: percentage of the signal or the picture that is gone, see
            ``Inputs``.
        judges: ``openai:URL#MODEL`` of each judge, for benchmarks that have a rubric.
        judge_repeats: how often each judge is asked about an answer.
        judge_price: of a million tokens that a judge reads, and of a million that it writes.
        bertscore: ``FOLDER`` or ``FOLDER:LAYER`` of a BERT model, see ``gem.metrics.bert.BertScorer``, for benchmarks
            that compare words; None leaves BERTScore out.
        batch: items over which such benchmarks count BLEU together, before the mean over batches, as MEIT does.

    Returns:
        ``benchmark``, ``model``, ``n``, ``not_scored`` (reason -> number), ``scorings``: scoring -> kind -> metric ->
        ``value``, ``low``, ``high`` (95 %, by patient) and ``n``; ``reasons``: scoring -> reason -> number; with
        judges, ``judges``: their agreement, failures and tokens; for ``rules``, where they read the questions,
        ``not_read``: the number of items with something that they know nothing of, and ``what`` -> number of items.

    Raises:
        GemInputError: no items, no BERT model, or the folder holds another run.
        GemError: the model can't be loaded.
    """
    benchmark = item_benchmarks[name]
    bundled = data is None
    data = samples_of(benchmark) if data is None else Path(data)
    if benchmark.own_recordings:  # and no others, which may be those that were printed
        records = data
    elif records is None and bundled:
        records = BUNDLED
    every = benchmark.load(data)
    items = every[:limit]
    if not items:
        raise GemInputError("no items", where=str(data), remedy=f"{name} is offered at {benchmark.source}")
    inputs = Inputs(records, control, missing)
    asked = judges_of(benchmark, judges, judge_repeats)
    settings = {**_settings(benchmark, model, every, len(items), seed), "control": control, "missing": missing}
    if asked:
        settings["judges"] = {"models": list(judges), "repeats": judge_repeats}
    bert = _bert(benchmark, bertscore, batch)
    if benchmark.wording:
        settings |= {"bertscore": bert and bert.settings(), "batch": batch}
    rows: list[Row] = []
    if out is not None:
        rows = _resume(Path(out), settings)
    failed = [place for place, row in enumerate(rows) if retry and _wants_retry(row)]
    if len(rows) < len(items) or failed:
        scorings = benchmark.scorings(every)
        if bert is not None:
            scorings["published"] = with_bertscore(scorings["published"], bert)
        ask = _Asking(answerer(model, benchmark, every, seed), scorings, asked, inputs)
        if failed:
            rows = _retried(rows, failed, items, ask, out)
        for row in ask.rows(items[len(rows) :]):
            rows.append(row)
            if out is not None:
                _append(Path(out) / "items.jsonl", row)
    figures = {**settings, **summarise(benchmark, rows, seed, batch)}
    if model == "rules" and benchmark.not_read is not None:
        figures["not_read"] = _not_read(benchmark.not_read, items)
    if judge_price is not None:
        add_cost(figures.get("judges", {}), judge_price)
    if out is not None:
        _write(Path(out) / "figures.json", figures)
    return figures


def _bert(benchmark: ItemBenchmark, place: str | Path | None, batch: int) -> BertScorer | None:
    """The model for BERTScore, if one is named; what the benchmark doesn't take is an error."""
    if batch < 1:
        raise GemInputError(f"no batches of {batch} items", remedy="give 1 or more")
    if place is None and batch == 1:
        return None
    if not benchmark.wording:
        wording = ", ".join(name for name in item_benchmarks.list() if item_benchmarks[name].wording)
        raise GemInputError(
            "it doesn't compare words", where=benchmark.name, remedy=f"BERTScore and batches are for {wording}"
        )
    if place is None:
        return None
    from ..metrics.bert import BertScorer

    return BertScorer(place)


def _not_read(of_item: Callable[[Item], tuple[str, ...]], items: Sequence[Item]) -> dict[str, Any]:
    unread = [of_item(item) for item in items]
    what = Counter(one for each in unread for one in dict.fromkeys(each))
    return {"items": sum(bool(each) for each in unread), "what": dict(what.most_common())}


def items_sha256(items: Sequence[Item]) -> str:
    """Checksum of items, by which runs of the same ones are known.

    Args:
        items: all of a benchmark.
    """
    return hashlib.sha256(repr(items).encode()).hexdigest()


def _settings(benchmark: ItemBenchmark, model: str, items: Sequence[Item], n: int, seed: int) -> dict[str, Any]:
    versions = {"gem-ecg": __version__, "numpy": np.__version__, "python": platform.python_version()}
    settings = {"benchmark": benchmark.name, "model": model, "n": n, "seed": seed}
    return {**settings, "items_sha256": items_sha256(items), "versions": versions}


def _resume(out: Path, settings: dict[str, Any]) -> list[Row]:
    """The rows that are there; an incomplete last line is removed."""
    out.mkdir(parents=True, exist_ok=True)
    described = out / "run.json"
    if described.is_file():
        if json.loads(described.read_text(encoding="utf-8")) != settings:
            raise GemInputError(
                "the folder holds a run of something else (model, items, seed, versions, BERTScore or batch)",
                where=str(out),
                remedy="name another --out",
            )
    else:
        _write(described, settings)
    rows = _whole_lines(out / "items.jsonl")
    again = {row["id"]: row for row in _whole_lines(out / RETRIED)}  # of a retry that was killed
    if again:
        rows = [again.get(row["id"], row) for row in rows]
        _write_rows(out / "items.jsonl", rows)
    (out / RETRIED).unlink(missing_ok=True)
    return rows


def _whole_lines(path: Path) -> list[Row]:
    """The rows of a file; an incomplete last line is removed."""
    if not path.is_file():
        return []
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if kept != whole:
        with path.open("r+b") as file:
            file.truncate(len(kept))
    return [json.loads(line) for line in kept.splitlines()]


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    part = path.with_suffix(".tmp")
    part.write_bytes(b"".join(_line(row) for row in rows))
    part.replace(path)


def _wants_retry(row: Row) -> bool:
    """Whether the request for the answer, or a judge, failed."""
    judged_badly = any(score["reason"] == JUDGE_FAILED for score in row["scores"].values())
    return bool(row["reason"] == REQUEST_FAILED or judged_badly)


def _retried(
    rows: Sequence[Row], failed: Sequence[int], items: Sequence[Item], ask: _Asking, out: str | Path | None
) -> list[Row]:
    """The rows with the failed ones asked again, in their places; the others stay as they are."""
    fresh: dict[int, Row] = {}
    known = {items[place].item_id: rows[place]["answer"] for place in failed}  # of those that only a judge failed
    for place, row in zip(failed, ask.rows([items[place] for place in failed], known), strict=True):
        fresh[place] = row
        if out is not None:
            _append(Path(out) / RETRIED, row)
    whole = [fresh.get(place, row) for place, row in enumerate(rows)]
    if out is not None:
        _write_rows(Path(out) / "items.jsonl", whole)
        (Path(out) / RETRIED).unlink(missing_ok=True)
    return whole


def _line(row: Row) -> bytes:
    return (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _append(path: Path, row: Row) -> None:
    with path.open("ab") as file:
        file.write(_line(row))


def _write(path: Path, value: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)


@dataclass(frozen=True)
class _Asking:
    """Who answers, and what scores the answers."""

    who: Answerer
    scorings: Mapping[str, GroundedScorer]
    judges: Sequence[Judge]
    inputs: Inputs

    def rows(self, items: Sequence[Item], known: Mapping[str, str | None] = MappingProxyType({})) -> Iterator[Row]:
        """A row for each item, in order, however many are asked at the same time."""

        def one(item: Item) -> Row:
            return answer_item(self.who, self.scorings, item, self.inputs, self.judges, known.get(item.item_id))

        parallel = max([self.who.parallel, *(judge.parallel for judge in self.judges)])
        if parallel == 1:
            yield from map(one, items)
            return
        waiting = iter(items)
        with ThreadPoolExecutor(parallel) as pool:
            while batch := list(islice(waiting, 4 * parallel)):
                yield from pool.map(one, batch)


def answer_item(
    who: Answerer,
    scorings: Mapping[str, GroundedScorer],
    item: Item,
    inputs: Inputs,
    judges: Sequence[Judge] = (),
    known: str | None = None,
) -> Row:
    """Ask about one item and score the answer.

    Args:
        who: answers.
        scorings: of the benchmark, see ``ItemBenchmark.scorings``.
        item: the question.
        inputs: the recordings.
        judges: give marks for the answer.
        known: the answer, if it is known already.
    """
    row: Row = {
        "id": item.item_id,
        "kind": item.kind,
        "records": list(item.records),
        "patient": inputs.patient(item.records[0]) if item.records else item.item_id,
        "prompt": "\n\n".join((item.prompt, *item.turns)),
        "truth": list(item.truth),
        "answer": known,
        "reason": None,
        "problem": None,
        "scores": {},
    }
    if problem := inputs.problem(item.records):
        return {**row, "reason": INPUT_MISSING, "problem": problem}
    try:
        if known is None:
            row["answer"] = who.answer(item, inputs)
        for scoring, scorer in scorings.items():
            row["scores"][scoring] = _as_stored(scorer(item, row["answer"], inputs))
    except ConnectionError as error:
        return {**row, "reason": REQUEST_FAILED, "problem": str(error)}
    except EcgError as error:
        return {**row, "scores": {}, "reason": INPUT_MISSING, "problem": str(error)}
    if judges:
        opinions = [opinion for judge in judges for opinion in judge.opinions(item, row["answer"])]
        row["judges"] = [opinion.to_dict() for opinion in opinions]
        row["scores"]["published"] = _as_stored(mean_score(judges[0].rubric, opinions))
    first = next(iter(row["scores"].values()))
    row["reason"] = first["reason"]
    return row


def _as_stored(score: Score) -> dict[str, Any]:
    return {"values": dict(score.values), "reason": score.reason, "labels": list(score.labels)}


def summarise(benchmark: ItemBenchmark, rows: Sequence[Row], seed: int = 0, batch: int = 1) -> dict[str, Any]:
    """The figures of a run.

    Args:
        benchmark: of the rows.
        rows: as in ``items.jsonl``.
        seed: of the bootstrap.
        batch: see ``run_benchmark``.
    """
    scored = [row for row in rows if row["scores"]]
    out: dict[str, Any] = {"not_scored": _counts(row["reason"] for row in rows if not row["scores"])}
    out["scorings"], out["reasons"] = {}, {}
    for scoring in dict.fromkeys(name for row in scored for name in row["scores"]):
        statistic = benchmark.statistics.get(scoring, means)
        if batch > 1 and scoring == "published":
            statistic = partial(mean_of_batches, batch)
        there = [row for row in scored if row["scores"][scoring]["reason"] not in INSTRUMENT]
        if not there:
            out["scorings"][scoring], out["reasons"][scoring] = (
                {},
                _counts(row["scores"][scoring]["reason"] for row in scored),
            )
            continue
        kinds = list(dict.fromkeys(row["kind"] for row in there))
        groups = {kind: [row for row in there if row["kind"] == kind] for kind in kinds}
        if len(kinds) > 1:
            groups = {"all": there, **groups}
        out["scorings"][scoring] = {
            kind: _with_intervals(statistic, group, scoring, seed) for kind, group in groups.items()
        }
        out["reasons"][scoring] = _counts(row["scores"][scoring]["reason"] for row in scored)
    if benchmark.rubric is not None and any("judges" in row for row in rows):
        out["judges"] = judged(benchmark.rubric, [row["judges"] for row in rows if "judges" in row])
    return out


def _counts(reasons: Any) -> dict[str, int]:
    known = [reason for reason in reasons if reason]
    return {reason: known.count(reason) for reason in sorted(set(known))}


def _with_intervals(statistic: Any, rows: Sequence[Row], scoring: str, seed: int) -> dict[str, Any]:
    """Every metric with its 95 % interval by resampling patients."""
    by_patient: dict[str, list[Mapping[str, Any]]] = {}
    every: list[Mapping[str, Any]] = []
    for row in rows:
        score = {**row["scores"][scoring], "truth": row["truth"], "answer": row["answer"]}
        every.append(score)
        by_patient.setdefault(row["patient"], []).append(score)
    patients = list(by_patient.values())
    value = statistic(every)
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
