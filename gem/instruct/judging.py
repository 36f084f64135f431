"""Keep, mend or reject a teacher's answers: a sentence is kept only if the recording supports all its statements.

Each number must also come from a cited fact or be part of a supported statement, or its sentence is removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from grounding.criteria import shown
from grounding.criteria.knowledge import additions
from grounding.evidence import Claim, Evidence
from grounding.facts import Fact
from grounding.measurement.result import Measurement
from grounding.statements import check
from grounding.statements.parsed import ParsedStatement
from grounding.statements.parsing import read_statements
from grounding.statements.verification import Checker

from .lessons import CANT_TELL, Lesson, Turn

_TAG = re.compile(r"<[a-z][a-z0-9_]*>")
_SENTENCE = re.compile(
    r"(?<=[.!?])(?<!\bi\.e\.)(?<!\be\.g\.)(?<!\bvs\.)(?<!\bca\.)(?<!\bapprox\.)\s+|\n+", re.IGNORECASE
)
_MARKUP = re.compile(r"^\s*(?:[-*•]\s+|#+\s*|\d{1,2}[.)]\s+(?=\D))|\*\*|__|`")
# digits in lead names and "12-lead" are not values; the 3 in "V1, 3 mm" is
_LEADS = re.compile(
    r"\b[Vv][1-6](?:\s*(?:-|–|to|,|and|/|&)\s*[Vv]?[1-6]\b(?!\s*(?:mm|mv|ms|s\b|sec|bpm|%|°|deg|beat|\.\d)))*"
    r"|\b12[- ]lead",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![A-Za-z])[-−]?\d+(?:[.,]\d+)?(?!\s*(?:st|nd|rd|th)\b)|[¼-¾⅐-⅞²³¹]"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    r"|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    r"|hundred|thousand|half|double|twice|minus|millivolts?)\b",
    re.IGNORECASE,
)
# the text of a criterion comes from the knowledge base and is not a statement about the recording
_RULES = frozenset({"criterion", "measured"})
_UNITS = {"heart_rate": "bpm", "atrial_rate_bpm": "bpm", "axis": "deg"}


@dataclass(frozen=True)
class Judgement:
    """The result for one answer.

    Attributes:
        status: ``kept``, ``mended`` or ``rejected``.
        text: the accepted text; ``""`` if rejected.
        reasons: what was removed or changed, and why.
        claims: the accepted statements; positions are in ``text``.
        evidence: what they rest on.
    """

    status: str
    text: str
    reasons: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class SentenceRead(NamedTuple):
    """What a sentence says, whatever the recording.

    Attributes:
        statements: with positions in it.
        leads: first and last character of each place where leads are named.
        numbers: likewise of each number.
    """

    statements: tuple[ParsedStatement, ...]
    leads: tuple[tuple[int, int], ...]
    numbers: tuple[tuple[int, int], ...]


@lru_cache(maxsize=4096)
def read_sentence(text: str, _: tuple[tuple[str, int], ...]) -> SentenceRead:
    """Read a sentence; it is remembered as long as no finding is added, since lessons repeat their sentences.

    Args:
        text: the sentence.
    """
    leads, numbers = (tuple(match.span() for match in kind.finditer(text)) for kind in (_LEADS, _NUMBER))
    return SentenceRead(tuple(read_statements(text)), leads, numbers)


@dataclass
class _Sentence:
    """A sentence whose tags were replaced by facts, which are in ``spans`` with their first and last character."""

    text: str
    spans: list[tuple[int, int, Fact]]
    unknown: list[str]
    turn: int
    rules: list[tuple[int, int]] = field(init=False)  # first and last character of the criteria
    read: SentenceRead = field(init=False)

    def __post_init__(self) -> None:
        self.rules = [(start, end) for start, end, fact in self.spans if fact.kind in _RULES]
        self.read = read_sentence(self.text, additions())


def judge(lesson: Lesson, written: Sequence[str], measurement: Measurement) -> list[Judgement]:
    """Check the answers to a lesson against the recording, sentence by sentence.

    Args:
        lesson: the questions.
        written: one answer per turn, with tags or plain.
        measurement: of the recording.

    Returns:
        A ``Judgement`` per turn.
    """
    bodies, heads = [], []
    for turn, text in zip(lesson.turns, written, strict=True):
        head, body = _split_key(turn, _plain(text))
        heads.append(head)
        bodies.append(body)
    sentences = [
        _resolved(part, lesson.items, number)
        for number, body in enumerate(bodies)
        for part in _SENTENCE.split(body)
        if re.search(r"\w", part)
    ]
    claims = _claims(sentences, measurement)
    return [
        _verdict(
            turn, heads[number], [(s, claims[i]) for i, s in enumerate(sentences) if s.turn == number], measurement
        )
        for number, turn in enumerate(lesson.turns)
    ]


def _plain(text: str) -> str:
    """Remove the markup of lists, headings and bold type."""
    return "\n".join(_MARKUP.sub("", _MARKUP.sub("", line)).strip() for line in text.splitlines()).strip()


def _split_key(turn: Turn, text: str) -> tuple[str, str]:
    """Whether an answer begins as required (``right``, ``wrong``, ``missing`` or ``none``), and the rest of it."""
    if not turn.key:
        return "none", text
    lowered = text.lower()
    if lowered.startswith(turn.key.lower()):
        return "right", text[len(turn.key) :].lstrip(" .,:;")
    letter = re.match(r"^\(?([A-H])\s*(?:[.):]|$)", text)
    if letter and turn.key.startswith(f"{letter.group(1)}."):
        # the right letter, possibly followed by the option's words
        option = turn.key[3:]
        rest = text[letter.end() :].lstrip()
        return "right", rest[len(option) :].lstrip(" .,:;") if rest.lower().startswith(option.lower()) else rest
    first = letter.group(1).lower() if letter else (re.match(r"[a-z']+", lowered) or [""])[0]
    if first in {rival.lower() for rival in turn.wrong_keys}:
        return "wrong", text
    if turn.key.startswith(CANT_TELL) and lowered.startswith(CANT_TELL.lower()[:13]):
        return "right", ""
    return "missing", text


def _resolved(sentence: str, known: Mapping[str, Fact], turn: int) -> _Sentence:
    out, spans, unknown, at = "", [], [], 0
    sentence = " ".join(sentence.split())
    for match in _TAG.finditer(sentence):
        out += sentence[at : match.start()]
        fact = known.get(match.group())
        if fact is None:
            unknown.append(match.group())
        else:
            spans.append((len(out), len(out) + len(fact.text), fact))
            out += fact.text
        at = match.end()
    out += sentence[at:]
    return _Sentence(out[:1].upper() + out[1:], spans, unknown, turn)


def _claims(sentences: Sequence[_Sentence], measurement: Measurement) -> list[list[Claim]]:
    """The claims of each sentence, with positions in it."""
    checker = Checker(measurement, [one for sentence in sentences for one in sentence.read.statements])
    return [checker.claims(sentence.text, sentence.read.statements) for sentence in sentences]


def _verdict(
    turn: Turn, head: str, parts: Sequence[tuple[_Sentence, list[Claim]]], measurement: Measurement
) -> Judgement:
    if head == "wrong":
        return Judgement("rejected", "", (f"the answer chooses otherwise than the measurement: {turn.key!r} is right",))
    text = turn.key if not turn.key or turn.key.endswith(".") else f"{turn.key}."
    reasons = [f"the answer did not begin with {turn.key!r}"] if head == "missing" else []
    accepted: list[Claim] = []
    evidence: list[Evidence] = []
    for sentence, claims in parts:
        fault = _fault(sentence, claims)
        if fault:
            reasons.append(f"left out {sentence.text!r}: {fault}")
            continue
        corrected, changes = _with_measured_values(sentence, claims)
        if changes:
            checked = check(corrected, measurement)
            if any(claim.verdict != "supported" for claim in checked):
                reasons.append(f"left out {sentence.text!r}: with the measured value it does not hold")
                continue
            reasons += changes
            claims = checked
        if text:
            text += " "
        accepted += [claim.shifted(len(text)) for claim in claims if not _in_rule(sentence, claim)]
        evidence += [proof for claim in claims for proof in claim.evidence]
        evidence += [proof for _, _, fact in sentence.spans for proof in fact.evidence]
        text += corrected
    if not accepted and not evidence and (head != "right" or (parts and not turn.key)):
        return Judgement("rejected", "", tuple(reasons) or ("nothing was said that the recording could bear out",))
    return Judgement("mended" if reasons else "kept", text, tuple(reasons), tuple(accepted), distinct(evidence))


def distinct(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Each evidence once, in their order.

    Args:
        evidence: most of it is the same object several times, which is told faster than equal ones are.
    """
    return tuple(dict.fromkeys({id(proof): proof for proof in evidence}.values()))


