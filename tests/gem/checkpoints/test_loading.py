"""gem.load on our own layout: by path, in another precision, and damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import gem
import grounding
from gem import GemCheckpointError, GemForConditionalGeneration


@pytest.fixture
def folder(tiny_model: Callable[..., GemForConditionalGeneration], tmp_path: Path) -> Path:
    tiny_model().save_pretrained(tmp_path)
    return tmp_path


def test_load(folder: Path, tiny_inputs: dict[str, Any]) -> None:
    model = gem.load(folder)
    assert not model.training
    assert model.processor.contract.n_samples == 500
    half = gem.load(str(folder), dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half(**tiny_inputs).logits.float(), model(**tiny_inputs).logits, atol=0.05, rtol=0)


def test_damaged(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    left = tensors.pop("ecg_encoder.norm.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(GemCheckpointError, match=r"missing_keys.*ecg_encoder\.norm\.weight"):
        gem.load(folder)
    save_file({**tensors, "ecg_encoder.norm.weight": left, "stray": left.clone()}, path, metadata={"format": "pt"})
    with pytest.raises(GemCheckpointError, match="stray"):
        gem.load(folder)
    save_file({**tensors, "ecg_encoder.norm.weight": left[:5]}, path, metadata={"format": "pt"})
    with pytest.raises(GemCheckpointError, match="fit the config"):
        gem.load(folder)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(GemCheckpointError, match="truncated"):
        gem.load(folder)


def test_unknown_name() -> None:
    with pytest.raises(GemCheckpointError, match="no such model"):
        gem.load("gem-nanno")


@pytest.mark.parametrize("dtype", ["bfloat16", "torch.float16"])
def test_a_dtype_by_its_name(dtype: str) -> None:
    model = gem.load("gem-nano", dtype=dtype)
    assert str(model.dtype).endswith(dtype.removeprefix("torch."))
    inputs = model.processor(grounding.read_record(grounding.sample_path("ptbxl_102")))
    assert torch.isfinite(model.classify(**inputs)).all()
    with pytest.raises(gem.GemConfigError, match="one of float32"):
        gem.load("gem-nano", dtype="int4")
