"""Multiple choice: options as they are read, and which hold in a recording."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..criteria import assess
from ..evidence import Evidence
from ..statements.amplitudes import measured_amplitude, measured_sum
from ..statements.items import Phrase, items_of
from ..statements.lexicon import lexicon
from ..statements.parsed import ParsedStatement
from ..statements.parsing import read_statements
from ..statements.relating import RATIO_SHARE, r_and_s
from ..statements.relations import FORM, RATIO, TRANSITION
from ..statements.tokens import sentences
from ..statements.tolerances import AMPLITUDE_TOLERANCES, SUM_TOLERANCE_MV, TOLERANCES
from ..statements.truth import holds
from .derived import BEATS, SUMS, derived_value
from .parsed import CLAIMS, TRIM, Link, Option, Question
from .times import best_segment, evidence_of_all

if TYPE_CHECKING:
    from ..measurement.result import Measurement

# "A.", "(B)", "c)" anywhere, "1." in a line of its own
_OPTION = re.compile(r"(?:(?<=\n)|(?<=\s)|^)\(?(?:([A-H])[.):]|([a-h])\)|(?:(?<=\n)|(?<=\n\()|^)([1-8])[.)])\s+")
# the stem asks for what is not so; two of them cancel out ("can't be excluded")
_ASKS_WHAT_IS_NOT = re.compile(
    r"\b(?:not|can't|cannot|false|wrong|incorrect|untrue|absent|missing|except|excluded?|ruled out|rule out|"
    r"least likely|nicht|falsch\w*|fehlt|fehlen|ausgeschlossen|ausschließen|ausschliessen|kein\w*)\b",
    re.I,
)
_WHICH = re.compile(
    r"\b(?:in |at )?(?:which|what)(?: of (?:the|these))?(?: following| chest| limb| precordial| ecg)*"
    r"(?: leads?| intervals?| values?| durations?| measurements?)?(?=\W)|\bwhere (?:is|are)\b"
    r"|\b(?:in )?welche[rn]? (?:ableitung(?:en)?|werte?)\b|\bwo (?:ist|sind|liegt|liegen)\b",
    re.I,
)
_OR = re.compile(r"\b(?:or|oder)\b", re.I)
_BEST = re.compile(r"\b(?:best|most|clearest|strongest|am (?:besten|deutlichsten|staerksten))\b", re.I)
_NOTHING_MORE = re.compile(r"^(?:none|neither|no(?:ne)? of (?:these|them|the above)|nothing|all normal)\b", re.I)
_CANT = re.compile(r"\b(?:not (?:be )?(?:measurable|measured|told)|can ?not|can't|undeterminable|unknown)\b", re.I)
State = tuple[str, tuple[Evidence, ...]]
_STATE = {True: "true", False: "false", None: "unknown"}


def split_options(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The question before its options, and (letter, text) of these.

    Args:
        text: of the question.
    """
    marks = list(_OPTION.finditer(text))
    for first, mark in enumerate(marks):
        style = mark.lastindex
        run = [one for one in marks[first:] if one.lastindex == style]
        letters = "".join(_letter(one) for one in run)
        if letters[0] == "A" and len(run) >= 2 and letters == "ABCDEFGH"[: len(run)]:
            ends = [one.start() for one in run[1:]] + [len(text)]
            parts = [text[one.end() : end] for one, end in zip(run, ends, strict=True)]
            if style == 1 or not any("?" in part for part in parts):  # else a list of questions
                return text[: mark.start()], [
                    (letter, part.strip(TRIM)) for letter, part in zip(letters, parts, strict=True)
                ]
    return text, []


def _letter(mark: re.Match[str]) -> str:
    said = mark.group(mark.lastindex or 1)
    return "ABCDEFGH"[int(said) - 1] if said.isdigit() else said.upper()


