"""Scripted dialogues about a recording: questions, what is true, and the calls of tools that a model would make.

The truth is read from the tables of the measurement (``intervals``, ``axes``, ``lead_summary``, findings' states), and
compared with the numbers of an answer, which are parsed here: nothing of the code that answers is used.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from grounding.criteria import assess, load_knowledge
from grounding.criteria.knowledge import bundled_knowledge
from grounding.facts import ORDINARY
from grounding.record import STANDARD_LEADS

if TYPE_CHECKING:
    from grounding import Measurement

    from ..answer import Answer

UNITS = {"heart_rate": "bpm", "axis": "deg"}  # ms otherwise
NUMERIC = frozenset({"value", "amplitude", "change"})
_WAVES = {"R wave": ("r_mv", "r2_mv"), "S wave": ("s_mv", "s2_mv"), "T wave": ("t_mv",), "P wave": ("p_mv",)}
_LETTER = {"R wave": "r", "S wave": "s", "T wave": "t", "P wave": "p"}
_HALF = {"ms": 0.5, "bpm": 0.5, "deg": 0.5, "mV": 0.005}  # of the last digit that is written
_CATEGORIES = {"short_pr": "pr", "wide_qrs": "qrs"}  # findings that are words for a value
_TIE_MV = 0.01
_SPELT = {"degrees": "deg", "degree": "deg", "°": "deg", "mv": "mV", "/min": "bpm"}
_WITH_UNIT = re.compile(r"(?<![\w.])([-\u2212+]?\d+(?:\.\d+)?)\s*(ms|bpm|/min|degrees?|deg|°|mV)(?![A-Za-z])", re.I)
_CANT = re.compile(r"\b(?:can't|cannot|can not|not measurable|could not be|unknown)\b", re.I)
_LEAD = re.compile(r"\b(aVR|aVL|aVF|V[1-6]|III|II|I)\b")
# names and formulas with figures, which are no values
_NAMED = re.compile(
    r"\bV[1-9]\b|\b12-lead\b|\b[JST]\+?\d0\b|\b\d0 ms after\b|\[[^\[\]]*\]|\bptbxl_\d+\b|\b\d{5}_[hl]r\b"
)


@dataclass(frozen=True)
class ScriptedTurn:
    """One question of a dialogue.

    Attributes:
        ask: the question.
        kind: ``value``, ``amplitude``, ``change`` (numeric: value, and for ``change`` that before), ``missing``,
            ``largest`` (leads), ``presence``, ``why``, ``definition`` or ``decline``.
        numbers: the true values, in ``unit``.
        unit: ``ms``, ``bpm``, ``deg`` or ``mV``.
        words: ``yes``, ``no`` or ``unknown``; leads; the address that is cited.
        calls: of tools, (name, arguments) as a language model writes them.
        about: what is asked for, in words.
    """

    ask: str
    kind: str
    numbers: tuple[float, ...] = ()
    unit: str = ""
    words: tuple[str, ...] = ()
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    about: str = ""


@lru_cache(maxsize=1)
def wordings() -> Mapping[str, Any]:
    """The wordings of the dialogues."""
    import yaml

    raw: Mapping[str, Any] = yaml.safe_load((files(__package__) / "dialogues.yaml").read_text(encoding="utf-8"))
    return raw


def compose_dialogue(measurement: Measurement, before: Measurement, seed: int) -> list[ScriptedTurn]:
    """A dialogue of four to six questions about a recording.

    Args:
        measurement: of the recording.
        before: of the earlier recording that is in the conversation.
        seed: of the choices.
    """
    pick = random.Random(f"{seed}|{measurement.record_id}|{before.record_id}")
    parts = [[_value(measurement, pick)], [_decline(pick)], pick.choice((_amplitudes, _presence))(measurement, pick)]
    parts.append([pick.choice((_change, _change, _largest, _definition))(measurement, before, pick)])
    pick.shuffle(parts)
    return [turn for part in parts for turn in part]


def _say(kind: str, pick: random.Random, **fields: str) -> str:
    return str(pick.choice(wordings()[kind]).format(**fields))


def global_value(measurement: Measurement, quantity: str) -> float | None:
    """A global value as the tables have it.

    Args:
        measurement: of the recording.
        quantity: ``heart_rate``, ``axis``, or an interval.
    """
    if quantity == "heart_rate":
        return measurement.heart_rate
    return measurement.axes.get("qrs") if quantity == "axis" else measurement.intervals.get(quantity)


def lead_value(measurement: Measurement, wave: str, lead: str) -> float | None:
    """The larger amplitude of a wave in a lead, mV.

    Args:
        measurement: of the recording.
        wave: ``R wave``, ``S wave``, ``T wave`` or ``P wave``.
        lead: its name.
    """
    table = measurement.lead_summary
    row = table[table["lead"] == lead]
    values = [float(row[name].iloc[0]) for name in _WAVES[wave] if len(row)]
    known = [value for value in values if math.isfinite(value)]
    return max(known, key=abs) if known else None


def _value(measurement: Measurement, pick: random.Random) -> ScriptedTurn:
    quantity = pick.choice(list(wordings()["quantities"]))
    name = pick.choice(wordings()["quantities"][quantity])
    value, unit = global_value(measurement, quantity), UNITS.get(quantity, "ms")
    calls = (("measure", {"quantity": pick.choice(wordings()["arguments"][quantity])}),)
    kind = "missing" if value is None else "value"
    return ScriptedTurn(_say("value", pick, q=name), kind, () if value is None else (value,), unit, (), calls, name)


def _amplitudes(measurement: Measurement, pick: random.Random) -> list[ScriptedTurn]:
    wave = pick.choice(list(_WAVES))
    first, second = pick.sample(STANDARD_LEADS, 2)
    asked = _say("amplitude", pick, w=wave, l=first if first != "I" else "lead I")
    out = []
    for lead, ask in ((first, asked), (second, _say("follow_lead", pick, l=second if second != "I" else "lead I"))):
        value = lead_value(measurement, wave, lead)
        named = pick.choice((_LETTER[wave], wave, f"{wave} amplitude", f"{_LETTER[wave]}_mv"))
        arguments = pick.choice(
            ({"quantity": named, "lead": lead}, {"quantity": named, "lead": lead}, {"quantity": f"{wave} in {lead}"})
        )
        kind, numbers = ("missing", ()) if value is None else ("amplitude", (value,))
        out.append(ScriptedTurn(ask, kind, numbers, "mV", (lead,), (("measure", arguments),), f"{wave} in {lead}"))
    return out


def _largest(measurement: Measurement, before: Measurement, pick: random.Random) -> ScriptedTurn:
    wave = pick.choice(("R wave", "T wave"))
    sizes = {lead: lead_value(measurement, wave, lead) for lead in measurement.leads}
    known = {lead: value for lead, value in sizes.items() if value is not None}
    most = max(known.values(), key=abs, default=0.0)
    leads = tuple(lead for lead, value in known.items() if abs(value) >= abs(most) - _TIE_MV)
    if not leads:
        return _value(measurement, pick)
    calls = (("measure", {"quantity": wave, "lead": leads[0]}),)
    return ScriptedTurn(_say("largest", pick, w=wave), "largest", (most,), "mV", leads, calls, wave)


def _presence(measurement: Measurement, pick: random.Random) -> list[ScriptedTurn]:
    known = assess(measurement).findings
    names = [name for name in known if name in bundled_knowledge() and name not in ORDINARY | {"sinus_rhythm"}]
    # whether a value that can't be measured is "not short" or unknown is a matter of words
    names = [n for n in names if n not in _CATEGORIES or global_value(measurement, _CATEGORIES[n]) is not None]
    state = pick.choice((True, False))
    name = pick.choice([name for name in names if known[name].present is state] or names)
    words = {True: "yes", False: "no", None: "unknown"}[known[name].present]
    label = load_knowledge()[name].label
    called = pick.choice((label, name, label.lower()))
    about = (("find", {"finding": called}),)
    turns = [ScriptedTurn(_say("presence", pick, f=label), "presence", (), "", (words, name), about, label)]
    if words == "yes":
        turns.append(ScriptedTurn(_say("why", pick), "why", (), "", (words, name), about, label))
    return turns


def _change(measurement: Measurement, before: Measurement, pick: random.Random) -> ScriptedTurn:
    both = {
        name: (global_value(measurement, name), global_value(before, name))
        for name in ("heart_rate", "pr", "qrs", "qt", "qtc_fridericia", "axis")
    }
    known = {name: pair for name, pair in both.items() if None not in pair}
    if not known:
        return _value(measurement, pick)
    quantity = pick.choice(list(known))
    name = wordings()["quantities"][quantity][0]
    now, then = known[quantity]
    assert now is not None  # for mypy
    assert then is not None
    unit = UNITS.get(quantity, "ms")
    return ScriptedTurn(
        _say("change", pick, q=name), "change", (now, then), unit, (quantity,), (("compare", {}),), name
    )


def _definition(measurement: Measurement, before: Measurement, pick: random.Random) -> ScriptedTurn:
    name = pick.choice(sorted(bundled_knowledge()))
    label = load_knowledge()[name].label
    calls = (("look_up", {"query": label}),)
    return ScriptedTurn(_say("definition", pick, f=label), "definition", (), "", (f"kb:{name}",), calls, label)


def _decline(pick: random.Random) -> ScriptedTurn:
    return ScriptedTurn(pick.choice(wordings()["decline"]), "decline")


def numbers_of(text: str) -> list[tuple[float, str]]:
    """The numbers of a text that have a unit, in order.

    Args:
        text: any.

    Example:
        >>> numbers_of("QRS 98 ms, axis -30 degrees, R 1.2 mV in V5")
        [(98.0, 'ms'), (-30.0, 'deg'), (1.2, 'mV')]
    """
    found = _WITH_UNIT.findall(text)
    return [(float(number.replace("\u2212", "-")), _SPELT.get(unit.lower(), unit.lower())) for number, unit in found]


def is_right_turn(turn: ScriptedTurn, answer: Answer) -> bool:
    """Whether an answer says what is true.

    Args:
        turn: the question and its truth.
        answer: what was said.
    """
    text = answer.text
    if turn.kind == "decline":
        return (answer.declined or _CANT.search(text) is not None) and not numbers_of(text)
    if turn.kind == "missing":
        of_unit = [value for value, unit in numbers_of(text) if unit == turn.unit]
        return (answer.declined or _CANT.search(text) is not None) and not of_unit
    if turn.kind in ("presence", "why"):
        return _state_of(text) == turn.words[0]
    if turn.kind == "definition":
        return f"[{turn.words[0]}]" in text
    if turn.kind == "largest":
        named = _LEAD.findall(text)
        return bool(named) and named[0] in turn.words
    if turn.kind == "change":
        return _tells_change(turn, text)
    return _first_is(turn.numbers[0], turn.unit, text)


def _state_of(text: str) -> str:
    first = re.split(r"\W", text, maxsplit=1)[0].lower()
    return first if first in ("yes", "no") else "unknown" if _CANT.search(text) else ""


def _first_is(truth: float, unit: str, text: str) -> bool:
    """Whether the first number with a unit is the true one, to the digit that is written."""
    found = [value for value, of in numbers_of(text) if of == unit]
    return bool(found) and abs(found[0] - truth) <= _HALF[unit] + 1e-6


def _tells_change(turn: ScriptedTurn, text: str) -> bool:
    """Whether a sentence has the value of now and of then, in this order or with the words for it."""
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        values = [value for value, unit in numbers_of(sentence) if unit == turn.unit][:2]
        if len(values) == 2 and all(
            abs(value - truth) <= _HALF[turn.unit] + 1e-6 for value, truth in zip(values, turn.numbers, strict=True)
        ):
            return True
    return False


def numbers_without_evidence(answer: Answer, allowed: Sequence[float] = ()) -> list[str]:
    """The sentences with a number that neither evidence nor a passage stands behind.

    Args:
        answer: what was said.
        allowed: numbers of the question, which an answer may repeat.
    """
    bare = []
    cited = " ".join(passage.text for call in answer.calls for passage in call.passages)
    for one in answer.statements:
        figures = re.findall(r"\d+(?:\.\d+)?", _NAMED.sub(" ", one.text))
        unknown = [figure for figure in figures if float(figure) not in allowed]
        if unknown and not one.evidence and not all(figure in cited for figure in unknown):
            bare.append(one.text)
    return bare
