"""ECG-Reasoning-Benchmark: read its folders, answer from the recordings, write its files with the answers added.

References:
    ECG-Reasoning-Benchmark, arXiv 2603.14326.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grounding.reasoning import Reasoner, Step

from ..errors import GemInputError
from .ptbxl import load_ptbxl


def questions(sample: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every question of a sample in the order it is asked."""
    yield sample["data"]["initial_diagnostic_question"]
    for loop in sample["data"]["reasoning"]:
        for part in loop.values():
            yield from part if isinstance(part, list) else [part]


def answer_sample(sample: dict[str, Any], reasoner: Reasoner) -> None:
    """Add ``model_response`` to every question; each is answered from the true answers *before* it, as the benchmark asks."""
    history: list[Step] = []
    for asked in questions(sample):
        step = Step(asked["question_type"], asked["question"], tuple(asked["options"]))
        asked["model_response"] = reasoner.answer(step, tuple(history))
        history.append(Step(step.kind, step.question, step.options, asked.get("answer")))


def evaluate_reasoning(folder: Path, records: Path, out: Path) -> dict[str, int]:
    """Answer all samples of a folder (``DIAGNOSIS/NNN.json``).

    Args:
        folder: the questions.
        records: laid out like PTB-XL (``ptbxl/``, ``ptbxl_filtered/``).
        out: where the answered files go, in the same layout.

    Returns:
        ``samples`` and ``records`` counts.

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
    for number, asked in by_record.items():
        reasoner = Reasoner(known[number].record)
        for path in asked:
            answer_sample(samples[path], reasoner)
            target = out / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(samples[path], indent=1) + "\n", encoding="utf-8")
    return {"samples": len(paths), "records": len(by_record)}
