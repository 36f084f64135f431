from __future__ import annotations

import json
from typing import Any

import pytest

from grounding import Finding, find
from grounding.findings import lead_states, load_knowledge
from grounding.findings.engine import enough


def present(measurement: Any) -> set[str]:
    return {finding.name for finding in find(measurement) if finding.present}


def by_name(measurement: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in find(measurement)}


def test_a_healthy_recording_is_healthy(make_measurement: Any) -> None:
    assert present(make_measurement()) == {
        "normal_rate",
        "sinus_rhythm",
        "normal_pr",
        "normal_qrs",
        "normal_axis",
        "normal_qtc",
    }


def test_every_entry_is_answered_once_with_its_source(make_measurement: Any) -> None:
    findings = find(make_measurement())
    assert [finding.name for finding in findings] == list(load_knowledge())
    for finding in findings:
        assert finding.source
        assert finding.criterion
        assert finding.label
        assert (finding.present is None) == (finding.reason is not None)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("first_degree_av_block", {"intervals": {"pr": 236.0}}),
        ("short_pr", {"intervals": {"pr": 100.0}}),
        ("sinus_bradycardia", {"heart_rate": 48.0}),
        ("sinus_tachycardia", {"heart_rate": 120.0}),
        ("left_axis_deviation", {"axis": -42.0}),
        ("right_axis_deviation", {"axis": 110.0}),
        ("extreme_axis_deviation", {"axis": -120.0}),
        ("wide_qrs", {"intervals": {"qrs": 130.0}}),
        ("nonspecific_intraventricular_conduction_delay", {"intervals": {"qrs": 130.0}, "leads": {lead: {"q_mv": -0.2} for lead in ("I", "V6")}}),
        ("prolonged_qtc", {"intervals": {"qtc_fridericia": 470.0}}),
        ("short_qtc", {"intervals": {"qtc_fridericia": 340.0}}),
        ("atrial_fibrillation", {"rhythm": {"p_share": 0.1}, "rr_ms": (600.0, 900.0) * 5}),
        ("sinus_arrhythmia", {"rr_ms": (700.0, 1000.0) * 5}),
        ("paced_rhythm", {"types": ("paced",) * 10}),
        ("premature_ventricular_complex", {"types": ("normal",) * 8 + ("premature_ventricular", "normal")}),
        ("bigeminy", {"types": ("normal", "premature_ventricular") * 5}),
        ("trigeminy", {"types": ("normal", "normal", "premature_ventricular") * 3 + ("normal",)}),
        ("left_ventricular_hypertrophy", {"leads": {"V5": {"r_mv": 2.8}}}),
        ("complete_right_bundle_branch_block", {"intervals": {"qrs": 140.0}, "leads": {"V1": {"r2_mv": 0.9}, "V6": {"s_ms": 60.0}}}),
        ("complete_left_bundle_branch_block", {"intervals": {"qrs": 150.0}, "leads": {"V6": {"q_mv": float("nan"), "r_peak_time_ms": 70.0}}}),
        ("inferior_myocardial_infarction", {"leads": {lead: {"q_mv": -0.5, "q_ms": 45.0} for lead in ("II", "III", "aVF")}}),
        ("st_elevation", {"leads": {lead: {"j_mv": 0.2, "st60_mv": 0.2} for lead in ("II", "aVF")}}),
        ("t_wave_inversion", {"leads": {lead: {"t_mv": -0.3} for lead in ("V4", "V5")}}),
        ("low_qrs_voltage", {"leads": {lead: {"r_mv": 0.2, "q_mv": 0.0, "s_mv": -0.1} for lead in ("I", "II", "III", "aVR", "aVL", "aVF")}}),
    ],
)  # fmt: skip
def test_a_rule_fires_where_it_should_and_only_there(make_measurement: Any, name: str, changes: dict[str, Any]) -> None:
    assert by_name(make_measurement())[name].present is False
    finding = by_name(make_measurement(**changes))[name]
    assert finding.present is True, finding
    assert finding.evidence
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding


def test_voltage_rules_need_voltage_and_shape_rules_do_not(make_measurement: Any) -> None:
    findings = by_name(make_measurement(has_millivolts=False))
    assert findings["left_ventricular_hypertrophy"].present is None
    assert "millivolts" in (findings["left_ventricular_hypertrophy"].reason or "")
    assert findings["st_elevation"].present is None
    assert findings["pathological_q_waves"].present is False


def test_a_missing_value_is_a_reason_not_an_answer(make_measurement: Any) -> None:
    finding = by_name(make_measurement(intervals={"pr": None}, reasons={"pr": "no P waves"}))["first_degree_av_block"]
    assert finding.present is None
    assert "no P waves" in (finding.reason or "")


def test_thresholds_know_the_patients_sex(make_measurement: Any) -> None:
    for sex, expected in (("male", True), ("female", False), (None, False)):
        assert (
            by_name(make_measurement(intervals={"qtc_fridericia": 455.0}, sex=sex))["prolonged_qtc"].present is expected
        )


def test_pacing_takes_the_question_away(make_measurement: Any) -> None:
    finding = by_name(make_measurement(types=("paced",) * 10, intervals={"qrs": 160.0}))[
        "complete_left_bundle_branch_block"
    ]
    assert finding.present is None
    assert "paced" in (finding.reason or "")


def test_an_unusable_lead_cannot_vote(make_measurement: Any) -> None:
    leads = {lead: {"j_mv": 0.2, "st60_mv": 0.2} for lead in ("II", "aVF")}
    measurement = make_measurement(leads=leads)
    measurement.quality.loc[measurement.quality["lead"] == "II", "usable"] = False
    states = lead_states(measurement, "st_elevation")
    assert states["aVF"] is True
    assert states["II"] is None
    assert by_name(measurement)["st_elevation"].present is None


def test_evidence_of_leadwise_findings_names_the_leads_that_show_it(make_measurement: Any) -> None:
    finding = by_name(make_measurement(leads={lead: {"j_mv": 0.2, "st60_mv": 0.25} for lead in ("II", "aVF")}))[
        "st_elevation"
    ]
    assert {lead for part in finding.evidence for lead in part.leads} == {"II", "aVF"}
    assert all(part.spans_s for part in finding.evidence)


def test_neighbours_are_neighbours() -> None:
    apart = {"I": True, "III": True, "II": False, "aVF": False, "aVL": False}
    assert enough(apart, 2, contiguous=True) is False
    assert enough(apart, 2, contiguous=False) is True
    assert enough(apart | {"aVF": None}, 2, contiguous=True) is None