def read_option(letter: str, text: str, stem: str, links: Sequence[Link]) -> Option:
    """Read one option.

    Args:
        letter: of it.
        text: of it.
        stem: the question before the options.
        links: of the question.
    """
    lower = text.lower()
    if lower in ("yes", "ja", "no", "nein"):
        return Option(letter, text, "yes" if lower in ("yes", "ja") else "no")
    if _NOTHING_MORE.search(text):
        return Option(letter, text, "none")
    if _CANT.search(text):
        return Option(letter, text, "missing")
    items = [item for sentence in sentences(text) for item in items_of(sentence, lexicon())]
    numbers = [item.number for item in items if item.number is not None]
    if any(link.kind == "time" for link in links):  # of a segment, and of nothing else
        in_time = bool(numbers) and numbers[0].unit in ("ms", "")
        return Option(letter, text, "number" if in_time else "", number=numbers[0] if in_time else None)
    about = next((link for link in links if numbers and link.kind in ("quantity", "amplitude")), None)
    shape = next((link for link in links if link.names == (FORM,)), None)
    claims = _claims(text if shape is None else f"{text} in {', '.join(shape.leads)}")
    if about is not None and (not claims or claims[0].subject[:1] == about.names[:1]):  # "below 60 bpm", "0.8 mV"
        full = [one.number for one in _claims(f"{about.words} {text}") if one.number is not None]
        return Option(letter, text, "number", number=(full or numbers)[0])
    statement = claims[0] if claims else _completed(stem, text, items)
    if statement is not None:
        denied = bool(claims) and len(_ASKS_WHAT_IS_NOT.findall(stem)) % 2 == 1  # "Which of these is NOT present?"
        one = replace(statement, exclusion="", uncertain=False, negated=statement.negated != denied)
        return Option(
            letter, text, "claim", Link(0, len(text), "claim", text, one.subject, one.leads, one), denied=denied
        )
    if numbers:
        return Option(letter, text, "number", number=numbers[0])
    quality = next((item.term.values[0] for item in items if item.term.kind in ("quality", "regularity")), "")
    return Option(letter, text, "category" if quality else "", word=quality)


def _claims(text: str) -> list[ParsedStatement]:
    return [one for one in read_statements(text) if one.kind in CLAIMS and one.subject != ("",)]


def _completed(stem: str, text: str, items: Sequence[Phrase]) -> ParsedStatement | None:
    """What an option says in its question: "In which lead is R tallest?" and "V5", "Which is prolonged?" and "QTc"."""
    place = _WHICH.search(stem)
    named = [item.term for item in items if item.term.kind in ("lead", "region", "quantity")]
    if place is None or not named:
        return None
    rest = re.split(r"[?\n]", stem[place.end() :], maxsplit=1)[0].strip(TRIM)
    for said in (f"{rest} in {text}", f"{text} {rest}"):
        for one in _claims(said):
            leads = {*one.leads, *(part.rpartition(":")[2] for part in one.subject)}
            if one.kind == "category" and set(one.subject) & {name for term in named for name in term.values}:
                return one
            is_superlative = one.kind == "finding" and _BEST.search(rest)
            if named[0].kind == "lead" and set(named[0].values) <= leads and not is_superlative:
                return one
    return None


def option_states(question: Question, measurement: Measurement, truths: Sequence[bool | None] = ()) -> list[State]:
    """Whether each option holds: ``true``, ``false`` or ``unknown``, and the evidence.

    Of several numbers and ranges the nearest holds, if it is within the tolerance of what is asked; "none of these"
    holds if no other option does.

    Args:
        question: with options.
        measurement: of the recording.
        truths: of what the question asks yes or no of.
    """
    truth = _together(truths, question)
    states = [_state(option, question, measurement, truth) for option in question.options]
    numbers = [at for at, option in enumerate(question.options) if option.kind == "number"]
    if numbers:
        time = _time(question)
        best = (
            _nearest(numbers, question, measurement) if time is None else _segment(numbers, question, time, measurement)
        )
        for at in numbers:
            if states[at][0] != "unknown":
                states[at] = ("true" if at == best else "false", states[at][1])
    others = [state for (state, _), option in zip(states, question.options, strict=True) if option.kind != "none"]
    none_holds = "false" if "true" in others else "unknown" if "unknown" in others else "true"
    evidence = tuple(dict.fromkeys(part for _, parts in states for part in parts))
    return [
        (none_holds, evidence) if option.kind == "none" else state
        for state, option in zip(states, question.options, strict=True)
    ]


def _quantity(question: Question) -> str:
    """The quantity that the question is about, ``""`` if none."""
    for link in question.links:
        names = link.names or (link.statement.subject if link.statement is not None else ())
        if link.kind in ("quantity", "claim") and names and _kind(names[0]) in TOLERANCES:
            return names[0]
    return "rr_cv" if any(link.kind == "rhythm" for link in question.links) else ""


def _kind(quantity: str) -> str:
    """The name of its tolerance: a QTc by any formula is a QTc."""
    return "qtc" if quantity.startswith("qtc") else quantity


def _together(truths: Sequence[bool | None], question: Question) -> bool | None:
    """Whether all that a question names holds; of things joined by "or" whether one does. None where it isn't known."""
    if not truths:
        return None
    one_is_enough = len(truths) > 1 and _OR.search(question.text) is not None
    if one_is_enough in truths:
        return one_is_enough
    return None if None in truths else not one_is_enough