def _fault(sentence: _Sentence, claims: Sequence[Claim]) -> str:
    """Why a sentence is removed, or ``""``."""
    if sentence.unknown:
        return f"it cites {', '.join(sentence.unknown)}, which this recording has no value for"
    for claim in claims:
        if claim.verdict != "supported" and not _in_rule(sentence, claim):
            return f"{claim.verdict.replace('_', ' ')}: {claim.reason}"
    covered = [(start, end) for start, end, _ in sentence.spans]
    covered += [
        (claim.start, claim.end) for claim in claims if claim.kind.endswith("number") and claim.verdict == "supported"
    ]
    covered += sentence.read.leads
    for first, last in sentence.read.numbers:
        if not any(start <= first and last <= end for start, end in covered):
            return f"no measured value stands behind {sentence.text[first:last]!r}"
    if not sentence.spans and not claims:
        return "nothing in it can be held against the recording"
    return ""


def _in_rule(sentence: _Sentence, claim: Claim) -> bool:
    rules = sentence.rules
    # a sentence without a known statement is one claim as a whole, which is correct around a criterion's text
    return bool(rules) and (
        claim.kind == "other" or any(start <= claim.start and claim.end <= end for start, end in rules)
    )


def _with_measured_values(sentence: _Sentence, claims: Sequence[Claim]) -> tuple[str, list[str]]:
    """The sentence with the teacher's approximate numbers replaced by the measured ones, and what was changed."""
    text, changes = sentence.text, []
    near = {
        (claim.start, claim.end): claim
        for claim in claims
        if claim.kind.endswith("number") and not _in_rule(sentence, claim)
    }
    for statement in reversed(sentence.read.statements if near else ()):
        claim = near.get((statement.start, statement.end))
        number = statement.number
        if claim is None or number is None or number.compare or statement.kind != "number" or not claim.evidence:
            continue
        if any(start <= number.start and number.end <= end for start, end, _ in sentence.spans):
            continue
        value = claim.evidence[0].value
        if not isinstance(value, int | float) or (number.low == number.high and abs(number.low - value) <= 0.51):
            continue
        new = shown(float(value), _UNITS.get(statement.subject[0], "ms"))
        changes.append(f"{text[number.start : number.end]!r} became the measured {new!r}")
        text = text[: number.start] + new + text[number.end :]
    return text, changes[::-1]
