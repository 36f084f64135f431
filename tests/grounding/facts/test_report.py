"""What is said of a recording: in which order, how sure, what it rests on, and what is left unsaid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import grounding
from grounding import STANDARD_LEADS, ECGRecord
from grounding.criteria import assess
from grounding.facts import DIAGNOSES, Fact, ReportSentence, compose, facts, report, suggested


def said(
    measurement: Any, probabilities: dict[str, float] | None = None, silence: str | None = None, text: str | None = None
) -> list[ReportSentence]:
    items = facts(measurement, grounding.find(measurement), probabilities)
    return report(compose(items, seed=1) if text is None else text, items, assess(measurement), silence)


def kinds(statements: list[ReportSentence]) -> list[str]:
    return [statement.kind for statement in statements]


def test_the_summary_comes_first_and_opinions_last_most_probable_first(make_measurement: Any) -> None:
    m = make_measurement(intervals={"pr": 236.0})
    statements = said(m, {"STTC": 0.62, "CD": 0.95, "HYP": 0.49, "NORM": 0.2})
    assert kinds(statements)[0] == "summary"
    assert "first-degree AV block" in statements[0].text
    assert statements[0].text.endswith("Suggested: a conduction disturbance (very likely, 95 %).")
    opinions = [statement.text for statement in statements if statement.kind == "diagnosis"]
    assert opinions == [
        "The encoders consider a conduction disturbance very likely (95 %); the measured criteria agree "
        "(first-degree AV block).",
        "The encoders consider ST-T changes possible (62 %); no measured criterion shows it.",
    ]


def test_nothing_is_suggested_below_one_half() -> None:
    assert suggested({"MI": 0.4999, "CD": 0.5}) == [("CD", 0.5)]


def test_each_finding_has_a_statement_and_evidence_of_its_own(make_measurement: Any) -> None:
    m = make_measurement(intervals={"pr": 236.0}, leads={lead: {"t_mv": -0.3} for lead in ("V4", "V5")})
    findings = [statement for statement in said(m) if statement.kind == "finding"]
    texts = [statement.text for statement in findings]
    block = "PR interval 236 ms; standard deviation of the PR interval 5 ms; share of beats with a P wave 100 %"
    assert f"First-degree AV block: {block}." in texts
    inverted = next(statement for statement in findings if statement.text.startswith("T-wave inversion in V4 and V5"))
    assert {lead for part in inverted.evidence for lead in part.leads} == {"V4", "V5"}
    assert "T wave -0.30 mV in V4, -0.30 mV in V5" in inverted.text
    assert not any("_" in text for text in texts)


def test_a_model_that_cites_nothing_has_no_findings_told(make_measurement: Any) -> None:
    m = make_measurement(intervals={"pr": 236.0})
    assert "finding" not in kinds(said(m, text="The PR interval is <pr>."))


def test_inserted_words_cover_what_code_wrote_and_nothing_else(make_measurement: Any) -> None:
    m = make_measurement()
    items = [*facts(m, grounding.find(m), {"MI": 0.8})]
    statements = report("A free remark on infarction. The PR interval is <pr>.", items, assess(m))
    by_kind = {statement.kind: statement for statement in statements}
    assert by_kind["uncited"].inserted == ()
    number = by_kind["number"]
    assert [number.text[a:b] for a, b in number.inserted] == ["160 ms (normal)"]
    diagnosis = by_kind["diagnosis"]
    covered = "".join(diagnosis.text[a:b] for a, b in diagnosis.inserted)
    assert "myocardial infarction" not in covered
    assert "criterion" in covered


def test_paced_rhythm_qualifies_and_contradictory_findings_are_noted(make_measurement: Any) -> None:
    paced = said(make_measurement(types=("paced",) * 10))
    assert any("follow from the pacing" in statement.text for statement in paced)
    low = {lead: {"r_mv": 0.2, "q_mv": 0.0, "s_mv": -0.1} for lead in ("I", "II", "III", "aVR", "aVL", "aVF")} | {
        "V5": {"r_mv": 2.8}
    }
    both = said(make_measurement(leads=low))
    assert any("exclude each other" in statement.text for statement in both)
    assert not any("exclude each other" in statement.text for statement in said(make_measurement()))


def test_what_cannot_be_measured_is_said_once_for_each_reason(make_measurement: Any) -> None:
    m = make_measurement(
        intervals={"pr": None, "qtc_fridericia": None, "qt": None},
        reasons={"pr": "no P waves", "qt": "no T wave", "qtc_fridericia": "no T wave"},
    )
    missing = [statement.text for statement in said(m) if statement.kind == "missing"]
    assert missing == [
        "PR interval is not measurable (no P waves).",
        "QT interval and QTc are not measurable (no T wave).",
    ]


@pytest.mark.parametrize(
    "signal", [np.zeros((12, 5000)), np.random.default_rng(0).normal(0, 0.3, (12, 5000))], ids=["flat", "noise"]
)
def test_where_nothing_is_measured_nothing_is_said(signal: Any) -> None:
    m = grounding.measure(ECGRecord.from_array(signal, 500, STANDARD_LEADS))
    items = facts(m, grounding.find(m), {})
    (statement,) = report("The rhythm is <rhythm>. The encoders suggest <dx_mi>.", items, assess(m), "it is noise")
    assert statement.text.startswith("The recording can't be interpreted: ")


def test_silence_gives_its_reason(make_measurement: Any) -> None:
    assert "The encoders were not asked for a diagnosis: one lead." in [
        s.text for s in said(make_measurement(), silence="one lead")
    ]


def test_every_class_has_words_and_known_findings(make_measurement: Any) -> None:
    known = assess(make_measurement()).findings
    for diagnosis in DIAGNOSES.values():
        assert diagnosis.words
        assert set(diagnosis.findings) <= set(known)
    for label in DIAGNOSES:
        (opinion,) = [s for s in said(make_measurement(), {label: 0.75}) if s.kind == "diagnosis"]
        assert "likely (75 %)" in opinion.text
        assert isinstance(opinion.evidence[0].value, float)


def test_fact_of_an_unnamed_rhythm(make_measurement: Any) -> None:
    (summary,) = report(
        "Nothing.", [Fact("<rhythm>", "regular", "regular", (), "rhythm", "regular")], assess(make_measurement())
    )[:1]
    assert summary.text == "Summary: regular rhythm."
