"""A written report against the measurement: each of its statements is an agreement, a conflict or not measurable."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grounding.statements import check

if TYPE_CHECKING:
    from grounding.measurement.result import Measurement

# words that are frequent in ECG reports of the language and do not occur in the other languages
_TYPICAL_WORDS = {
    "en": "rhythm waves wave ecg the and with are is due left right deviation block no abnormal normal sinus "
    "bradycardia tachycardia of in atrial ventricular leads infarct infarction fibrillation beats premature possible "
    "probable otherwise changes interval prolonged",
    "de": "sinusrhythmus ekg bericht lagetyp linkstyp rechtstyp steiltyp normales abnorm unspezifisch unspezifisches "
    "und oder der die das nicht mit wahrscheinlich infarkt vorhofflimmern möglich linksschenkelblock "
    "rechtsschenkelblock linkshypertrophie ueberdrehter sonst keine ableitungen sinusbradykardie sinustachykardie "
    "arrhythmie niederspannung verdacht ischämie überdrehter schenkelblock herzfrequenz",
    "sv": "sinusrytm sinustachykardi sinusbradykardi avvikande ospecifikt vänster höger axel normalt och med eller "
    "förmaksflimmer hjärtfrekvens",
}
_WORDS = {language: frozenset(words.split()) for language, words in _TYPICAL_WORDS.items()}
_NAMES = {"de": "German", "sv": "Swedish"}


@dataclass(frozen=True)
class ReportReview:
    """A report checked against a measurement; a statement is ``{"text", "verdict", "reason"}``.

    Attributes:
        report: its text, unchanged.
        language: ``en``, ``de``, ``sv``, ``unknown``, or ``""`` without a report.
        checkable: ``"checked"``, ``"no report"``, or why it could not be checked.
        agreement: statements that the measurement supports.
        conflict: statements that it contradicts or does not support.
        not_measurable: statements that can't be checked.
    """

    report: str = ""
    language: str = ""
    checkable: str = "no report"
    agreement: tuple[dict[str, Any], ...] = field(default=())
    conflict: tuple[dict[str, Any], ...] = field(default=())
    not_measurable: tuple[dict[str, Any], ...] = field(default=())


def language_of(text: str) -> str:
    """The language of a report, by its typical words; ``"unknown"`` if that is not clear.

    Args:
        text: of the report.

    Example:
        >>> language_of("sinusrhythmus normales ekg"), language_of("sinus rhythm. normal ecg."), language_of("4.46")
        ('de', 'en', 'unknown')
    """
    words = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)?", text.lower())
    counts = {language: sum(word in known for word in words) for language, known in _WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] and list(counts.values()).count(counts[best]) == 1 else "unknown"


def review(report: str, measurement: Measurement) -> ReportReview:
    """Check each statement of a report against the measurement.

    The checker reads English only; reports in other languages are kept and marked as not checkable.

    Args:
        report: free text, or ``""``.
        measurement: of the recording it is about.
    """
    if not report.strip():
        return ReportReview(report)
    language = language_of(report)
    if language != "en":
        name = f"the report is {_NAMES[language]}" if language in _NAMES else "the report's language is not known"
        return ReportReview(report, language, f"not checkable: {name}")
    groups: dict[str, list[dict[str, Any]]] = {"agreement": [], "conflict": [], "not_measurable": []}
    group_of = {"supported": "agreement", "contradicted": "conflict", "unsupported": "conflict"}
    for claim in check(report, measurement):
        statement = {"text": claim.text, "verdict": claim.verdict, "reason": claim.reason}
        groups[group_of.get(claim.verdict, "not_measurable")].append(statement)
    return ReportReview(report, language, "checked", **{name: tuple(found) for name, found in groups.items()})
