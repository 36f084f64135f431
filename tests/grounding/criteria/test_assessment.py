from __future__ import annotations

import gc
import json
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import grounding
from grounding import Finding, find
from grounding.criteria import assess, lead_states, load_knowledge, load_limits
from grounding.criteria.assessment import enough_leads
from grounding.criteria.expressions import names
from grounding.criteria.knowledge import leads_of
from grounding.criteria.language import quantity_words
from grounding.measurement.assembly import RHYTHM_NAMES
from grounding.measurement.columns import LEAD_SUMMARY_COLUMNS


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


IN_HEALTH = ("normal_rate", "sinus_rhythm", "normal_pr", "normal_qrs", "normal_axis", "normal_qtc")
SIDE, LOWER = ("I", "aVL", "V5", "V6"), ("II", "III", "aVF")
# a record on which each finding is there; it is not in health
CASES: list[tuple[str, dict[str, Any]]] = [
    ("first_degree_av_block", {"intervals": {"pr": 236.0}}),
    ("short_pr", {"intervals": {"pr": 100.0}}),
    ("sinus_bradycardia", {"heart_rate": 48.0}),
    ("sinus_tachycardia", {"heart_rate": 120.0}),
    ("left_axis_deviation", {"axis": -42.0}),
    ("right_axis_deviation", {"axis": 110.0}),
    ("extreme_axis_deviation", {"axis": -120.0}),
    ("wide_qrs", {"intervals": {"qrs": 130.0}}),
    (
        "nonspecific_intraventricular_conduction_delay",
        {"intervals": {"qrs": 130.0}, "leads": {lead: {"q_mv": -0.2} for lead in ("I", "V6")}},
    ),
    ("prolonged_qtc", {"intervals": {"qtc_fridericia": 470.0}}),
    ("short_qtc", {"intervals": {"qtc_fridericia": 340.0}}),
    ("atrial_fibrillation", {"rhythm": {"af_probability": 0.9}}),
    ("atrial_flutter", {"rhythm": {"flutter_probability": 0.9}}),
    ("sinus_arrhythmia", {"rr_ms": (700.0, 1000.0) * 5}),
    ("paced_rhythm", {"types": ("paced",) * 10}),
    ("premature_ventricular_complex", {"types": ("normal",) * 8 + ("premature_ventricular", "normal")}),
    ("bigeminy", {"types": ("normal", "premature_ventricular") * 5}),
    ("trigeminy", {"types": ("normal", "normal", "premature_ventricular") * 3 + ("normal",)}),
    ("left_ventricular_hypertrophy", {"leads": {"V5": {"r_mv": 2.8}}}),
    (
        "complete_right_bundle_branch_block",
        {"intervals": {"qrs": 140.0}, "leads": {"V1": {"r2_mv": 0.9}, "V6": {"s_ms": 60.0}}},
    ),
    (
        "complete_left_bundle_branch_block",
        {"intervals": {"qrs": 150.0}, "leads": {"V6": {"q_mv": float("nan"), "r_peak_time_ms": 70.0}}},
    ),
    (
        "inferior_myocardial_infarction",
        {"leads": {lead: {"q_mv": -0.5, "q_ms": 45.0} for lead in ("II", "III", "aVF")}},
    ),
    ("st_elevation", {"leads": {lead: {"j_mv": 0.2, "st60_mv": 0.2} for lead in ("II", "aVF")}}),
    ("t_wave_inversion", {"leads": {lead: {"t_mv": -0.3} for lead in ("V4", "V5")}}),
    (
        "low_qrs_voltage",
        {"leads": {lead: {"r_mv": 0.2, "q_mv": 0.0, "s_mv": -0.1} for lead in ("I", "II", "III", "aVR", "aVL", "aVF")}},
    ),
    ("bradycardia", {"heart_rate": 48.0}),
    ("tachycardia", {"heart_rate": 120.0}),
    ("irregular_rhythm", {"rr_ms": (700.0, 1000.0) * 5}),
    ("supraventricular_tachycardia", {"heart_rate": 170.0, "rhythm": {"p_share": 0.0}}),
    ("premature_atrial_complex", {"types": ("normal",) * 8 + ("premature_supraventricular", "normal")}),
    ("second_degree_av_block", {"heart_rate": 50.0, "rhythm": {"atrial_rate_bpm": 75.0, "rr_cv": 0.2}}),
    (
        "third_degree_av_block",
        {"heart_rate": 40.0, "rhythm": {"atrial_rate_bpm": 80.0, "rr_cv": 0.01, "pr_sd_ms": 90.0}},
    ),
    (
        "incomplete_right_bundle_branch_block",
        {"intervals": {"qrs": 112.0}, "leads": {"V1": {"r2_mv": 0.5}, "V6": {"s_ms": 50.0}}},
    ),
    (
        "incomplete_left_bundle_branch_block",
        {"intervals": {"qrs": 114.0}, "leads": {"V6": {"q_mv": 0.0, "r_peak_time_ms": 65.0}, "I": {"q_mv": 0.0}}},
    ),
    ("left_anterior_fascicular_block", {"axis": -50.0, "leads": {lead: {"r_mv": 0.2, "s_mv": -0.9} for lead in LOWER}}),
    (
        "left_posterior_fascicular_block",
        {
            "axis": 110.0,
            "leads": {lead: {"r_mv": 0.2, "s_mv": -0.9} for lead in ("I", "aVL")} | {"III": {"q_mv": -0.1}},
        },
    ),
    ("wolff_parkinson_white", {"intervals": {"pr": 95.0, "qrs": 126.0}}),
    ("right_ventricular_hypertrophy", {"axis": 115.0, "leads": {"V1": {"r_mv": 1.0, "s_mv": -0.2}}}),
    ("left_atrial_enlargement", {"leads": {"II": {"p_ms": 130.0}, "V1": {"p_mv": -0.15}}}),
    ("right_atrial_enlargement", {"leads": {"II": {"p_mv": 0.3}}}),
    ("pathological_q_waves", {"leads": {lead: {"q_mv": -0.5, "q_ms": 45.0} for lead in LOWER}}),
    (
        "anterior_myocardial_infarction",
        {"leads": {lead: {"r_mv": 0.0, "q_mv": -1.0, "q_ms": 60.0} for lead in ("V2", "V3")}},
    ),
    ("lateral_myocardial_infarction", {"leads": {lead: {"q_mv": -0.5, "q_ms": 45.0} for lead in SIDE}}),
    ("poor_r_wave_progression", {"leads": {lead: {"r_mv": 0.1, "s_mv": -1.2} for lead in ("V1", "V2", "V3")}}),
    ("st_depression", {"leads": {lead: {"j_mv": -0.1, "st60_mv": -0.1} for lead in ("V4", "V5")}}),
    ("inferior_ischemia", {"leads": {lead: {"j_mv": -0.1, "st60_mv": -0.1} for lead in LOWER}}),
    ("anterior_ischemia", {"leads": {lead: {"t_mv": -0.3} for lead in ("V2", "V3", "V4")}}),
    ("lateral_ischemia", {"leads": {lead: {"t_mv": -0.3} for lead in SIDE}}),
    ("early_repolarisation", {"leads": {lead: {"j_mv": 0.15, "st80_mv": 0.2} for lead in LOWER}}),
    ("tall_t_wave", {"leads": {"V3": {"t_mv": 1.4}}}),
    ("flat_t_wave", {"leads": {lead: {"t_mv": 0.03} for lead in ("I", "II", "V4", "V5", "V6")}}),
]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_rule_fires_where_it_should_and_only_there(make_measurement: Any, name: str, changes: dict[str, Any]) -> None:
    assert by_name(make_measurement())[name].present is False
    finding = by_name(make_measurement(**changes))[name]
    assert finding.present is True, finding
    assert finding.evidence
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding


