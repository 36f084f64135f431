"""Options: what is not so, several things at once, other marks than capitals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grounding.questions import read_question

Answer = Callable[..., str]
OPTIONS = "\nA. First-degree AV block\nB. ST depression\nC. Atrial fibrillation\nD. T wave inversion"


@pytest.mark.parametrize(
    ("stem", "chosen"),
    [
        ("Which of these is NOT present?", "C"),
        ("Which is false?", "C"),
        ("Which finding is absent?", "C"),
        ("All of the following are true except", "C"),
        ("Which can be excluded?", "C"),
        ("Welche Aussage ist falsch?", "C"),
        ("Which can not be excluded?", "ABD"),
        ("Which of these are present?", "ABD"),
    ],
)
def test_what_is_not_so(stem: str, chosen: str, answer: Answer) -> None:
    said = answer("ptbxl_102", stem + OPTIONS)
    assert [letter for letter in "ABCD" if f"{letter}) " in said] == list(chosen)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Is the PR prolonged and the QRS wide? A. Yes B. No", "B) No."),
        ("Is the PR prolonged or the QRS wide? A. Yes B. No", "A) Yes."),
        ("Is it false that there is AV block? A. Yes B. No", "B) No."),
        ("Is the AV block new? A. Yes B. No C. can't be told", "C) can't be told."),
        ("Are there more than 3 PVCs? A. Yes B. No", "B) No."),
        ("Which is present?\na) AV block\nb) AF", "A) AV block."),
        ("The axis is (a) left (b) normal (c) right", "B) normal."),
        ("Which is present?\n1. LBBB\n2. AV block", "B) AV block."),
    ],
)
def test_yes_and_no_and_marks(question: str, said: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question).startswith(said)


def test_a_list_of_questions_has_no_options() -> None:
    question = read_question("1) What is the rate?\n2) What is the rhythm?")
    assert not question.options
    assert len(question.links) == 2