def _state(option: Option, question: Question, measurement: Measurement, asked: bool | None) -> State:
    quantity = _quantity(question)
    if option.kind == "claim" and option.link is not None and option.link.statement is not None:
        truth, _, evidence = holds(option.link.statement, measurement)
        return _STATE[truth], evidence
    if option.kind in ("yes", "no", "missing"):
        wanted = {"yes": True, "no": False, "missing": None}[option.kind]
        if any(link.statement is not None or link.kind in ("quality", "beats", "time") for link in question.links):
            return _STATE[asked is wanted], ()
        if option.kind == "missing" and quantity:
            proof = _proof(quantity, measurement)
            return _STATE[proof.value is None], (proof,)
        return "unknown", ()
    if option.kind == "number" and (time := _time(question)) is not None:
        return "false", evidence_of_all(time, measurement)
    if option.kind == "number":
        about = _measured(question, measurement)
        return "false" if about.value is not None else "unknown", about.evidence
    if option.kind == "category" and quantity:
        kind = "regularity" if option.word in ("regular", "irregular") else "category"
        subject = ("rr_cv",) if kind == "regularity" else (quantity,)
        truth, _, evidence = holds(ParsedStatement(kind, subject, 0, 0, word=option.word), measurement)
        return _STATE[truth], evidence
    return "unknown", ()


def _proof(quantity: str, measurement: Measurement) -> Evidence:
    name = "qtc_fridericia" if quantity == "qtc" else quantity
    return assess(measurement).quantities.evidence(None, name)


def _time(question: Question) -> Link | None:
    """What a question asks the time of."""
    return next((link for link in question.links if link.kind == "time"), None)


def _segment(numbers: list[int], question: Question, time: Link, measurement: Measurement) -> int | None:
    """The position of the option whose segment of time shows what is asked for."""
    segments = []
    for at in numbers:
        number = question.options[at].number
        assert number is not None  # for mypy: options of numbers have one
        scale = 1000.0 if number.unit == "ms" else 1.0
        segments.append((number.low / scale, number.high / scale))
    best = best_segment(segments, time, measurement)
    return None if best is None else numbers[best]


def _nearest(numbers: list[int], question: Question, measurement: Measurement) -> int | None:
    """The position of the option whose number or range is nearest to the measured value; None if none is near."""
    about = _measured(question, measurement)
    if about.value is None:
        return None
    turns = (-360.0, 0.0, 360.0) if _quantity(question).startswith("axis") else (0.0,)
    values = [about.value + turn for turn in turns]

    def distance(at: int) -> float:
        number = question.options[at].number
        if number is None:
            return math.inf
        ends = sorted((abs(number.low), abs(number.high)) if about.unsigned else (number.low, number.high))
        low, high = -math.inf if number.compare == "<" else ends[0], math.inf if number.compare == ">" else ends[1]
        return min(max(low - value, value - high, 0.0) for value in values)

    best = min(numbers, key=distance)
    return best if distance(best) <= about.tolerance else None


class _Known(NamedTuple):
    """What options with numbers are held against; ``unsigned`` where a wave has its sign by its name."""

    value: float | None
    tolerance: float
    evidence: tuple[Evidence, ...]
    unsigned: bool = False


def _measured(question: Question, measurement: Measurement) -> _Known:
    quantity, quantities = _quantity(question), assess(measurement).quantities
    if quantity:
        proof = _proof(quantity, measurement)
        value = float(proof.value) if isinstance(proof.value, int | float) else None
        return _Known(value, TOLERANCES.get(_kind(quantity), 0.0), (proof,))
    link = next((link for link in question.links if link.kind == "amplitude"), None)
    if link is None or link.names == (TRANSITION,):
        return _Known(None, 0.0, ())
    name, leads = link.names[0], link.leads
    if name in SUMS:
        total, proofs, _ = measured_sum(quantities, name)
        return _Known(total, max(SUM_TOLERANCE_MV, 0.1 * (total or 0.0)), tuple(proofs), True)
    if name == RATIO:
        ratio, _, proofs = r_and_s(leads[0] if leads else "V1", quantities)
        return _Known(ratio, RATIO_SHARE * max(1.0, min(ratio or 0.0, 10.0)), tuple(proofs))
    if name == BEATS:
        return _Known(float(measurement.n_beats), 0.0, derived_value(name, leads, quantities)[3])
    if len(leads) != 1 or name not in AMPLITUDE_TOLERANCES:
        return _Known(None, 0.0, ())
    size, proofs = measured_amplitude(quantities, name, leads[0])
    least, share = AMPLITUDE_TOLERANCES[name]
    unsigned = name in ("q", "r", "s")
    size = abs(size) if size is not None and unsigned else size
    return _Known(size, max(least, share * abs(size or 0.0)), tuple(proofs), unsigned)
