"""What a question says of a finding beside its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Answer = Callable[..., str]


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("ptbxl_286", "Is the LBBB new?"),
        ("ptbxl_286", "Is there a new LBBB?"),
        ("ptbxl_330", "Is the AF paroxysmal?"),
        ("ptbxl_330", "Is the AF chronic?"),
        ("ptbxl_102", "Is there marked ST depression?"),
        ("ptbxl_102", "Is the AV block dangerous?"),
        ("ptbxl_102", "Is it first-degree AV block due to ischaemia?"),
        ("ptbxl_413", "Are PVCs frequent?"),
        ("ptbxl_413", "Are the PVCs monomorphic?"),
    ],
)
def test_what_a_recording_does_not_tell_of_a_finding(name: str, question: str, answer: Answer) -> None:
    said = answer(name, question)
    assert said.startswith(("It can't be told whether there is ", "The recording shows "))
    assert not said.startswith("Yes")
    assert answer("ptbxl_13", question).startswith(("No", "The recording shows no "))  # what is not there, is not new


def test_q_waves_are_of_an_old_infarction(answer: Answer) -> None:
    assert answer("ptbxl_139", "Is the inferior infarction old?").startswith("Yes, the recording shows inferior")
    assert not answer("ptbxl_139", "Is the inferior infarction recent?").startswith("Yes")


def test_a_kind_that_is_not_told_apart(answer: Answer) -> None:
    for question in ("Is it Mobitz I?", "Is it Mobitz II?", "Is there high grade AV block?", "Is there 2:1 AV block?"):
        assert answer("ptbxl_102", question).startswith(("No", "It can't be told")), question


def test_complete_and_incomplete_blocks(answer: Answer) -> None:
    assert answer("ptbxl_424", "Is the RBBB incomplete?").startswith("No, the recording shows no incomplete right")
    assert answer("ptbxl_424", "Is the RBBB complete?").startswith("Yes, the recording shows complete right")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        # ST in V5 -0.12 mV, in V6 -0.09 mV; T in V5 -0.14 mV, in V6 -0.11 mV
        ("Is ST depressed by more than 2 mm in V5?", "No. ST amplitude in V5 is -0.12 mV."),
        ("Is ST depression at least 1 mm in V6?", "No. ST amplitude in V6 is -0.09 mV."),
        ("Is ST depressed by more than 1 mm in V5?", "Yes. ST amplitude in V5 is -0.12 mV."),
        ("Is the T wave inversion in V5 more than 5 mm deep?", "No. T amplitude in V5 is -0.14 mV."),
        ("Is the ST depression in V6 deeper than in V5?", "No. ST amplitude in V6 -0.09 mV, "),
        ("Is the ST depression deeper in V5 than in V6?", "Yes. ST amplitude in V5 -0.12 mV, "),
        ("Is the T inversion deeper in V6 than in V5?", "No. T amplitude in V6 -0.11 mV, "),
    ],
)
def test_amounts_count(question: str, said: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question).startswith(said)


def test_what_is_there_is_not_gone(answer: Answer) -> None:
    assert answer("ptbxl_102", "Is the ST depression gone?") == "No. The recording shows ST depression."
