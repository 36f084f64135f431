"""What published models are shown of an item: its prompt, all its recordings, its pictures, and the turns before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gem.evaluation import Item, item_benchmarks, run_benchmark
from gem.evaluation.answerers import Answerer, answerer
from gem.evaluation.inputs import BUNDLED, Inputs
from gem.writing import encode_records

sys.path.insert(0, str(Path(__file__).parents[1]))

BENCHMARK = item_benchmarks["ecg-qa"]
TWO = Item("2", "comparison", "What changed?", "What changed? Options: a, b.", ("a",), ("a", "b"), ("13", "424"))
TURNS = Item("t", "arena", "Rhythm?", "Rhythm?", ("x", "y"), (), ("13",), turns=("And the axis?",))


def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Answerer, list[dict[str, Any]], Any]:
    """An answerer whose model writes two tokens, and what the model is given."""
    who: Any = answerer(str(folder), BENCHMARK, [])
    given: list[dict[str, Any]] = []
    generate = who.model.generate

    def short(**inputs: Any) -> Any:
        given.append(inputs)
        return generate(**{**inputs, "max_new_tokens": 2})

    monkeypatch.setattr(who.model, "generate", short)
    return who, given, who.model.processor


def test_both_recordings_of_an_item_are_shown(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = Inputs(BUNDLED)
    who, given, processor = watched(folders / "GEM", monkeypatch)
    assert not who.answer(TWO, inputs).startswith("I can't answer")
    (one,) = given
    assert one["ecg"].shape[0] == 2
    assert (one["input_ids"] == processor.placeholder_token_id).sum() == 2
    other = processor.signal(inputs.record("424"))[0]
    assert torch.allclose(one["ecg"][1].float(), torch.as_tensor(other), atol=1e-6)
    who, given, processor = watched(folders / "PULSE", monkeypatch)
    who.answer(TWO, inputs)
    assert len(given[0]["pixel_values"]) == 2
    assert given[0].get("ecg") is None


def test_a_family_that_takes_one_recording_says_so(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who, given, _ = watched(folders / "MEIT", monkeypatch)
    assert who.answer(TWO, Inputs(BUNDLED)).startswith("I can't answer: this model does not take 2 recordings")
    assert given == []


def test_turns_follow_each_other_in_one_conversation(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who, given, processor = watched(folders / "GEM", monkeypatch)
    who.answer(TURNS, Inputs(BUNDLED))
    first, second = (one["input_ids"][0] for one in given)
    assert len(second) > len(first)
    assert (second == processor.placeholder_token_id).sum() == 1  # the recording is shown once


def test_a_missing_picture_reaches_the_model(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who, given, _ = watched(folders / "PULSE", monkeypatch)
    item = Item("1", "x", "?", "?", ("a",), (), ("13",))
    who.answer(item, Inputs(BUNDLED))
    who.answer(item, Inputs(BUNDLED, missing="picture:100"))
    whole, blank = (torch.as_tensor(one["pixel_values"][0]) for one in given)
    assert not torch.equal(whole, blank)
    assert set(blank.float().unique().tolist()) == {-1.0, 1.0}  # the white page, and the bars beside it
    assert len(whole.float().unique()) > 2


def test_gem_nano_sees_the_picture_with_its_missing_part(monkeypatch: pytest.MonkeyPatch) -> None:
    import gem.asking
    import gem.explaining

    seen: list[Any] = []

    def watching(model: Any, records: Any, measurements: Any = None, pictures: Any = None) -> Any:
        encoded = encode_records(model, records, measurements, pictures)
        seen.append((pictures, encoded.probabilities()[0]))
        return encoded

    for module in (gem.asking, gem.explaining):
        monkeypatch.setattr(module, "encode_records", watching)
    who = answerer("gem-nano", BENCHMARK, [])
    report = Item("r", "report", "Report?", "Report?", ("x",), (), ("424",))
    asked = Item("q", "x", "Is there myocardial infarction?", "?", ("no",), ("no", "yes"), ("424",))
    for item in (report, asked):
        seen.clear()
        drawn = who.answer(item, Inputs(BUNDLED))
        who.answer(item, Inputs(BUNDLED, missing="picture:100"))
        (none, by_itself), ((page,), without) = seen
        assert none is None
        assert page.getextrema() == ((255, 255),) * 3
        assert by_itself != without
        seen.clear()
        # a picture that is whole is what the model draws itself
        if item is report:
            record, measurement = Inputs(BUNDLED).record("424"), Inputs(BUNDLED).measurement("424")
            given = gem.explaining.explain_seen(record, measurement, who.model, Inputs(BUNDLED).picture("424"))  # type: ignore[attr-defined]
            assert given.text == drawn
            assert seen[0][1] == pytest.approx(by_itself, abs=1e-6)


def test_the_protocol_runs_for_gem_nano() -> None:
    figures = run_benchmark("ecgbench-report", "gem-nano", limit=2, missing="picture:50")
    assert figures["not_scored"] == {}
