"""The rule's answer to a question about a bundled recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import pytest

import grounding
from grounding import Measurement
from grounding.facts import resolve
from grounding.questions import compose_answer, faults, plan, read_question


@lru_cache(maxsize=16)
def measured(name: str, leads: tuple[str, ...] = ()) -> Measurement:
    record = grounding.read_record(grounding.sample_path(name))
    return grounding.measure(record.select(list(leads)) if leads else record)


def answer_about(measurement: Measurement | str, question: str, history: Sequence[tuple[str, str]] = (), /) -> str:
    made = plan(
        read_question(question, history), measured(measurement) if isinstance(measurement, str) else measurement
    )
    tagged = compose_answer(made)
    if not made.is_report:
        assert not faults(tagged, made), question
    return " ".join(sentence.text for sentence in resolve(tagged, made.items))


@pytest.fixture(scope="session")
def answer() -> Callable[..., str]:
    """A function of the name of a bundled recording (or a measurement) and a question."""
    return answer_about
