"""The model: merge, both inputs or either, generation, loss, save and load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gem import GemConfigError, GemForConditionalGeneration, GemInputError

Build = Callable[..., GemForConditionalGeneration]
MEIT = {
    "fusion": "prefix_kv",
    "vision_encoder": None,
    "class_names": [],
    "ecg_projector": {"type": "meit", "hidden": 16},
    "ecg_encoder": {"name": "ecg_resnet", "kwargs": {"depths": [1, 1], "widths": [4, 8], "n_samples": 500}},
}


@pytest.fixture(scope="module")
def model(tiny_model: Build) -> GemForConditionalGeneration:
    return tiny_model()


def labels_of(inputs: dict[str, Any]) -> torch.Tensor:
    return inputs["input_ids"].clone().masked_fill(torch.tensor([[1, 1, 1, 0, 0, 0]]).bool(), -100)


def test_merged_length_and_loss(model: GemForConditionalGeneration, tiny_inputs: dict[str, Any]) -> None:
    out = model(**tiny_inputs, labels=labels_of(tiny_inputs))
    assert out.logits.shape == (2, 6 - 1 + 10 + 17, 64)
    rows = model(**tiny_inputs, labels=labels_of(tiny_inputs), supervised_only=True)
    assert rows.logits.shape == (6, 64)
    torch.testing.assert_close(rows.loss, out.loss)
    assert model.classify(tiny_inputs["ecg"]).shape == (2, 2)


def test_the_text_depends_on_each_input(model: GemForConditionalGeneration, tiny_inputs: dict[str, Any]) -> None:
    logits = model(**tiny_inputs).logits[:, -1]
    for name in ("ecg", "pixel_values"):
        other = model(**{**tiny_inputs, name: tiny_inputs[name].flip(0)}).logits[:, -1]
        assert (other - logits).abs().max() > 1e-4


def test_mixed_batch_equals_one_by_one(model: GemForConditionalGeneration, tiny_inputs: dict[str, Any]) -> None:
    ids, ecg, pixels = (tiny_inputs[name] for name in ("input_ids", "ecg", "pixel_values"))
    mixed = model(**tiny_inputs, ecg_mask=torch.tensor([True, False]), pixel_mask=torch.tensor([False, True]))
    first = model(ids[:1], ecg=ecg[:1])
    second = model(ids[1:], pixel_values=pixels[1:])
    torch.testing.assert_close(mixed.logits[0, : first.logits.shape[1]], first.logits[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed.logits[1, : second.logits.shape[1]], second.logits[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed.class_logits[:1], first.class_logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"cache_implementation": "static"}, {"use_cache": False}])
@pytest.mark.parametrize("changes", [{}, MEIT], ids=["tokens", "prefix_kv"])
def test_generation(
    tiny_model: Build, tiny_inputs: dict[str, Any], changes: dict[str, Any], options: dict[str, Any]
) -> None:
    model = tiny_model(**changes)
    ids, ecg = tiny_inputs["input_ids"], tiny_inputs["ecg"]
    if changes:
        ids = ids.abs() % 64
    options = {"max_new_tokens": 5, "do_sample": False, **options}
    whole = model.generate(ids, ecg=ecg, **options)
    assert (whole[:, :6] == ids).all()
    # a shorter row, padded on the left, generates what it generates alone
    padded = ids.clone()
    padded[1, :-4] = 0
    padded[1, -4] = ids[1, 2] if not changes else 7
    mask = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    both = model.generate(padded, attention_mask=mask, ecg=ecg, **options)
    alone = model.generate(padded[1:, 2:], ecg=ecg[1:], **options)
    assert (both[0, 6:] == whole[0, 6:]).all()
    assert (both[1, 6:] == alone[0, 4:]).all()
    if "num_beams" not in options:
        greedy = model.generate(ids, ecg=ecg, max_new_tokens=5, do_sample=False)
        assert (whole == greedy).all()


def test_prefix_row_without_ecg_is_plain_text(tiny_model: Build, tiny_inputs: dict[str, Any]) -> None:
    model = tiny_model(**MEIT)
    ids = tiny_inputs["input_ids"].abs() % 64
    mixed = model(ids, ecg=tiny_inputs["ecg"], ecg_mask=torch.tensor([True, False])).logits
    torch.testing.assert_close(mixed[1], model(ids).logits[1], atol=1e-5, rtol=1e-5)
    assert (mixed[0] - model(ids).logits[0]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        MEIT,
        {
            "vision_encoder": {
                "name": "timm/swin_tiny_patch4_window7_224",
                "kwargs": {
                    "embed_dim": 8,
                    "depths": [1, 1],
                    "num_heads": [1, 1],
                    "img_size": [64, 64],
                    "window_size": 4,
                },
            }
        },
    ],
    ids=["both", "meit", "swin"],
)
def test_save_and_load(tiny_model: Build, tiny_inputs: dict[str, Any], changes: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_model(**changes)
    if changes is MEIT:
        inputs = {"input_ids": tiny_inputs["input_ids"].abs() % 64, "ecg": tiny_inputs["ecg"]}
    else:
        inputs = tiny_inputs
    model.save_pretrained(tmp_path)
    again, report = GemForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    torch.testing.assert_close(again.eval()(**inputs).logits, model(**inputs).logits, atol=0, rtol=0)


def test_bad_requests(model: GemForConditionalGeneration, tiny_inputs: dict[str, Any], tiny_model: Build) -> None:
    ids, ecg = tiny_inputs["input_ids"], tiny_inputs["ecg"]
    with pytest.raises(GemInputError, match="neither signal nor picture"):
        model(ids)
    with pytest.raises(GemInputError, match="no placeholder"):
        model(ids.abs() % 64, ecg=ecg)
    with pytest.raises(GemInputError, match="2 placeholders"):
        model(torch.full((2, 2), -200), ecg=ecg)
    with pytest.raises(GemInputError, match="8 leads x 500"):
        model(ids, ecg=ecg[:, :8])
    with pytest.raises(GemInputError, match="at 50 Hz"):
        model(ids, ecg=ecg.repeat(1, 1, 2))
    with pytest.raises(GemInputError, match="2 prompts but 1"):
        model(ids, ecg=ecg[:1])
    with pytest.raises(GemInputError, match="2 recordings but 1 pictures"):
        model(ids, ecg=ecg, pixel_values=tiny_inputs["pixel_values"][:1])
    with pytest.raises(GemInputError, match="no vision encoder"):
        tiny_model(vision_encoder=None)(ids, pixel_values=tiny_inputs["pixel_values"])
    with pytest.raises(GemConfigError, match="text_config"):
        tiny_model(text_config=None)


def test_training_step_and_modality_dropout(tiny_model: Build, tiny_inputs: dict[str, Any]) -> None:
    model = tiny_model(modality_dropout=1.0).train()
    out = model(
        **tiny_inputs, labels=labels_of(tiny_inputs), class_labels=torch.tensor([[1.0, 0.0], [0.0, float("nan")]])
    )
    assert out.attention_mask.sum(1).max() < 6 - 1 + 10 + 17  # each row lost one input
    model.gradient_checkpointing_enable()
    model(**tiny_inputs, labels=labels_of(tiny_inputs)).loss.backward()
    assert model.language_model.model.layers[0].self_attn.q_proj.weight.grad.abs().sum() > 0


def test_lora_by_ordinary_names(tiny_model: Build, tiny_inputs: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(tiny_model(), peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    losses = []
    for _ in range(3):
        loss = model(**tiny_inputs, labels=labels_of(tiny_inputs)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tiny_model: Build, tiny_inputs: dict[str, Any], dtype: torch.dtype) -> None:
    full, half = tiny_model(), tiny_model().to(dtype)
    out = half(**tiny_inputs)
    assert out.logits.dtype == dtype
    assert (out.logits.float() - full(**tiny_inputs).logits).abs().max() < 0.05


def test_encoders_alone(tiny_model: Build, tiny_inputs: dict[str, Any]) -> None:
    model = tiny_model(
        text_config=None, fusion="none", ecg_projector={"type": "linear", "width": 24}, vision_encoder=None
    )
    assert model(ecg=tiny_inputs["ecg"], class_labels=torch.ones(2, 2)).loss > 0
    with pytest.raises(GemConfigError, match="no language model"):
        model.generate(tiny_inputs["input_ids"], ecg=tiny_inputs["ecg"])


def test_nothing_of_ours_breaks_the_graph(tiny_model: Build, tiny_inputs: dict[str, Any]) -> None:
    """Encoders and a decoding step are one graph each for torch.compile."""
    model = tiny_model()
    explain = torch._dynamo.explain
    assert explain(model.ecg_encoder)(tiny_inputs["ecg"]).graph_break_count == 0
    assert explain(model.vision_encoder)(tiny_inputs["pixel_values"]).graph_break_count == 0
    step = explain(lambda ids: model(input_ids=ids, use_cache=False).logits)(torch.tensor([[5]]))
    assert step.graph_break_count == 0
    torch._dynamo.reset()
