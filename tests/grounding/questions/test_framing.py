"""What stands around a question, and what makes it one about the last."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grounding.questions import read_question

Answer = Callable[..., str]


@pytest.mark.parametrize(
    "question",
    [
        "Yes or no: is there AV block?",
        "Yes or no, is there AV block?",
        "Just say yes or no: is there AV block?",
        "Yes/no: AV block?",
        "Not sure about this: is there AV block?",
        "No jokes please: is there AV block?",
        "Doesn't this ECG show AV block?",
        "Isn't there AV block?",
        "Don't you see AV block?",
        "A 64-year-old man with chest pain: is there AV block?",
        "In a patient with syncope, is there AV block?",
        "He takes digoxin; is there AV block?",
        "The patient has hypertension. Is there AV block?",
        "Before surgery: is there AV block?",
    ],
)
def test_what_is_around_a_question_is_not_its_answer(question: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question).startswith("Yes, the recording shows first-degree AV block.")
    assert "wave" not in answer("ptbxl_102", question).split("Measured:")[0]


def test_a_statement_keeps_its_denial(answer: Answer) -> None:
    assert answer("ptbxl_102", "The ECG doesn't show AV block, right?").startswith("No.")
    assert answer("ptbxl_102", "What is the QRS duration in s?").count("mV") == 0


@pytest.mark.parametrize(
    "question",
    [
        "Is it wrong to say that there is first-degree AV block?",
        "Do you disagree that there is first-degree AV block?",
        "Can you exclude first-degree AV block?",
        "Can AV block be ruled out?",
        "Is it anything other than AV block?",
        "Is it false that the PR is prolonged?",
    ],
)
def test_a_question_that_denies_what_it_names(question: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question).startswith("No.")
    assert answer("ptbxl_13", question).startswith("Yes.")


@pytest.mark.parametrize(
    "question",
    [
        "Compared with the older ECG, is the AV block new?",
        "He has chest pain. Should I give aspirin?",
        "Can I give haloperidol with this QTc?",
        "Does he have hypertension?",
    ],
)
def test_what_is_asked_itself_may_be_untold(question: str) -> None:
    assert read_question(question).topic


@pytest.mark.parametrize("question", ["What is the height of the R wave in V5?", "When was the first P wave?"])
def test_words_of_the_signal_are_not_of_the_patient(question: str, answer: Answer) -> None:
    assert not read_question(question).topic
    assert "can't be told" not in answer("ptbxl_102", question)


@pytest.mark.parametrize(
    "question",
    [
        "Is the patient alive?",
        "Is the patient male?",
        "Can he drive?",
        "Does he have heart failure?",
        "Does this look like Takotsubo?",
        "Is it raining?",
        "No",
        "I disagree",
        "What is 2+2?",
        "which is larger?",
    ],
)
def test_a_question_with_words_of_its_own_is_no_follow_up(question: str) -> None:
    assert not read_question(question, [("Is there AV block?", "Yes.")]).links


@pytest.mark.parametrize(
    ("before", "question", "said"),
    [
        ("Is there AV block?", "How sure are you?", "Yes, the recording shows first-degree AV block."),
        ("Is there AV block?", "Is it new?", "It can't be told whether there is first-degree AV block (new)"),
        ("What is the PR?", "Is it prolonged?", "Yes. The PR interval is 245 ms"),
        ("What is the PR?", "Is that above 300 ms?", "No. The PR interval is 245 ms"),
        ("What is the T wave in V5?", "Is it inverted?", "Yes, the recording shows T-wave inversion in V5."),
        ("When is the first P wave?", "and the second?", "The second P wave is seen from "),
        ("What is the heart rate?", "and the maximum?", "The shortest RR interval is "),
        ("What is T in V2?", "Is the T inverted there?", "No, the recording shows no T-wave inversion in V2."),
    ],
)  # fmt: skip
def test_a_follow_up_says_something_of_what_was_named(before: str, question: str, said: str, answer: Answer) -> None:
    assert answer("ptbxl_102", question, [(before, "")]).startswith(said)


def test_what_was_recorded_is_told_and_not_what_would_be() -> None:
    assert read_question("What if the PR were 190 ms?").topic
    assert read_question("If the QRS were 130 ms, would it be LBBB?").topic
