from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grounding import check, measure, read_record, sample_path
from grounding.statements.parsed import TIME
from grounding.statements.parsing import read_statements


@pytest.fixture(scope="module")
def measurement() -> Any:
    """PR 128 ms, QRS 100 ms, QT 407 ms, QTc 446 ms, RR 760 ms, P 95 ms, sinus rhythm."""
    return measure(read_record(sample_path("ptbxl_13")))


@pytest.mark.parametrize(
    "text",
    [
        "QRS complexes at [2.30s - 3.10s]",
        "QRS complexes at [2.30s-3.10s], [4.1s - 4.3s]",
        "QRS: [2.30s - 3.10s]",
        "QRS complexes, 2.30 s - 3.10 s",
        "QRS complex [0.31s - 0.40s] in lead II",
        "Lead II: QRS complexes [2.30, 3.10] s",
        "the QRS wave located at [0.47s - 0.56s] in the ECG signal",
        "The QRS complex between 2.3 and 3.1 s",
        "QRS complexes from 2.3 s to 3.1 s",
        "The QRS complex at 2.3 s",
        "QRS at 2.3s, 3.1s and 4.0s",
        "QRS complexes at 2.3, 3.1 and 4.0 s",
        "QRS complexes at 2300 ms",
        "QRS complexes seen within 2.3-3.1 s",
        "QRS complexes around the 3 second mark",
        "QRS complexes throughout the 10 s recording",
        "QRS complexes (t = 2.3 s)",
        "QRS complexes in the first 5 seconds",
        "QRS seen at approximately 0.8 seconds, 1.6 seconds, and 2.4 seconds",
        "The P wave at 0.52 s",
        "P waves at 1.2s precede each QRS at 1.4s",
        "PR interval at [0.31s - 0.45s]",
        "PR interval in the beat at 3.2 s",
        "QT interval (2.30s - 2.70s)",
        "the QRS at second 3.2",
        "a 10-second strip with QRS complexes",
        "QRS-Komplexe bei 2,3 s",
        "QRS-Komplex zwischen 2,3 und 3,1 s",
        "QRS-Komplexe in den ersten 5 Sekunden",
        "PQ-Zeit von 2,3 s bis 2,5 s",
    ],
)
def test_a_time_is_no_value(text: str, measurement: Any) -> None:
    numbers = [one for one in read_statements(text) if one.kind == "number"]
    assert numbers
    assert all(one.exclusion == TIME for one in numbers)
    assert {claim.verdict for claim in check(text, measurement)} == {"not_checkable"}


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("QRS at 2.3 s is 100 ms", "supported"),
        ("QRS at 2.3 s is 160 ms", "contradicted"),
        ("QRS complexes at 2.3 s, measuring 0.10 s", "supported"),
        ("QRS complexes in the [2.30s - 3.10s] segment are narrow", "supported"),
        ("At 2.3 s QRS complexes are wide", "contradicted"),
        ("The QRS duration measured in [2.29s - 2.44s] is 100 ms", "supported"),
        ("The RR interval between 2.3 s and 3.1 s is 0.76 s", "supported"),
        ("The RR interval between 2.3 s and 3.1 s is 1.2 s", "contradicted"),
        ("The R-R interval is 0.76 s, measured at 3 s", "supported"),
        ("R-R interval of about 0.76 s between 1.2 s and 1.96 s", "supported"),
        ("The QT interval (2.30s - 2.70s) is 400 ms", "supported"),
        ("In the first 5 seconds the heart rate is 40 bpm", "contradicted"),
        ("HR 79 bpm, QRS 100 ms, QT 407 ms, 25 mm/s, 10 s", "supported supported supported"),
        ("PQ-Zeit 130 ms, gemessen bei 3,2 s", "supported"),
    ],
)
def test_the_value_beside_a_time_is_checked(text: str, verdicts: str, measurement: Any) -> None:
    claims = check(text, measurement)
    assert [claim.verdict for claim in claims if claim.reason != TIME] == verdicts.split()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("QRS duration of 0.10 s", "supported"),
        ("QRS duration of 0.16 s", "contradicted"),
        ("QRS 0.10 s", "supported"),
        ("QRS at 0.10 s", "supported"),
        ("QRS at 0.16 s", "contradicted"),
        ("QRS is at 100 ms", "supported"),
        ("QRS complexes at 100 ms", "supported"),
        ("QRS duration [0.08s - 0.10s]", "supported"),
        ("QRS duration in the range of 0.14 s to 0.16 s", "contradicted"),
        ("QRS duration is 2.3 s", "contradicted"),
        ("QRS duration is between 2.3 and 3.1 s", "contradicted"),
        ("QRS is within 0.10 s", "supported"),
        ("PR interval of 0.20 s", "contradicted"),
        ("PR interval between 0.12 and 0.14 s", "supported"),
        ("PR at 160 ms", "contradicted"),
        ("P waves of 0.10 s", "supported"),
        ("QTc at 0.44 s", "supported"),
        ("PQ-Zeit bei 130 ms", "supported"),
        ("RR intervals of 0.76 s", "supported"),
    ],
)
def test_a_value_stays_one(text: str, verdict: str, measurement: Any) -> None:
    assert [claim.verdict for claim in check(text, measurement)] == [verdict]


def test_no_segment_of_a_reasoning_benchmark_is_a_duration(shared: Path) -> None:
    read = 0
    for path in sorted((shared / "data" / "ecg_reasoning").glob("*/*.json")):
        for step in json.loads(path.read_text(encoding="utf-8"))["data"]["reasoning"]:
            for asked in step["ecg_grounding"]:
                if asked["question_type"] != "wave_grounding":
                    continue
                for option in asked["options"]:
                    for text in (f"QRS complexes at {option}", f"The PR interval at {option}", f"P waves at {option}"):
                        numbers = [one for one in read_statements(text) if one.kind == "number"]
                        assert [one for one in numbers if one.exclusion != TIME] == [], text
                        read += len(numbers)
    assert read > 500


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A PVC at 0.1 s.", "supported"),
        ("PVC between 0 and 1 s", "supported"),
        ("PVCs at 0.1, 3.0 and 5.0 s", "contradicted"),
        ("Two PVCs are seen, at 5.1 s and 8.0 s.", "contradicted"),
        ("VES bei 3,2 s", "contradicted"),
        ("No PVC at 3.2 s", "supported"),
        ("No PVC at 0.1 s", "contradicted"),
        ("A PVC.", "supported"),
    ],
)
def test_premature_beats_are_where_they_are_said_to_be(text: str, verdict: str) -> None:
    """The recording has one premature ventricular beat, at 0.1 s."""
    (claim,) = check(text, measure(read_record(sample_path("ptbxl_413"))))
    assert claim.verdict == verdict
    if "s" in text.split()[-1]:
        assert "0.1 s" in claim.reason
