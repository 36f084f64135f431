"""Facts, their tags, and the way back from a tagged text to sentences with evidence."""

from __future__ import annotations

import re
from typing import Any

import pytest

import grounding
from grounding.criteria import shown
from grounding.facts import DIAGNOSES, TAGS, Fact, compose, facts, prompt, resolve

PROBABILITIES = {"NORM": 0.1, "MI": 0.7, "STTC": 0.2, "CD": 0.6, "HYP": 0.05}


@pytest.fixture(scope="module", params=["ptbxl_102", "ptbxl_139", "ptbxl_286"])
def measured(request: pytest.FixtureRequest) -> tuple[Any, list[Any]]:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path(request.param)))
    return measurement, list(grounding.find(measurement))


def test_each_value_is_a_fact_or_a_reason(measured: tuple[Any, list[Any]]) -> None:
    measurement, findings = measured
    items = {fact.tag: fact for fact in facts(measurement, findings, PROBABILITIES)}
    for name, quantity in {"pr": "pr", "qrs": "qrs", "qt": "qt", "qtc": "qtc_fridericia"}.items():
        value = measurement.intervals[quantity]
        if value is None:
            assert measurement.reasons[quantity].rstrip(".") in items[f"<no_{name}>"].text
        else:
            assert items[f"<{name}>"].text.split(" (")[0] == shown(value, "ms") == f"{round(value)} ms"
            assert items[f"<{name}>"].evidence[0].value == value
    assert set(items) <= set(TAGS)
    assert items["<dx_mi>"].evidence[0].value == pytest.approx(0.7)


def test_the_prompt_has_no_number_and_no_diagnosis(measured: tuple[Any, list[Any]]) -> None:
    text = prompt(facts(*measured, PROBABILITIES))
    assert "<dx" not in text
    assert not re.search(r"\d", re.sub(r"<[a-z0-9_]+>", "", text))


def test_composed_numbers_are_supported_by_the_checker(measured: tuple[Any, list[Any]]) -> None:
    measurement, _ = measured
    items = facts(*measured, PROBABILITIES)
    for seed in range(6):
        text = " ".join(s.text for s in resolve(compose(items, ["MI", "CD"], seed=seed), items))
        claims = [claim for claim in grounding.check(text, measurement) if claim.kind == "number"]
        measured_values = [fact for fact in items if fact.kind == "number"]
        assert len(claims) >= len(measured_values), text
        assert {claim.verdict for claim in claims} == {"supported"}, [c for c in claims if c.verdict != "supported"]


def test_every_sentence_is_cited(measured: tuple[Any, list[Any]]) -> None:
    items = facts(*measured, PROBABILITIES)
    statements = resolve(compose(items, ["MI"], seed=1), items)
    assert len(statements) >= 6
    assert all(statement.evidence and statement.kind != "uncited" for statement in statements)
    assert not any("<" in statement.text for statement in statements)
    assert statements[-1].kind == "diagnosis"
    assert f"{DIAGNOSES['MI'].words} (likely, 70 %)" in statements[-1].text


def test_an_unknown_tag_leaves_a_note(measured: tuple[Any, list[Any]]) -> None:
    items = facts(*measured)
    statements = resolve("Something at <nowhere>. It is regular.", items)
    assert [statement.kind for statement in statements] == ["note", "uncited"]
    assert "<" not in statements[0].text
    (left_out,) = resolve("The PR interval is <pr>.", [])
    assert "speaks of PR interval" in left_out.text
    assert resolve("  ", items) == []


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(71.6, "bpm", "72 bpm"), (-0.4, "deg", "0 degrees"), (-0.154, "mV", "-0.15 mV")]
)
def test_values_are_written_one_way(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_an_item_too_many_does_not_cost_the_list() -> None:
    items = [Fact(f"<f{i}>", f"finding {i}", "", (), "finding") for i in (1, 2)]
    (statement,) = resolve("The findings include <f1>; <f2>; <f3>.", items)
    assert statement.text == "The findings include finding 1; finding 2."
    assert statement.tags == ("<f1>", "<f2>")
