"""Values held against each other, leads in which something holds, other values and units than the usual."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grounding.questions import read_question

from .conftest import measured

Answer = Callable[..., str]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        # PR 245, QRS 99, QT 393, RR 721, P 140 ms; R in V5 2.19, in V6 1.95, in V1 0.09 mV
        ("Is the PR longer than the QRS?", "Yes. The PR interval is 245 ms and the QRS duration is 99 ms."),
        ("Is the PR shorter than the QRS?", "No."),
        ("Is the QT longer than half the RR interval?", "Yes."),
        ("Which is longer, PR or QRS?", "Larger of the two: the PR interval ("),
        ("Which is larger, R in V5 or in V6?", "The R-wave amplitude of V5 and V6 is largest in V5, with 2.19 mV."),
        ("Which chest lead has the tallest R?", "The R-wave amplitude of V1, V2, V3, V4, V5 and V6 is largest in V4"),
        ("Which lead has the smallest R wave?", "The R-wave amplitude is smallest in V1, with 0.09 mV."),
        ("Which leads have positive T waves?", "Leads with positive T: II, III, aVF, V1, V2, V3 and V4."),
        ("In which leads is R taller than 1 mV?", "Leads with R taller than 1 mV: I, II, V4, V5 and V6."),
        ("Which leads do not show T wave inversion?", "Leads without T wave inversion: I, II, III, aVF, V1"),
        ("Which leads have negative QRS?", "Leads with negative QRS: III, aVR, V1, V2 and V3."),
        ("How many leads show ST depression?", "Number of leads with ST depression: 3 (I, V5 and V6)."),
        ("In how many leads is T inverted?", "Number of leads with inverted T waves: 5 "),
        ("How many T waves are inverted?", "Number of leads with inverted T waves: 5 "),
        ("Is the P wave longer than 120 ms?", "Yes. P duration is 140 ms."),
        ("How wide is the P wave?", "The P-wave duration is 140 ms."),
        ("What is the ST segment duration?", "ST duration can't be told"),
        ("How long is the T wave?", "T wave duration can't be told"),
        ("What is the P terminal force in V1?", "P wave terminal force can't be told"),
        ("What is the P wave area in V1?", "P area can't be told"),
        ("What is the standard deviation of RR?", "The standard deviation of the RR intervals is "),
        ("How many dropped beats are there?", "The number of P waves that no QRS follows is 0."),
        ("What is the PR interval in seconds?", "The PR interval is 245 ms (prolonged), that is 0.245 s."),
        ("What is the R wave in V5 in mm?", "The R-wave amplitude in V5 is 2.19 mV, that is 21.9 mm at 10 mm/mV."),
    ],
)  # fmt: skip
def test_what_is_asked_is_answered(question: str, said: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question).startswith(said)


def test_the_lowest_and_the_highest_rate(answer: Answer) -> None:
    said = answer("ptbxl_102", "What are the minimum and maximum heart rate?")
    assert "longest RR interval" in said
    assert "shortest RR interval" in said
    assert said.count("bpm)") == 2


def test_a_wave_in_every_lead(answer: Answer) -> None:
    said = answer("ptbxl_102", "List the R wave amplitude in all leads.")
    for lead, value in measured("ptbxl_102").lead_summary.set_index("lead")["r_mv"].items():
        assert f"{value:.2f} mV in {lead}" in said


def test_more_than_is_answered_is_told() -> None:
    assert read_question("PR? QRS? QT? QTc? rate? axis? LBBB?").more
    assert not read_question("PR? QRS? QT?").more
