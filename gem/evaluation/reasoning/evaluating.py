"""ECG-Reasoning-Benchmark: read its files, answer from the recordings, and write the files with the answers added.

References:
    ECG-Reasoning-Benchmark, arXiv 2603.14326.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ...data.ptbxl import load_ptbxl
from ...errors import GemInputError
from .answering import Reasoner, Step


def questions(sample: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every question of a sample, in order.

    Args:
        sample: as in the benchmark's JSON.
    """
    yield sample["data"]["initial_diagnostic_question"]
    for loop in sample["data"]["reasoning"]:
        for part in loop.values():
            yield from part if isinstance(part, list) else [part]


def answer_sample(sample: dict[str, Any], reasoner: Reasoner, own_history: bool = False) -> None:
    """Add ``model_response`` to every question.

    Args:
        sample: as in the benchmark's JSON; changed.
        reasoner: of the recording.
        own_history: answer from the reasoner's own earlier answers, instead of from the true ones as in the benchmark.
    """
    history: list[Step] = []
    for question in questions(sample):
        step = Step(question["question_type"], question["question"], tuple(question["options"]))
        question["model_response"] = reasoner.answer(step, tuple(history))
        known = question["model_response"] if own_history else question.get("answer")
        history.append(Step(step.kind, step.question, step.options, known))


def stage_accuracy(samples: Iterable[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Number of right answers and of questions, by kind of question.

    Args:
        samples: with ``model_response``.

    Returns:
        Kind -> (right, asked), and ``completion``: samples in which every question after the first is right.
    """
    out: dict[str, tuple[int, int]] = {}
    for sample in samples:
        rights = []
        for question in questions(sample):
            right = _same(question["answer"], question.get("model_response"))
            rights.append(right)
            before = out.get(question["question_type"], (0, 0))
            out[question["question_type"]] = (before[0] + right, before[1] + 1)
        before = out.get("completion", (0, 0))
        out["completion"] = (before[0] + all(rights[1:]), before[1] + 1)
    return out


def _same(answer: Any, response: Any) -> bool:
    if isinstance(answer, list):
        return isinstance(response, list) and {a.strip().lower() for a in answer} == {
            r.strip().lower() for r in response
        }
    return isinstance(response, str) and answer.strip().lower() == response.strip().lower()


def reasoning_table(figures: Mapping[str, Mapping[str, tuple[int, int]]]) -> str:
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


def evaluate_reasoning(folder: Path, records: Path, out: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Answer all samples of a folder (``DIAGNOSIS/NNN.json``), and twice more to find which stages need the ECG.

    Args:
        folder: the questions.
        records: PTB-XL, see ``gem.data.ptbxl.load_ptbxl``.
        out: folder for the answered files, in the same layout.

    Returns:
        ``stage_accuracy`` as the benchmark asks (``standard``, the answers written to ``out``), from the recording of
        another patient (``other_ecg``: what stays right there needs no ECG), and with the benchmark's earlier answers
        hidden (``own_history``).

    Raises:
        GemInputError: there are no questions, or a record they ask about is missing.
    """
    paths = sorted(folder.glob("*/*.json"))
    if not paths:
        raise GemInputError("no DIAGNOSIS/NNN.json there", where=str(folder), remedy="name the benchmark's folder")
    samples = {path: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    known = {sample.ecg_id: sample for sample in load_ptbxl(records, range(1, 11))}
    by_record: dict[int, list[Path]] = {}
    for path, sample in samples.items():
        by_record.setdefault(int(sample["metadata"]["ecg_id"]), []).append(path)
    if missing := sorted(set(by_record) - set(known)):
        raise GemInputError(
            f"no recording of {missing[:5]} ({len(missing)} in all)", where=str(records), remedy="check --records"
        )
    numbers = sorted(by_record)
    answered: dict[str, list[dict[str, Any]]] = {"standard": [], "other_ecg": [], "own_history": []}
    for number, other in zip(numbers, [*numbers[1:], numbers[0]], strict=True):
        reasoner, on_other_ecg = Reasoner(known[number].record), Reasoner(known[other].record)
        for path in by_record[number]:
            for name, one in (("standard", reasoner), ("other_ecg", on_other_ecg), ("own_history", reasoner)):
                sample = deepcopy(samples[path])
                answer_sample(sample, one, own_history=name == "own_history")
                answered[name].append(sample)
            target = out / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(answered["standard"][-1], indent=1) + "\n", encoding="utf-8")
    return {name: stage_accuracy(done) for name, done in answered.items()}
