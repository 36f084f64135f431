"""Residual + LayerNorm at the widths of the encoders."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..layer_norm import residual_layer_norm
from .case import BenchCase, Inputs


def _inputs(rows: int, width: int, dtype: torch.dtype, device: str, g: torch.Generator) -> Inputs:
    x, r = (torch.randn(rows, width, generator=g, device=device).to(dtype) for _ in range(2))
    weight = (1 + 0.1 * torch.randn(width, generator=g, device=device)).to(dtype)
    return {"x": x, "r": r, "weight": weight, "bias": torch.randn(width, generator=g, device=device).to(dtype)}


def liger() -> dict[str, Callable[..., Any]]:
    """Liger-Kernel's LayerNorm after a plain sum, where it is installed."""
    if importlib.util.find_spec("liger_kernel") is None:
        return {}
    norm = importlib.import_module("liger_kernel.ops.layer_norm").LigerLayerNormFunction

    def run(x: Tensor, r: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
        total = x + r
        return [total, norm.apply(total, weight, bias, 1e-5)]

    return {"liger": run}


def cases(tiny: bool = False) -> list[BenchCase]:
    """CLIP-L and ECG-CoCa as in GEM-7B; a width of 256 in float32 as the smallest encoders have."""
    out = []
    for name, tokens, width, dtype in (
        ("CLIP-L", 577, 1024, torch.bfloat16),
        ("ECG-CoCa", 101, 768, torch.bfloat16),
        ("width 256", 101, 256, torch.float32),
    ):
        for batch in (1, 8, 64):
            shape = (5, 16, dtype) if tiny else (batch * tokens, width, dtype)
            numbers = shape[0] * shape[1]
            moved = 4 * numbers * dtype.itemsize  # forward x, r, sum, norm; backward both gradients, the sum, dx
            out.append(
                BenchCase(
                    "layer_norm",
                    f"{name}, batch {batch}",
                    dtype,
                    numbers,
                    partial(_inputs, *shape),
                    residual_layer_norm,
                    ("x", "r", "weight", "bias"),
                    moved,
                    moved,
                    rivals=liger(),
                )
            )
    return out
