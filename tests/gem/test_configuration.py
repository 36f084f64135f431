"""The config: JSON round trip, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gem import GemConfig, GemConfigError


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
    ],
)
def test_refusals(tiny_config: Callable[..., GemConfig], changes: dict[str, object], says: str) -> None:
    with pytest.raises(GemConfigError, match=says):
        tiny_config(**changes)
