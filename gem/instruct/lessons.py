"""Questions about one recording, the facts that answers may cite, and the composer's answers.

A lesson holds no number that is not a fact: answers cite facts by tags, and the facts have the evidence.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grounding.criteria.language import RECORD_WORDS, quantity_words, value_words
from grounding.evidence import Evidence, Finding
from grounding.facts import ORDINARY, Fact, facts

if TYPE_CHECKING:
    from grounding.measurement.result import Measurement

FORMS = ("closed", "open", "fill", "mcq", "multi")
CANT_TELL = "It can't be told from this recording"
_MORPHOLOGY = frozenset({"conduction", "hypertrophy", "infarction", "ischaemia", "voltage"})
# findings that repeat another one in other words: they are not offered as alternatives, nor mentioned as absent
REDUNDANT = ORDINARY | {
    "wide_qrs",
    "short_pr",
    "irregular_rhythm",
    "bradycardia",
    "tachycardia",
    "pathological_q_waves",
}


@dataclass(frozen=True)
class Turn:
    """One question and what a true answer must contain.

    Attributes:
        question: its text.
        key: the required beginning of the answer (``"Yes"``, ``"B. 182 ms"``); ``""`` for an open question.
        wordings: the sentences after it, each in one or more wordings with tags.
        wrong_keys: beginnings of wrong answers (``"No"``, ``"A"``).
    """

    question: str
    key: str = ""
    wordings: tuple[tuple[str, ...], ...] = ()
    wrong_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A task in one form about one recording.

    Attributes:
        record_id: the recording.
        task: name in ``tasks``.
        form: one of ``FORMS``.
        turns: one question, or several for ``multi``.
        items: the facts that an answer may cite, by their tags, criteria (``<c_...>``) and their measured parts
            (``<e_...>``) included.
        seed: of the choice between wordings.
    """

    record_id: str
    task: str
    form: str
    turns: tuple[Turn, ...]
    items: Mapping[str, Fact]
    seed: str


class CitableFacts(Mapping[str, Fact]):
    """Facts by their tags; criteria and their measured parts are put into words when they are first asked for.

    Args:
        base: facts about the recording.
        findings: whose criteria may be cited.
    """

    def __init__(self, base: Sequence[Fact], findings: Sequence[Finding]) -> None:
        self._known = {fact.tag: fact for fact in base}
        self._findings = {finding.name: finding for finding in findings}
        self._base = tuple(self._known)
        self._read: set[str] = set()

    def __getitem__(self, tag: str) -> Fact:
        name = tag[3:-1] if tag.startswith(("<c_", "<e_")) else ""
        if name in self._findings and name not in self._read:
            self._known |= {fact.tag: fact for fact in _rule(self._findings[name])}
            self._read.add(name)
        return self._known[tag]

    def __iter__(self) -> Iterator[str]:
        rules = (f"<{kind}_{name}>" for name in self._findings for kind in "ce")
        return iter(dict.fromkeys((*self._base, *(tag for tag in rules if tag in self))))

    def __len__(self) -> int:
        return len(list(iter(self)))


class LessonCase:
    """Everything about one recording that questions are made from: facts, findings, criteria and measured values.

    Args:
        measurement: of the recording.
        findings: of the criteria, absent and undecided ones included.
    """

    def __init__(self, measurement: Measurement, findings: Sequence[Finding]) -> None:
        self.measurement = measurement
        self.findings = list(findings)
        base = facts(measurement, self.findings)
        self.tags = {fact.label: fact.tag for fact in base if fact.kind == "finding"}
        self.base = {fact.tag: fact for fact in base}
        self.items = CitableFacts(base, self.findings)
        self.present = [f for f in self.findings if f.present and f.name in self.tags]
        self.absent = [f for f in self.findings if f.present is False and f.name not in REDUNDANT]
        self.undecided = [f for f in self.findings if f.present is None and f.name not in REDUNDANT]

    def about_morphology(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those that are about morphology and conduction, not about rate, rhythm or QT.

        Args:
            findings: any.
        """
        return [f for f in findings if f.group in _MORPHOLOGY and f.name not in REDUNDANT]

    def reasons_for(self, finding: Finding) -> tuple[tuple[str, ...], ...]:
        """Wordings of a finding's criterion and of what was measured for it.

        Args:
            finding: one of ``findings``.
        """
        rule = f"<c_{finding.name}>"
        out = [(f"Criterion: {rule}.", f"The criterion reads: {rule}.", f"By definition: {rule}.")]
        values = f"<e_{finding.name}>"
        if values in self.items:
            out.append(
                (f"Measured: {values}.", f"Here the measurement gives {values}.", f"In this recording: {values}.")
            )
        return tuple(out)


def _rule(finding: Finding) -> list[Fact]:
    out = [Fact(f"<c_{finding.name}>", finding.criterion, "", finding.evidence, "criterion", finding.name)]
    parts = [text for proof in finding.evidence if (text := _part(proof))]
    if parts:
        # at most eight values, to keep the sentence readable
        text = ", ".join(dict.fromkeys(parts[:8]))
        out.append(Fact(f"<e_{finding.name}>", text, "", finding.evidence, "measured", finding.name))
    return out


def _part(proof: Evidence) -> str:
    """One measured part of a criterion in words; ``""`` for internal quantities without a name for readers."""
    words = value_words(proof)
    if not words:
        return ""
    place = f" in {proof.leads[0]}" if proof.quantity not in RECORD_WORDS else ""
    return f"{quantity_words(proof.quantity)} {words}{place}"


def answers(lesson: Lesson) -> list[str]:
    """The composer's answers to a lesson, with tags.

    Args:
        lesson: the lesson; its seed picks the wordings.

    Example:
        >>> turn = Turn("What is the PR interval?", "", (("The PR interval is <pr>.", "PR interval <pr>."),))
        >>> answers(Lesson("a", "feature", "open", (turn,), {}, "0|a"))
        ['The PR interval is <pr>.']
    """
    pick = random.Random(lesson.seed)
    out = []
    for turn in lesson.turns:
        sentences = list(dict.fromkeys(pick.choice(wordings) for wordings in turn.wordings))
        key = f"{turn.key}." if turn.key and not turn.key.endswith(".") else turn.key
        out.append(" ".join([key, *sentences] if key else sentences))
    return out
