"""Reading labels in the answers of language models."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from .items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, Score

INSERTED = "\u27e6\u27e7"  # stand around what code put into an answer
_REFUSAL = re.compile(
    r"\b(?:can(?:not|['\u2019]t| not)|unable to|won['\u2019]t|am not able to|not qualified to)\b[^.]{0,40}"
    r"\b(?:answer\w*|tell|told|say|determine\w*|provide|help|assist|interpret|analy[sz]e|diagnose|view|see)\b"
    r"|\bas an ai\b|\bconsult a (?:doctor|physician|cardiologist)\b",
    re.I,
)


def json_object(answer: str) -> dict[str, Any]:
    """The first JSON object of an answer; empty where it has none.

    Args:
        answer: any text.

    Example:
        >>> json_object('Here it is: {"I": [0.1]}. That is all.'), json_object("{no}")
        ({'I': [0.1]}, {})
    """
    start = answer.find("{")
    try:
        found: dict[str, Any] = json.JSONDecoder().raw_decode(answer[start:])[0] if start >= 0 else {}
    except (ValueError, RecursionError):
        return {}
    return found


def without_marks(answer: str) -> str:
    """An answer without the marks around what code put into it.

    Args:
        answer: any text.
    """
    return re.sub(f"[{INSERTED}]", "", answer)


def jaccard(one: Collection[str], other: Collection[str]) -> float:
    """Size of the intersection of two sets of labels over that of their union; 1 if both are empty.

    Args:
        one: labels.
        other: labels.

    Example:
        >>> jaccard(["a", "b"], ["b"])
        0.5
    """
    first, second = set(one), set(other)
    return len(first & second) / len(first | second) if first | second else 1.0


def refuses(answer: str) -> bool:
    """Whether an answer says that it can't be given.

    Args:
        answer: any text.

    Example:
        >>> refuses("I'm unable to interpret medical images."), refuses("No.")
        (True, False)
    """
    return _REFUSAL.search(answer) is not None


def _refuses_first(answer: str) -> bool:
    refusal, first = _REFUSAL.search(answer), re.search(r"\b(?:yes|no)\b", answer, re.I)
    return refusal is not None and first is not None and refusal.start() < first.start()


def named_labels(answer: str, options: Sequence[str]) -> tuple[str, ...]:
    """The options that an answer names as whole words; a longer one hides the shorter ones in it.

    Args:
        answer: any text; what follows the last "answer:" counts, if it has one.
        options: the labels.

    Example:
        >>> named_labels("Answer: QT corrected, pr interval.", ["pr interval", "qt corrected", "none"])
        ('pr interval', 'qt corrected')
        >>> named_labels("abnormal", ["normal", "abnormal"])
        ('abnormal',)
    """
    text = re.split(r"\banswers?(?: is| are)?\s*:", answer, flags=re.I)[-1]
    found = []
    for option in sorted(options, key=len, reverse=True):
        pattern = re.compile(rf"(?<!\w){re.escape(option)}(?!\w)", re.I)
        if option and pattern.search(text):
            found.append(option)
            text = pattern.sub(" ", text)
    return tuple(sorted(found))


def choice_score(item: Item, answer: str) -> Score:
    """Compare the labels that an answer names with the true ones.

    Yes-or-no questions are decided by the first yes or no; an answer that says before it that it can't be given is a
    refusal ("It can't be told: no P wave is seen").

    Args:
        item: with options.
        answer: any text.

    Returns:
        ``exact`` and ``jaccard``.
    """
    labels = named_labels(answer, item.options)
    words = {label.lower(): label for label in labels if label.lower() in ("yes", "no")}
    if len(labels) > 1 and not item.multiple and words:
        first = re.search(r"\b(yes|no)\b", answer, re.I)
        labels = (words.get(first[1].lower(), first[1].lower()),) if first else labels
    if words and not item.multiple and _refuses_first(answer):
        labels = ()
    return set_score(item, answer, labels)


def set_score(item: Item, answer: str, labels: Sequence[str]) -> Score:
    """Whether labels are the true ones, as a set.

    Args:
        item: with the true ones.
        answer: in which they were read.
        labels: that were read.

    Returns:
        ``exact`` and ``jaccard``.
    """
    right = set(labels) == set(item.truth)
    wrong = WRONG_VALUE if labels else REFUSED if refuses(answer) else WRONG_FORMAT
    values = {"exact": float(right), "jaccard": jaccard(labels, item.truth)}
    return Score(values, None if right else wrong, tuple(labels))
