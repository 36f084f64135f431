"""Questions about one recording and what a true answer says: the task types and forms of GEM, PULSE and ECG-Chat.

A lesson never holds a number that is not a fact: answers cite facts by tags, and the facts carry the evidence.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grounding.criteria import shown
from grounding.criteria.language import RECORD_WORDS, quantity_words, value_words
from grounding.errors import EcgError
from grounding.evidence import Evidence, Finding
from grounding.facts import ORDINARY, VALUES, Fact, compose, facts
from grounding.registry import Registry
from grounding.statements import TOLERANCES

if TYPE_CHECKING:
    from grounding.measurement.result import Measurement

FORMS = ("closed", "open", "fill", "mcq", "multi")
CANT_TELL = "It can't be told from this recording"
GEM_QUERY = "Interpret the ECG, identify key features and abnormalities in each lead, and give a diagnosis supported by evidence."
_NAMES = {"rate": "heart rate", "axis": "QRS axis", "pr": "PR interval", "qrs": "QRS duration", "qt": "QT interval", "qtc": "QTc (Fridericia)"}  # fmt: skip
_TOLERANCE = {"rate": "heart_rate", "axis": "axis", "pr": "pr", "qrs": "qrs", "qt": "qt", "qtc": "qtc"}
_UNITS = {"rate": "bpm", "axis": "deg"}
_CATEGORIES = {
    "rate": ("normal", "slow", "fast"),
    "pr": ("normal", "prolonged", "short"),
    "qrs": ("normal", "prolonged"),
    "qtc": ("normal", "prolonged"),
    "axis": ("normal", "left", "right"),
}
_MORPHOLOGY = frozenset({"conduction", "hypertrophy", "infarction", "ischaemia", "voltage"})
# findings that repeat another one in other words: no options against each other, no absence of them said as news
_WEAK = ORDINARY | {"wide_qrs", "short_pr", "irregular_rhythm", "bradycardia", "tachycardia", "pathological_q_waves"}


@dataclass(frozen=True)
class Turn:
    """One question and what a true answer must hold.

    Attributes:
        question: as asked.
        key: how the answer must begin where the form fixes it (``"Yes"``, ``"B. 182 ms"``); ``""`` for an open
            question.
        wordings: what to say after it, sentence by sentence, each in one or more wordings with tags.
        rivals: beginnings that would be a wrong choice (``"No"``, ``"A"``).
    """

    question: str
    key: str = ""
    wordings: tuple[tuple[str, ...], ...] = ()
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A task in one form about one recording.

    Attributes:
        record_id: the recording.
        task: name in ``tasks``.
        form: one of ``FORMS``.
        turns: one question, or several for ``multi``.
        items: the facts that an answer may cite, criteria (``<c_...>``) and their measured parts (``<e_...>``)
            included.
        seed: picks the wording.
    """

    record_id: str
    task: str
    form: str
    turns: tuple[Turn, ...]
    items: tuple[Fact, ...]
    seed: str


