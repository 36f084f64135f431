"""Questions about when waves and premature beats are seen, and which segment of time shows them."""

from __future__ import annotations

import re

import pytest

import grounding
from grounding import Measurement
from grounding.questions import compose_answer, faults, plan, read_question


@pytest.fixture(scope="module")
def measurement() -> Measurement:
    """Twelve beats, none premature."""
    return grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))


def said(text: str, measurement: Measurement) -> str:
    made = plan(read_question(text), measurement)
    tagged = compose_answer(made)
    assert not faults(tagged, made)
    known = {item.tag: item.text for item in made.items}
    return re.sub(r"<[a-z]\d>", lambda tag: known[tag[0]], tagged)


def onset_s(measurement: Measurement, wave: str, beat: int) -> float:
    return float(measurement.beats[f"{wave}_onset"].iloc[beat]) / measurement.fs


@pytest.mark.parametrize(
    ("question", "wave", "beat"),
    [
        ("When does the first QRS complex occur?", "qrs", 0),
        ("At what time is the last P wave?", "p", -1),
        ("Wann ist der erste QRS-Komplex?", "qrs", 0),
        ("Wann ist die erste P-Welle?", "p", 0),
    ],
)
def test_one_wave_has_its_seconds(question: str, wave: str, beat: int, measurement: Measurement) -> None:
    assert f"seen from {onset_s(measurement, wave, beat):.2f} to " in said(question, measurement)


def test_all_waves_are_listed_with_their_places(measurement: Measurement) -> None:
    made = plan(read_question("When are the QRS complexes?"), measurement)
    every = [onset_s(measurement, "qrs", beat) for beat in range(measurement.n_beats)]
    fact = next(item for item in made.items if item.tag == "<v1>")
    assert fact.text == f"at {', '.join(f'{start:.2f}' for start in every)} s"
    assert [span[0] for span in fact.evidence[0].spans_s] == pytest.approx(every)


def test_a_wave_in_one_lead_begins_there(measurement: Measurement) -> None:
    waves = measurement.waves
    rows = waves[(waves["wave"] == "T") & (waves["lead"] == "V2")]
    assert f"from {rows['onset'].min() / measurement.fs:.2f} to " in said(
        "When is the first T wave in V2?", measurement
    )


def test_whether_a_wave_is_there_at_a_time(measurement: Measurement) -> None:
    start, after = onset_s(measurement, "qrs", 3), onset_s(measurement, "p", 4) - 0.05
    assert said(f"Is there a QRS complex at {start + 0.03:.2f} s?", measurement).startswith("Yes. QRS complex from ")
    answer = said(f"Is there a QRS complex between {after - 0.1:.2f} and {after:.2f} s?", measurement)
    assert answer.startswith("No. no QRS complex is seen then, the nearest from ")
    assert "can't be told from this recording: values of single beats" in said(
        "What is the PR interval at 2.3 s?", measurement
    )


def test_premature_beats_have_their_times(measurement: Measurement) -> None:
    assert "no premature ventricular beat was found" in said("When do PVCs occur?", measurement)
    other = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_413")))
    beats = other.beats[other.beats["type"] == "premature_ventricular"]
    assert len(beats) == 1
    onset = float(beats["qrs_onset"].iloc[0]) / other.fs
    answer = said("When does the PVC occur?", other)
    assert answer == f"The onset of the premature ventricular beats is at {onset:.2f} s."


def test_the_segment_that_shows_a_wave(measurement: Measurement) -> None:
    start, t = onset_s(measurement, "qrs", 2), onset_s(measurement, "t", 2)
    times = ((start + 0.5, start + 0.55), (start, start + 0.12), (t, t + 0.15))
    segments = "\n".join(f"{letter}. [{a:.2f}s - {b:.2f}s]" for letter, (a, b) in zip("ABC", times, strict=True))
    asked = f"In which of the following segments can you locate the {{}} in these leads?\n{segments}"
    assert said(asked.format("QRS complex"), measurement).startswith("B) ")
    assert said(asked.format("T wave"), measurement).startswith("C) ")
    none = "In which of the following segments is a QRS wave?\nA. [1.00 s - 1.05 s]\nB. [1.8 s - 1.9 s]"
    assert said(none, measurement).startswith("None of the options holds.")
