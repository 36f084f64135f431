"""The encoders' opinion in words: which classes, how probable, and whether the measured criteria agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ..evidence import Evidence, Finding

MIN_PROBABILITY = 0.5
# lowest probability of each word; below the last one nothing is suggested
BANDS = ((0.9, "very likely"), (0.7, "likely"), (MIN_PROBABILITY, "possible"))


@dataclass(frozen=True)
class Diagnosis:
    """One class of the encoders.

    Attributes:
        label: in PTB-XL.
        words: its name in a sentence.
        findings: names of the measured findings that support it.
    """

    label: str
    words: str
    findings: tuple[str, ...]


@lru_cache(maxsize=1)
def _load() -> Mapping[str, Diagnosis]:
    import yaml

    raw: dict[str, Any] = yaml.safe_load((files(__package__) / "diagnoses.yaml").read_text(encoding="utf-8"))
    return {label: Diagnosis(label, settings["words"], tuple(settings["findings"])) for label, settings in raw.items()}


DIAGNOSES = _load()


def suggested(probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
    """The classes that are suggested, most probable first.

    Args:
        probabilities: class -> probability, 0-1.

    Returns:
        (class, probability) of the known classes with a probability of one half or more.

    Example:
        >>> suggested({"MI": 0.88, "HYP": 0.49, "CD": 0.91, "no such class": 1.0})
        [('CD', 0.91), ('MI', 0.88)]
    """
    likely_enough = [
        (label, float(p)) for label, p in probabilities.items() if label in DIAGNOSES and p >= MIN_PROBABILITY
    ]
    return sorted(likely_enough, key=lambda pair: -pair[1])


def opinion_words(probability: float) -> str:
    """A probability in words and percent.

    Args:
        probability: one half or more.

    Example:
        >>> opinion_words(0.884), opinion_words(0.999), opinion_words(0.5)
        ('likely, 88 %', 'very likely, over 99 %', 'possible, 50 %')
    """
    word = next(word for lowest, word in BANDS if probability >= lowest)
    figure = "over 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"
    return f"{word}, {figure}"


def agreement(label: str, findings: Mapping[str, Finding]) -> tuple[str, tuple[Evidence, ...]]:
    """Whether the measured criteria agree with a suggested class.

    Args:
        label: of the class.
        findings: all findings of the recording, by name.

    Returns:
        The words for it, and the evidence of the findings that agree.
    """
    about = [findings[name] for name in DIAGNOSES[label].findings if name in findings]
    agreeing = [finding for finding in about if finding.present]
    if agreeing:
        evidence = tuple(dict.fromkeys(part for finding in agreeing for part in finding.evidence))
        return f"the measured criteria agree ({', '.join(finding.label for finding in agreeing)})", evidence
    if label == "NORM":
        abnormal = [finding.label for finding in findings.values() if finding.present and finding.name not in ORDINARY]
        return (
            f"but measured is {', '.join(abnormal[:3])}" if abnormal else "no measured criterion speaks against it"
        ), ()
    if about and all(finding.present is None for finding in about):
        return "the measured criteria can't be told here", ()
    return "no measured criterion shows it", ()


# findings that do not contradict a normal ECG
ORDINARY = frozenset(
    {
        "normal_axis",
        "normal_ecg",
        "normal_rate",
        "normal_pr",
        "normal_qrs",
        "normal_qtc",
        "sinus_rhythm",
        "sinus_arrhythmia",
        "irregular_rhythm",
    }
)
