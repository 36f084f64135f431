"""Teachers write the answers. The registry, and the offline composer; ``endpoint`` and ``local_models`` add others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from grounding.errors import EcgError
from grounding.facts import Fact
from grounding.registry import Registry

from .lessons import Lesson, Turn, answers

SYSTEM_PROMPT = (
    "You write training data about 12-lead ECGs. "
    "You are given the facts of one recording, one a line, as <tag> = meaning.\n"
    "Answer the question in plain English sentences, as a cardiologist would say it.\n"
    "Cite facts by their tags: write <pr> where its value belongs. "
    "Never write a number yourself, and say nothing that the facts do not say.\n"
    "One statement per sentence. No headings, no lists, no advice."
)


class TeacherError(EcgError):
    """A teacher gave no answer; the lesson is recorded as failed and can be retried."""


class TeacherConfigError(EcgError):
    """A teacher can't work with its settings (a wrong key, model or address); the run stops."""


class Teacher(Protocol):
    """Answers lessons. Instances are sent to worker processes, so they must be picklable."""

    @property
    def name(self) -> str:
        """Written into every row."""
        ...

    @property
    def concurrency(self) -> int:
        """Number of lessons that a worker may send at the same time."""
        ...

    def answer(self, lesson: Lesson) -> list[str]:
        """Answer a lesson.

        Args:
            lesson: the questions and facts.

        Returns:
            One answer per turn, with tags or plain.

        Raises:
            TeacherError: no answer this time.
            TeacherConfigError: the teacher can't work with its settings.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The settings that a resumed run must share, without secrets."""
        ...


teachers: Registry[Callable[..., Teacher]] = Registry("teacher")


@dataclass(frozen=True)
class Composer:
    """Offline: composes answers from the lesson's wordings; the same for the same seed and recording."""

    name: str = "composer"
    concurrency: int = 1

    def answer(self, lesson: Lesson) -> list[str]:
        """See ``Teacher``."""
        return answers(lesson)

    def describe(self) -> dict[str, Any]:
        """See ``Teacher``."""
        return {"teacher": self.name}


@teachers.register
def composer(**_: Any) -> Teacher:
    """The offline composer: no network, no model."""
    return Composer()


def fact_lines(items: Sequence[Fact]) -> str:
    """The facts for a language model: tag and meaning, one per line.

    Args:
        items: the facts.
    """
    return "\n".join(f"{fact.tag} = {fact.text}" for fact in items)


def request_text(turn: Turn, items: Sequence[Fact] = ()) -> str:
    """A turn for a language model: the facts (with the first turn), the question, and how the answer must begin.

    Args:
        turn: the question.
        items: the facts.
    """
    lines = [f"Facts:\n{fact_lines(items)}\n"] if items else []
    lines.append(f"Question: {turn.question}")
    if turn.key:
        lines.append(f"Begin your answer with exactly: {turn.key}")
    return "\n".join(lines)


def chat(lesson: Lesson, written: Sequence[str]) -> list[dict[str, str]]:
    """The conversation up to the next question, as chat messages.

    Args:
        lesson: the questions and facts.
        written: the answers so far.
    """
    out = [{"role": "system", "content": SYSTEM_PROMPT}]
    for number, turn in enumerate(lesson.turns[: len(written) + 1]):
        out.append({"role": "user", "content": request_text(turn, () if number else tuple(lesson.items.values()))})
        if number < len(written):
            out.append({"role": "assistant", "content": written[number]})
    return out
