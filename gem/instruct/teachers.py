"""Teachers write the answers; one registry holds them all. The offline composer is here, the endpoint next door, local models on the model side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from grounding.errors import EcgError
from grounding.facts import Fact
from grounding.registry import Registry

from .lessons import Lesson, Turn, answers

SYSTEM_PROMPT = """You write training data about 12-lead ECGs. You are given the facts of one recording, one a line, as <tag> = meaning.
Answer the question in plain English sentences, as a cardiologist would say it.
Cite facts by their tags: write <pr> where its value belongs. Never write a number yourself, and say nothing that the facts do not say.
One statement per sentence. No headings, no lists, no advice."""


class TeacherError(EcgError):
    """A teacher that gave no answer this time: the lesson is recorded as failed and can be tried again."""


class TeacherConfigError(EcgError):
    """A teacher that will never answer as it is set up (a wrong key, model or address): the run stops."""


class Teacher(Protocol):
    """What answers lessons. Instances travel to worker processes, so they must be picklable.

    Attributes:
        name: written into every row.
        concurrency: how many lessons a worker may ask at the same time.
    """

    @property
    def name(self) -> str: ...

    @property
    def concurrency(self) -> int: ...

    def answer(self, lesson: Lesson) -> list[str]:
        """One answer per turn, with tags or plain.

        Raises:
            TeacherError: no answer this time.
            TeacherConfigError: there never will be one.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What a repeated run must have in common with this one; no secrets."""
        ...


teachers: Registry[Callable[..., Teacher]] = Registry("teacher")


@dataclass(frozen=True)
class Composer:
    """Offline: puts the lesson's own wordings together; the same for the same seed and recording."""

    name: str = "composer"
    concurrency: int = 1

    def answer(self, lesson: Lesson) -> list[str]:
        return answers(lesson)

    def describe(self) -> dict[str, Any]:
        return {"teacher": self.name}


@teachers.register
def composer(**_: Any) -> Teacher:
    """the offline composer: no network, no model"""
    return Composer()


def fact_lines(items: Sequence[Fact]) -> str:
    """The facts as a language model reads them: tag and meaning, one a line."""
    return "\n".join(f"{fact.tag} = {fact.text}" for fact in items)


def request_text(turn: Turn, items: Sequence[Fact] = ()) -> str:
    """A turn as a language model is asked it: the facts (with the first turn), the question, and how the answer must begin."""
    said = [f"Facts:\n{fact_lines(items)}\n"] if items else []
    said.append(f"Question: {turn.question}")
    if turn.key:
        said.append(f"Begin your answer with exactly: {turn.key}")
    return "\n".join(said)


def chat(lesson: Lesson, written: Sequence[str]) -> list[dict[str, str]]:
    """The conversation up to the next question: system, facts and first question, and the answers so far."""
    out = [{"role": "system", "content": SYSTEM_PROMPT}]
    for number, turn in enumerate(lesson.turns[: len(written) + 1]):
        out.append({"role": "user", "content": request_text(turn, () if number else lesson.items)})
        if number < len(written):
            out.append({"role": "assistant", "content": written[number]})
    return out
