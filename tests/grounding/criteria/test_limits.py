"""One file of limits: categories, findings and the words of both agree on every value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grounding import find
from grounding.criteria import category, language, load_limits, rounded, shown
from grounding.criteria.knowledge import load_knowledge
from grounding.criteria.language import criteria_words
from grounding.criteria.limits import SEXES, load_categories, unit_of

# a word beside a number, and the finding that says the same
SAME = {
    ("heart_rate", "slow"): "bradycardia",
    ("heart_rate", "fast"): "tachycardia",
    ("heart_rate", "normal"): "normal_rate",
    ("pr", "short"): "short_pr",
    ("pr", "prolonged"): "first_degree_av_block",
    ("pr", "normal"): "normal_pr",
    ("qrs", "prolonged"): "wide_qrs",
    ("qrs", "normal"): "normal_qrs",
    ("qtc_fridericia", "prolonged"): "prolonged_qtc",
    ("qtc_fridericia", "short"): "short_qtc",
    ("qtc_fridericia", "normal"): "normal_qtc",
    ("axis", "left"): "left_axis_deviation",
    ("axis", "right"): "right_axis_deviation",
    ("axis", "normal"): "normal_axis",
    ("axis", "extreme"): "extreme_axis_deviation",
}


@pytest.mark.parametrize("sex", [*SEXES, None])
@pytest.mark.parametrize("age", [3.0, 10.0, 60.0, None])
@pytest.mark.parametrize(
    ("quantity", "values"),
    [
        ("heart_rate", np.arange(40, 200, 7.3)),
        ("pr", np.r_[100, 119.4, 119.6, 120.3, 199.6, 200.14, 200.6, 260]),
        ("qrs", np.r_[80, 89.6, 99.7, 100.4, 109.4, 109.6, 116, 119.4, 119.6, 150]),
        ("axis", np.arange(-179, 180, 6.7)),
        ("qtc_fridericia", np.r_[350, 360.4, 360.6, 400, 449.4, 449.6, 455, 459.4, 459.6, 470]),
    ],
)
def test_the_word_and_the_finding_say_the_same(
    make_measurement: Any, sex: str | None, age: float | None, quantity: str, values: Any
) -> None:
    for value in values:
        where = {quantity: value} if quantity in ("heart_rate", "axis") else {"intervals": {quantity: value}}
        findings = {finding.name: finding for finding in find(make_measurement(sex=sex, age=age, **where))}
        told = category(quantity, value, sex, age)
        for (name, word), finding in SAME.items():
            if name == quantity:
                present = findings[finding].present
                assert bool(present) == (told.word == word), (value, told, finding, present)
        if not told.word:
            assert told.reason or quantity == "pr", (value, told)


def test_a_category_has_one_word_and_a_borderline_has_one_too() -> None:
    assert category("qrs", 116).word == "borderline"
    assert category("qrs", 119.6).word == "prolonged"
    assert category("pr", 200.14).word == "normal"
    assert category("qtc_bazett", 455).reason == "it depends on the patient's sex, which the record does not say"
    assert category("qtc_bazett", 430).word == "normal"
    assert category("no such value", 1.0).word == ""


def test_every_limit_has_a_source_and_every_category_its_unit() -> None:
    for limit in load_limits().values():
        assert limit.source, limit.name
        for sex in (*SEXES, None):
            for_patient = limit.for_patient(sex, 50.0)
            assert for_patient.value(None, sex or "male", 50.0) == limit.value(None, sex or "male", 50.0)
    assert set(load_categories()) >= {"heart_rate", "pr", "qrs", "qtc", "axis"}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(71.6, "bpm", "72 bpm"), (-0.4, "deg", "0 degrees"), (-0.154, "mV", "-0.15 mV"), (199.5, "ms", "200 ms")],
)
def test_what_is_shown_is_what_is_judged(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text
    assert float(text.split()[0]) == (rounded(value, unit) or 0.0)


def test_units_by_name() -> None:
    assert [unit_of(name) for name in ("qtc_hodges", "rr_max_ms", "atrial_rate_bpm", "axis_p", "j_mv", "rr_cv")] == [
        "ms",
        "ms",
        "bpm",
        "deg",
        "mV",
        "",
    ]


def test_criteria_for_adults_decide_nothing_in_a_child(make_measurement: Any) -> None:
    leads = {lead: {"q_mv": -0.5, "q_ms": 45.0, "t_mv": -0.3} for lead in ("I", "aVL", "V5", "V6")}
    grown, child = ({f.name: f for f in find(make_measurement(leads=leads, age=age))} for age in (40.0, 3.0))
    for name in ("lateral_myocardial_infarction", "pathological_q_waves", "t_wave_inversion"):
        assert grown[name].present is True
        assert child[name].present is None
        assert "adults" in (child[name].reason or "")
    assert child["normal_rate"].present is not None


@pytest.mark.parametrize("sex", [*SEXES, None])
def test_the_words_of_criteria_are_those_of_the_very_age(sex: str | None) -> None:
    """They are made once for all ages between two borders of limits."""
    entries = load_knowledge()
    for age in (0.0, 0.99, 1.0, 3.0, 5.9, 6.0, 12.0, 15.99, 16.0, 29.9, 30.0, 35.0, 60.5, 104.0):
        words = criteria_words(sex, age)
        for name, entry in entries.items():
            limits = {key: one.for_patient(sex, age) for key, one in entry.all_limits.items()}
            assert words[name] == language._condition(entry.when, limits), (name, age)
