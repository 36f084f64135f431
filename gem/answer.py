"""Answer: what was said to a question about a recording, with its evidence and verdicts."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grounding import Claim, Evidence
from grounding._version import __version__
from grounding.evidence import VERDICTS

from .explanation import Statement, statement_dict
from .tools import ToolCall


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one question about one recording.

    Attributes:
        record_id: the recording.
        question: as it was asked.
        kind: ``presence`` (is it there, is it true), ``value``, ``rhythm``, ``lead``, ``several``, ``choice``,
            ``report`` or ``declined``.
        statements: its sentences, each with its evidence and claims.
        declined: nothing that was asked for could be told from this recording.
        reason: why, or ``None``.
        source: who put it together: ``model``; ``rule`` where the question was declined by code, the model can't
            answer questions, or its answer had faults; or ``tools`` where code wrote down what a tool gave.
        faults: what was wrong with the model's answer.
        model: name of the model.
        probabilities: class -> probability (0-1) from the encoders, if they were asked.
        calls: of tools, in a conversation.
        withheld: sentences of the model that were left out, each with the reason.
    """

    record_id: str
    question: str
    kind: str
    statements: tuple[Statement, ...]
    declined: bool = False
    reason: str | None = None
    source: str = "model"
    faults: tuple[str, ...] = ()
    model: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    calls: tuple[ToolCall, ...] = ()
    withheld: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(statement.text for statement in self.statements)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What the sentences rest on, each once."""
        return tuple(dict.fromkeys(part for statement in self.statements for part in statement.evidence))

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims that the checker found in the text."""
        return tuple(claim for statement in self.statements for claim in statement.claims)

    @property
    def verdict(self) -> dict[str, int]:
        """How many claims are supported, contradicted, unsupported and not checkable."""
        return {name: sum(claim.verdict == name for claim in self.claims) for name in VERDICTS}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {
            "record_id": self.record_id,
            "question": self.question,
            "text": self.text,
            "kind": self.kind,
            "declined": self.declined,
            "reason": self.reason,
            "source": self.source,
            "faults": list(self.faults),
            "model": self.model,
            "version": __version__,
            "verdict": self.verdict,
            "probabilities": dict(self.probabilities),
            "calls": [call.to_dict() for call in self.calls],
            "withheld": [list(pair) for pair in self.withheld],
            "statements": [statement_dict(statement) for statement in self.statements],
        }

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Answer({self.record_id!r}, {self.text!r})"

    def _repr_html_(self) -> str:
        lines = []
        for statement in self.statements:
            places = "; ".join(dict.fromkeys(f"{part.quantity}: {part.address()}" for part in statement.evidence[:6]))
            mark = f' <small title="{html.escape(statement.verdict)}">[{html.escape(places)}]</small>' if places else ""
            lines.append(f"{html.escape(statement.text)}{mark}")
        return f"<p><b>{html.escape(self.question)}</b><br>{'<br>'.join(lines)}</p>"
