"""Decoders of 4 or 8 bits: what is missing is said, and nothing changes without a config."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BitsAndBytesConfig, QuantoConfig

import gem
import grounding
from gem.checkpoints import quantized
from gem.errors import GemError, GemInputError
from tests.gem.strangers import coca, published


def _found(*packages: str) -> Any:
    return lambda name: object() if name in packages else None


@pytest.mark.parametrize(("there", "missing"), [((), "bitsandbytes"), (("bitsandbytes",), "accelerate")])
def test_a_missing_package_is_named_before_the_model_is_read(
    there: tuple[str, ...], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "find_spec", _found(*there))
    with pytest.raises(GemError, match=rf"quantization_config: .*need the package {missing}.*pip install.*bfloat16"):
        gem.load("nowhere", quantization_config=BitsAndBytesConfig(load_in_8bit=True))


def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "find_spec", _found("bitsandbytes", "accelerate"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GemError, match=r"device=cuda:0: there is no GPU.*device=\"cpu\""):
        gem.load("nowhere", device="cuda:0", quantization_config=BitsAndBytesConfig(load_in_8bit=True))


@pytest.mark.parametrize("wanted", [BitsAndBytesConfig(), QuantoConfig(weights="int8"), {"load_in_8bit": True}])
def test_other_quantisation_is_an_error(wanted: Any) -> None:
    with pytest.raises(GemInputError, match=f"{type(wanted).__name__} is no BitsAndBytesConfig of 4 or 8 bits"):
        gem.load("nowhere", quantization_config=wanted)


def test_an_encoder_alone_has_nothing_to_quantise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "find_spec", _found("bitsandbytes", "accelerate"))
    with pytest.raises(GemInputError, match="no decoder to quantise"):
        gem.load(coca(tmp_path / "coca"), quantization_config=BitsAndBytesConfig(load_in_8bit=True))


def test_none_changes_nothing(tmp_path: Path) -> None:
    folder = published(tmp_path / "gem")
    plain, none = gem.load(folder), gem.load(folder, quantization_config=None)
    assert [type(part) for part in none.modules()] == [type(part) for part in plain.modules()]
    assert all(torch.equal(value, none.state_dict()[key]) for key, value in plain.state_dict().items())
    assert not getattr(none, "is_quantized", False)


@pytest.mark.skipif(
    not (find_spec("bitsandbytes") and find_spec("accelerate")), reason="bitsandbytes or accelerate is not installed"
)
def test_eight_bits_are_near_the_model(tmp_path: Path) -> None:
    folder = published(tmp_path / "gem")
    plain = gem.load(folder, dtype=torch.float32)
    wanted = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=["down_proj"])
    small = gem.load(folder, dtype=torch.float32, quantization_config=wanted)
    eight = {name for name, part in small.named_modules() if type(part).__name__ == "Linear8bitLt"}
    assert eight
    assert all(name.startswith("language_model.") for name in eight)
    assert not any(name.endswith(("down_proj", "lm_head")) for name in eight)
    assert wanted.llm_int8_skip_modules == ["down_proj"]  # the caller's config is left as it was
    ids = torch.arange(20)[None]
    near, exact = small.language_model(input_ids=ids).logits, plain.language_model(input_ids=ids).logits
    assert not torch.equal(near, exact)
    assert torch.corrcoef(torch.stack([near.flatten().float(), exact.flatten()]))[0, 1] > 0.99
    assert gem.explain(grounding.sample_path(), model=small).text
