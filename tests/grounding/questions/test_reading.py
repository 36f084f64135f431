"""What a question names and wants."""

from __future__ import annotations

import pytest

from grounding import EcgError
from grounding.questions import MAX_CHARACTERS, read_question


@pytest.mark.parametrize(
    ("text", "tagged", "kinds", "wants"),
    [
        ("Is there AV block? Which lead shows it?", "Is there <q1>? Which lead shows it?", ["claim"], {"where"}),
        ("LVH?", "<q1>?", ["claim"], set()),
        ("what's the rate", "what's the <q1>", ["quantity"], {"value"}),
        ("Is the PR interval prolonged?", "Is the <q1>?", ["claim"], set()),
        ("What is the PR interval, and is it normal?", "What is the <q1>?", ["quantity"], {"value"}),
        ("How deep is the S wave in V1?", "How deep is the <q1>?", ["amplitude"], {"value"}),
        ("Why is there ST elevation?", "Why is there <q1>?", ["claim"], {"why"}),
        ("What is the QTc (Bazett)?", "What is the <q1>?", ["quantity"], {"value"}),
        ("Describe lead V1", "Describe lead <q1>", ["lead"], set()),
        ("What is the rhythm?", "What is the <q1>?", ["rhythm"], {"value"}),
        ("Any arrhythmia?", "Any <q1>?", ["rhythm"], set()),
        ("Is there sinus arrhythmia?", "Is there <q1>?", ["claim"], set()),
        ("Hat er Vorhofflimmern?", "Hat er <q1>?", ["claim"], set()),
        ("Is this ECG normal?", "Is <q1>?", ["claim"], set()),
        ("Are there P waves?", "Are there <q1>?", ["claim"], set()),
        ("How high are the P waves?", "How high are the <q1>?", ["amplitude"], {"value"}),
        ("Are there P waves in V1?", "Are there <q1>?", ["amplitude"], set()),
        ("Is there a P wave between 2.3 s and 2.5 s?", "Is there a <q1> between 2.3 s and 2.5 s?", ["time"], set()),
        ("Are QRS complexes seen at 2.3 s?", "Are <q1> seen at 2.3 s?", ["time"], set()),
        ("In this 10 s strip, what is the PR?", "In this 10 s strip, what is the <q1>?", ["quantity"], {"value"}),
        ("Is the QRS at 0.10 s normal?", "Is the <q1> normal?", ["claim", "claim"], set()),
        ("There is ST elevation in ____.", "There is <q1> in ____.", ["claim"], {"where"}),
        ("Is there LBBB? Answer yes or no, and say why.", "Is there <q1>?", ["claim"], set()),
        ("Write a report.", "Write a report.", [], {"report"}),
        ("How do planes fly?", "How do planes fly?", [], set()),
    ],
)  # fmt: skip
def test_phrases_become_tags(text: str, tagged: str, kinds: list[str], wants: set[str]) -> None:
    question = read_question(text)
    assert question.tagged == tagged
    assert [link.kind for link in question.links] == kinds
    assert question.wants == wants


def test_leads_belong_to_what_they_are_asked_with() -> None:
    (elevation,) = read_question("Is the ST segment elevated in V2-V3?").links
    assert elevation.statement is not None
    assert elevation.statement.findings == (("st_elevation",),)
    assert elevation.leads == ("V2", "V3")
    (wave,) = read_question("What is the R wave in aVL?").links
    assert (wave.names, wave.leads) == (("r",), ("aVL",))


@pytest.mark.parametrize(
    "layout", ["\nA. 120 ms\nB. 180 ms\nC. It is not measurable", " A) 120 ms B) 180 ms C) can't be told"]
)
def test_options_are_read_in_lines_or_in_one_line(layout: str) -> None:
    question = read_question("Which value is the PR interval?" + layout)
    assert [option.letter for option in question.options] == ["A", "B", "C"]
    assert [option.kind for option in question.options] == ["number", "number", "missing"]
    assert question.tagged == "Which value is the <q1>?"


def test_a_follow_up_is_about_what_was_named_before() -> None:
    history = [("Is there ST elevation in V1?", "No."), ("Why?", "Because.")]
    (link,) = read_question("And in V2?", history).links
    assert link.statement is not None
    assert link.statement.leads == ("V2",)
    assert read_question("Why?", history).links[0].words == "ST elevation in V1"
    assert read_question("LVH?", history).links[0].words == "LVH"
    assert not read_question("What is the weather like?", history).links


@pytest.mark.parametrize(
    "text",
    [
        "What is the patient's potassium?",
        "Should I give digoxin for the AF?",
        "Did the last ECG show LBBB?",
        "Does he have chest pain?",
        "What's her name?",
        "What is the ejection fraction?",
        "Is the LAD blocked?",
        "Does she have a blocked artery?",
        "Will he survive this infarction?",
    ],
)
def test_what_an_ecg_does_not_tell_has_a_reason(text: str) -> None:
    assert read_question(text).topic


@pytest.mark.parametrize("text", ["", "  \n", "?!", "x" * (MAX_CHARACTERS + 1), 7, None])
def test_a_question_that_is_none(text: object) -> None:
    with pytest.raises(EcgError, match="question"):
        read_question(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words", "declined"),
    [
        (
            "Does this ECG show symptoms of atrial fibrillation, excluding uncertain symptoms?",
            ["atrial fibrillation"],
            False,
        ),
        ("Which symptom does this ECG show, LBBB or RBBB?", ["LBBB", "RBBB"], False),
        ("Does he have symptoms of atrial fibrillation?", ["atrial fibrillation"], True),
        ("Does the ECG show symptoms of a stroke?", [], True),
    ],
)
def test_symptoms_that_an_ecg_shows_are_its_findings(text: str, words: list[str], declined: bool) -> None:
    question = read_question(text)
    assert [link.words for link in question.links if link.kind == "claim"] == words
    assert bool(question.topic) is declined
