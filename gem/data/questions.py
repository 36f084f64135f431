"""Questions in many wordings, and answers from which a model learns the forms of answers.

What is known about the things that a question names is drawn at random, or looked up in a recording. Numbers and names
are tags in both, so that a model learns when to say yes, which tag to cite and when to decline, and nothing about ECGs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from grounding.criteria.knowledge import bundled_knowledge, load_knowledge
from grounding.facts import ORDINARY
from grounding.questions import Asked, Plan, Question, compose_answer, plan, question_prompt, read_question
from grounding.questions.facts import is_clause
from grounding.questions.reading import topic_phrases
from grounding.record import STANDARD_LEADS

from .corpus import random_facts

if TYPE_CHECKING:
    from grounding import Measurement

Split = Literal["train", "held_out"]
# how often each kind is drawn in training
WEIGHTS = {
    "presence": 5.0,
    "presence_where": 2.0,
    "where": 2.5,
    "why": 3.0,
    "value": 4.0,
    "category": 2.5,
    "compare": 1.0,
    "amplitude": 3.0,
    "rhythm": 1.5,
    "several": 3.0,
    "normal": 1.0,
    "lead": 1.0,
    "follow_leads": 1.5,
    "follow_why": 1.5,
    "follow_where": 1.0,
    "choice_value": 1.5,
    "choice_category": 1.0,
    "choice_finding": 2.0,
    "report": 1.0,
    "decline": 4.0,
}
QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "heart_rate": ("heart rate", "rate", "HR", "ventricular rate", "pulse"),
    "axis": ("axis", "QRS axis", "frontal axis", "electrical axis"),
    "pr": ("PR interval", "PR", "PQ interval", "PR duration"),
    "qrs": ("QRS duration", "QRS", "QRS width", "QRS complex"),
    "qt": ("QT interval", "QT", "uncorrected QT"),
    "qtc": ("QTc", "corrected QT", "QTc interval", "QTc (Fridericia)"),
    "qtc_bazett": ("QTc by Bazett", "Bazett QTc"),
    "p": ("P wave duration", "P duration"),
    "rr": ("RR interval", "cycle length"),
}
ADJECTIVES: Mapping[str, tuple[str, ...]] = {
    "heart_rate": ("normal", "slow", "fast", "high", "low"),
    "axis": ("normal", "abnormal"),
    "pr": ("normal", "prolonged", "short", "long"),
    "qrs": ("normal", "wide", "narrow", "prolonged", "broad"),
    "qt": ("normal", "long", "prolonged"),
    "qtc": ("normal", "prolonged", "long"),
}
WAVES = ("R wave", "S wave", "T wave", "Q wave", "ST segment", "ST level", "P wave", "T wave amplitude", "J point")
SUMS = ("Sokolow-Lyon index", "Sokolow index", "Cornell voltage")
GROUP_WORDS = (
    *("AV block", "heart block", "bundle branch block", "conduction disturbance", "fascicular block", "infarction"),
    *("myocardial infarction", "ischaemia", "hypertrophy", "ectopy", "ST-T changes", "axis deviation", "inferior MI"),
    *("lateral ischemia", "atrial enlargement", "anterior infarct", "incomplete bundle branch block", "Q waves"),
)
OUTSIDE = ("U waves", "baseline wander", "epsilon waves", "digitalis effect", "artifacts")
UNMEASURED = ("QT dispersion", "JT interval", "PR segment", "QRS-T angle", "respiratory rate", "blood pressure")
# (numbers to choose from, unit)
RANGES: Mapping[str, tuple[int, int, str]] = {
    "heart_rate": (40, 140, "bpm"),
    "axis": (-90, 150, "degrees"),
    "pr": (100, 280, "ms"),
    "qrs": (70, 170, "ms"),
    "qt": (320, 500, "ms"),
    "qtc": (360, 520, "ms"),
}
WORDS_TO_CHOOSE: Mapping[str, tuple[str, ...]] = {
    "heart_rate": ("slow", "normal", "fast"),
    "axis": ("normal", "left", "right"),
    "pr": ("short", "normal", "prolonged"),
    "qrs": ("normal", "prolonged"),
    "qtc": ("normal", "prolonged"),
}


@lru_cache(maxsize=1)
def templates() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Split -> kind -> questions with slots."""
    import yaml

    raw: Mapping[str, Mapping[str, Sequence[str]]] = yaml.safe_load(
        (files(__package__) / "questions.yaml").read_text(encoding="utf-8")
    )
    return raw


@lru_cache(maxsize=1)
def finding_words() -> tuple[str, ...]:
    """Labels and terms of the library's findings, and words for groups of them."""
    out = list(GROUP_WORDS) * 2
    for name in bundled_knowledge():
        entry = load_knowledge()[name]
        if name not in ORDINARY:
            out += [entry.label, entry.label, *entry.terms[:6]]
    return tuple(out)