def test_every_finding_is_there_or_not_or_undecided_on_some_record(make_measurement: Any) -> None:
    health, ill = by_name(make_measurement()), {name: by_name(make_measurement(**changes)) for name, changes in CASES}
    none: dict[str, Any] = {
        "intervals": dict.fromkeys(make_measurement().intervals),
        "axes": dict.fromkeys(("p", "qrs", "t")),
        "heart_rate": None,
        "rhythm": dict.fromkeys(RHYTHM_NAMES),
        "types": (),
        "leads": {lead: dict.fromkeys(LEAD_SUMMARY_COLUMNS, float("nan")) for lead in grounding.STANDARD_LEADS},
    }
    unknown = by_name(make_measurement(**none))
    for name in load_knowledge():
        assert unknown[name].present is None, name
        if name in IN_HEALTH:
            assert health[name].present is True
            assert any(findings[name].present is False for findings in ill.values()), name
        else:
            assert health[name].present is False
            assert name in ill, f"no record shows {name}"


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
    for sex, expected in (("male", True), ("female", False), (None, None)):
        finding = by_name(make_measurement(intervals={"qtc_fridericia": 455.0}, sex=sex))["prolonged_qtc"]
        assert finding.present is expected
    assert finding.reason == "it depends on the patient's sex, which the record does not say"
    assert by_name(make_measurement(intervals={"qtc_fridericia": 465.0}, sex=None))["prolonged_qtc"].present is True


