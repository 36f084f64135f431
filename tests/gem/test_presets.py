"""The presets have the published sizes, and gem-nano's is the bundled model."""

from __future__ import annotations

import json

import pytest
import torch

import gem
from gem.checkpoints import WEIGHTS
from gem.presets import PRESETS

# parameters by part; docs/models says where each figure is from
SIZES = {
    "gem-7b": {"ecg_encoder": 85_989_888, "ecg_projector": 768 * 1024 + 1024},
    "pulse-7b": {"vision_projector": 1024 * 4096 + 4096 + 4096 * 4096 + 4096},
    "ecg-chat-7b": {"ecg_encoder": 85_989_888},
    "meit-7b": {"ecg_encoder": 15_959_168, "ecg_projector": 4_462_976},
    "gem-nano": {},
}


@pytest.mark.parametrize("name", PRESETS)
def test_sizes(name: str) -> None:
    with torch.device("meta"):
        model = gem.GemForConditionalGeneration(PRESETS[name]())
    parts = {part: sum(one.numel() for one in module.parameters()) for part, module in model.named_children()}
    assert SIZES[name].items() <= parts.items()
    if name.endswith("-7b"):
        assert parts["language_model"] == 6_738_415_616  # Llama-2-7B


def test_gem_nano_is_the_bundled_model() -> None:
    stored, ours = json.loads((WEIGHTS / "gem-nano" / "config.json").read_text()), PRESETS["gem-nano"]()
    for key in ("ecg_encoder", "vision_encoder", "ecg_projector", "vision_projector"):
        assert stored[key] == getattr(ours, key)
    text = ours.text_config.to_dict()
    for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"):
        assert stored["text_config"][key] == text[key]
