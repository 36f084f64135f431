"""Findings of a user's own, from a YAML file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import grounding
from grounding.criteria import add_findings, knowledge, load_knowledge
from grounding.criteria.expressions import CriterionError

ENTRY = """
- name: long_pr_at_a_normal_rate
  label: long PR at a normal rate
  group: conduction
  when:
    all:
      - pr > longest_pr_ms
      - heart_rate >= 60 and heart_rate <= 100
  limits: {longest_pr_ms: {unit: ms, rules: [200]}}
  source: "this test"
  terms: [lazy av node]
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    knowledge._added.clear()


@pytest.fixture
def measured() -> grounding.Measurement:
    """PR 245 ms, 83 bpm."""
    return grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))


def test_it_is_found_with_its_evidence_and_read_in_texts(tmp_path: Path, measured: grounding.Measurement) -> None:
    assert [claim.kind for claim in grounding.check("Lazy AV node.", measured)] == ["other"]
    path = tmp_path / "mine.yaml"
    path.write_text(ENTRY)
    assert add_findings(path) == ("long_pr_at_a_normal_rate",)
    assert list(load_knowledge())[-1] == "long_pr_at_a_normal_rate"
    again = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))
    finding = grounding.find(again)[-1]
    assert finding.present is True
    assert {part.quantity for part in finding.evidence} == {"pr", "heart_rate"}
    assert "200 ms" in finding.criterion
    (claim,) = grounding.check("Lazy AV node.", again)
    assert claim.verdict == "supported"
    (denied,) = grounding.check("No lazy AV node.", again)
    assert denied.verdict == "contradicted"
    assert add_findings(path) == ("long_pr_at_a_normal_rate",)  # the file again, say from a notebook's cell


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {name: a, label: a, group: g, when: pr > 200}", "without source"),
        ("- {name: a, label: a, group: g, when: pr >, source: s}", "pr >"),
        ("- {name: a, label: a, group: g, when: {leads: nowhere, where: q_ms > 1}, source: s}", "nowhere"),
        ("- {name: a, label: a, group: g, when: {finding: unheard_of}, source: s}", "unheard_of"),
        ("- {name: a, label: a, group: g, when: pr > 200, source: s, colour: red}", "colour"),
        ("- {name: left_axis_deviation, label: a, group: g, when: pr > 200, source: s}", "already"),
        ("name: a", "list"),
        ("- [1", "YAML"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_added(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    before = list(load_knowledge())
    with pytest.raises(CriterionError, match=said):
        add_findings(path)
    assert list(load_knowledge()) == before


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CriterionError, match="check the path"):
        add_findings(tmp_path / "gone.yaml")


def test_its_words_win_over_the_bundled_lists(tmp_path: Path, measured: grounding.Measurement) -> None:
    """The bundled lists know the words, and have no criterion for them."""
    (before,) = grounding.check("Interatrial block.", measured)
    assert before.verdict == "not_checkable"
    path = tmp_path / "mine.yaml"
    path.write_text("- {name: iab, label: interatrial block, group: p, when: p > 120, source: this test}")
    add_findings(path)
    again = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))
    (after,) = grounding.check("Interatrial block.", again)
    assert after.verdict == "supported"


def test_what_was_assessed_before_is_assessed_again(tmp_path: Path, measured: grounding.Measurement) -> None:
    before = len(grounding.find(measured))
    path = tmp_path / "mine.yaml"
    path.write_text(ENTRY)
    add_findings(path)
    assert [finding.name for finding in grounding.find(measured)[before:]] == ["long_pr_at_a_normal_rate"]


def test_a_file_that_is_added_again_with_other_rules_and_words(tmp_path: Path, measured: grounding.Measurement) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(ENTRY)
    add_findings(path)
    assert grounding.find(measured)[-1].present is True
    assert grounding.check("Lazy AV node.", measured)[0].verdict == "supported"
    path.write_text(ENTRY.replace("[200]", "[300]").replace("lazy av node", "tired av node"))
    add_findings(path)
    finding = grounding.find(measured)[-1]
    assert finding.present is False
    assert "300 ms" in finding.criterion
    assert grounding.check("Tired AV node.", measured)[0].verdict == "contradicted"
    assert grounding.check("Lazy AV node.", measured)[0].kind == "other"
