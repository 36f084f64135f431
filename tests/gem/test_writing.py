"""Recordings are encoded once and written together; small models work on one thread."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import gem
import grounding
from gem import writing


@pytest.fixture(scope="module")
def nano() -> Any:
    return gem.load("gem-nano")


def test_a_list_gives_what_each_gives(nano: Any) -> None:
    records = [grounding.read_record(grounding.sample_path(name)) for name in ("ptbxl_13", "ptbxl_102", "ludb_13")]
    together = gem.explain(records, model=nano)
    assert [one.record_id for one in together] == [record.record_id for record in records]
    for record, one in zip(records, together, strict=True):
        alone = gem.explain(record, model=nano)
        assert one.text == alone.text
        assert one.probabilities == pytest.approx(alone.probabilities, abs=1e-3)
    assert gem.explain([], model=nano) == []


def test_recordings_are_encoded_once(nano: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    encode = nano.encode
    monkeypatch.setattr(nano, "encode", lambda *args, **inputs: calls.append(1) or encode(*args, **inputs))
    gem.explain(grounding.sample_path(), model=nano)
    assert len(calls) == 1


def test_one_thread_and_the_users_own_number(nano: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        for own, inside in ((2, 1), (3, 3)):
            monkeypatch.setattr(writing, "default_thread_counts", lambda: (2, 1))
            torch.set_num_threads(own)
            with writing.one_thread(nano):
                assert torch.get_num_threads() == inside
                with writing.one_thread(nano):
                    assert torch.get_num_threads() == inside
            assert torch.get_num_threads() == own
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        torch.set_num_threads(2)
        with writing.one_thread(nano):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_model_in_training_writes_as_it_does_otherwise(nano: Any) -> None:
    """Its batch norms stay as they are, and it goes on training afterwards."""
    model, record = copy.deepcopy(nano), grounding.read_record(grounding.sample_path("ptbxl_102"))
    expected, answer = gem.explain(record, model=model), gem.ask(record, "Is there a bundle branch block?", model=model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    model.language_model.eval()
    said = gem.explain(record, model=model)
    assert (said.text, said.probabilities) == (expected.text, expected.probabilities)
    assert gem.ask(record, "Is there a bundle branch block?", model=model).probabilities == answer.probabilities
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training
    assert model.ecg_encoder.training
    assert not model.language_model.training
