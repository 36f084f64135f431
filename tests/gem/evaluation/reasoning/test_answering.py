"""Protocols, and answers on a bundled recording."""

from __future__ import annotations

import pytest

from gem.evaluation.reasoning import Reasoner, Step
from gem.evaluation.reasoning.answering import load_protocols, protocol_for
from gem.evaluation.reasoning.questions import read_sign
from grounding import measure, read_record, sample_path


@pytest.fixture(scope="module")
def reasoner() -> Reasoner:
    return Reasoner(read_record(sample_path()))


@pytest.mark.parametrize(
    ("diagnosis", "met", "state"),
    [
        ("anterior ischemia", [False], 1),
        ("anterior ischemia", [True], "present"),
        ("complete right bundle branch block", [True, True], 3),
        ("complete right bundle branch block", [True, False], 2),
        ("left anterior fascicular block", [True], "absent"),
        ("left ventricular hypertrophy", [True, True, False], "present"),
        ("left ventricular hypertrophy", [False, True, False], 3),
        ("left ventricular hypertrophy", [False, False, False], "absent"),
        ("right ventricular hypertrophy", [True], 3),
        ("typical premature atrial complexes", [True, False], "present"),
    ],
)
def test_protocols(diagnosis: str, met: list[bool], state: str | int) -> None:
    protocol = protocol_for(f"Does this ECG suggest the presence of {diagnosis}?")
    assert protocol is not None
    assert Reasoner._walk(protocol, met) == state


def test_every_protocol_ends_and_names_known_signs(reasoner: Reasoner) -> None:
    for protocol in load_protocols():
        for step in protocol["steps"]:
            sign = Reasoner._sign_of(step)
            assert isinstance(reasoner._sign(sign), bool)
            assert sign.leads or hasattr(reasoner.signs, f"_is_{sign.name}") or sign.name.startswith("premature"), step
        assert isinstance(reasoner._diagnose(protocol["names"][0]), bool)


def test_stretch_range_and_decision(reasoner: Reasoner) -> None:
    m = measure(read_record(sample_path()))
    _, start, end = reasoner.signs.spans("QRS")[2]
    _, t_start, t_end = reasoner.signs.spans("T")[2]
    options = (f"[{t_start:.2f}s - {t_end:.2f}s]", f"[{start:.2f}s - {end:.2f}s]")
    asked = Step("wave_grounding", "In which of the following segments can you locate the QRS complex?", options)
    assert reasoner.answer(asked, []) == options[1]
    asked = Step("wave_grounding", "In which of the following segments can you locate the T wave?", options)
    assert reasoner.answer(asked, []) == options[0]
    assert m.heart_rate is not None
    rates = (
        f"Below {m.heart_rate - 5:.0f} bpm",
        f"[{m.heart_rate - 5:.0f} bpm - {m.heart_rate + 5:.0f} bpm]",
        f"Above {m.heart_rate + 5:.0f} bpm",
    )
    assert (
        reasoner.answer(Step("measurement_grounding", "Which range does the measured heart rate fall into?", rates), [])
        == rates[1]
    )
    found = Step("finding_identification", "Is the PR interval prolonged?", ("Yes", "No"), "Yes")
    first = Step("finding_identification", "Is every P wave followed by a QRS complex?", ("Yes", "No"), "Yes")
    decision = Step(
        "diagnostic_decision",
        "Does this ECG suggest first degree AV block?",
        ("Yes", "No", "Further findings are required"),
    )
    assert reasoner.answer(decision, [first]) == "Further findings are required"
    assert reasoner.answer(decision, [first, found]) == "Yes"


def test_criterion_follows_the_protocol_not_the_order(reasoner: Reasoner) -> None:
    options = (
        "Prolongation of the QT interval",
        "Progressive prolongation of the PR interval",
        "PR interval prolonged",
    )
    met = Step("finding_identification", "Is every P wave followed by a QRS complex?", ("Yes", "No"), "Yes")
    for turned in (options, options[::-1]):
        asked = Step(
            "criterion_selection",
            "Which other criterion should be evaluated to diagnose first degree AV block?",
            turned,
        )
        assert reasoner.answer(asked, [met]) == "PR interval prolonged"
    assert read_sign(options[0]).name != "pr_long"


def test_its_own_answer_is_not_read(reasoner: Reasoner) -> None:
    for truth in ("Yes", "No", None):
        asked = Step("finding_identification", "Is the QRS duration prolonged on this ECG?", ("Yes", "No"), truth)
        assert reasoner.answer(asked, []) == "No"
