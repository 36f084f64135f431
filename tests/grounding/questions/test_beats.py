"""Single beats, and how many there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grounding import Measurement
from grounding.questions import plan, read_question

from .conftest import measured

Answer = Callable[..., str]


@pytest.fixture(scope="module")
def ectopic() -> Measurement:
    """Eleven beats, of which one is premature."""
    return measured("ptbxl_413")


@pytest.fixture(scope="module")
def place(ectopic: Measurement) -> int:
    """Which beat is premature, from 1."""
    return [kind == "premature_ventricular" for kind in ectopic.beats["type"]].index(True) + 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Are all beats PVCs?", "No."),
        ("Are there 5 PVCs?", "No."),
        ("Are there more than 3 PVCs?", "No."),
        ("Is there at least 1 PVC?", "Yes."),
        ("Are there fewer than two PVCs?", "Yes."),
        ("Are there no more than 2 PVCs?", "Yes."),
        ("Are there more than 0 PVCs?", "Yes."),
        ("Are there runs of PVCs?", "No."),
        ("Are there couplets of PVCs?", "No."),
        ("Is the second beat a PVC?", "No. Beat 2 (R at "),
        ("How many PVCs are there?", "The number of premature ventricular beats is 1, at "),
        ("What is the PVC burden?", "The share of premature ventricular beats is 9 % (1 of 11 beats)."),
        ("How many beats are premature?", "The number of premature beats is 1, at "),
        ("Which beat is premature?", "Premature beats: beat "),
        ("How many beats are there?", "The number of beats is 11."),
        ("Is beat 2 normal?", "Yes. Beat 2 (R at "),
    ],
)
def test_counts(question: str, said: str, answer: Answer) -> None:
    assert answer("ptbxl_413", question).startswith(said)


def test_premature_beats_within_a_stretch(ectopic: Measurement, place: int, answer: Answer) -> None:
    at = float(ectopic.beats["r_s"].iloc[place - 1])
    last = ectopic.duration_s - at
    assert answer(ectopic, f"Is there a PVC in the last {last + 0.3:.1f} seconds?").startswith("Yes.")
    assert answer(ectopic, f"Is there a PVC in the last {last - 0.3:.1f} seconds?").startswith("No.")
    inside = int((ectopic.beats["r_s"] <= 6.0).sum())
    assert (
        answer(ectopic, "How many beats in the first 6 seconds?") == f"The number of beats from 0 to 6 s is {inside}."
    )
    assert answer(ectopic, f"Is beat {place} a PVC?").startswith("Yes.")


def test_values_of_single_beats(ectopic: Measurement, answer: Answer) -> None:
    row = ectopic.beats.iloc[1]
    for question, column, unit in (
        ("What is the QRS duration of beat 2?", "qrs_ms", "ms"),
        ("RR interval before the second beat?", "rr_prev_ms", "ms"),
        ("What is the RR between beat 1 and 2?", "rr_prev_ms", "ms"),
    ):
        assert answer(ectopic, question).endswith(f" is {row[column]:.0f} {unit}."), question
        (asked,) = [item for item in plan(read_question(question), ectopic).items if item.tag == "<v1>"]
        assert 1 in asked.evidence[0].beats
        assert asked.evidence[0].spans_s
    first = ectopic.beats[ectopic.beats["r_s"] <= 5.0]["rr_prev_ms"].iloc[1:]
    assert answer(ectopic, "What is the heart rate in the first 5 seconds?").endswith(
        f" is {60000 / first.mean():.0f} bpm."
    )
    assert "median beat" in answer(ectopic, "What is the R wave in V5 of beat 2?")
    assert "has 11 beats" in answer(ectopic, "What is the PR of beat 99?")
    assert "no beat before it" in answer(ectopic, "RR interval before beat 1?")
    mean = 60000 / ectopic.beats["rr_prev_ms"].iloc[2:5].mean()
    assert answer(ectopic, "What is the heart rate from beat 2 to beat 5?").endswith(f" is {mean:.0f} bpm.")


def test_the_third_wave_has_its_time(ectopic: Measurement, answer: Answer) -> None:
    onset = ectopic.beats["qrs_onset"].iloc[2] / ectopic.fs
    assert answer(ectopic, "When is the 3rd QRS?").startswith(f"The third QRS complex is seen from {onset:.2f} to ")
    time = ectopic.beats["r_s"].iloc[4]
    assert answer(ectopic, "At what time is the fifth beat?") == f"The R peak of beat 5 is at {time:.2f} s."