def fill(kind: str, pick: random.Random, split: Split = "train", **fixed: str) -> str:
    """A question of a kind, with its slots filled at random.

    Args:
        kind: in ``WEIGHTS``.
        pick: source of random numbers.
        split: whose wordings are used.
        **fixed: slots with a given content, such as ``f="LBBB"``; a template that has all of them is chosen if there
            is one.

    Example:
        >>> fill("where", random.Random(1), f="ST elevation")
        'In which leads is there ST elevation?'
    """
    choices = templates()[split][kind]
    fitting = [text for text in choices if all(f"{{{slot}}}" in text for slot in fixed)]
    text = pick.choice(list(fitting or choices))
    quantity = pick.choice(list(ADJECTIVES if "{a}" in text or "{n}" in text else QUANTITIES))
    low, high, unit = RANGES.get(quantity, (1, 2, ""))
    wave = pick.choice(WAVES)
    slots = {
        "f": pick.choice(finding_words()),
        "g": pick.choice(finding_words()),
        "q": pick.choice(QUANTITIES[quantity]),
        "r": pick.choice(QUANTITIES[pick.choice(list(QUANTITIES))]),
        "a": pick.choice(ADJECTIVES.get(quantity, ("normal",))),
        "n": f"{pick.randrange(low, high)} {unit}",
        "s": pick.choice(("inverted", "flat", "tall")),
        "w": wave if "{s}" not in text else "T wave",
        "h": pick.choice(SUMS),
        "l": _leads(pick),
        "o": pick.choice(OUTSIDE),
        "u": pick.choice(UNMEASURED),
        "t": pick.choice(topic_phrases()),
    } | fixed
    return re.sub(r"{(\w)}", lambda slot: slots[slot[1]], text)


def _leads(pick: random.Random) -> str:
    if pick.random() < 0.7:
        return pick.choice(STANDARD_LEADS)
    return pick.choice(("V1-V3", "V5 and V6", "II, III and aVF", "I and aVL", "V2-V4", "the inferior leads"))


def with_options(question: str, options: Sequence[str], pick: random.Random) -> str:
    """A question with its options, in lines or in one line.

    Args:
        question: its text.
        options: in order.
        pick: of the layout.
    """
    mark = pick.choice(("\n{}. ", "\n{}. ", "\n{}) ", " {}) ", "\n({}) "))
    return question + "".join(mark.format(letter) + text for letter, text in zip("ABCDEFGH", options, strict=False))


def random_question(kind: str, pick: random.Random, split: Split = "train") -> Question:
    """A question of a kind about nothing in particular, read.

    Args:
        kind: in ``WEIGHTS``.
        pick: source of random numbers.
        split: whose wordings are used.
    """
    if kind.startswith("follow"):
        before = {"follow_leads": ("presence", "amplitude", "where"), "follow_where": ("presence",)}
        earlier = fill(pick.choice(before.get(kind, ("presence", "category", "where"))), pick, split)
        return read_question(fill(kind, pick, split), [(earlier, "")])
    if not kind.startswith("choice"):
        return read_question(fill(kind, pick, split))
    quantity = pick.choice(list(WORDS_TO_CHOOSE))
    low, high, unit = RANGES[quantity]
    words = pick.choice(QUANTITIES[quantity])
    if kind == "choice_value":
        options = [f"{value} {unit}" for value in pick.sample(range(low, high), pick.randint(2, 5))]
        options += ["It is not measurable"] if pick.random() < 0.3 else []
        return read_question(with_options(fill(kind, pick, split, q=words), options, pick))
    if kind == "choice_category":
        options = list(WORDS_TO_CHOOSE[quantity])
        pick.shuffle(options)
        return read_question(with_options(fill(kind, pick, split, q=words), options, pick))
    options = pick.sample(sorted(set(finding_words())), pick.randint(2, 5))
    options += ["None of these"] if pick.random() < 0.4 else []
    return read_question(with_options(fill(kind, pick, split), options, pick))


def random_plan(question: Question, pick: random.Random) -> Plan:
    """A question with a random state of each thing that it names.

    Args:
        question: the question.
        pick: source of random numbers.
    """
    if question.topic and not all(link.kind == "outside" for link in question.links):
        return Plan(question, base=tuple(random_facts(pick)))
    asked = tuple(_random_state(number, link, pick) for number, link in enumerate(question.links, 1))
    letters = [option.letter for option in question.options]
    states = dict.fromkeys(letters, "false")
    if letters and pick.random() < 0.85:
        states[pick.choice(letters)] = "true"
    if letters and pick.random() < 0.15:
        states[pick.choice(letters)] = "unknown"
    if letters and pick.random() < 0.05:
        states[pick.choice(letters)] = "true"
    return Plan(question, asked, states, base=tuple(random_facts(pick)))


def _random_state(number: int, link: Any, pick: random.Random) -> Asked:
    def some(**chances: float) -> str:
        return "".join(kind for kind, chance in chances.items() if pick.random() < chance)

    if link.kind == "outside":
        return Asked(number, "outside", "qr")
    if link.kind == "claim" and is_clause(link):
        state = pick.choice(("true", "true", "false", "false", "unknown"))
        return Asked(number, state, {"unknown": "qr", "false": "qe"}.get(state) or "qe" + some(l=0.4))
    if link.kind == "claim":
        state = pick.choice(("present", "present", "absent", "absent", "unknown"))
        has = {"present": "q" + some(c=0.98, e=0.8, l=0.85), "absent": "q" + some(c=0.98, e=0.8)}
        return Asked(number, state, has.get(state) or "q" + some(c=0.98, e=0.4) + "r")
    if pick.random() < 0.2:
        return Asked(number, "missing", "qr")
    return Asked(number, "seen" if link.kind == "lead" else "measured", "qv")


def answer_example(pick: random.Random, measurements: Sequence[Measurement] = ()) -> tuple[str, str]:
    """A random prompt and the answer to it.

    Args:
        pick: source of random numbers.
        measurements: of recordings, in which a third of the questions is looked up.
    """
    kind = pick.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    # "Can you exclude AF?" asks for AF in the examples that the model has learned from
    question = replace(random_question(kind, pick), denies=False)
    looked_up = bool(measurements) and pick.random() < 1 / 3
    made = plan(question, pick.choice(measurements)) if looked_up else random_plan(question, pick)
    return question_prompt(made), compose_answer(made, pick)
