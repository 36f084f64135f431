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

from ..data.labelled import DEFAULT_FOLDS, usable
from ..errors import GemInputError
from .answerers import Answerer, InBatches, answerer, prompt_of
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
from .judging.agreement import add_cost, judged
from .judging.asking import Judge, judges_of, mean_score
from .labelled import bundled_samples
from .reports import mean_of_batches, with_bertscore

if TYPE_CHECKING:
    from ..metrics.bert import BertScorer

ROUNDS = 500  # of the bootstrap
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
    folds: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Answer and score the items of a benchmark.

    Args:
        name: of the benchmark.
        model: see ``gem.evaluation.answerers.answerer``.
        data: folder or file of its items, as its authors publish it; None takes the ten bundled ones, and with them
            the bundled recordings.
        records: folder of the recordings.
        out: folder of the run, which continues if it is there; None keeps nothing.
        limit: only the first ``limit`` items, or labelled records.
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
        folds: of PTB-XL, for benchmarks of labelled recordings; 8 when None.

    Returns:
        ``benchmark``, ``model``, ``n``, ``not_scored`` (reason -> number), ``scorings``: scoring -> kind -> metric ->
        ``value``, ``low``, ``high`` (95 %, by patient) and ``n``; ``reasons``: scoring -> reason -> number; with
        judges, ``judges``: their agreement, failures and tokens; for ``rules``, where they read the questions,
        ``not_read``: the number of items with something that they know nothing of, and ``what`` -> number of items;
        ``details`` where the benchmark has some; of labelled recordings ``folds``, and ``skipped``: record -> reason.

    Raises:
        GemInputError: no items, no BERT model, or the folder holds another run.
        GemError: the model can't be loaded.
    """
    if not isinstance(model, str):
        raise GemInputError(
            f"a {type(model).__name__} in place of a model's name",
            where="model",
            remedy="save it with its processor, and give the folder as a str",
        )
    benchmark = item_benchmarks[name]
    every, records, skipped = _items(benchmark, data, records, folds, limit)
    items = every if benchmark.labelled else every[:limit]
    if not items:
        raise GemInputError("no items", where=str(data), remedy=f"{name} is offered at {benchmark.source}")
    inputs = Inputs(records, control, missing)
    asked = judges_of(benchmark, judges, judge_repeats)
    settings = {**_settings(benchmark, model, every, len(items), seed), "control": control, "missing": missing}
    if asked:
        settings["judges"] = {"models": list(judges), "repeats": judge_repeats}
    bert = _bert(benchmark, bertscore, batch)
    if benchmark.labelled is not None:
        settings["folds"] = [] if records == BUNDLED else sorted(set(folds or DEFAULT_FOLDS))
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
        for row in ask.rows(items, start=len(rows)):
            rows.append(row)
            if out is not None:
                _append(Path(out) / "items.jsonl", row)
    figures = {**settings, **summarise(benchmark, rows, seed, batch)}
    if benchmark.labelled is not None:
        figures["skipped"] = skipped
    if benchmark.details is not None and (details := benchmark.details(items, rows)):
        figures["details"] = details
    if model == "rules" and benchmark.not_read is not None:
        figures["not_read"] = _not_read(benchmark.not_read, items)
    if judge_price is not None:
        add_cost(figures.get("judges", {}), judge_price)
    if out is not None:
        _write(Path(out) / "figures.json", figures)
    return figures


def _items(
    benchmark: ItemBenchmark,
    data: str | Path | None,
    records: str | Path | None,
    folds: Sequence[int] | None,
    limit: int | None,
) -> tuple[list[Item], str | Path | None, dict[str, str]]:
    """The items, where their recordings are, and why labelled ones were left out."""
    if benchmark.labelled is not None:  # the recordings are the data
        root = records if data is None else data
        if root is None:
            return benchmark.labelled(bundled_samples()[:limit]), BUNDLED, {}
        samples, skipped = usable(root, folds or DEFAULT_FOLDS, limit)
        return benchmark.labelled(samples), root, skipped
    where = samples_of(benchmark) if data is None else Path(data)
    if benchmark.own_recordings:  # and no others, which may be those that were printed
        records = where
    elif records is None and data is None:
        records = BUNDLED
    return benchmark.load(where), records, {}


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

    def rows(
        self, items: Sequence[Item], known: Mapping[str, str | None] = MappingProxyType({}), start: int = 0
    ) -> Iterator[Row]:
        """A row for each item from ``start``, in order, however many are asked at the same time."""

        def one(item: Item, answers: Mapping[str, str | None] = known) -> Row:
            return answer_item(self.who, self.scorings, item, self.inputs, self.judges, answers.get(item.item_id))

        if isinstance(self.who, InBatches):
            for first in range(start - start % self.who.batch, len(items), self.who.batch):
                batch = items[first : first + self.who.batch]
                answers = {**self._together(self.who, batch), **known}
                yield from (one(item, answers) for item in batch[max(0, start - first) :])
            return
        parallel = max([self.who.parallel, *(judge.parallel for judge in self.judges)])
        if parallel == 1:
            yield from map(one, items[start:])
            return
        waiting = iter(items[start:])
        with ThreadPoolExecutor(parallel) as pool:
            while some := list(islice(waiting, 4 * parallel)):
                yield from pool.map(one, some)

    def _together(self, who: InBatches, batch: Sequence[Item]) -> dict[str, str]:
        """The answers to a batch; none where a recording can't be used, so that each item gets a reason of its own."""
        there = [item for item in batch if self.inputs.problem(item.records + item.shown) is None]
        try:
            answers = who.answers(there, self.inputs) if there else []
        except EcgError:
            return {}
        return {item.item_id: answer for item, answer in zip(there, answers, strict=True)}


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
    if item.shown:
        row["shown"] = list(item.shown)
    if problem := inputs.problem(item.records + item.shown):
        return {**row, "reason": INPUT_MISSING, "problem": problem}
    try:
        row["prompt"] = "\n\n".join((prompt_of(item, inputs), *item.turns))
        if known is None:
            row["answer"] = who.answer(item, inputs)
        for scoring, scorer in scorings.items():  # with the recordings as they are, whatever the model got
            row["scores"][scoring] = _as_stored(scorer(item, row["answer"], inputs.whole))
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
        if len(kinds) > 1 and not benchmark.main_condition:
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
        told = {name: row[name] for name in ("id", "kind", "truth", "answer")}
        score = {**row["scores"][scoring], **told}
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
