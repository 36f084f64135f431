"""The multimodal merge: GEM-7B's and gem-nano's batches, ragged prompts."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...fusion.merge import merge_tokens
from ..merge_rows import merge
from .case import BenchCase, Inputs

_PLACEHOLDER = -200


def _inputs(
    rows: int, long: int, ecg: int, picture: int, width: int, dtype: torch.dtype, device: str, g: torch.Generator
) -> Inputs:
    """Left-padded prompts of different lengths; the first row is full."""
    ids = torch.randint(1, 500, (rows, long), generator=g, device=device)
    pad = torch.randint(0, max(1, long // 2), (rows, 1), generator=g, device=device)
    pad[0] = 0
    place = torch.randint(long // 2, long, (rows, 1), generator=g, device=device)
    ids.scatter_(1, place, _PLACEHOLDER)
    steps = torch.arange(rows + 1, device=device)
    return {
        "ids": ids,
        "mask": (torch.arange(long, device=device) >= pad).long(),
        "labels": ids.clamp(min=0),
        "text": torch.randn(rows, long, width, generator=g, device=device).to(dtype),
        "ecg": torch.randn(rows * ecg, width, generator=g, device=device).to(dtype),
        "ecg_starts": steps * ecg,
        "picture": torch.randn(rows * picture, width, generator=g, device=device).to(dtype),
        "picture_starts": steps * picture,
        "length": long - 1 + ecg + picture,
    }


def _run(**inputs: Any) -> list[Tensor]:
    placed = merge(**inputs, placeholder=_PLACEHOLDER, left=True)
    return [placed.embeds, placed.labels, placed.mask, placed.positions]


def _loop(
    *,
    ids: Tensor,
    mask: Tensor,
    labels: Tensor,
    text: Tensor,
    ecg: Tensor,
    ecg_starts: Tensor,
    picture: Tensor,
    picture_starts: Tensor,
    length: int,
) -> list[Tensor]:
    """As the published code does it: record by record, synchronising with the host."""
    parts = zip(ecg.split(ecg_starts.diff().tolist()), picture.split(picture_starts.diff().tolist()), strict=True)
    merged = merge_tokens(ids, text, [torch.cat(pair) for pair in parts], _PLACEHOLDER, mask, labels)
    positions = (merged.attention_mask.cumsum(1) - 1).clamp(min=0)
    return [merged.embeds, merged.labels if merged.labels is not None else ids, merged.attention_mask, positions]


def cases(tiny: bool = False) -> list[BenchCase]:
    """GEM-7B: 64 ids, 101 ECG and 576 picture tokens of 4096; gem-nano: 20 and 4 tokens of 256."""
    out = []
    for model, long, ecg, picture, width, dtype in (
        ("GEM-7B", 64, 101, 576, 4096, torch.bfloat16),
        ("gem-nano", 48, 40, 52, 256, torch.float32),
    ):
        for rows in (1, 8, 64):
            shape = (min(rows, 2), 7, 3, 5, 6, dtype) if tiny else (rows, long, ecg, picture, width, dtype)
            size = shape[0] * (shape[1] - 1 + shape[2] + shape[3]) * shape[4]
            moved = 2 * size * dtype.itemsize
            out.append(
                BenchCase(
                    "merge",
                    f"{model}, batch {rows}",
                    dtype,
                    size,
                    partial(_inputs, *shape),
                    _run,
                    ("text", "ecg", "picture"),
                    moved,
                    moved,
                    rivals={"loop": _loop},
                    tolerance=0.0 if dtype == torch.float32 else None,
                )
            )
    return out
