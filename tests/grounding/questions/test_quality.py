"""Questions about the quality of the signal are answered from ``Measurement.quality``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import grounding
from grounding import ECGRecord, Measurement
from grounding.facts import resolve
from grounding.questions import compose_answer, faults, plan, read_question
from grounding.questions.quality import ABOUT, ISSUE_WORDS
from grounding.signal.quality import assess


@pytest.fixture(scope="module")
def clean() -> Measurement:
    return grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_13")))


@pytest.fixture(scope="module")
def disturbed() -> Measurement:
    """The same recording with noise in V1 and V4, mains in V4, baseline wander in V2, and no signal in V6."""
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    signal = np.array(record.signal, dtype=np.float64)
    at = {lead: number for number, lead in enumerate(record.leads)}
    seconds = np.arange(signal.shape[1]) / record.fs
    noise = np.random.default_rng(0).normal(0, 0.1, signal.shape)
    for lead in ("V1", "V4"):
        signal[at[lead]] += noise[at[lead]]
    signal[at["V4"]] += 0.3 * np.sin(2 * np.pi * 50 * seconds)
    signal[at["V2"]] += 1.2 * np.sin(2 * np.pi * 0.2 * seconds)
    signal[at["V6"]] = 0.0
    measurement = grounding.measure(ECGRecord.from_array(signal, record.fs, record.leads))
    table = dict(zip(measurement.column("quality", "lead"), measurement.column("quality", "issues"), strict=True))
    assert {lead: issues for lead, issues in table.items() if issues} == {
        "V1": ("noise",),
        "V2": ("baseline",),
        "V4": ("noise", "mains"),
        "V6": ("flat",),
    }
    return measurement


def said(text: str, measurement: Measurement) -> str:
    made = plan(read_question(text), measurement)
    tagged = compose_answer(made)
    assert not faults(tagged, made)
    return " ".join(sentence.text for sentence in resolve(tagged, made.items))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is there static noise in lead V1?", "Yes. Muscle or converter noise in V1."),
        ("Is there static noise in lead V2?", "No. No noise in V2."),
        ("Is V4 noisy?", "Yes. Muscle or converter noise in V4; mains interference in V4."),
        ("Is there noise in V3 or V4?", "Yes. Muscle or converter noise in V4; mains interference in V4."),
        ("Is there no noise in V1?", "No. Muscle or converter noise in V1."),
        ("Is V3 without noise?", "Yes. No noise in V3."),
        ("Are there artefacts in V2 or V3?", "Yes. Baseline wander in V2."),
        ("Any artifact in lead II?", "No. No artefact in II."),
        ("Is there 50 Hz interference?", "Yes. Mains interference in V4."),
        ("Does this ECG show baseline drift in lead V2?", "Yes. Baseline wander in V2."),
        ("Is there any interference from baseline drift in lead V2?", "Yes. Baseline wander in V2."),
        ("Is there any interference or distortion present in lead V1?", "Yes. Muscle or converter noise in V1."),
        ("Is the baseline stable?", "No. Baseline wander in V2."),
        ("Are there electrode problems?", "Yes. No signal in V6."),
        ("Is lead V6 usable?", "No. Usable leads: none."),
        ("Is lead V1 usable?", "Yes. Usable leads: V1."),
        ("Which leads can't be used?", "The signal: unusable leads: V6."),
        (
            "Which leads are noisy?",
            "The signal: muscle or converter noise in V1 and V4; mains interference in V4.",
        ),
        ("Welche Ableitungen sind verrauscht?", "The signal: muscle or converter noise in V1 and V4;"),
        ("Gibt es Artefakte in V2?", "Yes. Baseline wander in V2."),
        ("What is the quality of lead V3?", "The signal: no fault of the signal in V3."),
        ("Is the signal quality good?", "No. No signal in V6; muscle or converter noise in V1 and V4;"),
        ("Is the quality poor?", "Yes. No signal in V6;"),
        ("Wie ist die Signalqualität?", "The signal: no signal in V6;"),
        ("Does the ECG have noise? A. Yes B. No", "A) Yes."),
    ],
)
def test_what_is_said_of_a_disturbed_recording(question: str, answer: str, disturbed: Measurement) -> None:
    assert said(question, disturbed).startswith(answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which leads are noisy?", "The signal: no noise in any of the 12 leads."),
        ("Is the tracing clean?", "Yes. No fault of the signal in any of the 12 leads."),
        ("Are the limb leads swapped?", "No. Lead I is not the mirror image of V6,"),
        ("Does V7 show noise?", "The noise can't be measured here: V7 was not recorded."),
        ("Is there burst noise in lead V4?", "Burst noise can't be told from this recording: each lead is judged"),
        ("Are the electrodes placed correctly?", "Electrodes placed can't be told from this recording: where"),
        ("Is there LBBB, or is it artefact?", "The recording shows no complete left bundle branch block."),
    ],
)
def test_what_is_said_of_a_clean_recording(question: str, answer: str, clean: Measurement) -> None:
    assert said(question, clean).startswith(answer)


def test_the_evidence_is_the_lead_and_what_is_wrong_with_it(disturbed: Measurement) -> None:
    made = plan(read_question("Which leads are noisy?"), disturbed)
    evidence = next(item for item in made.items if item.tag == "<v1>").evidence
    assert [(part.quantity, part.leads, part.value) for part in evidence] == [
        ("signal_quality", ("V1",), "noise"),
        ("signal_quality", ("V4",), "noise, mains"),
    ]


def test_exchanged_arm_electrodes_are_said() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    signal = {lead: np.array(record.signal[number]) for number, lead in enumerate(record.leads)}
    signal["I"], signal["II"], signal["III"] = -signal["I"], signal["III"], signal["II"]
    signal["aVR"], signal["aVL"] = signal["aVL"], signal["aVR"]
    swapped = grounding.measure(ECGRecord.from_array(np.stack([*signal.values()]), record.fs, list(signal)))
    assert said("Is there lead reversal?", swapped).startswith("Yes. Lead I is the mirror image of V6")


def test_follow_ups_keep_what_was_asked(disturbed: Measurement) -> None:
    question = read_question("And in V4?", [("Is there noise in V2?", "No.")])
    made = plan(question, disturbed)
    assert [(one.kind, one.names, one.leads) for one in question.links] == [("quality", ("noise",), ("V4",))]
    assert made.asked[0].state == "true"


def test_every_issue_has_words() -> None:
    assert {issue for issues, _ in ABOUT.values() for issue in issues} <= set(ISSUE_WORDS)
    documented = assess.__doc__ or ""
    assert all(f"``{issue}``" in documented for issue in ISSUE_WORDS)


def test_real_recordings_are_answered_as_they_were_judged(shared: Path) -> None:
    there = 0
    for path in sorted((shared / "data" / "cinc2011").glob("*.hea"))[::6]:
        measurement = grounding.measure(grounding.read_record(path.with_suffix("")))
        issues = dict(zip(measurement.column("quality", "lead"), measurement.column("quality", "issues"), strict=True))
        for about, phrase in (("noise", "noise"), ("baseline", "baseline wander"), ("contact", "electrode problems")):
            wanted = set(ABOUT[about][0])
            for lead in ("I", "aVF", "V1", "V6"):
                truth = bool(wanted & set(issues[lead]))
                there += truth
                answer = said(f"Is there {phrase} in lead {lead}?", measurement)
                assert answer.startswith("Yes" if truth else "No"), path
            where = [lead for lead, found in issues.items() if wanted & set(found)]
            listed = plan(read_question(f"Which leads show {phrase}?"), measurement).items[1].evidence
            assert [part.leads[0] for part in listed] == (where or list(issues)), path
    assert there > 10


def test_a_recording_with_some_leads_lost_is_usable() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    signal = record.signal.copy()
    signal[[record.leads.index("V5"), record.leads.index("V6")]] = 0.0
    lost = grounding.measure(replace(record, signal=signal))
    assert said("Is the recording usable?", lost).startswith("Yes. ")
    assert "not usable: V5 and V6" in said("Is the recording usable?", lost)
    assert said("Are all leads usable?", lost).startswith("No. ")
    assert said("Is V5 flat?", lost) == "Yes. No signal in V5."
    assert said("Is V4 flat?", lost) == "No. No flat line in V4."
