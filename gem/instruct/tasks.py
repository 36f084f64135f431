"""The task types: questions about one recording, and what a true answer says, as in GEM, PULSE and ECG-Chat."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grounding.criteria import shown
from grounding.errors import EcgError
from grounding.evidence import Finding
from grounding.facts import ORDINARY, VALUES, compose
from grounding.registry import Registry
from grounding.statements import TOLERANCES

from .lessons import CANT_TELL, FORMS, REDUNDANT, Lesson, LessonCase, Turn

GEM_QUERY = (
    "Interpret the ECG, identify key features and abnormalities in each lead, "
    "and give a diagnosis supported by evidence."
)
_NAMES = {
    "rate": "heart rate",
    "axis": "QRS axis",
    "pr": "PR interval",
    "qrs": "QRS duration",
    "qt": "QT interval",
    "qtc": "QTc (Fridericia)",
}
# wrong answers where the value is not measurable: low, usual and high
_TYPICAL = {
    "rate": (52, 75, 110),
    "axis": (-45, 30, 110),
    "pr": (110, 160, 230),
    "qrs": (84, 104, 140),
    "qt": (340, 400, 460),
    "qtc": (390, 430, 490),
}
_TOLERANCE = {"rate": "heart_rate", "axis": "axis", "pr": "pr", "qrs": "qrs", "qt": "qt", "qtc": "qtc"}
_UNITS = {"rate": "bpm", "axis": "deg"}
_CATEGORIES = {
    "rate": ("normal", "slow", "fast"),
    "pr": ("normal", "prolonged", "short"),
    "qrs": ("normal", "prolonged"),
    "qtc": ("normal", "prolonged"),
    "axis": ("normal", "left", "right"),
}


Maker = Callable[[LessonCase, str, random.Random], "tuple[Turn, ...] | None"]


@dataclass(frozen=True)
class Task:
    """A task type.

    Attributes:
        name: in ``tasks``.
        forms: those that it has, of ``FORMS``.
        make: makes its turns; returns ``None`` if the recording has nothing to ask about.
        text: what it is, in one line.
    """

    name: str
    forms: tuple[str, ...]
    make: Maker
    text: str


tasks: Registry[Task] = Registry("task")


def register_task(*forms: str) -> Callable[[Maker], Maker]:
    """Register a function as a task type, under its own name; the first line of its docstring becomes its text.

    Args:
        *forms: those that it has, of ``FORMS``.
    """

    def add(make: Maker) -> Maker:
        name = make.__name__
        text = (make.__doc__ or "").strip().split("\n")[0].removesuffix(".")
        tasks.register(Task(name, forms, make, text), name=name)
        return make

    return add


def lesson(case: LessonCase, task: str, seed: int = 0, forms: Sequence[str] = FORMS) -> Lesson | None:
    """One lesson of a task, in a random form; the same for the same seed and recording.

    Args:
        case: the recording.
        task: name in ``tasks``.
        seed: of the run.
        forms: the allowed forms.

    Returns:
        A lesson, or ``None`` if the forms or the recording don't allow one.

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
    absent = case.about_morphology(case.absent)
    chosen = pick.sample(absent, min(count, len(absent)))
    return tuple(
        (f"There is no {f.label}.", f"No {f.label} is seen.", f"There is no evidence of {f.label}.") for f in chosen
    )


@register_task("open")
def interpretation(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...]:
    """Grounded interpretation: rhythm, values, findings with their criteria, pertinent negatives."""
    question = pick.choice(
        (
            GEM_QUERY,
            "Please interpret this ECG step by step and name the evidence for each statement.",
            "Give a full interpretation of this 12-lead ECG with the measurements that support it.",
            "Analyse the recording: rhythm, rate, axis, intervals and waveforms, then conclude.",
        )
    )
    sentences = _wordings(compose(list(case.base.values()), seed=pick.randrange(2**31)))
    for finding in pick.sample(case.present, min(3, len(case.present))):
        sentences += (
            (f"{_capital(case.tags[finding.name])}.", f"There is {case.tags[finding.name]}."),
            *case.reasons_for(finding),
        )
    return (Turn(question, "", (*sentences, *_absences(case, pick, 3))),)


@register_task("open")
def report(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...]:
    """Report generation: the report that a reader of the ECG would write."""
    question = pick.choice(
        (
            "Write a clinical report for this ECG.",
            "Generate the report of this recording.",
            "Summarise this ECG as a short report.",
            "What would you write into the patient's file about this ECG?",
        )
    )
    sentences = _wordings(
        compose(list(case.base.values()), seed=pick.randrange(2**31), style=pick.choice(("full", "brief")))
    )
    return (Turn(question, "", (*sentences, *_conclusion(case))),)


