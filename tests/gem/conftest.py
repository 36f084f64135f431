"""Tiny random models that the tests of the model side share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import grounding
from gem import GemConfig, GemForConditionalGeneration
from grounding import Measurement

ECG = {
    "name": "ecg_patch",
    "kwargs": {"n_samples": 500, "patch": 50, "width": 32, "layers": 1, "heads": 2, "fs_hz": 50},
}
VISION = {"name": "timm/test_vit", "kwargs": {"img_size": [64, 64]}}
TEXT = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}


def _config(**changes: Any) -> GemConfig:
    """Both encoders, tokens fusion, two labels; anything can be changed."""
    return GemConfig(
        **{"ecg_encoder": ECG, "vision_encoder": VISION, "text_config": TEXT, "class_names": ["MI", "NORM"], **changes}
    )


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small folders in the published layouts, with random weights."""
    from tests.gem import strangers

    root = tmp_path_factory.mktemp("published")
    strangers.published(root / "GEM")
    strangers.published(root / "PULSE", ecg=False)
    strangers.meit(root / "MEIT")
    strangers.meit(root / "MEIT-features", encoder=False)
    strangers.coca(root / "CoCa")
    strangers.ours(root / "encoders", fusion="none")
    return root


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., GemConfig]:
    return _config


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., GemForConditionalGeneration]:
    def build(**changes: Any) -> GemForConditionalGeneration:
        torch.manual_seed(0)
        return GemForConditionalGeneration(_config(**changes)).eval()

    return build


@pytest.fixture
def tiny_inputs() -> dict[str, Any]:
    """Two prompts of six ids with a placeholder each, 500 samples of signal, 64 x 64 pictures."""
    torch.manual_seed(1)
    ids = torch.randint(3, 64, (2, 6))
    ids[:, 2] = -200
    return {"input_ids": ids, "ecg": torch.randn(2, 12, 500), "pixel_values": torch.randn(2, 3, 64, 64)}


@pytest.fixture(scope="module")
def measurement() -> Measurement:
    """Of the recording that dialogues are about; first-degree AV block."""
    return grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))


@pytest.fixture(scope="module")
def before() -> Measurement:
    """Of the recording that stands for the patient's earlier one."""
    return grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_286")))
