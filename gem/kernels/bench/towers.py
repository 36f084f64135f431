"""End to end: both towers, projector and merge of one model, and a training step."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from .case import BenchCase, Inputs

_PLACEHOLDER = -200
_TEXT = {
    "model_type": "llama",
    "vocab_size": 512,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _build(name: str, device: str, dtype: torch.dtype) -> Any:
    """GEM's towers and projectors with random weights in front of a decoder of one narrow layer."""
    from ...configuration import GemConfig
    from ...modeling import GemForConditionalGeneration

    torch.manual_seed(0)
    if name == "GEM-7B":
        config = GemConfig(
            ecg_encoder={"name": "ecg_coca"},
            vision_encoder={"name": "clip_vision"},
            share_projector=True,
            ecg_projector={"type": "linear", "width": 1024},
            text_config={**_TEXT, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 32},
        )
    elif name == "gem-nano":
        config = GemConfig(
            ecg_encoder={"name": "ecg_conv", "kwargs": {"widths": [64, 128, 224, 384]}},
            vision_encoder={"name": "paper_traces", "kwargs": {"widths": [96, 192, 384]}},
            ecg_projector={"type": "linear"},
            vision_projector={"type": "linear"},
            text_config={**_TEXT, "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 4},
        )
    else:
        clip = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 14,
            "image_size": 28,
        }
        config = GemConfig(
            ecg_encoder={"name": "ecg_coca", "kwargs": {"n_samples": 100, "width": 64, "layers": 1, "embed_dim": 16}},
            vision_encoder={"name": "clip_vision", "kwargs": {"config": clip}},
            share_projector=True,
            ecg_projector={"type": "linear", "width": 32},
            text_config={**_TEXT, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2},
        )
    model: Any = GemForConditionalGeneration(config)
    return model.to(device, dtype).eval()


_model = cache(_build)  # building takes seconds


def tiny_model(device: str) -> Any:
    """A new model of GEM's architecture, small enough for an interpreter; 12 leads x 100 samples, 28 x 28 pixels."""
    return _build("tiny", device, torch.float32)


def _inputs(name: str, rows: int, long: int, dtype: torch.dtype, device: str, g: torch.Generator) -> Inputs:
    model = _model(name, device, dtype)
    contract, size = model.config.signal, model.config.picture["size"]
    ids = torch.randint(3, 500, (rows, long), generator=g, device=device)
    ids[:, 1] = _PLACEHOLDER
    ecg = torch.randn(rows, len(contract["leads"]), contract["n_samples"], generator=g, device=device)
    return {
        "model": model,
        "ids": ids,
        "ecg": ecg.to(dtype),
        "pixels": torch.randn(rows, 3, *size, generator=g, device=device).to(dtype),
    }


def _encode(*, model: Any, ids: Tensor, ecg: Tensor, pixels: Tensor) -> list[Tensor]:
    """Towers, projector and merge: the first part of ``generate``."""
    model = _like(model, ecg)
    with torch.no_grad():
        merged = model._merge(ids, model.encode(ecg, pixels), None, None)
    return [merged.embeds]


def _step(*, model: Any, ids: Tensor, ecg: Tensor, pixels: Tensor) -> list[Tensor]:
    """Forward and backward pass of the whole model; returns the loss and some gradients at both ends."""
    model = _like(model, ecg)
    with torch.enable_grad():
        loss = model(input_ids=ids, ecg=ecg, pixel_values=pixels, labels=ids.clamp(min=0)).loss
        watched = [
            model.ecg_projector.weight,
            next(model.vision_encoder.parameters()),
            next(model.ecg_encoder.parameters()),
        ]
        for parameter in model.parameters():
            parameter.grad = None
        loss.backward()
    return [loss.detach(), *(parameter.grad for parameter in watched)]


def _like(model: Any, tensor: Tensor) -> Any:
    """The model in the dtype of its inputs: references are float64."""
    if next(model.parameters()).dtype == tensor.dtype:
        return model
    return _copy(model, tensor.dtype)


@cache
def _copy(model: Any, dtype: torch.dtype) -> Any:
    import copy

    return copy.deepcopy(model).to(dtype)


def cases(tiny: bool = False) -> list[BenchCase]:
    """Latency of encoding at three batch sizes; a training step at batch 8."""
    out: list[BenchCase] = []
    for model, long, dtype in (("GEM-7B", 64, torch.bfloat16), ("gem-nano", 48, torch.float32)):
        out += [_case(model, rows, long, dtype, tiny, "towers + projector + merge", _encode) for rows in (1, 8, 64)]
        out.append(_case(model, 8, long, dtype, tiny, "training step", _step))
    return out


def _case(model: str, rows: int, long: int, dtype: torch.dtype, tiny: bool, what: str, run: Any) -> BenchCase:
    name = "tiny" if tiny else model
    rows, long, shown = (min(rows, 2), 5, rows) if tiny else (rows, long, rows)
    side = {"GEM-7B": (336, 336), "gem-nano": (400, 512), "tiny": (28, 28)}[name]
    # lower bound: pictures and tokens are small compared with the weights, which a batch reads once
    weights = {"GEM-7B": 303e6 + 86e6 + 21e6, "gem-nano": 11e6, "tiny": 1e5}[name]
    # two operations per weight and token; those of attention are not counted
    flop = {"GEM-7B": 2.0 * (303e6 * 577 + 86e6 * 101 + 21e6 * 677), "gem-nano": 0.0, "tiny": 0.0}[name] * rows
    factor = 3 if run is _step else 1
    # errors of half precision grow with the depth of the model
    return BenchCase(
        "training step" if run is _step else "towers",
        f"{model}, batch {shown}, {what}",
        dtype,
        rows * 3 * side[0] * side[1],
        partial(_inputs, name, rows, long, dtype),
        run,
        forward_bytes=int(weights * dtype.itemsize * factor),
        forward_flop=flop * factor,
        tolerance=0.1 if dtype == torch.bfloat16 else 1e-3,
        compile_s=100.0,
    )
