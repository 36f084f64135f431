"""Questions in many wordings."""

from __future__ import annotations

import random

import grounding
from gem.data.questions import WEIGHTS, answer_example, fill, random_question, templates


def test_held_out_wordings_are_not_trained_on() -> None:
    parts = templates()
    assert set(parts["train"]) == set(parts["held_out"]) == set(WEIGHTS)
    for kind in WEIGHTS:
        assert not {text.lower() for text in parts["train"][kind]} & {text.lower() for text in parts["held_out"][kind]}


def test_nearly_every_question_is_read() -> None:
    pick = random.Random(0)
    for kind in WEIGHTS:
        read = [random_question(kind, pick) for _ in range(50)]
        if kind == "decline":
            assert all(question.topic or not question.links for question in read)
        elif kind == "report":
            assert all("report" in question.wants and not question.links for question in read)
        else:
            assert sum(bool(question.links or question.options) for question in read) >= 45, kind


def test_no_number_is_learned() -> None:
    pick = random.Random(1)
    measurement = grounding.measure(grounding.read_record(grounding.sample_path()))
    for _ in range(300):
        prompt, answer = answer_example(pick, [measurement])
        assert prompt.startswith("Facts: ")
        bare = "".join(part.partition(">")[2] for part in answer.split("<")[1:])
        assert not any(char.isdigit() for char in bare), answer


def test_the_same_seed_gives_the_same_examples() -> None:
    assert answer_example(random.Random(5)) == answer_example(random.Random(5))


def test_given_slots_are_used() -> None:
    assert "V4" in fill("amplitude", random.Random(2), "held_out", w="R wave", l="V4")
