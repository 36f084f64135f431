"""The benchmark of answers."""

from __future__ import annotations

from functools import partial

import pytest

import gem
import grounding
from gem.data.samples import Sample
from gem.evaluation.answers import evaluate_answers, has_bare_number, is_right
from gem.evaluation.exam import TASKS, ExamItem, clinicians_exam, compose_exam


def _bundled(name: str) -> grounding.ECGRecord:
    return grounding.read_record(grounding.sample_path(name))


def item(kind: str, *truth: str) -> ExamItem:
    return ExamItem("feature", "open", "?", kind, truth)


@pytest.mark.parametrize(
    ("kind", "truth", "text", "declined", "right"),
    [
        ("number", ("62 ms",), "The PR interval is 162 ms.", False, False),
        ("number", ("0.15 mV",), "The T wave is -0.15 mV.", False, False),
        ("presence", ("no",), "No, the recording shows no LVH.", False, True),
        ("presence", ("unknown",), "Yes, the recording shows LVH.", False, False),
        ("presence", ("unknown",), "It can't be told whether there is LVH: no lead.", True, True),
        ("where", ("yes", "V2"), "Yes, the recording shows X. It is seen best in V3 (ST 0.2 mV) and V2.", False, False),
        ("where", ("yes", "V2"), "Yes, the recording shows X. It is seen best in V2 (ST 0.2 mV).", False, True),
        ("choice", ("B",), "A) 80 ms. B) 90 ms.", False, False),
        ("choice", ("B",), "B) 90 ms.", False, True),
        ("declined", (), "The potassium is high.", False, False),
        ("report", ("75 bpm",), "Summary: sinus rhythm at 75 bpm.", False, True),
    ],
)  # fmt: skip
def test_judging(kind: str, truth: tuple[str, ...], text: str, declined: bool, right: bool) -> None:
    assert is_right(item(kind, *truth), text, declined) is right


def test_numbers_without_evidence() -> None:
    assert has_bare_number("The PR interval is 162 ms.", False)
    assert not has_bare_number("The PR interval is 162 ms.", True)
    assert not has_bare_number("Seen in V1 and V2.", False)


def test_every_task_composes_the_same_question_again() -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path()))
    for task in TASKS:
        for seed in range(8):
            assert compose_exam(task, measurement, seed) == compose_exam(task, measurement, seed)
    assert len(clinicians_exam(measurement)) == 90


def test_the_bundled_model_on_bundled_records() -> None:
    names = ("ptbxl_13", "ptbxl_424")
    samples = [
        Sample(name, name, None, None, None, (), (), (), (), {}, "", "raw", partial(_bundled, name)) for name in names
    ]
    figures = evaluate_answers(gem.load("gem-nano"), samples, questions=6, by_hand=0)
    assert figures["n"] == 6 * len(TASKS)
    assert figures["numbers_without_evidence"] == 0
    right = sum(part["right"] * part["n"] for part in figures["by_task"]) / figures["n"]
    alone = sum(part["decoder"] * part["n"] for part in figures["by_task"]) / figures["n"]
    assert right >= 0.95, figures["wrong"]
    assert alone >= 0.8
