"""Relations: P to QRS, constancy of PR, waves held against each other, the direction of a wave."""

from __future__ import annotations

import time
from typing import Any

import pytest

from grounding import check, measure, read_record, sample_path
from grounding.statements.parsing import read_statements
from grounding.statements.relations import LARGER, PR_CONSTANT


@pytest.fixture(scope="module")
def regular(make_measurement: Any) -> Any:
    """PR 236 ms with an SD of 5 ms, P before every beat, none dropped; R falls from V4 to V6, transition V3-V4."""
    chest = {"V1": (0.2, 1.2), "V2": (0.4, 1.6), "V3": (0.8, 1.0), "V4": (2.0, 0.8), "V5": (1.8, 0.4), "V6": (1.2, 0.1)}
    leads: dict[str, dict[str, float]] = {lead: {"r_mv": r, "s_mv": -s, "q_mv": 0.0} for lead, (r, s) in chest.items()}
    leads |= {"aVR": {"p_mv": -0.12, "q_mv": -0.9, "r_mv": 0.1, "s_mv": 0.0}, "III": {"p_mv": 0.01}}
    return make_measurement(leads=leads, intervals={"pr": 236.0}, rhythm={"dropped_beats": 0.0, "p_per_qrs": 1.0})


@pytest.fixture(scope="module")
def dropping(make_measurement: Any) -> Any:
    """Every third P wave without a QRS, PR between 160 and 260 ms, a P wave before every beat."""
    return make_measurement(rhythm={"dropped_beats": 3.0, "p_per_qrs": 1.3, "pr_sd_ms": 41.0})


@pytest.fixture(scope="module")
def fibrillating() -> Any:
    return measure(read_record(sample_path("ptbxl_330")))


def verdicts(text: str, measurement: Any) -> str:
    return " ".join(claim.verdict for claim in check(text, measurement))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PR is 236 ms, constant, every P conducts.", "supported supported supported"),
        ("Constant PR interval of 236 ms.", "supported supported"),
        ("PR constant at 160 ms.", "supported contradicted"),
        ("The PR interval varies from beat to beat.", "contradicted"),
        ("PR varies between 220 and 240 ms.", "supported"),
        ("Every P wave is followed by a QRS complex.", "supported"),
        ("Not every P wave is followed by a QRS.", "contradicted"),
        ("There is 1:1 atrioventricular conduction.", "supported"),
        ("No dropped beats.", "supported"),
        ("Non-conducted P waves are seen.", "contradicted"),
        ("A P wave precedes every QRS complex.", "supported"),
        ("Auf jede P-Welle folgt ein QRS-Komplex, PQ konstant.", "supported supported"),
        ("P waves upright in II and inverted in aVR.", "supported supported"),
        ("P waves upright in III.", "unsupported"),  # 0.01 mV has no direction
        ("Inverted P waves in II, III and aVF.", "contradicted"),
        ("QRS is predominantly positive in V5 and negative in V1.", "supported supported"),
        ("The axis is normal, as lead V5 is positive and V1 is strongly negative.", "supported supported supported"),
        ("Lead V6 shows a predominantly positive QRS complex.", "supported"),
        ("The QRS complex in V1 is predominantly negative, and the P wave in II is upright.", "supported supported"),
        ("The T wave in V1 is negative.", "contradicted"),  # T, and not the QRS of V1
        ("V1 shows inverted T waves.", "contradicted"),
        ("R wave amplitude increases from V1 to V4.", "supported"),
        ("R in V5 is taller than in V6.", "supported"),
        ("The R wave is taller in V6 than in V4.", "contradicted"),
        ("RV5 > RV6, SV1 < SV2", "supported supported"),
        ("R waves in V5 are larger than S waves in V1.", "supported"),
        ("The tallest R wave is in V4.", "supported"),
        ("The tallest R wave is in V6.", "contradicted"),
        ("Deepest S wave in V2.", "supported"),
        ("R/S ratio in V1 < 1.", "supported"),
        ("R/S ratio > 1 in V1.", "contradicted"),
        ("R/S in V1 is 0.17.", "supported"),
        ("No dominant R in V1.", "supported"),
        ("Transition zone in V3-V4.", "supported"),
        ("Transition at V1.", "contradicted"),
        ("Umschlagszone in V4.", "supported"),
        ("Early transition.", "contradicted"),
        ("No early transition.", "supported"),
        ("R-S-Übergang in V Ableitungen nach links verschoben", "unsupported"),  # between V3 and V4: one lead off
        ("Clockwise rotation", "unsupported"),
        # not of this recording
        ("If every P wave is followed by a QRS, there is no block.", "not_checkable"),
        ("History of non-conducted P waves.", "not_checkable"),
        ("The QT is longer than in the previous ECG.", "not_checkable"),
    ],
)
def test_regular(text: str, expected: str, regular: Any) -> None:
    assert verdicts(text, regular) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Every P conducts.", "contradicted"),
        ("Some P waves are not conducted.", "supported"),
        ("1:1 AV conduction", "contradicted"),
        ("No dropped beats.", "contradicted"),
        ("The PR interval is constant.", "contradicted"),
        ("Variable PR interval.", "supported"),
        ("P before each QRS.", "supported"),
    ],
)
def test_dropped_beats(text: str, expected: str, dropping: Any) -> None:
    assert verdicts(text, dropping) == expected


