"""Answers to ECG-QA's questions by measurement and the knowledge base, in the data set's own vocabulary."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from grounding import STANDARD_LEADS
from grounding.questions import plan, read_question

from .noise import NOISES, has_noise, noise_figures
from .numeric import NORMAL_MS, is_abnormal, numeric_features
from .reading import AttributeQuestion, read

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement

    from ..inputs import Inputs
    from ..items import Item
    from .noise import NoiseFigures

_ATTRIBUTE = re.compile(
    r"(?:show|display|demonstrate|exhibit|present|reveal|indicate|suggest|contain|have|has|detect)\w*\s+"
    r"(?:any |signs? of |symptoms? of |evidence of |the |an? )*(?P<what>[^?]+?)"
    r"(?: in lead (?:aV[RLF]|V[1-6]|I{1,3}))?(?:,? (?:excluding|including) uncertain symptoms)?\s*\?",
    re.I,
)
_AXIS_DEGREES = {  # degrees, as PTB-XL names the axis
    "normal axis": (-30.0, 90.0),
    "left axis deviation": (-90.0, -30.0),
    "right axis deviation": (90.0, 180.0),
    "extreme axis deviation": (-180.0, -90.0),
}
NONE = "none"


def answer_by_rules(item: Item, inputs: Inputs) -> str:
    """Answer an item: labels of its options, separated by commas.

    Args:
        item: of ECG-QA.
        inputs: the recordings.
    """
    ecgs = [_Ecg(name, inputs) for name in item.records]
    asked = read(item.question, len(ecgs))
    if "verify" in item.kind:
        return "yes" if _holds(_subject(item, asked), asked, ecgs) else "no"
    if "choose" in item.kind:
        labels = [option for option in item.options if option.lower() in item.question.lower()]
    else:
        labels = [option for option in item.options if option not in ("yes", "no", "not sure", NONE)]
    if asked.about == "numeric" and not set(labels) & set(NORMAL_MS):
        return _range_of(asked, ecgs[-1], labels)
    chosen = [label for label in labels if _label_holds(label, asked, item, ecgs)]
    return ", ".join(chosen) or (NONE if NONE in item.options or item.multiple else "no")


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
        question = f"Is there {what}{f' in lead {lead}' if lead else ''}?"
        states = [one.state for one in plan(read_question(question), self.measurement).asked]
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
    found = _ATTRIBUTE.search(item.question)
    return axis or (found["what"] if found else item.question.rstrip("?"))


def _holds(what: str, asked: AttributeQuestion, ecgs: list[_Ecg]) -> bool:
    """Whether an attribute has the state, or the change, that is asked for."""
    last = ecgs[-1].shows(what, asked, asked.lead) == asked.after
    return last and (asked.before is None or ecgs[0].shows(what, asked, asked.lead) == asked.before)


def _label_holds(label: str, asked: AttributeQuestion, item: Item, ecgs: list[_Ecg]) -> bool:
    if asked.which_leads and label.removeprefix("lead ") in STANDARD_LEADS:
        lead = label.removeprefix("lead ")
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
