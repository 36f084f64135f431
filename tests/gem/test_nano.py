"""The bundled model: small, honest about its inputs, and what it writes is about the recording it was given."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gem
import grounding
from grounding.facts import facts, prompt, resolve


@pytest.fixture(scope="module")
def nano() -> Any:
    return gem.load("gem-nano")


def write(model: Any, name: str, with_facts: bool = True) -> tuple[str, list[Any]]:
    record = grounding.read_record(grounding.sample_path(name))
    measurement = grounding.measure(record)
    items = facts(measurement, grounding.find(measurement), dict.fromkeys(model.config.class_names, 0.5))
    inputs = model.processor(record=record, prompt=prompt(items if with_facts else []))
    ids = model.generate(**inputs, do_sample=False)
    return model.processor.decode(ids[0][inputs["input_ids"].shape[1] :]), items


def test_it_is_small_enough_to_ship(nano: Any) -> None:
    from gem.checkpoints import WEIGHTS

    assert sum(path.stat().st_size for path in (WEIGHTS / "gem-nano").iterdir()) < 40e6
    assert sum(parameter.numel() for parameter in nano.parameters()) > 9e6


@pytest.mark.parametrize("name", ["ptbxl_102", "ptbxl_13", "ptbxl_413", "ptbxl_424"])
def test_every_measured_value_is_told_and_cited(nano: Any, name: str) -> None:
    text, items = write(nano, name)
    statements = resolve(text, items)
    told = {tag for statement in statements for tag in statement.tags}
    assert {fact.tag for fact in items if fact.kind == "number"} <= told, text
    assert all(statement.evidence for statement in statements)
    assert statements[-1].kind == "diagnosis"


def test_the_same_record_gives_the_same_text(nano: Any) -> None:
    assert write(nano, "ptbxl_13")[0] == write(nano, "ptbxl_13")[0]


def test_without_facts_only_the_encoders_speak(nano: Any) -> None:
    normal, _ = write(nano, "ptbxl_13", with_facts=False)
    blocked, _ = write(nano, "ptbxl_424", with_facts=False)
    assert "<dx_norm>" in normal
    assert "<dx_cd>" in blocked
    assert "<pr>" not in normal + blocked


def test_a_bundle_branch_block_is_seen_by_the_head(nano: Any) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_424"))
    with torch.inference_mode():
        chances = dict(
            zip(nano.config.class_names, nano.classify(**nano.processor(record=record))[0].tolist(), strict=True)
        )
    assert chances["CD"] > 0.5 > chances["NORM"]
