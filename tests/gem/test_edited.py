"""``Explanation.edited``: the same words, held against boundaries that a person moved."""

from __future__ import annotations

from pathlib import Path

import pytest

import gem
import grounding
from gem.views.measured import rows

TEXT = "PR interval 245 ms. First-degree AV block. QRS duration 99 ms. Nothing else."


@pytest.fixture(scope="module")
def said() -> gem.Explanation:
    return gem.explain(grounding.sample_path("ptbxl_102"), text=TEXT)


@pytest.fixture(scope="module")
def shorter(said: gem.Explanation) -> gem.Explanation:
    return said.edited({"p_onset": (said.measurement.boundaries["p_onset"] or 0) + 60})


def test_verdicts_findings_and_evidence_follow(said: gem.Explanation, shorter: gem.Explanation) -> None:
    assert [part.verdict for part in said.statements] == ["supported", "supported", "supported", ""]
    assert [part.verdict for part in shorter.statements] == ["contradicted", "unsupported", "supported", ""]
    assert shorter.text == said.text == TEXT
    assert [part.text for part in shorter.statements] == [part.text for part in said.statements]
    assert shorter.statements[0].evidence[0].value == pytest.approx(said.statements[0].evidence[0].value - 60)
    assert shorter.statements[2] == said.statements[2]
    present = [{one.name for one in each.findings if one.present} for each in (said, shorter)]
    assert present[0] - present[1] == {"first_degree_av_block"}
    assert "moved by hand since: P onset from 291 ms before R to 231 ms before R" in shorter.verdict_line
    assert "moved by hand" not in said.verdict_line


def test_undo_gives_the_explanation_back(said: gem.Explanation, shorter: gem.Explanation) -> None:
    back = shorter.edited({"p_onset": said.measurement.boundaries["p_onset"]})
    assert back.measurement is said.measurement
    assert back.to_dict() == said.to_dict()


def test_it_is_kept_in_json_and_told_on_the_page(shorter: gem.Explanation, tmp_path: Path) -> None:
    read = gem.Explanation.from_json(shorter.save(tmp_path / "x.json"))
    assert read.measurement.edits == shorter.measurement.edits
    assert read.verdict == shorter.verdict
    assert "boundary moved by hand: P onset from 291 ms" in shorter.save(tmp_path / "x.html").read_text()
    moved = {name for name, _, where in rows(read.measurement) if "moved by hand" in where}
    assert moved == {"PR interval", "P wave"}


def test_a_report_from_facts_keeps_its_words_and_origins() -> None:
    said = gem.explain(grounding.sample_path("ptbxl_102"))
    after = said.edited({"p_onset": (said.measurement.boundaries["p_onset"] or 0) + 60})
    assert after.text == said.text
    assert said.verdict_of("inserted")["contradicted"] == 0
    assert after.verdict_of("inserted")["contradicted"] > 0
    assert sum(after.verdict_of("inserted").values()) == sum(said.verdict_of("inserted").values())
    number = next(part for part in after.statements if part.text.startswith("The PR interval"))
    assert number.evidence[0].value == after.measurement.intervals["pr"]
    assert after.probabilities == said.probabilities
