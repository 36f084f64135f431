"""Answers by rule, in tags and varied wording, and the check of an answer in tags against what is known.

The rule answers where no model is used, or where a model's answer has a fault; the bundled model learns from it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from ..facts import compose, resolve
from .facts import Asked, Plan

# what an answer can say of one thing, by its state; the first wording is the rule's
_YES = ("Yes, the recording shows {q}.", "Yes, there is evidence of {q}.", "Yes: the recording shows {q}.")
_NO = ("No, the recording shows no {q}.", "No, there is no evidence of {q}.", "No: the recording shows no {q}.")
_PRESENT = ("The recording shows {q}.", "There is evidence of {q}.")
_ABSENT = ("The recording shows no {q}.", "There is no evidence of {q}.")
# in a sentence of its own, because "no" would deny what follows it
_TRUE, _FALSE, _CLAUSE = (
    ("Yes. {e}.", "Yes. Measured: {e}."),
    ("No. {e}.", "No. Measured: {e}."),
    ("{e}.", "Measured: {e}."),
)
_UNKNOWN = ("It can't be told whether there is {q}: {r}.", "Whether there is {q} can't be told here: {r}.")
_MEASURED = ("The {q} is {v}.", "{q}: {v}.")
_SEEN = ("{q}: {v}.", "{q} shows {v}.")
_MISSING = ("The {q} can't be measured here: {r}.", "The {q} is not measurable in this recording: {r}.")
_OUTSIDE = ("{q} can't be told from this recording: {r}.", "This recording does not tell {q}: {r}.")
_WHERE = ("It is seen best in {l}.", "The lead that shows it best: {l}.", "Seen best in {l}.")
_NOWHERE = ("No single lead shows it best.", "It is not seen in one lead alone.")
_WHY = ("Criterion: {c}.", "The criterion reads: {c}.", "By definition: {c}.")
_VALUES = ("Measured: {e}.", "Here the measurement gives {e}.", "In this recording: {e}.")
_DECLINE = (
    "That can't be told from an ECG recording.",
    "An ECG recording does not tell that.",
    "This can't be told from the recording.",
)
_NO_OPTION = ("None of the options holds.", "No option holds.")
_OPTIONS_UNKNOWN = ("It can't be told which option holds.", "Which option holds can't be told here.")
_ALL = (
    *_YES, *_NO, *_PRESENT, *_ABSENT, *_TRUE, *_FALSE, *_CLAUSE, *_UNKNOWN, *_MEASURED, *_SEEN, *_MISSING, *_OUTSIDE,
    *_WHERE, *_NOWHERE, *_WHY, *_VALUES, *_DECLINE, *_NO_OPTION, *_OPTIONS_UNKNOWN,
)  # fmt: skip
_TAG = re.compile(r"<[a-z0-9_]+>")
_WORD = re.compile(r"[a-z']+")
_VOCABULARY = frozenset(word for wording in _ALL for word in _WORD.findall(re.sub(r"{\w}", " ", wording).lower()))
_NEGATION = re.compile(r"\b(?:no|not|never|without|absent|can't)\b", re.I)
_DECLINED = re.compile(r"\b(?:can't be told|does not tell)\b", re.I)
_ANSWERED = frozenset({"present", "absent", "true", "false"})


def compose_answer(made: Plan, pick: random.Random | None = None) -> str:
    """The answer to a question, in tags.

    Args:
        made: from ``plan``.
        pick: of the wordings; the first of each when None.

    Example:
        >>> from .reading import read_question
        >>> question = read_question("Is there AV block? Which lead shows it best?")
        >>> compose_answer(Plan(question, (Asked(1, "present", "qcel"),)))
        'Yes, the recording shows <q1>. It is seen best in <l1>. Measured: <e1>.'
    """
    if made.is_report:
        return compose(list(made.base), seed=0 if pick is None else pick.randrange(2**31))
    if not made.asked and not made.options:
        return _one(_DECLINE, pick)
    sentences = _chosen(made, pick) if made.options else []
    single = len(made.asked) == 1 and not made.options
    for one in made.asked:
        sentences += _about(one, made, single, pick)
    return " ".join(sentences)


def _one(wordings: Sequence[str], pick: random.Random | None, one: Asked | None = None) -> str:
    wording = wordings[0] if pick is None else pick.choice(wordings)
    return wording if one is None else wording.format(**{kind: one.tag(kind) for kind in "qvcelr"})


def _chosen(made: Plan, pick: random.Random | None) -> list[str]:
    states = list(made.options.items())
    right = [f"{letter}) <o{number}>." for number, (letter, state) in enumerate(states, 1) if state == "true"]
    if right:
        return right
    return [_one(_OPTIONS_UNKNOWN if any(state == "unknown" for _, state in states) else _NO_OPTION, pick)]


def _about(one: Asked, made: Plan, single: bool, pick: random.Random | None) -> list[str]:
    wants = made.question.wants
    first = {
        "present": _YES if single else _PRESENT,
        "absent": _NO if single else _ABSENT,
        "true": _TRUE if single else _CLAUSE,
        "false": _FALSE if single else _CLAUSE,
        "unknown": _UNKNOWN,
        "measured": _MEASURED,
        "seen": _SEEN,
        "missing": _MISSING,
        "outside": _OUTSIDE,
    }[one.state]
    out = [_one(first, pick, one)]
    if "where" in wants and one.state in ("present", "true") and (one.state == "present" or "l" in one.has):
        out.append(_one(_WHERE if "l" in one.has else _NOWHERE, pick, one))
    if one.state in ("present", "absent", "unknown"):
        if "why" in wants and "c" in one.has:
            out.append(_one(_WHY, pick, one))
        if "e" in one.has:
            out.append(_one(_VALUES, pick, one))
    return out


def _required(one: Asked, wants: frozenset[str]) -> set[str]:
    """Kinds of tags that an answer must cite."""
    kinds = {"present": "q", "absent": "q", "true": "e", "false": "e", "measured": "v", "seen": "v"}.get(one.state, "r")
    needed = set(kinds)
    if one.state in ("present", "true"):
        needed |= {"l"} if "where" in wants else set()
        needed |= {"e"} if wants & {"value", "why"} else set()
    if one.state in ("present", "absent", "unknown") and "why" in wants:
        needed.add("c")
    return {one.tag(kind) for kind in needed if kind in one.has}


def declines(tagged: str) -> bool:
    """Whether an answer in tags says nothing but that the question can't be answered.

    Args:
        tagged: the answer.
    """
    return bool(_DECLINED.search(tagged)) and not re.search(r"<(?!q|r)", tagged)


def faults(tagged: str, made: Plan) -> list[str]:
    """What is wrong with an answer in tags; nothing if it can be given.

    Args:
        tagged: the answer.
        made: from ``plan``.

    Example:
        >>> from .reading import read_question
        >>> made = Plan(read_question("LVH?"), (Asked(1, "absent", "qce"),))
        >>> faults("Yes, the recording shows <q1>.", made)
        ['it says yes where the answer is no', '<q1> is said to be there and is not']
    """
    sentences = [part for part in re.split(r"(?<=[.!?])\s+", tagged.strip()) if part]
    if not sentences:
        return ["it is empty"]
    out = ["it has a number of its own"] if re.search(r"\d", _without_letters(_TAG.sub(" ", tagged))) else []
    if made.is_report:
        known = resolve(tagged, made.base)
        return out + [f"{part.text}" for part in known if part.kind in ("note", "uncited")][:1]
    if not made.asked and not made.options:
        return out + ([] if declines(tagged) else ["it answers what can't be told"])
    tags = {tag for one in made.asked for kind in one.has for tag in [one.tag(kind)]}
    tags |= {f"<o{number}>" for number in range(1, len(made.options) + 1)}
    unknown = [tag for tag in dict.fromkeys(_TAG.findall(tagged)) if tag not in tags]
    out += [f"it cites {tag}, which does not exist" for tag in unknown]
    if len(set(sentences)) < len(sentences):
        out.append("it says the same twice")
    plain = _TAG.sub(" ", _without_letters(tagged)).lower()
    strange = [word for word in dict.fromkeys(_WORD.findall(plain)) if word not in _VOCABULARY]
    out += [f"it says {' '.join(strange[:3])!r}"] if strange else []
    if len(made.asked) == 1 and not made.options:
        said = {"yes": "yes", "no": "no"}.get(re.split(r"\W", sentences[0].lower(), maxsplit=1)[0], "")
        wanted = {"present": "yes", "true": "yes", "absent": "no", "false": "no"}.get(made.asked[0].state, "")
        if said != wanted:
            out.append(f"it says {said or 'neither'} where the answer is {wanted or 'neither'}")
    for one in made.asked:
        out += _faults_about(one, sentences, made)
    return out + (_faults_of_choice(tagged, made) if made.options else [])


def _without_letters(tagged: str) -> str:
    return re.sub(r"\b[A-H]\) (?=<o)", " ", tagged)


def _faults_about(one: Asked, sentences: Sequence[str], made: Plan) -> list[str]:
    text = " ".join(sentences)
    out = [f"{tag} is missing" for tag in sorted(_required(one, made.question.wants)) if tag not in text]
    name = one.tag("q")
    of_lead = made.question.links[one.number - 1].kind == "lead" if one.number <= len(made.question.links) else True
    if one.state == "seen" and not of_lead and f"{name} shows" in text:
        out.append(f"{name} is no lead, and shows nothing")
    for sentence in sentences:
        if name and name in sentence and one.state in ("present", "absent"):
            said = re.sub(r"^(?:yes|no)\b[,:]?", "", sentence, flags=re.I)
            if bool(_NEGATION.search(_TAG.sub(" ", said))) != (one.state == "absent"):
                out.append(f"{name} is said to be {'there and is not' if one.state == 'absent' else 'absent'}")
        untold = one.state in ("missing", "outside", "unknown")
        if untold and name and name in sentence and one.tag("r") and one.tag("r") not in sentence:
            out.append(f"{name} is spoken of without the reason why it can't be told")
    return out


def _faults_of_choice(tagged: str, made: Plan) -> list[str]:
    cited = {(letter, int(number)) for letter, number in re.findall(r"\b([A-H])\) <o(\d)>", tagged)}
    loose = {int(number) for number in re.findall(r"<o(\d)>", tagged)} - {number for _, number in cited}
    states = enumerate(made.options.items(), 1)
    right = {(letter, number) for number, (letter, state) in states if state == "true"}
    return ["it does not choose the right option"] if cited != right or loose else []
