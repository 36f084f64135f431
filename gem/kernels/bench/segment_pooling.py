"""Pooling per wave: four waves of twelve beats in twelve leads, against a matrix product with a mask in memory."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ..segment_pooling import pool_segments
from .case import BenchCase, Inputs


def _inputs(
    records: int, tokens: int, width: int, segments: int, dtype: torch.dtype, device: str, g: torch.Generator
) -> Inputs:
    starts = torch.randint(0, tokens, (records * segments,), generator=g, device=device)
    longest = max(1, tokens // 25)
    lengths = torch.randint(0, longest + 1, starts.shape, generator=g, device=device)
    return {
        "tokens": torch.randn(records, tokens, width, generator=g, device=device).to(dtype),
        "starts": starts,
        "ends": (starts + lengths).clamp(max=tokens),
        "first": torch.arange(records + 1, device=device) * segments,
        "most": segments,
    }


def _mask(*, tokens: Tensor, starts: Tensor, ends: Tensor, first: Tensor, most: int) -> Tensor:
    """A product with a mask; correct only if all records have the same number of segments."""
    at = torch.arange(tokens.shape[1], device=tokens.device)
    start, end = starts.view(len(tokens), most, 1), ends.view(len(tokens), most, 1)
    covers = ((at >= start) & (at < end)).to(tokens.dtype)
    return ((covers @ tokens) / (end - start).clamp(min=1)).flatten(0, 1)


def cases(tiny: bool = False) -> list[BenchCase]:
    """Tokens of ECG-CoCa in GEM-7B, and gem-nano's projected ones."""
    out = []
    for model, tokens, width, dtype in (("GEM-7B", 101, 768, torch.bfloat16), ("gem-nano", 40, 256, torch.float32)):
        for records in (1, 8, 64):
            shape = (2, 9, 5, 7, dtype) if tiny else (records, tokens, width, 576, dtype)
            moved = shape[0] * (shape[1] + shape[3]) * shape[2] * dtype.itemsize
            out.append(
                BenchCase(
                    "segment_pooling",
                    f"{model}, batch {records}",
                    dtype,
                    shape[0] * shape[3] * shape[2],
                    partial(_inputs, *shape),
                    pool_segments,
                    ("tokens",),
                    moved,
                    moved,
                    rivals={"mask": _mask},
                )
            )
    return out