def test_without_p_waves_nothing_is_said_of_their_conduction(fibrillating: Any) -> None:
    (claim,) = check("Every P wave is followed by a QRS.", fibrillating)
    assert claim.verdict == "not_checkable"
    assert "9% of the beats" in claim.reason.replace(" %", "%")
    assert verdicts("Each QRS is preceded by a P wave.", fibrillating) == "contradicted"
    assert verdicts("The PR interval is constant.", fibrillating) == "not_checkable"


def test_evidence_is_that_of_both_waves(regular: Any) -> None:
    (claim,) = check("R in V5 is taller than in V6.", regular)
    assert {(part.quantity, part.leads) for part in claim.evidence} == {("r_mv", ("V5",)), ("r_mv", ("V6",))}
    assert "R amplitude in V5 1.80 mV" in claim.reason
    (claim,) = check("Every P conducts.", regular)
    assert [part.quantity for part in claim.evidence] == ["dropped_beats"]


def test_a_qrs_without_s_wave_counts_by_its_q() -> None:
    """V1 of the recording is Qr: its Q is deeper than its R is high."""
    measurement = measure(read_record(sample_path("ptbxl_102")))
    (claim,) = check("R/S ratio in V1 < 1", measurement)
    assert claim.verdict == "supported"
    assert "Q amplitude in V1 1.62 mV" in claim.reason
    assert verdicts("S in V1 16 mm. SV1 + RV5 38 mm.", measurement) == "supported supported"
    assert verdicts("S wave in V1 is 0.00 mV.", measurement) == "supported"  # there is none
    assert verdicts("S in V1 < 10 mm", measurement) == "contradicted"


def test_shapes_of_the_qrs() -> None:
    """V1 of the recording is Qr with a small r, V2 and V3 are rS."""
    measurement = measure(read_record(sample_path("ptbxl_102")))
    assert verdicts("QS complexes in V1. rS in V2,3.", measurement) == "supported supported"
    assert verdicts("In lead V2, the QRS complex shows an rS pattern.", measurement) == "supported"
    assert verdicts("QS in V3", measurement) == "contradicted"  # an R of 0.9 mV comes first
    assert verdicts("QS in V2", measurement) == "unsupported"  # of 0.14 mV: a matter of reading
    assert verdicts("qR in aVL", measurement) == "unsupported"


def test_spikes_are_no_p_waves() -> None:
    assert not [one for one in read_statements("P normal. Spikes vor jedem QRS-Komplex.") if one.kind == "relation"]
    assert not [one for one in read_statements("Pacing spikes before each QRS, P normal") if one.kind == "relation"]
    assert [one.kind for one in read_statements("Vor jedem QRS-Komplex eine P-Welle.")] == ["relation"]


def test_what_the_statement_names() -> None:
    (number, constant) = read_statements("PR 160 ms, constant")
    assert (number.subject, constant.subject) == (("pr",), (PR_CONSTANT,))
    text = "The PR interval is constant."
    (statement,) = read_statements(text)
    assert text[statement.start : statement.end] == "PR interval is constant"
    (statement,) = read_statements("S in V1 deeper than R")
    assert statement.subject == (LARGER, "s:V1", "r:V1")
    assert statement.word == ">"


def test_time_is_linear_in_the_text() -> None:
    """A text without full stops is one sentence."""

    def seconds(text: str) -> float:
        times = []
        for _ in range(3):  # a garbage collection may fall into one
            begun = time.process_time()
            read_statements(text)
            times.append(time.process_time() - begun)
        return min(times)

    for piece in ("R > S in V1 ", "PR 160 , ms ", "P upright in II , III ", "R/S in V1 "):
        seconds(piece * 100)
        short, long = seconds(piece * 1000), seconds(piece * 4000)
        assert long < 12 * short + 0.2, piece
