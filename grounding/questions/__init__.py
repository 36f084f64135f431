"""Questions about a recording: what they ask, the facts for an answer, answers by rule, and the check of an answer."""

from __future__ import annotations

from .answers import compose_answer, declines, faults
from .facts import ANSWER_TAGS, Asked, Plan, plan, question_prompt
from .opinions import encoder_opinion
from .parsed import Link, Option, Question
from .reading import MAX_CHARACTERS, read_question

__all__ = [
    "ANSWER_TAGS",
    "MAX_CHARACTERS",
    "Asked",
    "Link",
    "Option",
    "Plan",
    "Question",
    "compose_answer",
    "declines",
    "encoder_opinion",
    "faults",
    "plan",
    "question_prompt",
    "read_question",
]
