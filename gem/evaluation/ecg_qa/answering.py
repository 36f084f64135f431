"""Answers to ECG-QA's questions by measurement and the knowledge base, in the data set's own vocabulary."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from grounding import STANDARD_LEADS
from grounding.questions import plan, read_question

from ..labels import named_labels
from .noise import NOISES, has_noise, noise_figures
from .numeric import NORMAL_MS, is_abnormal, numeric_features
from .reading import AttributeQuestion, attribute_of, read

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement

    from ..inputs import Inputs
    from ..items import Item
    from .noise import NoiseFigures

_AXIS_DEGREES = {  # degrees, as PTB-XL names the axis
    "normal axis": (-30.0, 90.0),
    "left axis deviation": (-90.0, -30.0),
    "right axis deviation": (90.0, 180.0),
    "extreme axis deviation": (-180.0, -90.0),
}
# PTB-XL's words that the knowledge base has in others
_OTHER_WORDS = {
    "wolf-parkinson-white syndrome": "wolff-parkinson-white pattern",
    "bigeminal pattern (unknown origin, sv or ventricular)": "bigeminy",
    "trigeminal pattern (unknown origin, sv or ventricular)": "trigeminy",
    "voltage criteria (qrs) for left ventricular hypertrophy": "voltage criteria for left ventricular hypertrophy",
    "kind of extra systoles": "extrasystoles",
}
_ABNORMAL = re.compile(r"(?:kinds? of )?abnormal(?:ity|ities| symptoms?| findings?)", re.I)
NORMAL_ECG = "normal ecg"
NONE = "none"


def answer_by_rules(item: Item, inputs: Inputs) -> str:
    """Answer an item: labels of its options, separated by commas.

    What the rules can't read is not guessed: they say so where one thing, or one of the two to choose from, is asked
    about, and leave such labels out of a list; ``not_read`` names them.

    Args:
        item: of ECG-QA.
        inputs: the recordings.
    """
    ecgs = [_Ecg(name, inputs) for name in item.records]
    asked = read(item.question, len(ecgs))
    unread = not_read(item)
    if unread and ("query" not in item.kind or not set(unread) <= set(_labels(item))):
        return "I can't tell: it is not among what the rules know."
    if "verify" in item.kind:
        return "yes" if _holds(_subject(item, asked), asked, ecgs) else "no"
    labels = [label for label in _labels(item) if label not in unread]
    if asked.about == "numeric" and not set(labels) & set(NORMAL_MS):
        return _range_of(asked, ecgs[-1], labels)
    chosen = [label for label in labels if _label_holds(label, asked, item, ecgs)]
    return ", ".join(chosen) or (NONE if NONE in item.options or item.multiple else "no")


def not_read(item: Item) -> tuple[str, ...]:
    """What an item asks about, or its labels, that the rules know nothing of.

    Args:
        item: of ECG-QA.
    """
    asked = read(item.question, len(item.records))
    if "verify" in item.kind:
        what = _subject(item, asked)
        return () if _is_known(what, asked.lead) else (what or item.question,)
    labels = _labels(item)
    if "choose" in item.kind and len(labels) < 2:  # two are named in other words than the options'
        return (item.question,)
    if asked.about == "numeric" and not set(labels) & set(NORMAL_MS):
        return () if asked.features else (item.question,)
    if asked.which_leads and (leads := _leads_in(labels)):
        what = _subject(item, asked)
        return () if all(_is_known(what, lead) for lead in leads) else (what,)
    return tuple(label for label in labels if not _is_known(label, asked.lead))


def _labels(item: Item) -> list[str]:
    """The labels that may be in the answer."""
    if "choose" in item.kind:
        return list(named_labels(item.question, [option for option in item.options if option != NONE]))
    return [option for option in item.options if option not in ("yes", "no", "not sure", NONE)]


def _leads_in(labels: list[str]) -> list[str]:
    return [lead for label in labels if (lead := _lead_in(label)) is not None]


def _lead_in(label: str) -> str | None:
    """The lead that a label is, such as ``lead avr``."""
    return next((lead for lead in STANDARD_LEADS if label.lower().removeprefix("lead ") == lead.lower()), None)


@lru_cache(4096)
def _is_known(what: str, lead: str | None) -> bool:
    if what in NORMAL_MS or what == "any" or what in NOISES or what in _AXIS_DEGREES or _ABNORMAL.fullmatch(what):
        return True
    question = read_question(_presence(what, lead))
    return bool(question.links) and not question.topic and question.links[0].kind == "claim"


def _presence(what: str, lead: str | None) -> str:
    return f"Is there {_OTHER_WORDS.get(what.lower(), what)}{f' in lead {lead}' if lead else ''}?"


class _Ecg:
    """One recording, each part of it measured when it is asked for."""

    def __init__(self, name: str, inputs: Inputs) -> None:
        self.record: ECGRecord = inputs.record(name)
        self._name, self._inputs = name, inputs

    @property
    def features(self) -> dict[str, float]:
        return _features(self._name, self._inputs)

    @property
    def noise(self) -> NoiseFigures | None:
        return _noise(self._name, self._inputs)

    @property
    def measurement(self) -> Measurement:
        return self._inputs.measurement(self._name)

    def shows(self, what: str, asked: AttributeQuestion, lead: str | None) -> bool:
        """Whether an attribute is there, or a numeric feature abnormal."""
        if what in NORMAL_MS:
            return is_abnormal(what, self.features[what])
        if what == "any" or what in NOISES:
            return has_noise(self.noise, what, lead)
        if what in _AXIS_DEGREES:
            axis = self.measurement.axis
            low, high = _AXIS_DEGREES[what]
            return axis is not None and low <= axis <= high
        if _ABNORMAL.fullmatch(what):
            return not self.shows(NORMAL_ECG, asked, lead)
        states = [one.state for one in plan(read_question(_presence(what, lead)), self.measurement).asked]
        return bool(states) and states[0] in ("present", "true")


@lru_cache(4096)
def _features(name: str, inputs: Inputs) -> dict[str, float]:
    return numeric_features(inputs.record(name))


@lru_cache(4096)
def _noise(name: str, inputs: Inputs) -> NoiseFigures | None:
    return noise_figures(inputs.record(name))


def _subject(item: Item, asked: AttributeQuestion) -> str:
    if asked.about == "numeric":
        return asked.features[0] if asked.features else ""
    if asked.about == "noise":
        return asked.noises[0] if asked.noises else "any"
    axis = next((name for name in _AXIS_DEGREES if name in item.question.lower()), None)
    return axis or attribute_of(item.question)


def _holds(what: str, asked: AttributeQuestion, ecgs: list[_Ecg]) -> bool:
    """Whether an attribute has the state, or the change, that is asked for."""
    last = ecgs[-1].shows(what, asked, asked.lead) == asked.after
    return last and (asked.before is None or ecgs[0].shows(what, asked, asked.lead) == asked.before)


def _label_holds(label: str, asked: AttributeQuestion, item: Item, ecgs: list[_Ecg]) -> bool:
    if asked.which_leads and (lead := _lead_in(label)) is not None:
        return ecgs[-1].shows(_subject(item, asked), asked, lead) == asked.after
    return _holds(label, asked, ecgs)


def _range_of(asked: AttributeQuestion, ecg: _Ecg, labels: list[str]) -> str:
    """``below``, ``within`` or ``above the normal range``."""
    name = asked.features[0] if asked.features else "rr interval"
    value, (low, high) = ecg.features[name], NORMAL_MS[name]
    where = "within" if low <= value <= high else "below" if value < low else "above"
    if np.isnan(value):
        where = "none"
    return next((label for label in labels if where in label), f"{where} the normal range")
