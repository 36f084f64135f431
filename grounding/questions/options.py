"""Multiple choice: which options hold in a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..criteria import assess
from ..evidence import Evidence
from ..statements.parsed import ParsedStatement
from ..statements.tolerances import TOLERANCES
from ..statements.truth import holds
from .quality import quality_state
from .reading import Option, Question

if TYPE_CHECKING:
    from ..measurement.result import Measurement

State = tuple[str, tuple[Evidence, ...]]
_STATE = {True: "true", False: "false", None: "unknown"}


def option_states(question: Question, measurement: Measurement) -> list[State]:
    """Whether each option holds: ``true``, ``false`` or ``unknown``, and the evidence.

    Of several numbers the nearest holds, if it is within the tolerance of its quantity; "none of these" holds if no
    other option does.

    Args:
        question: with options.
        measurement: of the recording.
    """
    states = [_state(option, question, measurement) for option in question.options]
    numbers = [at for at, option in enumerate(question.options) if option.kind == "number"]
    if numbers:
        nearest = _nearest(numbers, question, measurement)
        for at in numbers:
            if states[at][0] != "unknown":
                states[at] = ("true" if at == nearest else "false", states[at][1])
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


def _state(option: Option, question: Question, measurement: Measurement) -> State:
    quantity = _quantity(question)
    if option.kind == "claim" and option.link is not None and option.link.statement is not None:
        truth, _, evidence = holds(option.link.statement, measurement)
        return _STATE[truth], evidence
    if option.kind in ("yes", "no", "missing"):
        wanted = {"yes": True, "no": False, "missing": None}[option.kind]
        about = next((link for link in question.links if link.statement is not None or link.kind == "quality"), None)
        if about is not None and about.statement is not None:
            truth, _, evidence = holds(about.statement, measurement)
            return _STATE[truth is wanted], evidence
        if about is not None:
            state, _, evidence = quality_state(measurement, about.names, about.words, about.leads)
            return _STATE[{"true": True, "false": False}.get(state) is wanted], evidence
        if option.kind == "missing" and quantity:
            proof = _proof(quantity, measurement)
            return _STATE[proof.value is None], (proof,)
        return "unknown", ()
    if option.kind == "number" and quantity:
        proof = _proof(quantity, measurement)
        return "false", (proof,)
    if option.kind == "category" and quantity:
        kind = "regularity" if option.word in ("regular", "irregular") else "category"
        subject = ("rr_cv",) if kind == "regularity" else (quantity,)
        truth, _, evidence = holds(ParsedStatement(kind, subject, 0, 0, word=option.word), measurement)
        return _STATE[truth], evidence
    return "unknown", ()


def _proof(quantity: str, measurement: Measurement) -> Evidence:
    name = "qtc_fridericia" if quantity == "qtc" else quantity
    return assess(measurement).quantities.evidence(None, name)


def _nearest(numbers: list[int], question: Question, measurement: Measurement) -> int | None:
    """The position of the option whose number is nearest to the measured value; None if none is near."""
    quantity = _quantity(question)
    value = _proof(quantity, measurement).value if quantity else None
    if not isinstance(value, int | float):
        return None

    def distance(at: int) -> float:
        number = question.options[at].number
        gap = abs(float(value) - number.low) if number is not None else float("inf")
        return min(gap, abs(360 - gap)) if quantity.startswith("axis") else gap

    best = min(numbers, key=distance)
    return best if distance(best) <= TOLERANCES.get(_kind(quantity), 0.0) else None
