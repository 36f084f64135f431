"""Limits of normal values and errors of measured ones: "What is the normal PR?", "How accurate is the QT?"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..criteria import shown
from ..criteria.language import RECORD_WORDS, limit_words
from ..criteria.limits import load_categories, load_limits
from ..evidence import Evidence
from .parsed import Link

if TYPE_CHECKING:
    from ..criteria.quantities import Quantities
    from ..measurement.result import Measurement

State = tuple[str, dict[str, str], tuple[Evidence, ...]]
_LIMITS = re.compile(
    r"\b(?:limits?|cut-?offs?|thresholds?|normal (?:range|values?)|reference (?:range|values?)|ranges? of normal|"
    r"(?:at|from|above|below|beyond) (?:what|which) value|grenzwerte?|normwerte?|normalwerte?)\b",
    re.I,
)
_ERROR = re.compile(
    r"\b(?:margin of error|errors?|uncertainty|accuracy|accurate(?:ly)?|precision|precise(?:ly)?|reliab\w+|confidence "
    r"interval|how exact\w*|genau(?:igkeit)?|messfehler)\b",
    re.I,
)
_OF_SEX = re.compile(
    r"\b(?:for|in|of|if she is|if he is) (?:a |an )?(?:adult |healthy )?"
    r"(women|woman|females?|girls?|men|man|males?|boys?)\b",
    re.I,
)
_SIGNS = {">": "above", ">=": "from", "<": "below", "<=": "up to"}
_RULE = re.compile(r"\w+ (<=|>=|<|>) (-?\w+)")


def with_bounds(stem: str, links: Sequence[Link]) -> list[Link]:
    """The links of a question; of a quantity whose limits or error it asks for the kind is ``limits`` or ``error``.

    Args:
        stem: the question.
        links: what it names.
    """
    kind = "limits" if _LIMITS.search(stem) else "error" if _ERROR.search(stem) else ""
    if not kind or len(links) != 1:
        return list(links)
    link = links[0]
    of_value = link.kind == "quantity" or (link.statement is not None and link.statement.kind == "category")
    if not of_value or not link.names or (kind == "limits" and _key(link.names[0]) not in load_categories()):
        return list(links)
    return [replace(link, kind=kind, statement=None)]


def _key(name: str) -> str:
    return "qtc" if name.startswith("qt") else name


def sex_asked(question: str) -> str | None:
    """The sex that a question speaks of: "Is the QTc prolonged for a woman?"; None where it names none.

    Args:
        question: its text.
    """
    match = _OF_SEX.search(question)
    if match is None:
        return None
    return "female" if match[1].lower().startswith(("wom", "fem", "girl")) else "male"


def limits_state(link: Link, measurement: Measurement) -> State:
    """The limits of a quantity for the patient: state, texts by kind of tag, and no evidence.

    Args:
        link: of kind ``limits``.
        measurement: of the recording, for sex and age.
    """
    key, known = _key(link.names[0]), load_limits()
    parts = []
    for word, rule in load_categories()[key].items():
        if word == "normal":
            continue
        sides = []
        for sign, bound in _RULE.findall(rule):
            limit = known.get(bound)
            words = (
                f"{bound} degrees"
                if limit is None
                else limit_words(limit.for_patient(measurement.sex, measurement.age))
            )
            sides.append(f"{_SIGNS[sign]} {words}")
        parts.append(f"{word} {' and '.join(sides)}")
    title = RECORD_WORDS.get("qtc_fridericia" if key == "qtc" else key, key).replace(" (Fridericia)", "")
    return "seen", {"q": f"limits of the {title}", "v": "; ".join(parts)}, ()


def error_state(link: Link, quantities: Quantities) -> State:
    """How far a value may be off: state, texts by kind of tag, and evidence.

    Args:
        link: of kind ``error``.
        quantities: of the measurement.
    """
    name = "qtc_fridericia" if link.names[0] == "qtc" else link.names[0]
    proof = quantities.evidence(None, name)
    title = f"error of the {RECORD_WORDS.get(name, name)}"
    if proof.uncertainty is None:
        why = "it is not known for this recording" if proof.value is not None else proof.reason or "it was not measured"
        return "missing", {"q": title, "r": why}, (proof,)
    text = f"up to {shown(proof.uncertainty, proof.unit)} nine times in ten"
    return "measured", {"q": title, "v": text}, (proof,)