class LessonCase:
    """What is known of one recording: its facts, and for each finding the rule and the values it was held against."""

    def __init__(self, measurement: Measurement, findings: Sequence[Finding]) -> None:
        self.measurement = measurement
        self.findings = list(findings)
        base = facts(measurement, self.findings)
        self.tags = {fact.label: fact.tag for fact in base if fact.kind == "finding"}
        self.base = {fact.tag: fact for fact in base}
        rules = [fact for finding in self.findings for fact in _rule(finding)]
        self.items = (*base, *rules)
        self.measured = {fact.label for fact in rules if fact.kind == "measured"}
        self.present = [f for f in self.findings if f.present and f.name in self.tags]
        self.absent = [f for f in self.findings if f.present is False and f.name not in _WEAK]
        self.undecided = [f for f in self.findings if f.present is None and f.name not in _WEAK]

    def shapes(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those that are about form and conduction, not about rate, rhythm or QT."""
        return [f for f in findings if f.group in _MORPHOLOGY and f.name not in _WEAK]

    def because(self, finding: Finding) -> tuple[tuple[str, ...], ...]:
        """The sentences that give a finding's rule and what was measured for it."""
        rule = f"<c_{finding.name}>"
        out = [(f"Criterion: {rule}.", f"The criterion reads: {rule}.", f"By definition: {rule}.")]
        if finding.name in self.measured:
            held = f"<e_{finding.name}>"
            out.append((f"Measured: {held}.", f"Here the measurement gives {held}.", f"In this recording: {held}."))
        return tuple(out)


def _rule(finding: Finding) -> list[Fact]:
    out = [Fact(f"<c_{finding.name}>", finding.criterion, "", finding.evidence, "criterion", finding.name)]
    parts = [text for proof in finding.evidence if (text := _part(proof))]
    if parts:
        # eight values are as many as a reader takes in
        text = ", ".join(dict.fromkeys(parts[:8]))
        out.append(Fact(f"<e_{finding.name}>", text, "", finding.evidence, "measured", finding.name))
    return out


def _part(proof: Evidence) -> str:
    """One measured part of a rule in words, ``""`` for inner quantities that no reader knows."""
    words = value_words(proof)
    if not words:
        return ""
    place = f" in {proof.leads[0]}" if proof.quantity not in RECORD_WORDS else ""
    return f"{quantity_words(proof.quantity)} {words}{place}"


Maker = Callable[[LessonCase, str, random.Random], "tuple[Turn, ...] | None"]


@dataclass(frozen=True)
class Task:
    """A task type: its forms, and what makes its turns (``None`` where this recording has nothing to ask)."""

    name: str
    forms: tuple[str, ...]
    make: Maker
    text: str


tasks: Registry[Task] = Registry("task")


def register_task(*forms: str) -> Callable[[Maker], Maker]:
    """Register a function as a task type, under its own name and in these forms."""

    def add(make: Maker) -> Maker:
        name = make.__name__
        tasks.register(Task(name, forms, make, (make.__doc__ or "").strip().split("\n")[0]), name=name)
        return make

    return add


def lesson(case: LessonCase, task: str, seed: int = 0, forms: Sequence[str] = FORMS) -> Lesson | None:
    """One lesson of a task, in a form drawn from those it knows; the same for the same seed and recording.

    Args:
        case: the recording.
        task: name in ``tasks``.
        seed: of the run.
        forms: which forms are wanted.

    Returns:
        A lesson, or ``None`` where neither the forms nor the recording allow one.

    Raises:
        EcgError: unknown form or task.
    """
    unknown = [form for form in forms if form not in FORMS]
    if unknown:
        raise EcgError(f"no form is called {', '.join(unknown)}", remedy=f"use some of {', '.join(FORMS)}")
    entry = tasks[task]
    name = case.measurement.record_id
    pick = random.Random(f"{seed}|{name}|{task}")
    wanted = [form for form in entry.forms if form in forms]
    pick.shuffle(wanted)
    for form in wanted:
        turns = entry.make(case, form, pick)
        if turns:
            return Lesson(name, task, form, turns, case.items, f"{seed}|{name}|{task}|{form}")
    return None


def _wordings(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple((f"{part.rstrip('.')}.",) for part in text.split(". ") if part)


def _absences(case: LessonCase, pick: random.Random, count: int) -> tuple[tuple[str, ...], ...]:
    gone = case.shapes(case.absent)
    chosen = pick.sample(gone, min(count, len(gone)))
    return tuple(
        (f"There is no {f.label}.", f"No {f.label} is seen.", f"There is no evidence of {f.label}.") for f in chosen
    )


@register_task("open")
def interpretation(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...]:
    """grounded interpretation: rhythm, values, findings with their criteria, pertinent negatives"""
    question = pick.choice(
        (
            GEM_QUERY,
            "Please interpret this ECG step by step and name the evidence for each statement.",
            "Give a full interpretation of this 12-lead ECG with the measurements that support it.",
            "Analyse the recording: rhythm, rate, axis, intervals and waveforms, then conclude.",
        )
    )
    said = _wordings(compose(list(case.base.values()), seed=pick.randrange(2**31)))
    for finding in pick.sample(case.present, min(3, len(case.present))):
        said += (
            (f"{_capital(case.tags[finding.name])}.", f"There is {case.tags[finding.name]}."),
            *case.because(finding),
        )
    return (Turn(question, "", (*said, *_absences(case, pick, 3))),)


@register_task("open")
def report(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...]:
    """report generation: what a reader of the ECG would file"""
    question = pick.choice(
        (
            "Write a clinical report for this ECG.",
            "Generate the report of this recording.",
            "Summarise this ECG as a short report.",
            "What would you write into the patient's file about this ECG?",
        )
    )
    said = _wordings(
        compose(list(case.base.values()), seed=pick.randrange(2**31), style=pick.choice(("full", "brief")))
    )
    return (Turn(question, "", (*said, *_conclusion(case))),)


def _conclusion(case: LessonCase) -> tuple[tuple[str, ...], ...]:
    """A normal ECG is called so only where every criterion could be judged and none is met."""
    doubt = [f for f in case.shapes(case.findings) if f.present is None]
    missing = any(fact.kind == "missing" for fact in case.base.values())
    abnormal = [f for f in case.findings if f.present and f.group not in ("rhythm",) and f.name not in ORDINARY]
    named = case.base.get("<rhythm>")
    if doubt or missing or abnormal or named is None or named.label != "sinus_rhythm":
        return ()
    return (("Conclusion: normal ECG.", "This is a normal ECG.", "Summary: normal ECG."),)


@register_task("closed", "open", "fill", "mcq")
def feature(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """feature recognition: one measured value, its category, or that it can't be measured"""
    name = pick.choice(list(VALUES))
    fact = case.base.get(f"<{name}>")
    words, verb = _NAMES[name], pick.choice(("is", "measures"))
    if fact is None:
        return _missing(case, name, form, pick)
    said = (
        (
            f"The {words} is {fact.tag}.",
            f"The {words} {verb if name != 'axis' else 'is'} {fact.tag}.",
            f"{_capital(words)}: {fact.tag}.",
        ),
    )
    if form == "open":
        asked = pick.choice(
            (
                f"What is the {words}, and is it normal?",
                f"How large is the {words}?",
                f"Measure the {words} and judge it.",
            )
        )
        return (Turn(asked, "", said),)
    if form == "fill":
        return (Turn(f"Fill in the blank: The {words} is ____.", _capital(fact.text), said),)
    if form == "closed":
        categories = _CATEGORIES.get(name, ())
        if not fact.word or fact.word not in categories:
            return (Turn(f"Can the {words} be measured in this recording? Answer yes or no.", "Yes", said, ("No",)),)
        word = fact.word if pick.random() < 0.5 else pick.choice([other for other in categories if other != fact.word])
        asked = f"deviated to the {word}" if name == "axis" and word != "normal" else word
        truth = word == fact.word
        return (Turn(f"Is the {words} {asked}? Answer yes or no, and give the value.", "Yes" if truth else "No", said, ("No" if truth else "Yes",)),)  # fmt: skip
    value = float(next(proof.value for proof in fact.evidence if isinstance(proof.value, int | float)))
    step, unit = 2.5 * TOLERANCES[_TOLERANCE[name]], _UNITS.get(name, "ms")
    near = [
        value + k * step
        for k in (-3, -2, -1, 1, 2, 3)
        if (value + k * step > 10 or name == "axis") and abs(value + k * step) <= (180 if name == "axis" else 10_000)
    ]
    wrong = [shown(round(x * pick.uniform(0.98, 1.02)), unit) for x in pick.sample(near, 3)]
    asked = pick.choice((f"Which value is the {words}?", f"Choose the {words} of this recording."))
    return (_choice(asked, shown(value, unit), wrong, said, pick),)


def _missing(case: LessonCase, name: str, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    words, tag = _NAMES[name], f"<no_{name}>"
    if tag not in case.base:
        return None
    said = ((f"The {words} is {tag}.",),)
    if form == "open":
        return (Turn(f"What is the {words}?", "", said),)
    if form == "fill":
        return (Turn(f"Fill in the blank: The {words} is ____.", "Not measurable", said),)
    if form == "closed":
        return (Turn(f"Can the {words} be measured in this recording? Answer yes or no.", "No", said, ("Yes",)),)
    usual = {"rate": (52, 75, 110), "axis": (-45, 30, 110), "pr": (110, 160, 230), "qrs": (84, 104, 140), "qt": (340, 400, 460), "qtc": (390, 430, 490)}  # fmt: skip
    wrong = [shown(value, _UNITS.get(name, "ms")) for value in usual[name]]
    return (_choice(f"Which value is the {words}?", "It is not measurable", wrong, said, pick),)


def _choice(
    asked: str, right: str, wrong: Sequence[str], said: tuple[tuple[str, ...], ...], pick: random.Random
) -> Turn:
    options = [right, *dict.fromkeys(text for text in wrong if text != right)]
    pick.shuffle(options)
    letters = "ABCDEFGH"
    lines = "\n".join(f"{letter}. {_capital(text)}" for letter, text in zip(letters, options, strict=False))
    letter = letters[options.index(right)]
    rivals = tuple(other for other in letters[: len(options)] if other != letter)
    return Turn(f"{asked}\n{lines}", f"{letter}. {_capital(right)}", said, rivals)


@register_task("closed", "open", "fill", "mcq")
def rhythm(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """rhythm: its name or its regularity, with the rate"""
    fact, rate = case.base.get("<rhythm>"), case.base.get("<rate>")
    known = fact is not None and fact.word == "named"
    said: tuple[tuple[str, ...], ...] = ()
    if fact is not None:
        said = (
            (
                "The rhythm is <rhythm>.",
                "Rhythm: <rhythm>.",
                "The recording shows <rhythm>." if known else "The ventricular rhythm is <rhythm>.",
            ),
        )
    if rate is not None:
        said += (("The heart rate is <rate>.", "Heart rate <rate>.", "The ventricular rate is <rate>."),)
    if form == "closed":
        there = [f for f in case.findings if f.group == "rhythm" and (f.present is True or f.present is False)]
        unknown = [f for f in case.undecided if f.group == "rhythm"]
        if unknown and pick.random() < 0.15:
            return (_undecided(pick.choice(unknown)),)
        yes = [f for f in there if f.present]
        no = [f for f in there if not f.present]
        side = yes if yes and (not no or pick.random() < 0.5) else no
        if not side:
            return None
        return (_yes_no(case, pick.choice(side), said, pick),)
    if fact is None:
        return None
    if form == "open":
        asked = pick.choice(
            (
                "What is the rhythm?",
                "Describe the rhythm of this ECG.",
                "Which rhythm does the recording show, and at what rate?",
            )
        )
        named = [f for f in case.findings if f.group == "rhythm" and f.present]
        return (Turn(asked, "", (*said, *(case.because(named[0]) if named else ()))),)
    if form == "fill":
        return (Turn("Fill in the blank: The rhythm is ____.", _capital(fact.text), said),)
    if not known:
        wrong = ["Irregular" if fact.text == "regular" else "Regular"]
        return (_choice("Which word describes the ventricular rhythm?", fact.text, wrong, said, pick),)
    gone = [f.label for f in case.findings if f.group == "rhythm" and f.present is False]
    if len(gone) < 2:
        return None
    return (
        _choice("Which rhythm does the recording show?", fact.text, pick.sample(gone, min(3, len(gone))), said, pick),
    )


def _undecided(finding: Finding) -> Turn:
    reason = " ".join((finding.reason or "not measurable").split()).rstrip(".")
    return Turn(
        f"Is there {finding.label}? Answer yes, no, or that it can't be told.",
        f"{CANT_TELL}: {reason}",
        (),
        ("Yes", "No"),
    )


def _yes_no(case: LessonCase, finding: Finding, more: tuple[tuple[str, ...], ...], pick: random.Random) -> Turn:
    asked = pick.choice(
        (
            f"Is there {finding.label}?",
            f"Does this ECG show {finding.label}?",
            f"Are the criteria for {finding.label} met?",
        )
    )
    if finding.present:
        tag = case.tags.get(finding.name)
        first = ((f"There is {tag}.", f"The recording shows {tag}."),) if tag else ()
        return Turn(f"{asked} Answer yes or no, and say why.", "Yes", (*first, *more, *case.because(finding)), ("No",))
    first = ((f"There is no {finding.label}.", f"There is no evidence of {finding.label}."),)
    return Turn(f"{asked} Answer yes or no, and say why.", "No", (*first, *more, *case.because(finding)), ("Yes",))


@register_task("closed", "open", "fill", "mcq")
def morphology(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """morphology: shapes of QRS, ST and T by leads, present and absent"""
    here, gone = case.shapes(case.present), case.shapes(case.absent)
    if form == "closed":
        unknown = case.shapes(case.undecided)
        if unknown and pick.random() < 0.15:
            return (_undecided(pick.choice(unknown)),)
        side = here if here and (not gone or pick.random() < 0.5) else gone
        return (_yes_no(case, pick.choice(side), (), pick),) if side else None
    tags = [case.tags[f.name] for f in here]
    said: tuple[tuple[str, ...], ...] = tuple(
        (f"There is {tag}.", f"{tag} is seen.", f"The waveforms show {tag}.") for tag in tags
    )
    if form == "open":
        asked = pick.choice(("Describe the QRS complexes, ST segments and T waves.", "Which abnormalities of form does this ECG show, and in which leads?", "Assess the morphology of this ECG."))  # fmt: skip
        said += _absences(case, pick, 3 if not here else 2)
        return (Turn(asked, "", said),) if said else None
    if form == "fill":
        placed = [f for f in here if " in " in case.base[case.tags[f.name]].text]
        if not placed:
            return None
        fact = case.base[case.tags[pick.choice(placed).name]]
        name, leads = fact.text.rsplit(" in ", 1)
        return (Turn(f"Fill in the blank: There is {name} in ____.", leads, ((f"There is {fact.tag}.",),)),)
    return _which("Which of these does the ECG show?", case, here, gone, pick)


def _which(
    asked: str, case: LessonCase, here: Sequence[Finding], gone: Sequence[Finding], pick: random.Random
) -> tuple[Turn, ...] | None:
    if len(gone) < 3:
        return None
    others = pick.sample(list(gone), 3)
    if here:
        right = pick.choice(list(here))
        said = ((f"There is {case.tags[right.name]}.",), *case.because(right))
        return (_choice(asked, right.label, [f.label for f in others], said, pick),)
    denied = tuple((f"There is no {f.label}.", f"No {f.label} is seen.") for f in others)
    return (_choice(asked, "none of these", [f.label for f in others], denied, pick),)


@register_task("open", "closed", "mcq")
def diagnosis(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """diagnosis with criteria: each finding, the rule it follows, and the values it was held against"""
    here = [f for f in case.present if f.name not in _WEAK] or case.present
    if form == "closed":
        side = here if here and (not case.absent or pick.random() < 0.5) else case.absent
        return (_yes_no(case, pick.choice(side), (), pick),) if side else None
    if form == "mcq":
        return _which("Which diagnosis do the measurements support?", case, here, case.absent, pick)
    asked = pick.choice(("What is the diagnosis, and which criteria is it based on?", "Give the diagnoses with their criteria and the measured values.", "Which diagnoses can be made, and why?"))  # fmt: skip
    said: tuple[tuple[str, ...], ...] = (
        (("The rhythm is <rhythm>.", "Rhythm: <rhythm>."),) if "<rhythm>" in case.base else ()
    )
    for finding in here[:4]:
        tag = case.tags[finding.name]
        said += ((f"There is {tag}.", f"Diagnosis: {tag}.", f"The findings include {tag}."), *case.because(finding))
    if not here:
        said += _conclusion(case) or _absences(case, pick, 3)
    return (Turn(asked, "", said),) if said else None


@register_task("multi")
def dialogue(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """multi-turn: rhythm, a value, forms and diagnosis asked one after the other"""
    turns: list[Turn] = []
    for task in (rhythm, feature, morphology, diagnosis):
        forms = ["open", "closed", "mcq", "fill"]
        pick.shuffle(forms)
        made = next(
            (made for form in forms if form in tasks[task.__name__].forms and (made := task(case, form, pick))), None
        )
        if made and made[0].question not in [turn.question for turn in turns]:
            turns += made
    return tuple(turns) if len(turns) >= 2 else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def answers(lesson: Lesson) -> list[str]:
    """The lesson's own answers, tags and all: what the offline composer teaches.

    Example:
        >>> turn = Turn("What is the PR interval?", "", (("The PR interval is <pr>.", "PR interval <pr>."),))
        >>> answers(Lesson("a", "feature", "open", (turn,), (), "0|a"))
        ['The PR interval is <pr>.']
    """
    pick = random.Random(lesson.seed)
    out = []
    for turn in lesson.turns:
        sentences = list(dict.fromkeys(pick.choice(wordings) for wordings in turn.wordings))
        key = f"{turn.key}." if turn.key and not turn.key.endswith(".") else turn.key
        out.append(" ".join([key, *sentences] if key else sentences))
    return out


__all__ = ["CANT_TELL", "FORMS", "Lesson", "LessonCase", "Task", "Turn", "answers", "lesson", "register_task", "tasks"]
