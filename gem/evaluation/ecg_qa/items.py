"""The items of ECG-QA, read as published, and their scores."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from ...errors import GemInputError
from ..items import WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, missing_file, register_item_benchmark
from ..labels import choice_score, jaccard
from .answering import answer_by_rules, not_read

SOURCE = "https://github.com/Jwoo5/ecg-qa (ecgqa/ptbxl, ecgqa/mimic-iv-ecg)"
_FIELDS = ("template_id", "question_type", "question", "answer", "ecg_id")


def load_items(path: Path) -> list[Item]:
    """Every question of a file or folder.

    The options of a question are the answers that its template has anywhere there, and what it gives to choose from.

    Args:
        path: a JSON file, or a folder whose JSON files are all read, in the order of their names.

    Raises:
        GemInputError: there are no questions, or one lacks a field.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    rows: list[tuple[str, dict[str, Any]]] = []
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise GemInputError(
                f"can't be read as JSON ({error})", where=str(file), remedy="download it again"
            ) from None
        if not isinstance(content, list):
            raise GemInputError("not a list of questions", where=str(file), remedy=f"see {SOURCE}")
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        for number, row in enumerate(content):
            missing = [field for field in _FIELDS if not isinstance(row, dict) or field not in row]
            if missing:
                raise GemInputError(f"question {number} has no {missing[0]}", where=str(file), remedy=f"see {SOURCE}")
            rows.append((f"{name}:{number}", row))
    if not rows:
        raise missing_file("ecg-qa", path, SOURCE)
    options: dict[Any, set[str]] = defaultdict(set)
    for _, row in rows:
        options[row["template_id"]] |= {str(answer).lower() for answer in row["answer"]}
        if "verify" in row["question_type"]:
            options[row["template_id"]] |= {"yes", "no"}
        if "choose" in row["question_type"]:  # those to choose from, which need not be right anywhere
            options[row["template_id"]] |= {str(one).lower() for one in row.get("attribute") or ()}
    return [_item(name, row, tuple(sorted(options[row["template_id"]]))) for name, row in rows]


def _item(name: str, row: dict[str, Any], options: tuple[str, ...]) -> Item:
    numbers = row["ecg_id"] if isinstance(row["ecg_id"], list) else [row["ecg_id"]]
    multiple = "verify" not in row["question_type"]
    several = "Answer with one or more of the options, separated by commas." if multiple else "Answer with one option."
    truth = tuple(sorted({str(answer).lower() for answer in row["answer"]}))
    return Item(
        name,
        str(row["question_type"]),
        str(row["question"]),
        f"{row['question']}\nOptions: {', '.join(options)}\n{several} Write nothing else.",
        truth,
        options,
        tuple(str(number) for number in numbers),
        multiple,
    )


def strict_score(item: Item, answer: str) -> Score:
    """Compare the set of labels that an answer names; ``exact`` and ``jaccard``.

    Args:
        item: of ECG-QA.
        answer: any text.
    """
    return choice_score(item, answer)


def published_score(item: Item, answer: str) -> Score:
    """Exact agreement of the answer's comma-separated parts with the true ones, as strings without case.

    Args:
        item: of ECG-QA.
        answer: any text.
    """
    parts = tuple(sorted({part.strip().lower().rstrip(".") for part in answer.split(",") if part.strip()}))
    right = parts == item.truth
    known = set(parts) <= set(item.options)
    reason = None if right else WRONG_VALUE if known and parts else WRONG_FORMAT
    return Score({"exact": float(right), "jaccard": jaccard(parts, item.truth)}, reason, parts)


register_item_benchmark(
    ItemBenchmark(
        "ecg-qa",
        "questions about one or two ECGs of PTB-XL or MIMIC-IV-ECG (ECG-QA): yes or no, choices, and lists",
        load_items,
        {"strict": strict_score, "published": published_score},
        answer_by_rules,
        SOURCE,
        samples="ecg_qa.json",
        not_read=not_read,
    )
)
