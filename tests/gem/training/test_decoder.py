"""The decoder of one folder, moved into another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import gem
from gem.checkpoints import WEIGHTS
from gem.training.answers import add_answer_tags
from gem.training.decoder import move_decoder
from gem.training.start import save
from grounding.questions import ANSWER_TAGS


def test_the_rest_of_the_model_stays(tmp_path: Path) -> None:
    other = gem.load("gem-nano")
    add_answer_tags(other)
    with torch.no_grad():
        for parameter in other.language_model.parameters():
            parameter.add_(0.25)
        for parameter in other.class_head.parameters():
            parameter.add_(1.0)
    save(other.half(), tmp_path / "other")
    shutil.copytree(WEIGHTS / "gem-nano", tmp_path / "nano")
    assert move_decoder(tmp_path / "other", tmp_path / "nano") > 30
    moved, before = gem.load(tmp_path / "nano"), gem.load("gem-nano")
    assert set(ANSWER_TAGS) <= set(moved.processor.tokenizer.get_vocab())
    source = gem.load(tmp_path / "other").state_dict()
    for name, value in moved.state_dict().items():
        expected = source[name] if name.startswith("language_model.") else before.state_dict()[name]
        assert torch.equal(value, expected), name


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(gem.GemConfigError, match=r"model\.safetensors"):
        move_decoder(tmp_path, WEIGHTS / "gem-nano")
