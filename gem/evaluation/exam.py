"""Questions about labelled records with their true answers, which the composer knows from the measurement."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from grounding.criteria import assess, load_limits, shown
from grounding.criteria.knowledge import bundled_knowledge, load_knowledge
from grounding.evidence import Finding
from grounding.facts import ORDINARY
from grounding.statements import TOLERANCES
from grounding.statements.amplitudes import measured_amplitude, measured_sum

from ..data.questions import ADJECTIVES, QUANTITIES, RANGES, fill, templates, with_options

if TYPE_CHECKING:
    from grounding import Measurement

_HIGH = {"high", "fast", "prolonged", "long", "wide", "broad"}
_LOW = {"low", "slow", "short"}
_CATEGORY_OF = {"qt": "qtc_fridericia", "qtc": "qtc_fridericia"}
_SINUS = ("sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia")
# they repeat the category of a value, for which no lead is best
_CATEGORIES = frozenset({"short_pr", "wide_qrs"})
_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_WAVES = {"R wave": "r", "S wave": "s", "T wave": "t", "ST level": "st", "ST segment": "st", "P wave": "p"}


@dataclass(frozen=True)
class ExamItem:
    """A question and what is true.

    Attributes:
        task: name of the task.
        form: ``open``, ``closed``, ``fill``, ``mcq`` or ``multi``.
        question: its text.
        kind: of the truth: ``number`` (text of the value), ``presence`` (``yes``, ``no`` or ``unknown``), ``where``
            (leads), ``choice`` (a letter), ``report`` (texts that must be there), ``declined``, ``missing``.
        truth: as ``kind`` says.
        history: earlier questions.
    """

    task: str
    form: str
    question: str
    kind: str
    truth: tuple[str, ...]
    history: tuple[tuple[str, str], ...] = ()


Composer = Callable[["Measurement", random.Random], ExamItem]


def compose_exam(task: str, measurement: Measurement, seed: int) -> ExamItem:
    """One question of a task about a recording, in a wording that no model was trained on.

    Args:
        task: in ``TASKS``.
        measurement: of the recording.
        seed: of the choice.
    """
    return TASKS[task](measurement, random.Random(f"{seed}|{task}|{measurement.record_id}"))


def _state(finding: Finding, measurement: Measurement) -> str:
    present = finding.present
    if finding.name == "sinus_rhythm":  # the words mean any of them
        present = present or any(assess(measurement).findings[name].present for name in _SINUS) or present
    return {True: "yes", False: "no", None: "unknown"}[present]


def _choose(
    measurement: Measurement, pick: random.Random, groups: frozenset[str] = frozenset(), placed: bool = False
) -> tuple[Finding, str]:
    """A finding, present or absent equally often and seldom undecided, and a name for it."""
    found = [
        finding
        for name, finding in assess(measurement).findings.items()
        if name in bundled_knowledge() and name not in ORDINARY and (not groups or finding.group in groups)
        if not (placed and name in _CATEGORIES)
    ]
    sides = {state: [one for one in found if one.present is state] for state in (True, False, None)}
    order: list[bool | None] = [True, False] if pick.random() < 0.5 else [False, True]
    if pick.random() < 0.08:
        order.insert(0, None)
    side = next(sides[state] for state in (*order, None) if sides[state])
    finding = pick.choice(side)
    entry = load_knowledge()[finding.name]
    return finding, pick.choice((entry.label, entry.label, *entry.terms[:6]))


def _presence(task: str, groups: frozenset[str] = frozenset()) -> Composer:
    def make(measurement: Measurement, pick: random.Random) -> ExamItem:
        finding, words = _choose(measurement, pick, groups)
        template = pick.choice([text for text in templates()["held_out"]["presence"] if "{l}" not in text])
        return ExamItem(task, "closed", template.format(f=words), "presence", (_state(finding, measurement),))

    return make


def _value(measurement: Measurement, pick: random.Random) -> ExamItem:
    quantity = pick.choice(list(QUANTITIES))
    text = _with_one_quantity("value", pick).format(q=pick.choice(QUANTITIES[quantity]))
    form = "fill" if "____" in text else "open"
    value = assess(measurement).quantities.evidence(None, _CATEGORY_OF["qtc"] if quantity == "qtc" else quantity)
    if not isinstance(value.value, int | float):
        return ExamItem("feature", form, text, "missing", ())
    return ExamItem("feature", form, text, "number", (shown(float(value.value), value.unit, value.uncertainty),))


def _with_one_quantity(kind: str, pick: random.Random) -> str:
    return pick.choice([text for text in templates()["held_out"][kind] if "{q}" in text and "{r}" not in text])


def _category(measurement: Measurement, pick: random.Random) -> ExamItem:
    quantity = pick.choice(list(ADJECTIVES))
    adjective = pick.choice(ADJECTIVES[quantity])
    words = pick.choice(QUANTITIES[quantity])
    text = _with_one_quantity("category", pick).format(q=words, a=adjective)
    word = assess(measurement).category(_CATEGORY_OF.get(quantity, quantity)).word
    return ExamItem("feature", "closed", text, "presence", (_is(word, adjective),))


def _is(word: str, adjective: str) -> str:
    """Whether an adjective describes a value of a category."""
    if not word:
        return "unknown"
    if adjective in _HIGH:
        return "yes" if word in ("fast", "prolonged") else "no"
    if adjective in _LOW:
        return "yes" if word in ("slow", "short") else "no"
    if adjective == "narrow":
        return "yes" if word in ("normal", "borderline") else "no"
    return "yes" if (word == "normal") == (adjective == "normal") else "no"


def _choice_value(measurement: Measurement, pick: random.Random) -> ExamItem:
    quantities = assess(measurement).quantities
    values = {name: quantities.value(None, "qtc_fridericia" if name == "qtc" else name)[0] for name in RANGES}
    known = {name: value for name, value in values.items() if isinstance(value, float)}
    if not known:
        return _value(measurement, pick)
    quantity = pick.choice(list(known))
    value = known[quantity]
    unit, step = RANGES[quantity][2], 2.5 * TOLERANCES[quantity]
    near = [value + k * step for k in (-3, -2, -1, 1, 2, 3) if value + k * step > 10 or quantity == "axis"]
    options = [f"{value:.0f} {unit}", *(f"{other:.0f} {unit}" for other in pick.sample(near, 3))]
    letter, options = _shuffled(options, pick)
    text = _with_one_quantity("choice_value", pick).format(q=pick.choice(QUANTITIES[quantity]))
    return ExamItem("feature", "mcq", with_options(text, options, pick), "choice", (letter,))


def _shuffled(options: Sequence[str], pick: random.Random) -> tuple[str, list[str]]:
    """The letter of the first option after shuffling, and all in their new order."""
    order = list(options)
    pick.shuffle(order)
    return "ABCDEFGH"[order.index(options[0])], order


def _feature(measurement: Measurement, pick: random.Random) -> ExamItem:
    return pick.choice((_value, _value, _category, _choice_value))(measurement, pick)


def _rhythm(measurement: Measurement, pick: random.Random) -> ExamItem:
    form = pick.choice(("open", "closed", "regular"))
    if form == "closed":
        return _presence("rhythm", frozenset({"rhythm"}))(measurement, pick)
    if form == "regular":
        spread = assess(measurement).quantities.value(None, "rr_cv")[0]
        limit = load_limits()["irregular_rr_cv"].value(None, measurement.sex, measurement.age)
        truth = "unknown" if not isinstance(spread, float) or limit is None else "yes" if spread < limit else "no"
        return ExamItem("rhythm", "closed", "Would you call this rhythm regular?", "presence", (truth,))
    text = pick.choice([text for text in templates()["held_out"]["rhythm"] if "regular" not in text])
    named = [one.label for one in assess(measurement).findings.values() if one.present and one.group == "rhythm"]
    regular = [] if named else ["regular"]
    return ExamItem("rhythm", "open", text, "report", tuple(named or regular))


def _choice_finding(task: str, groups: frozenset[str]) -> Composer:
    def make(measurement: Measurement, pick: random.Random) -> ExamItem:
        found = [
            finding
            for name, finding in assess(measurement).findings.items()
            if name in bundled_knowledge() and name not in ORDINARY | {"sinus_rhythm"} and finding.group in groups
        ]
        there = [one.label for one in found if one.present]
        absent = [one.label for one in found if one.present is False]
        if len(absent) < 3:
            return _presence(task, groups)(measurement, pick)
        others = pick.sample(absent, 3)
        letter, options = _shuffled([pick.choice(there) if there else "None of these", *others], pick)
        text = pick.choice(templates()["held_out"]["choice_finding"])
        return ExamItem(task, "mcq", with_options(text, options, pick), "choice", (letter,))

    return make


_PLACED = frozenset({"ischaemia", "infarction", "conduction", "hypertrophy"})
_SHAPES = frozenset({"conduction", "hypertrophy", "infarction", "ischaemia", "voltage"})


def _morphology(measurement: Measurement, pick: random.Random) -> ExamItem:
    makers = (
        _presence("morphology", _SHAPES),
        _presence("morphology", _SHAPES),
        _choice_finding("morphology", _SHAPES),
    )
    return pick.choice(makers)(measurement, pick)


def _diagnosis(measurement: Measurement, pick: random.Random) -> ExamItem:
    form = pick.choice(("closed", "why", "mcq"))
    if form == "closed":
        return _presence("diagnosis")(measurement, pick)
    if form == "mcq":
        return _choice_finding("diagnosis", _SHAPES | {"rhythm"})(measurement, pick)
    finding, words = _choose(measurement, pick)
    text = pick.choice(templates()["held_out"]["why"]).format(f=words)
    return ExamItem("diagnosis", "open", text, "presence", (_state(finding, measurement),))


def _location(measurement: Measurement, pick: random.Random) -> ExamItem:
    finding, words = _choose(measurement, pick, _PLACED, placed=True)
    kind = pick.choice(("where", "presence_where"))
    text = pick.choice(templates()["held_out"][kind]).format(f=words)
    return ExamItem("location", "open", text, "where", _where(finding, measurement))


def _where(finding: Finding, measurement: Measurement) -> tuple[str, ...]:
    return (_state(finding, measurement), *best_leads(measurement, finding))


def best_leads(measurement: Measurement, finding: Finding) -> tuple[str, ...]:
    """The leads with the largest deflections among those that show a finding; any of them is a right answer.

    Args:
        measurement: of the recording.
        finding: one of it.
    """
    states = assess(measurement).lead_states(load_knowledge()[finding.name])
    sizes: dict[str, float] = {}
    for part in finding.evidence:
        lead = part.leads[0] if len(part.leads) == 1 else ""
        if lead and part.unit == "mV" and isinstance(part.value, int | float) and (not states or states.get(lead)):
            sizes[lead] = max(sizes.get(lead, 0.0), abs(float(part.value)))
    largest = max(sizes.values(), default=0.0)
    return tuple(lead for lead, size in sizes.items() if size >= largest - 1e-6)


def _amplitude(measurement: Measurement, pick: random.Random) -> ExamItem:
    quantities = assess(measurement).quantities
    if pick.random() < 0.1:
        name = pick.choice(("sokolow", "cornell"))
        total, _, _ = measured_sum(quantities, name)
        words = {"sokolow": "Sokolow-Lyon index", "cornell": "Cornell voltage"}[name]
        text = fill("amplitude", pick, "held_out", h=words)
        kind, truth = ("missing", ()) if total is None else ("number", (shown(total, "mV"),))
        return ExamItem("amplitude", "open", text, kind, truth)
    words, lead = pick.choice(list(_WAVES)), pick.choice(_LEADS)
    value, _ = measured_amplitude(quantities, _WAVES[words], lead)
    text = fill("amplitude", pick, "held_out", w=words, l=lead)
    kind, truth = ("missing", ()) if value is None else ("number", (shown(value, "mV"),))
    return ExamItem("amplitude", "open", text, kind, truth)


def _dialogue(measurement: Measurement, pick: random.Random) -> ExamItem:
    """The second question of two."""
    if pick.random() < 0.5:
        words, lead = pick.choice(list(_WAVES)), pick.choice(_LEADS)
        before = fill("amplitude", pick, "held_out", w=words, l=pick.choice(_LEADS))
        value, _ = measured_amplitude(assess(measurement).quantities, _WAVES[words], lead)
        kind, truth = ("missing", ()) if value is None else ("number", (shown(value, "mV"),))
        text = fill("follow_leads", pick, "held_out", l=lead if lead != "I" else "lead I")
        return ExamItem("dialogue", "multi", text, kind, truth, ((before, ""),))
    finding, words = _choose(measurement, pick, _PLACED, placed=True)
    template = pick.choice([text for text in templates()["held_out"]["presence"] if "{l}" not in text])
    history = ((template.format(f=words), ""),)
    if pick.random() < 0.5:
        text = fill("follow_where", pick, "held_out")
        return ExamItem(
            "dialogue",
            "multi",
            text,
            "where",
            _where(finding, measurement),
            history,
        )
    return ExamItem(
        "dialogue", "multi", fill("follow_why", pick, "held_out"), "presence", (_state(finding, measurement),), history
    )


def _report(task: str) -> Composer:
    def make(measurement: Measurement, pick: random.Random) -> ExamItem:
        expected = []
        for name in ("heart_rate", "pr", "qrs"):
            proof = measurement.evidence(name)
            if isinstance(proof.value, int | float):
                expected.append(shown(float(proof.value), proof.unit, proof.uncertainty))
        present = [one for one in assess(measurement).findings.values() if one.present]
        expected += [
            one.label for one in present if one.group in ("conduction", "hypertrophy") and one.name not in ORDINARY
        ]
        return ExamItem(task, "open", fill("report", pick, "held_out"), "report", tuple(expected))

    return make


def _unanswerable(measurement: Measurement, pick: random.Random) -> ExamItem:
    return ExamItem("unanswerable", "open", fill("decline", pick, "held_out"), "declined", ())


TASKS: Mapping[str, Composer] = {
    "interpretation": _report("interpretation"),
    "report": _report("report"),
    "rhythm": _rhythm,
    "feature": _feature,
    "amplitude": _amplitude,
    "morphology": _morphology,
    "diagnosis": _diagnosis,
    "location": _location,
    "dialogue": _dialogue,
    "unanswerable": _unanswerable,
}


@lru_cache(maxsize=1)
def _clinicians() -> Sequence[Mapping[str, Any]]:
    import yaml

    raw: Sequence[Mapping[str, Any]] = yaml.safe_load(
        (files(__package__) / "clinicians.yaml").read_text(encoding="utf-8")
    )
    return raw


def clinicians_exam(measurement: Measurement) -> list[ExamItem]:
    """The hand-written questions, with what is true of one recording.

    Args:
        measurement: of the recording.
    """
    return [_by_hand(entry, measurement) for entry in _clinicians()]


def _by_hand(entry: Mapping[str, Any], measurement: Measurement) -> ExamItem:
    task = "clinicians 2" if entry.get("set") == "second" else "clinicians"
    history = tuple((earlier, "") for earlier in [entry.get("after")] if earlier)
    form, kind, truth = _truth_by_hand(entry, measurement)
    return ExamItem(task, form, entry["ask"], kind, truth, history)


def _truth_by_hand(entry: Mapping[str, Any], measurement: Measurement) -> tuple[str, str, tuple[str, ...]]:
    """Form, kind of truth, and truth of a hand-written question."""
    known, quantities = assess(measurement).findings, assess(measurement).quantities
    if entry.get("decline"):
        return "open", "declined", ()
    if entry.get("report") or entry.get("rhythm"):
        named = [one.label for one in known.values() if one.present and one.group == "rhythm"]
        return "open", "report", tuple(named[:1])
    if "where" in entry:
        return "open", "where", _where(known[entry["where"]], measurement)
    states: list[bool | None] | None = None
    if "presence" in entry:
        states = [known[name].present for name in entry["presence"]]
    elif "presence_all" in entry:
        there = [known[name].present for name in entry["presence_all"]]
        states = [False if False in there else None if None in there else True]
    elif "lead_presence" in entry:
        name, *leads = entry["lead_presence"]
        by_lead = assess(measurement).lead_states(load_knowledge()[name], leads)
        enough = sum(state is True for state in by_lead.values()) >= 2
        states = [None if known[name].present is None else enough]
    elif "category" in entry:
        quantity, *words = entry["category"]
        word = assess(measurement).category(quantity).word
        states = [None if not word else word in words]
    elif "above" in entry:
        value = quantities.value(None, entry["above"][0])[0]
        states = [value > entry["above"][1] if isinstance(value, float) else None]
    if states is not None:
        return "closed", "presence", ("yes" if True in states else "unknown" if None in states else "no",)
    if "amplitude" in entry or "amplitude_sum" in entry:
        size = (
            measured_amplitude(quantities, *entry["amplitude"])[0]
            if "amplitude" in entry
            else measured_sum(quantities, entry["amplitude_sum"])[0]
        )
        return ("open", "missing", ()) if size is None else ("open", "number", (shown(size, "mV"),))
    proof = quantities.evidence(None, entry["number"])
    if not isinstance(proof.value, int | float):
        return "open", "missing", ()
    return "open", "number", (shown(float(proof.value), proof.unit, proof.uncertainty),)
