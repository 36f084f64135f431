"""Limits of values, exact and for a sex, and what is known of errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from .conftest import measured

Answer = Callable[..., str]


@pytest.mark.parametrize(
    "question",
    ["What is the limit for a prolonged PR?", "What is the normal PR interval?", "At what value is the PR prolonged?"],
)
def test_limits(question: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question) == "Limits of the PR interval: short below 120 ms; prolonged above 200 ms."


def test_the_sex_that_a_question_names(answer: Answer) -> None:
    assert "prolonged from 460 ms" in answer("ptbxl_102", "What is the normal QTc for women?")
    assert "prolonged from 450 ms" in answer("ptbxl_286", "What is the normal QTc for men?")
    between = measured("ptbxl_102")
    between = replace(between, sex=None, intervals={**between.intervals, "qtc_fridericia": 455.0})
    assert answer(between, "Is the QTc prolonged?").startswith("It can't be told")
    assert answer(between, "Is the QTc prolonged for a woman?").startswith("No.")
    assert answer(between, "Is the QTc prolonged for a man?").startswith("Yes.")


def test_the_error_is_not_the_value(answer: Answer) -> None:
    for question in ("What is the margin of error of the PR?", "How accurate is the QT measurement?"):
        assert "can't be measured here: it is not known" in answer("ptbxl_102", question)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        # PR 245, QRS 99 ms, QTc 439 (Fridericia) and 463 ms (Bazett), axis 23 degrees
        ("Is the QRS between 105 and 120 ms?", "No. The QRS duration is 99 ms"),
        ("Is the PR between 200 and 240 ms?", "No. The PR interval is 245 ms"),
        ("Is the PR over 240 ms?", "Yes. The PR interval is 245 ms"),
        ("Is the axis between 30 and 90 degrees?", "No. The QRS axis is 23 degrees"),
        ("Is the QTc over 445 ms?", "No. The QTc (Fridericia) is 439 ms"),
        ("Is the QTc (Bazett) over 445 ms?", "Yes. "),
        ("Is the PR longer than normal?", "Yes. The PR interval is 245 ms"),
        ("Is the QRS wider than normal?", "No. The QRS duration is 99 ms"),
        ("Is the PR shorter than normal?", "No. The PR interval is 245 ms"),
        ("Are any intervals prolonged?", "Yes. PR interval is 245 ms."),
        ("Which intervals are abnormal?", "Yes. PR interval is 245 ms."),
        ("Are all intervals normal?", "No. PR interval is 245 ms."),
    ],
)
def test_limits_are_exact_and_any_is_not_all(question: str, said: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question).startswith(said)
