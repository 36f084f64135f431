"""What of a language model's answer holds: its sentences against the recording, tools and what it cites."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import grounding
from grounding import Claim, Measurement
from grounding.statements.parsing import read_statements
from grounding.statements.truth import holds

from .explanation import Statement
from .grounded import given_statements
from .retrieval import Passage, quoted_spans, unsupported_citation
from .tools import ToolCall

_QUOTATION = "quotation"
_NUMBER = re.compile(
    r"((?<![\w.])[-\u2212]?\d+(?:[.,]\d+)?|[\u00bc-\u00be\u2150-\u215f])"
    r"(?:\s?(%|percent|ms|msec|milliseconds|s|sec|seconds|mV|mm|bpm|/min|°|deg|degrees)(?![A-Za-z]))?"
)
_UNITS = {"percent": "%", "msec": "ms", "milliseconds": "ms", "sec": "s", "seconds": "s", "/min": "bpm"}
_UNITS |= {"°": "deg", "degrees": "deg"}
_NAMES = re.compile(r"\bV[1-9]R?\b|\b\d+[- ]lead\b|\[[^\[\]]*\]|\b(?:ptbxl_)\d+\b", re.I)
_ADDRESS = re.compile(r"\[[^\[\]\n]*\]")
_PAST = re.compile(
    r"\b(?:was|were|had|then|before|previously|previous|earlier|formerly|last|prior|from|war|vorher)\b", re.I
)
_PRESENT = re.compile(r"\b(?:is|are|has|now|today|currently|unchanged|still|as (?:before|then)|ist|jetzt)\b", re.I)
_CLAUSE_END = re.compile(r"[,.;]|\s(?:and|but|to|und)\s")
_DECLINES = re.compile(
    r"\b(?:can ?not|can't|could ?n[o']t|unable|not (?:possible|available|known|measur\w+|contain\w*|tell|show)|"
    r"does(?: not|n't)|do(?: not|n't) know|no information|unknown|nicht)\b",
    re.I,
)


def hold(
    said: str,
    measurement: Measurement,
    earlier: Sequence[Measurement],
    calls: Sequence[ToolCall],
    known_calls: Sequence[ToolCall],
    outside: str = "",
) -> tuple[list[Statement], list[tuple[str, str]]]:
    """The sentences of an answer that hold, and the others with the reason.

    Args:
        said: the answer.
        measurement: of the recording.
        earlier: measurements of the patient's earlier recordings.
        calls: of tools, for this answer.
        known_calls: those of the whole conversation, ``calls`` among them.
        outside: why the question can't be answered from an ECG; empty if it can.
    """
    passages = {one.address: one for call in known_calls for one in call.passages}
    told = {number for call in known_calls for number in _numbers_of(call)}
    compared = {call.result.get("earlier") for call in known_calls if call.name == "compare"}
    before = [one for one in earlier if one.record_id in compared]
    kept: list[Statement] = []
    withheld: list[tuple[str, str]] = []
    at = 0
    # neither an address nor what is quoted from a passage is a statement about the recording
    quoted = quoted_spans(said, passages)
    read_as = _ADDRESS.sub(lambda found: " " * len(found[0]), said)
    for start, end in quoted:
        read_as = read_as[:start] + " " * (end - start) + read_as[end:]
    claims = [*grounding.check(read_as, measurement), *(Claim(*span, _QUOTATION, "not_checkable") for span in quoted)]
    for whole in given_statements(said, sorted(claims, key=lambda claim: claim.start)):
        one = replace(whole, claims=tuple(claim for claim in whole.claims if claim.kind != _QUOTATION))
        one = _of_its_time(one, before)
        why = _reason_against(one, told, passages, measurement) or _beside_the_point(one, outside)
        if why is not None:
            withheld.append((one.text, why))
            continue
        values = {value for value, _ in _numbers_in(one.text)}
        from_tools = [
            part for call in calls if values & {value for value, _ in _numbers_of(call)} for part in call.evidence
        ]
        evidence = tuple(dict.fromkeys([*(part for claim in one.claims for part in claim.evidence), *from_tools]))
        shifted = tuple(claim.shifted(at - one.start) for claim in one.claims)
        kept.append(replace(one, start=at, end=at + len(one.text), evidence=evidence, claims=shifted))
        at += len(one.text) + 1
    return kept, withheld


def rests_on_something(statement: Statement, calls: Sequence[ToolCall]) -> bool:
    """Whether a sentence that holds has a supported claim, evidence, a citation, or a lead that a tool told of.

    Args:
        statement: of an answer.
        calls: of tools, for this answer.
    """
    leads = {lead for call in calls for part in call.evidence for lead in part.leads}
    named = any(re.search(rf"\b{re.escape(lead)}\b", statement.text) for lead in leads)
    supported = any(claim.verdict == "supported" for claim in statement.claims)
    return bool(supported or statement.evidence or named or _ADDRESS.search(statement.text))


def refuses(statement: Statement) -> bool:
    """Whether a sentence says that something can't be told.

    Args:
        statement: of an answer.
    """
    return _DECLINES.search(statement.text) is not None


def _of_its_time(statement: Statement, before: Sequence[Measurement]) -> Statement:
    """A sentence in which what was so in an earlier recording is held against that recording."""
    claims = list(statement.claims)
    for place, claim in enumerate(claims):
        if claim.verdict not in ("contradicted", "unsupported") or not _tells_of_the_past(statement, place):
            continue
        for measurement in before:
            then = [
                one.shifted(statement.start)
                for one in grounding.check(statement.text, measurement)
                if (one.start + statement.start, one.end + statement.start) == (claim.start, claim.end)
                and one.verdict == "supported"
            ]
            if then:
                claims[place] = then[0]
                break
    return replace(statement, claims=tuple(claims))


def _tells_of_the_past(statement: Statement, place: int) -> bool:
    """Whether the clause of a claim speaks of an earlier recording, and not of this one too."""
    claim = statement.claims[place]
    # a claim may share its words with the one before: "the rate is 83 bpm now and was 55 bpm"
    after = max([0, *(one.end - statement.start for one in statement.claims[:place] if one.end < claim.end)])
    last = claim.end - statement.start
    first = max([after, *(found.end() for found in _CLAUSE_END.finditer(statement.text, after, last))])
    stop = _CLAUSE_END.search(statement.text, last)
    clause = statement.text[first : stop.start() if stop else None]
    return _PAST.search(clause) is not None and _PRESENT.search(clause) is None


def _beside_the_point(statement: Statement, outside: str) -> str | None:
    """Why a sentence is no answer to a question that an ECG does not answer."""
    holds = any(claim.verdict == "supported" for claim in statement.claims)
    if not outside or holds or refuses(statement) or _ADDRESS.search(statement.text):
        return None
    return f"nothing of it is measured, and the question can't be answered from an ECG: {outside}"


def _reason_against(
    statement: Statement, told: set[tuple[str, str]], passages: Mapping[str, Passage], measurement: Measurement
) -> str | None:
    """Why a sentence is not kept; None for one that is."""
    for claim in statement.claims:
        if claim.verdict == "contradicted":
            return f"{claim.text!r} is contradicted: {claim.reason}"
        if claim.verdict == "unsupported" and _denied(statement, claim, measurement):
            return f"{claim.text!r} is not what was measured: {claim.reason}"
    why = unsupported_citation(statement.text, dict(passages))
    if why is not None:
        return why
    rest = statement.text
    for claim in statement.claims:
        if claim.verdict == "supported":
            start, end = claim.start - statement.start, claim.end - statement.start
            rest = rest[:start] + " " * (end - start) + rest[end:]
    unknown = _unknown(_numbers_in(rest), told)
    return f"no evidence for {', '.join(unknown)}" if unknown else None


def _denied(statement: Statement, claim: Claim, measurement: Measurement) -> bool:
    """Whether a claim without doubt is not what was measured: beside a limit readers may differ, and tools decide."""
    place = (claim.start - statement.start, claim.end - statement.start)
    said = [one for one in read_statements(statement.text) if (one.start, one.end) == place and not one.uncertain]
    return bool(said) and holds(said[-1], measurement)[0] is False


def _numbers_in(text: str) -> set[tuple[str, str]]:
    """The numbers of a text, without signs and trailing zeros, with their units; names of leads are no numbers."""
    found = set()
    for number, unit in _NUMBER.findall(_NAMES.sub(" ", text)):
        value = unicodedata.numeric(number) if len(number) == 1 else float(number.replace(",", ".").lstrip("-\u2212"))
        found.add((f"{value:g}", _UNITS.get(unit.lower(), unit.lower())))
    return found


def _unknown(numbers: set[tuple[str, str]], told: set[tuple[str, str]]) -> list[str]:
    """The numbers for which there is no evidence; one without a unit may be any that was told."""
    values = {value for value, _ in told}
    return sorted(
        f"{value} {unit}".strip()
        for value, unit in numbers
        if (unit and (value, unit) not in told) or (not unit and value not in values)
    )


def _numbers_of(call: ToolCall) -> set[tuple[str, str]]:
    """The numbers that a tool gave, with their units; the places in ``where`` are for reading only."""
    found: set[tuple[str, str]] = set()
    waiting: list[tuple[Any, str]] = [] if call.failed else [(dict(call.result), "")]
    while waiting:
        one, unit = waiting.pop()
        if isinstance(one, dict):
            of_row = one["now"].get("unit") if isinstance(one.get("now"), dict) else one.get("unit")
            kept = {key: value for key, value in one.items() if key not in ("where", "score", "address")}
            waiting += [(value, "s" if key == "seconds" else of_row or unit) for key, value in kept.items()]
        elif isinstance(one, list):
            waiting += [(value, unit) for value in one]
        elif isinstance(one, int | float) and not isinstance(one, bool):
            found.add((f"{abs(one):g}", _UNITS.get(unit.lower(), unit.lower())))
        elif isinstance(one, str):
            found |= _numbers_in(one)
    return found
