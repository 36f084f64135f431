"""The files of ECGBench, in both layouts: ``conversations`` (human, gpt) and ``conversation`` (user, assistant)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import GemInputError
from ..inputs import is_ptbxl_name
from ..items import missing_file

SOURCE = "https://huggingface.co/datasets/PULSE-ECG/ECGBench"
_USER, _ASSISTANT = ("human", "user", "question"), ("gpt", "assistant", "answer")
_PLACEHOLDER = re.compile(r"\s*<(?:image|ecg)>\s*")


@dataclass(frozen=True)
class Entry:
    """An entry of a file.

    Attributes:
        entry_id: as published (``id``, or ``No`` in MMMU-ECG).
        turns: (question, answer) pairs.
        recording: the path of its recording, or else of its picture.
    """

    entry_id: str
    turns: tuple[tuple[str, str], ...]
    recording: str

    @property
    def question(self) -> str:
        """Of the first turn."""
        return self.turns[0][0]

    @property
    def answer(self) -> str:
        """Of the first turn."""
        return self.turns[0][1]


def read_file(path: Path, name: str, source: str = SOURCE) -> list[Entry]:
    """The entries of a file.

    Args:
        path: the file, or a folder that holds a JSON or JSON lines file whose name begins with ``name``.
        name: of the set, such as ``ptb-test-report``.
        source: where its authors offer it.

    Raises:
        GemInputError: there is no such file, or it has another layout.
    """
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*.json*")) if file.suffix in (".json", ".jsonl")]
        exact = [file for file in files if file.stem == name]
        there = exact or [file for file in files if file.stem.startswith(name)]
        if not there:
            raise missing_file(name, path, source)
        path = there[0]
    try:
        text = path.read_text(encoding="utf-8")
        lines = path.suffix == ".jsonl"
        rows = [json.loads(line) for line in text.splitlines() if line.strip()] if lines else json.loads(text)
    except (OSError, ValueError) as error:
        raise GemInputError(f"can't be read as JSON ({error})", where=str(path), remedy=f"see {source}") from None
    if not isinstance(rows, list):
        raise GemInputError("not a list of items", where=str(path), remedy=f"see {source}")
    return [_entry(row, number, path, source) for number, row in enumerate(rows)]


def _entry(row: Any, number: int, path: Path, source: str) -> Entry:
    said = _first(row, ("conversations", "conversation", "messages")) if isinstance(row, dict) else None
    turns = _turns(said) if isinstance(said, list) else []
    if not turns:
        raise GemInputError(
            f"item {number} has no conversation of a question and its answer", where=str(path), remedy=f"see {source}"
        )
    name = str(row.get("id", row.get("No", number)))
    pictured = name if is_ptbxl_name(name) else row.get("image") or row.get("image_path") or name
    recording = row.get("ecg") or row.get("ecg_path") or pictured
    if isinstance(recording, list):
        recording = recording[0] if recording else name
    return Entry(name, tuple(turns), str(recording))


def _first(row: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if row.get(key)), None)


def _turns(said: list[Any]) -> list[tuple[str, str]]:
    """(question, answer) pairs of any of the published layouts."""
    if all(isinstance(turn, dict) and {"question", "answer"} <= set(turn) for turn in said):
        return [(_plain(turn["question"]), _plain(turn["answer"])) for turn in said]
    texts: list[tuple[bool, str]] = []
    for turn in said:
        if not isinstance(turn, dict):
            return []
        who = str(turn.get("from", turn.get("role", ""))).lower()
        if who not in (*_USER, *_ASSISTANT):
            continue  # system prompts
        texts.append((who in _USER, _plain(turn.get("value", turn.get("content", "")))))
    return [(texts[n][1], texts[n + 1][1]) for n in range(0, len(texts) - 1, 2) if texts[n][0] and not texts[n + 1][0]]


def _plain(content: Any) -> str:
    """The text of a turn, which chat APIs wrap in a list of parts."""
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return _PLACEHOLDER.sub(" ", str(content)).strip()
