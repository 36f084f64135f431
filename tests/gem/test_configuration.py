"""The config: JSON round trip, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gem import GemConfig, GemConfigError, GemForConditionalGeneration
from gem.training.lora import lora_settings


def test_round_trip(tiny_config: Callable[..., GemConfig], tmp_path: Path) -> None:
    config = tiny_config(conversation="Q {prompt} A", modality_dropout=0.2, signal={"fs_hz": 50.0, "n_samples": 500})
    config.save_pretrained(tmp_path)
    again = GemConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert type(again.text_config) is type(config.text_config)
    assert again.get_text_config().num_hidden_layers == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fusion": "soup"}, "tokens, prefix_kv, none"),
        ({"merge": "blend"}, "flat"),
        ({"text_config": {"vocab_size": 3}}, "model_type"),
        ({"picture": {"mode": "crop"}}, "letterbox"),
        ({"modality_dropout": 1.5}, "probability"),
        ({"class_votes": {"eccg": 3.0}}, "did you mean ecg"),
    ],
)
def test_refusals(tiny_config: Callable[..., GemConfig], changes: dict[str, object], says: str) -> None:
    with pytest.raises(GemConfigError, match=says):
        tiny_config(**changes)


def test_what_an_encoder_takes_stands_in_kwargs(tiny_config: Callable[..., GemConfig]) -> None:
    config = tiny_config()
    config.ecg_encoder = {**(config.ecg_encoder or {}), "width": 32}
    with pytest.raises(GemConfigError, match=r"(?s)ecg_encoder does not take width.*kwargs"):
        GemForConditionalGeneration(config)


@pytest.mark.parametrize("given", [{"r": 2, "lora_alpha": 999}, {"rank": 2}])
def test_lora_has_four_settings(given: dict[str, int]) -> None:
    with pytest.raises(GemConfigError, match="it takes r, alpha, dropout, targets"):
        lora_settings(given, 64, 16, 0.0)
    assert lora_settings({"r": 2}, 64, 16, 0.0)["r"] == 2


@pytest.mark.parametrize("part", ["signal", "picture"])
def test_inputs_of_another_encoder_are_refused(part: str, tiny_config: Callable[..., GemConfig]) -> None:
    """A config whose encoder was exchanged still says how the earlier one's input is prepared."""
    model = GemForConditionalGeneration(tiny_config())
    values = model.config.to_dict()
    if part == "signal":
        values["ecg_encoder"] = {"name": "ecg_resnet", "kwargs": {"depths": [1], "widths": [4], "n_samples": 900}}
    else:
        values["vision_encoder"] = {"name": "timm/test_vit", "kwargs": {"img_size": [96, 96]}}
    with pytest.raises(GemConfigError, match=f"set {part} to None"):
        GemForConditionalGeneration(GemConfig(**values))
    fresh = GemForConditionalGeneration(GemConfig(**{**values, part: None}))
    assert getattr(fresh.config, part) != getattr(model.config, part)
