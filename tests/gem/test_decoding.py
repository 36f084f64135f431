"""The small decoder's own decoding gives the tokens of transformers' ``generate``, and leaves other models to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import gem
import grounding
from gem import GemForConditionalGeneration, decoding, explain, modeling
from gem.decoding import can_decode

from .conftest import TEXT

GREEDY = {"max_new_tokens": 40, "do_sample": False}
PLAIN = {**TEXT, "num_key_value_heads": 4}
Build = Callable[..., GemForConditionalGeneration]


@pytest.fixture
def loud(tiny_model: Build) -> GemForConditionalGeneration:
    """Weights so large that texts of the same prompt length differ and end in different places."""
    model = tiny_model(text_config={**PLAIN, "eos_token_id": 7})
    torch.manual_seed(4)
    with torch.no_grad():
        for weight in model.language_model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.4)
            else:
                weight.uniform_(0.5, 1.5)
    return model


def both(model: Any, inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of ours and of transformers'."""
    assert can_decode(model, GREEDY)
    ours = model.generate(**inputs, **GREEDY)
    with monkeypatch.context() as patch:
        patch.setattr(modeling, "can_decode", lambda *_: False)
        return ours, model.generate(**inputs, **GREEDY)


@pytest.mark.parametrize("ends", [7, [7, 9, 11], None])
@pytest.mark.parametrize("padded", [False, True])
def test_tokens_are_those_of_transformers(
    loud: Any, tiny_inputs: dict[str, Any], padded: bool, ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud.generation_config.eos_token_id = ends
    rows = torch.randint(3, 64, (6, 9), generator=torch.Generator().manual_seed(2))
    rows[:, 4] = -200
    mask = torch.ones_like(rows)
    if padded:
        for row in range(1, 6):
            mask[row, : min(row, 4)] = 0
    many = {name: tiny_inputs[name].repeat(3, *[1] * (tiny_inputs[name].dim() - 1)) for name in ("ecg", "pixel_values")}
    ours, theirs = both(loud, {"input_ids": rows, "attention_mask": mask, **many}, monkeypatch)
    assert ours.tolist() == theirs.tolist()
    assert len({tuple(row) for row in ours[:, 9:].tolist()}) > 1
    if ends is not None:
        assert bool((ours[:, -1] == 0).any()), "a text that ended before the others is filled up"


def test_one_row_and_text_alone(loud: Any, tiny_inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    one = {name: value[:1] for name, value in tiny_inputs.items()}
    text = {"input_ids": torch.tensor([[3, 5, 9, 30]])}
    for inputs in (one, text):
        ours, theirs = both(loud, inputs, monkeypatch)
        assert ours.tolist() == theirs.tolist()


def test_a_larger_model_of_other_kind_or_options_are_left_alone(tiny_model: Build) -> None:
    model: Any = tiny_model(text_config=PLAIN)
    assert can_decode(model, GREEDY)
    for options in ({}, {**GREEDY, "do_sample": True}, {**GREEDY, "num_beams": 2}, {"do_sample": False}):
        assert not can_decode(model, options)
    assert not can_decode(tiny_model(), GREEDY)  # keys and values are shared by heads
    assert not can_decode(tiny_model(text_config=PLAIN, fusion="prefix_kv", vision_encoder=None), GREEDY)
    assert not can_decode(tiny_model(text_config={**PLAIN, "mlp_bias": True}), GREEDY)
    head = model.language_model.lm_head
    head.bias = torch.nn.Parameter(torch.ones(len(head.weight)))
    assert not can_decode(model, GREEDY)
    head.bias = None
    model.generation_config.repetition_penalty = 1.3
    assert not can_decode(model, GREEDY)
    model.generation_config.repetition_penalty = None
    assert can_decode(model, GREEDY)
    model.to(torch.bfloat16)
    assert not can_decode(model, GREEDY)
    model.float().train()
    assert not can_decode(model, GREEDY)


def test_changed_modules_are_left_alone(tiny_model: Build) -> None:
    model: Any = tiny_model(text_config=PLAIN)
    layer = model.language_model.model.layers[1]
    hook = layer.mlp.register_forward_hook(lambda *_: None)
    assert not can_decode(model, GREEDY)
    hook.remove()
    assert can_decode(model, GREEDY)
    layer.self_attn.q_proj = torch.nn.Sequential(layer.self_attn.q_proj)  # as an adapter wraps it
    assert not can_decode(model, GREEDY)


def test_nano_is_decoded_here() -> None:
    assert can_decode(gem.load("gem-nano"), {"max_new_tokens": 320, "do_sample": False})


def test_a_guess_changes_nothing(loud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that are guessed in full, in part and wrongly are those of transformers; the guess saves steps."""
    loud.generation_config.eos_token_id = None
    steps = []
    call = decoding._DecodingSteps.__call__
    monkeypatch.setattr(decoding._DecodingSteps, "__call__", lambda self, x, n: steps.append(n) or call(self, x, n))
    prompts = [torch.tensor([[3, 5, 9, number]]) for number in (30, 30, 31, 32, 30)]
    for prompt in prompts:
        ours, theirs = both(loud, {"input_ids": prompt}, monkeypatch)
        assert ours.tolist() == theirs.tolist()
    assert len(steps) < 4 * 40
    known = decoding._followers[loud.language_model]
    for context in list(known):
        known[context] = (known[context] + 1) % 64  # what was remembered is all wrong
    ours, theirs = both(loud, {"input_ids": prompts[0]}, monkeypatch)
    assert ours.tolist() == theirs.tolist()


def test_what_is_remembered_is_bounded(loud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_CONTEXTS", 5)
    for number in range(3, 9):
        loud.generate(input_ids=torch.tensor([[3, 5, 9, number]]), **GREEDY)
    assert len(decoding._followers[loud.language_model]) == 5


def test_an_explanation_takes_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []

    def watched(model: Any, options: Any) -> bool:
        taken.append(can_decode(model, options))
        return taken[-1]

    monkeypatch.setattr(modeling, "can_decode", watched)
    explain(grounding.read_record(grounding.sample_path()), model=gem.load("gem-nano"))
    assert taken == [True]