def _conclusion(case: LessonCase) -> tuple[tuple[str, ...], ...]:
    """The words "normal ECG", only if every criterion could be evaluated and none is met."""
    doubt = [f for f in case.about_morphology(case.findings) if f.present is None]
    missing = any(fact.kind == "missing" for fact in case.base.values())
    abnormal = [f for f in case.findings if f.present and f.group not in ("rhythm",) and f.name not in ORDINARY]
    named = case.base.get("<rhythm>")
    if doubt or missing or abnormal or named is None or named.label != "sinus_rhythm":
        return ()
    return (("Conclusion: normal ECG.", "This is a normal ECG.", "Summary: normal ECG."),)


@register_task("closed", "open", "fill", "mcq")
def feature(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """Feature recognition: one measured value, its category, or that it can't be measured."""
    name = pick.choice(list(VALUES))
    fact = case.base.get(f"<{name}>")
    words, verb = _NAMES[name], pick.choice(("is", "measures"))
    if fact is None:
        return _missing(case, name, form, pick)
    sentences = (
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
        return (Turn(asked, "", sentences),)
    if form == "fill":
        return (Turn(f"Fill in the blank: The {words} is ____.", _capital(fact.text), sentences),)
    if form == "closed":
        categories = _CATEGORIES.get(name, ())
        if not fact.word or fact.word not in categories:
            return (
                Turn(f"Can the {words} be measured in this recording? Answer yes or no.", "Yes", sentences, ("No",)),
            )
        word = fact.word if pick.random() < 0.5 else pick.choice([other for other in categories if other != fact.word])
        asked = f"deviated to the {word}" if name == "axis" and word != "normal" else word
        right, wrong_key = ("Yes", "No") if word == fact.word else ("No", "Yes")
        question = f"Is the {words} {asked}? Answer yes or no, and give the value."
        return (Turn(question, right, sentences, (wrong_key,)),)
    value = float(next(proof.value for proof in fact.evidence if isinstance(proof.value, int | float)))
    step, unit = 2.5 * TOLERANCES[_TOLERANCE[name]], _UNITS.get(name, "ms")
    near = [
        value + k * step
        for k in (-3, -2, -1, 1, 2, 3)
        if (value + k * step > 10 or name == "axis") and abs(value + k * step) <= (180 if name == "axis" else 10_000)
    ]
    wrong = [shown(round(x * pick.uniform(0.98, 1.02)), unit) for x in pick.sample(near, 3)]
    asked = pick.choice((f"Which value is the {words}?", f"Choose the {words} of this recording."))
    return (_choice(asked, shown(value, unit), wrong, sentences, pick),)


def _missing(case: LessonCase, name: str, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    words, tag = _NAMES[name], f"<no_{name}>"
    if tag not in case.base:
        return None
    sentences = ((f"The {words} is {tag}.",),)
    if form == "open":
        return (Turn(f"What is the {words}?", "", sentences),)
    if form == "fill":
        return (Turn(f"Fill in the blank: The {words} is ____.", "Not measurable", sentences),)
    if form == "closed":
        return (Turn(f"Can the {words} be measured in this recording? Answer yes or no.", "No", sentences, ("Yes",)),)
    wrong = [shown(value, _UNITS.get(name, "ms")) for value in _TYPICAL[name]]
    return (_choice(f"Which value is the {words}?", "It is not measurable", wrong, sentences, pick),)


def _choice(
    asked: str, right: str, wrong: Sequence[str], sentences: tuple[tuple[str, ...], ...], pick: random.Random
) -> Turn:
    options = [right, *dict.fromkeys(text for text in wrong if text != right)]
    pick.shuffle(options)
    letters = "ABCDEFGH"
    lines = "\n".join(f"{letter}. {_capital(text)}" for letter, text in zip(letters, options, strict=False))
    letter = letters[options.index(right)]
    wrong_keys = tuple(other for other in letters[: len(options)] if other != letter)
    return Turn(f"{asked}\n{lines}", f"{letter}. {_capital(right)}", sentences, wrong_keys)


@register_task("closed", "open", "fill", "mcq")
def rhythm(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """Rhythm: its name or its regularity, with the rate."""
    fact, rate = case.base.get("<rhythm>"), case.base.get("<rate>")
    known = fact is not None and fact.word == "named"
    sentences: tuple[tuple[str, ...], ...] = ()
    if fact is not None:
        sentences = (
            (
                "The rhythm is <rhythm>.",
                "Rhythm: <rhythm>.",
                "The recording shows <rhythm>." if known else "The ventricular rhythm is <rhythm>.",
            ),
        )
    if rate is not None:
        sentences += (("The heart rate is <rate>.", "Heart rate <rate>.", "The ventricular rate is <rate>."),)
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
        return (_yes_no(case, pick.choice(side), sentences, pick),)
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
        return (Turn(asked, "", (*sentences, *(case.reasons_for(named[0]) if named else ()))),)
    if form == "fill":
        return (Turn("Fill in the blank: The rhythm is ____.", _capital(fact.text), sentences),)
    if not known:
        wrong = ["Irregular" if fact.text == "regular" else "Regular"]
        return (_choice("Which word describes the ventricular rhythm?", fact.text, wrong, sentences, pick),)
    absent = [f.label for f in case.findings if f.group == "rhythm" and f.present is False]
    if len(absent) < 2:
        return None
    return (
        _choice(
            "Which rhythm does the recording show?",
            fact.text,
            pick.sample(absent, min(3, len(absent))),
            sentences,
            pick,
        ),
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
        return Turn(
            f"{asked} Answer yes or no, and say why.", "Yes", (*first, *more, *case.reasons_for(finding)), ("No",)
        )
    first = ((f"There is no {finding.label}.", f"There is no evidence of {finding.label}."),)
    return Turn(f"{asked} Answer yes or no, and say why.", "No", (*first, *more, *case.reasons_for(finding)), ("Yes",))


@register_task("closed", "open", "fill", "mcq")
def morphology(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """Morphology: shapes of QRS, ST and T by leads, present and absent."""
    present, absent = case.about_morphology(case.present), case.about_morphology(case.absent)
    if form == "closed":
        unknown = case.about_morphology(case.undecided)
        if unknown and pick.random() < 0.15:
            return (_undecided(pick.choice(unknown)),)
        side = present if present and (not absent or pick.random() < 0.5) else absent
        return (_yes_no(case, pick.choice(side), (), pick),) if side else None
    tags = [case.tags[f.name] for f in present]
    sentences: tuple[tuple[str, ...], ...] = tuple(
        (f"There is {tag}.", f"{tag} is seen.", f"The waveforms show {tag}.") for tag in tags
    )
    if form == "open":
        asked = pick.choice(
            (
                "Describe the QRS complexes, ST segments and T waves.",
                "Which abnormalities of form does this ECG show, and in which leads?",
                "Assess the morphology of this ECG.",
            )
        )
        sentences += _absences(case, pick, 3 if not present else 2)
        return (Turn(asked, "", sentences),) if sentences else None
    if form == "fill":
        placed = [f for f in present if " in " in case.base[case.tags[f.name]].text]
        if not placed:
            return None
        fact = case.base[case.tags[pick.choice(placed).name]]
        name, leads = fact.text.rsplit(" in ", 1)
        return (Turn(f"Fill in the blank: There is {name} in ____.", leads, ((f"There is {fact.tag}.",),)),)
    return _which("Which of these does the ECG show?", case, present, absent, pick)


def _which(
    asked: str, case: LessonCase, present: Sequence[Finding], absent: Sequence[Finding], pick: random.Random
) -> tuple[Turn, ...] | None:
    if len(absent) < 3:
        return None
    others = pick.sample(list(absent), 3)
    if present:
        right = pick.choice(list(present))
        sentences = ((f"There is {case.tags[right.name]}.",), *case.reasons_for(right))
        return (_choice(asked, right.label, [f.label for f in others], sentences, pick),)
    denied = tuple((f"There is no {f.label}.", f"No {f.label} is seen.") for f in others)
    return (_choice(asked, "none of these", [f.label for f in others], denied, pick),)


@register_task("open", "closed", "mcq")
def diagnosis(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """Diagnosis with criteria: each finding, its criterion, and the measured values."""
    present = [f for f in case.present if f.name not in REDUNDANT] or case.present
    if form == "closed":
        side = present if present and (not case.absent or pick.random() < 0.5) else case.absent
        return (_yes_no(case, pick.choice(side), (), pick),) if side else None
    if form == "mcq":
        return _which("Which diagnosis do the measurements support?", case, present, case.absent, pick)
    asked = pick.choice(
        (
            "What is the diagnosis, and which criteria is it based on?",
            "Give the diagnoses with their criteria and the measured values.",
            "Which diagnoses can be made, and why?",
        )
    )
    sentences: tuple[tuple[str, ...], ...] = (
        (("The rhythm is <rhythm>.", "Rhythm: <rhythm>."),) if "<rhythm>" in case.base else ()
    )
    for finding in present[:4]:
        tag = case.tags[finding.name]
        sentences += (
            (f"There is {tag}.", f"Diagnosis: {tag}.", f"The findings include {tag}."),
            *case.reasons_for(finding),
        )
    if not present:
        sentences += _conclusion(case) or _absences(case, pick, 3)
    return (Turn(asked, "", sentences),) if sentences else None


@register_task("multi")
def dialogue(case: LessonCase, form: str, pick: random.Random) -> tuple[Turn, ...] | None:
    """Multi-turn: questions about rhythm, a value, morphology and diagnosis, one after the other."""
    turns: list[Turn] = []
    for task in (rhythm, feature, morphology, diagnosis):
        forms = ["open", "closed", "mcq", "fill"]
        pick.shuffle(forms)
        added = next(
            (found for form in forms if form in tasks[task.__name__].forms and (found := task(case, form, pick))), None
        )
        if added and added[0].question not in [turn.question for turn in turns]:
            turns += added
    return tuple(turns) if len(turns) >= 2 else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
