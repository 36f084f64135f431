"""Facts of a recording with tags and evidence, texts composed of tags, their resolution, and the report."""

from __future__ import annotations

from .composing import compose
from .facts import (
    CATEGORY_WORDS,
    DIAGNOSIS_TAGS,
    FINDING_TAGS,
    ORDINARY,
    TAGS,
    VALUES,
    Fact,
    ReportSentence,
    facts,
    listed,
    prompt,
    resolve,
)
from .opinion import DIAGNOSES, agreement, opinion_words, suggested
from .report import report

__all__ = [
    "CATEGORY_WORDS",
    "DIAGNOSES",
    "DIAGNOSIS_TAGS",
    "FINDING_TAGS",
    "ORDINARY",
    "TAGS",
    "VALUES",
    "Fact",
    "ReportSentence",
    "agreement",
    "compose",
    "facts",
    "listed",
    "opinion_words",
    "prompt",
    "report",
    "resolve",
    "suggested",
]
