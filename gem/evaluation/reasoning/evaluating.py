"""The benchmark's own files with answers, and which stages need the ECG.

References:
    ECG-Reasoning-Benchmark, arXiv 2603.14326.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...data.ptbxl import load_ptbxl
from ...errors import GemInputError
from ..comparing import read_run
from ..inputs import Inputs
from ..items import Item
from ..running import run_benchmark
from .items import (
    FIRST,
    LEADS,
    answer_by_rules,
    load_items,
    own_history,
    published_score,
    questions,
    sample_files,
    shown_other,
    statistics,
)

Counts = dict[str, tuple[int, int]]


def stage_accuracy(items: Sequence[Item], answers: Sequence[str]) -> Counts:
    """Number of right answers and of questions, by kind of question, as the benchmark scores them.

    Args:
        items: of the benchmark, those of a chain in order.
        answers: to these.

    Returns:
        Kind -> (right, asked), and ``completion``: samples in which every question after the first is right.
    """
    out: Counts = {}
    rows = []
    for item, answer in zip(items, answers, strict=True):
        score = published_score(item, answer)
        rows.append({"id": item.item_id, "values": score.values})
        right, asked = out.get(item.kind, (0, 0))
        out[item.kind] = (right + int(score.values["exact"]), asked + 1)
    samples = sum(item.kind == FIRST for item in items)
    out["completion"] = (round(statistics(rows)["completion"] * samples), samples)
    return out


def reasoning_table(figures: Mapping[str, Counts]) -> str:
    """Percentage of right answers by stage, with a column per condition.

    Args:
        figures: from ``evaluate_reasoning``.
    """
    stages = list(next(iter(figures.values())))
    rows = [f"{'':30}" + "".join(f"{name:>18}" for name in figures)]
    for stage in stages:
        cells = [
            f"{100 * right / asked:.1f} % of {asked}".rjust(18)
            for right, asked in (one[stage] for one in figures.values())
        ]
        rows.append(f"{stage:30}" + "".join(cells))
    return "\n".join(rows)


def evaluate_reasoning(folder: Path, records: Path, out: Path, model: str = "rules") -> dict[str, Counts]:
    """Answer all samples of a folder as a run, and write the benchmark's own files with ``model_response`` added.

    Args:
        folder: the questions, ``DIAGNOSIS/NNN.json``.
        records: PTB-XL, see ``gem.data.ptbxl.load_ptbxl``.
        out: folder of the run, which also gets the answered files, in the layout of the questions.
        model: see ``run_benchmark``.

    Returns:
        ``stage_accuracy`` as the benchmark asks (``standard``); for ``rules`` also from the recording of another
        patient (``other_ecg``: what stays right there needs no ECG), and with the benchmark's earlier answers hidden
        (``own_history``).

    Raises:
        GemInputError: there are no questions, or a record they ask about is missing.
    """
    items = load_items(folder)
    known = {sample.record_id for sample in load_ptbxl(records, range(1, 11))}
    if missing := sorted({int(item.records[0]) for item in items if item.records[0] not in known}):
        raise GemInputError(
            f"no recording of {missing[:5]} ({len(missing)} in all)", where=str(records), remedy="check --records"
        )
    run_benchmark("reasoning", model, folder, records, out)
    rows = read_run(out)[1]
    answers = [row["answer"] or "" for row in rows]
    _write_answered(folder, items, rows, out)
    figures = {"standard": stage_accuracy(items, answers)}
    if model == "rules":
        inputs = Inputs(records)
        others = [answer_by_rules(item, inputs) for item in shown_other(items)]
        figures["other_ecg"] = stage_accuracy(items, others)
        figures["own_history"] = stage_accuracy(items, own_history(items, inputs))
    return figures


def _write_answered(folder: Path, items: Sequence[Item], rows: Sequence[Mapping[str, object]], out: Path) -> None:
    """The files of the questions, with the answers of a run."""
    answered = iter(zip(items, rows, strict=True))
    for path in sample_files(folder):
        sample = json.loads(path.read_text(encoding="utf-8"))
        for question in questions(sample):
            item, row = next(answered)
            if row["answer"] is None:
                continue
            text = str(row["answer"])
            labels = published_score(item, text).labels
            question["model_response"] = list(labels) if question["question_type"] == LEADS else text
        target = out / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(sample, indent=1) + "\n", encoding="utf-8")