def test_thresholds_know_the_patients_age(make_measurement: Any) -> None:
    """In V2 and V3 men have another limit from 40 years on, and children have other rates."""
    raised = {lead: {"j_mv": 0.22, "st60_mv": 0.22} for lead in ("V2", "V3")}
    for age, expected in ((30.0, False), (60.0, True), (None, None)):
        finding = by_name(make_measurement(leads=raised, sex="male", age=age))["st_elevation"]
        assert finding.present is expected, age
    assert "age" in (finding.reason or "")
    assert by_name(make_measurement(heart_rate=110.0, age=4.0))["tachycardia"].present is False
    assert by_name(make_measurement(heart_rate=110.0, age=None))["tachycardia"].present is True
    child = by_name(make_measurement(intervals={"pr": 110.0}, age=4.0))["short_pr"]
    assert child.present is None
    assert "4 years" in (child.reason or "")


def test_what_is_shown_decides(make_measurement: Any) -> None:
    assert by_name(make_measurement(intervals={"pr": 200.4}))["first_degree_av_block"].present is False
    assert by_name(make_measurement(intervals={"pr": 200.6}))["first_degree_av_block"].present is True
    assert by_name(make_measurement(intervals={"qrs": 119.6}))["wide_qrs"].present is True


def test_a_measurement_is_assessed_once(make_measurement: Any) -> None:
    measurement = make_measurement()
    assert assess(measurement) is assess(measurement)
    assert find(measurement)[0] is find(measurement)[0]
    copy = pickle.loads(pickle.dumps(measurement))
    assert assess(copy) is not assess(measurement)
    assert "assessment" in copy.derived


def test_every_quantity_that_a_rule_names_exists_and_has_words(make_measurement: Any) -> None:
    measurement = make_measurement(rhythm=dict.fromkeys(RHYTHM_NAMES, 1.0))
    quantities = assess(measurement).quantities
    for entry in load_knowledge().values():
        limits = {**load_limits(), **entry.limits}
        for part in (*entry.parts(), *entry.shows):
            leads = leads_of(part) if not isinstance(part, str) and "leads" in part else (None,)
            text = part if isinstance(part, str) else part.get("where")
            for lead, name in names(text) if text else ():
                if name in limits:
                    continue
                assert quantity_words(name, lead)
                for at in (lead,) if lead else leads:
                    _, reason = quantities.value(at, name)
                    assert (
                        reason is None or "measured" not in reason.split(":")[0] or "not measurable in lead" in reason
                    ), (entry.name, name, reason)


def test_nothing_measured_decides_nothing() -> None:
    flat = grounding.measure(grounding.ECGRecord.from_array(np.zeros((12, 5000)), 500, grounding.STANDARD_LEADS))
    for finding in find(flat):
        assert finding.present is None, finding.name
        assert finding.reason


def test_pacing_makes_findings_not_assessable(make_measurement: Any) -> None:
    finding = by_name(make_measurement(types=("paced",) * 10, intervals={"qrs": 160.0}))[
        "complete_left_bundle_branch_block"
    ]
    assert finding.present is None
    assert "paced" in (finding.reason or "")


def test_an_unusable_lead_does_not_count(make_measurement: Any) -> None:
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
    assert enough_leads(apart, 2, contiguous=True) is False
    assert enough_leads(apart, 2, contiguous=False) is True
    assert enough_leads(apart | {"aVF": None}, 2, contiguous=True) is None


def test_a_check_evaluates_what_the_text_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    from grounding.criteria.assessment import _FindingsOf

    evaluated: list[str] = []
    finding = _FindingsOf._finding

    def counted(self: _FindingsOf, entry: Any, words: str) -> Finding:
        evaluated.append(entry.name)
        return finding(self, entry, words)

    monkeypatch.setattr(_FindingsOf, "_finding", counted)
    measurement = grounding.measure(grounding.read_record(grounding.sample_path()))
    grounding.check("PR 160 ms. No first-degree AV block.", measurement)
    assert evaluated == ["first_degree_av_block", "paced_rhythm"]  # which it refers to
    found = find(measurement)
    assert [one.name for one in found] == list(load_knowledge())
    assert sorted(evaluated) == sorted(load_knowledge())  # each once
    assert assess(measurement).findings["first_degree_av_block"] is next(
        one for one in found if one.name == "first_degree_av_block"
    )


def test_a_measurement_and_its_findings_are_freed_without_garbage_collection() -> None:
    gc.disable()
    try:
        measurement = grounding.measure(grounding.read_record(grounding.sample_path()))
        claims = grounding.check("PR 160 ms. LBBB. T wave inversion in V5.", measurement)
        assert any(part.evidence for part in (*claims, *find(measurement)))
        alive = [weakref.ref(one) for one in (measurement, assess(measurement), assess(measurement).quantities)]
        measurement.derived.clear()
        del measurement, claims
        assert [one() for one in alive] == [None, None, None]
    finally:
        gc.enable()
