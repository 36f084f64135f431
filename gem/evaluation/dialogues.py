"""Scripted dialogues: does ``gem.chat`` answer truly, call tools in their form, and keep nothing false?"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import grounding
from grounding import Measurement

from ..data.samples import Sample
from ..dialogue import Chat, chat
from ..endpoint import ChatEndpoint
from ..errors import GemInputError
from .dialogue_items import NUMERIC, ScriptedTurn, compose_dialogue, is_right_turn, numbers_without_evidence
from .labelled import bundled_samples
from .registry import register_benchmark
from .scripted import FAULTS, ScriptedEndpoint, Step, faulty, truthful

DIALOGUES = 300
SCRIPTED = ("scripted", "scripted-faulty")
_SHOWN = 60


def load_speaker(name: str) -> Any:
    """Who speaks in the dialogues.

    Args:
        name: of a model, ``openai:URL#MODEL``, ``scripted`` (a truthful endpoint on this machine) or
            ``scripted-faulty``.
    """
    if name in SCRIPTED:
        return name
    if name.startswith("openai:"):
        return ChatEndpoint.parse(name)
    from ..checkpoints import load

    return load(name)


def _table(result: dict[str, Any]) -> str:
    lines = [f"{result['dialogues']} dialogues, {result['n']} questions"]
    lines += [
        f"{kind:14s}n {part['n']:5d}  right {100 * part['right']:.1f} %" for kind, part in result["kinds"].items()
    ]
    lines += [f"{name:24s}{part['n']:5d}  right {100 * part['right']:.1f} %" for name, part in result["faults"].items()]
    called, good = result["calls"], result["calls_well_formed"]
    lines.append(f"calls of tools: {called}, well formed {100 * good / called if called else 100:.1f} %")
    for name in ("numbers_without_evidence", "falsehoods_kept", "unanswered"):
        lines.append(f"{name.replace('_', ' ')}: {result[name]}")
    return "\n".join(lines)


@register_benchmark("dialogues", _table, load=load_speaker, bundled=bundled_samples)
def evaluate_dialogues(
    model: Any, samples: Sequence[Sample], dialogues: int = DIALOGUES, seed: int = 0
) -> dict[str, Any]:
    """Scripted conversations with tools (gem.chat), against composed truth; also scripted, scripted-faulty.

    Args:
        model: from ``load_speaker``.
        samples: recordings; the one before each stands for the patient's earlier ECG.
        dialogues: how many, spread over the recordings.
        seed: of the questions.

    Returns:
        ``kinds``: share (0-1) of right answers by kind of question, ``numeric`` and ``declined`` together first;
        ``faults``: the same by the endpoint's fault; ``calls`` and ``calls_well_formed``;
        ``numbers_without_evidence``; ``falsehoods_kept``; ``unanswered``; ``wrong``: examples.

    Raises:
        GemInputError: fewer than two records.
    """
    if len(samples) < 2:
        raise GemInputError("a dialogue needs two records", remedy="raise --limit, or name folds that have some")
    sheet = _DialogueMarks()
    before = grounding.measure(samples[-1].record)
    for position, sample in enumerate(samples):
        record = sample.record
        measurement = grounding.measure(record)
        numbers = range(position, dialogues, len(samples))
        for number in numbers:
            turns = compose_dialogue(measurement, before, seed + 1000 * (number // len(samples)))
            _hold(model, (record, measurement, before), turns, sheet, f"{seed}|{sample.record_id}|{number}")
        before = measurement
    return sheet.figures(min(dialogues, sum(len(range(p, dialogues, len(samples))) for p in range(len(samples)))))


def _hold(
    model: Any,
    about: tuple[Any, Measurement, Measurement],
    turns: Sequence[ScriptedTurn],
    sheet: _DialogueMarks,
    seed: str,
) -> None:
    """One dialogue."""
    record, measurement, before = about
    if model not in SCRIPTED:
        talk = _talk(
            chat(record, model if not isinstance(model, ChatEndpoint) else "m", measurement=measurement), before
        )
        if isinstance(model, ChatEndpoint):
            talk.model = model
        for turn in turns:
            sheet.add(turn, talk.ask(turn.ask))
        return
    pick = random.Random(seed)
    with ScriptedEndpoint() as server:
        talk = _talk(chat(record, "m", measurement=measurement), before)
        talk.model = server.endpoint
        for turn in turns:
            steps, lie, fault = _script(model, turn, pick)
            server.play(steps)
            sheet.add(turn, talk.ask(turn.ask), lie, fault)


def _talk(talk: Chat, before: Measurement) -> Chat:
    talk.tools.earlier = (before,)
    return talk


def _script(model: str, turn: ScriptedTurn, pick: random.Random) -> tuple[Sequence[Step], str, str]:
    if model == "scripted":
        return truthful(turn), "", ""
    fault = pick.choice(FAULTS)
    return (*faulty(turn, fault, pick), fault)


class _DialogueMarks:
    """Right and wrong answers."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, bool]] = []
        self.calls, self.well_formed, self.unanswered = 0, 0, 0
        self.bare: list[str] = []
        self.kept: list[str] = []
        self.wrong: list[dict[str, Any]] = []

    def add(self, turn: ScriptedTurn, answer: Any, lie: str = "", fault: str = "") -> None:
        """Judge one answer."""
        right = is_right_turn(turn, answer)
        self.rows.append((turn.kind, fault, right))
        self.calls += len(answer.calls)
        self.well_formed += sum(not call.failed for call in answer.calls)
        self.unanswered += not answer.text.strip()
        self.bare += numbers_without_evidence(answer)
        if lie and lie in answer.text:
            self.kept.append(answer.text)
        if not right and len(self.wrong) < _SHOWN:
            truth = [turn.kind, *turn.words, *(f"{value:g} {turn.unit}" for value in turn.numbers)]
            told = {"question": turn.ask, "truth": truth, "answer": answer.text, "fault": fault}
            self.wrong.append({**told, "record": answer.record_id, "source": answer.source})

    def figures(self, dialogues: int) -> dict[str, Any]:
        """The results as a dictionary that JSON holds."""
        kinds: dict[str, list[bool]] = defaultdict(list)
        faults: dict[str, list[bool]] = defaultdict(list)
        for kind, fault, right in self.rows:
            if kind in NUMERIC | {"missing"}:
                kinds["numeric"].append(right)
            kinds[kind].append(right)
            if fault:
                faults[fault].append(right)
        return {
            "dialogues": dialogues,
            "n": len(self.rows),
            "kinds": _shares(kinds),
            "faults": _shares(faults),
            "calls": self.calls,
            "calls_well_formed": self.well_formed,
            "numbers_without_evidence": len(self.bare),
            "falsehoods_kept": len(self.kept),
            "unanswered": self.unanswered,
            "examples": {"numbers_without_evidence": self.bare[:_SHOWN], "falsehoods_kept": self.kept[:_SHOWN]},
            "wrong": self.wrong,
        }


def _shares(groups: Mapping[str, Sequence[bool]]) -> dict[str, dict[str, float]]:
    return {name: {"n": len(rows), "right": sum(rows) / len(rows)} for name, rows in sorted(groups.items())}
