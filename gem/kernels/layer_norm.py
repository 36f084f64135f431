"""Residual sum and LayerNorm, fused forward and backward, with several rows per program and without atomics."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import kernel_selected
from .launch import Build, blocks, contiguous, device_of, power_of_2, tl, triton


@triton.jit
def _forward(
    X,  # (rows, width)
    R,  # (rows, width)
    WEIGHT,  # (width,)
    BIAS,  # (width,)
    TOTAL,  # (rows, width), written
    Y,  # (rows, width), written
    MEAN,  # (rows,) float32, written
    RSTD,  # (rows,) float32, written
    rows,
    width,
    eps,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    col = tl.arange(0, WIDTH)
    inside = (row < rows)[:, None] & (col < width)[None, :]
    at = row.to(tl.int64)[:, None] * width + col[None, :]
    total = tl.load(X + at, mask=inside, other=0.0).to(tl.float32) + tl.load(R + at, mask=inside, other=0.0).to(
        tl.float32
    )
    # rounded like the stored sum: the norm must use the same values as the next layer
    total = total.to(TOTAL.dtype.element_ty)
    tl.store(TOTAL + at, total, mask=inside)
    total = total.to(tl.float32)
    mean = tl.sum(total, 1) / width
    centred = tl.where(inside, total - mean[:, None], 0.0)
    rstd = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / width + eps)
    weight = tl.load(WEIGHT + col, mask=col < width, other=0.0).to(tl.float32)
    bias = tl.load(BIAS + col, mask=col < width, other=0.0).to(tl.float32)
    y = centred * rstd[:, None] * weight[None, :] + bias[None, :]
    tl.store(Y + at, y.to(Y.dtype.element_ty), mask=inside)
    tl.store(MEAN + row, mean, mask=row < rows)
    tl.store(RSTD + row, rstd, mask=row < rows)


@triton.jit
def _backward(
    D_TOTAL,  # (rows, width)
    D_Y,  # (rows, width)
    TOTAL,  # (rows, width)
    WEIGHT,  # (width,)
    MEAN,  # (rows,) float32
    RSTD,  # (rows,) float32
    D_X,  # (rows, width), written
    D_WEIGHT,  # (programs, width) float32, written: partial sums
    D_BIAS,  # (programs, width) float32, written: partial sums
    rows,
    width,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILES: tl.constexpr,
):
    program = tl.program_id(0)
    col = tl.arange(0, WIDTH)
    there = col < width
    weight = tl.load(WEIGHT + col, mask=there, other=0.0).to(tl.float32)
    d_weight = tl.zeros((WIDTH,), tl.float32)
    d_bias = tl.zeros((WIDTH,), tl.float32)
    for tile in range(TILES):
        row = (program * TILES + tile) * ROWS + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & there[None, :]
        at = row.to(tl.int64)[:, None] * width + col[None, :]
        dy = tl.load(D_Y + at, mask=inside, other=0.0).to(tl.float32)
        mean = tl.load(MEAN + row, mask=row < rows, other=0.0)
        rstd = tl.load(RSTD + row, mask=row < rows, other=0.0)
        total = tl.load(TOTAL + at, mask=inside, other=0.0).to(tl.float32)
        normed = tl.where(inside, (total - mean[:, None]) * rstd[:, None], 0.0)
        d_weight += tl.sum(dy * normed, 0)
        d_bias += tl.sum(dy, 0)
        dn = dy * weight[None, :]
        along = tl.sum(dn * normed, 1) / width
        dx = (dn - tl.sum(dn, 1)[:, None] / width - normed * along[:, None]) * rstd[:, None]
        dx += tl.load(D_TOTAL + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(D_X + at, dx.to(D_X.dtype.element_ty), mask=inside)
    out = program.to(tl.int64) * width + col
    tl.store(D_WEIGHT + out, d_weight, mask=there)
    tl.store(D_BIAS + out, d_bias, mask=there)


def _tile(width: int) -> tuple[int, int, int]:
    """(rows per program, padded width, warps): about 8 numbers per thread; with 16, sm_90 and sm_100 spill."""
    padded = power_of_2(width)
    rows = max(1, min(16, 2048 // padded))
    return rows, padded, min(16, max(8, rows * padded // 256))


def _tiles(rows: int, per_tile: int) -> int:
    """Row tiles per backward program: about 512 partial sums; powers of two, so that few kernels are compiled."""
    return min(16, power_of_2(blocks(rows, per_tile * 512)))


@torch.library.custom_op(
    "gem::residual_layer_norm",
    mutates_args=(),
    schema="(Tensor x, Tensor r, Tensor weight, Tensor bias, float eps, bool wide) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _op(
    x: Tensor, r: Tensor, weight: Tensor, bias: Tensor, eps: float, wide: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, r, weight, bias = contiguous(x, r, weight, bias)
    width = x.shape[-1]
    rows = x.numel() // max(1, width)
    total, y, mean, rstd = _outputs(x, r, weight, bias, eps, wide)
    if rows:
        per, padded, warps = _tile(width)
        with device_of(x):
            _forward[(blocks(rows, per),)](
                x, r, weight, bias, total, y, mean, rstd, rows, width, eps, ROWS=per, WIDTH=padded, num_warps=warps
            )
    return total, y, mean, rstd


@_op.register_fake
def _outputs(
    x: Tensor, r: Tensor, weight: Tensor, bias: Tensor, eps: float, wide: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    total = torch.empty(x.shape, dtype=torch.promote_types(x.dtype, r.dtype), device=x.device)
    mean = torch.empty(x.shape[:-1], dtype=torch.float32, device=x.device)
    return total, torch.empty_like(total, dtype=torch.float32 if wide else None), mean, torch.empty_like(mean)


@torch.library.custom_op(
    "gem::residual_layer_norm_backward",
    mutates_args=(),
    schema="(Tensor d_total, Tensor d_y, Tensor total, Tensor weight, Tensor mean, Tensor rstd) "
    "-> (Tensor, Tensor, Tensor)",
)
def _op_backward(
    d_total: Tensor, d_y: Tensor, total: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    d_total, d_y, total, weight, mean, rstd = contiguous(d_total, d_y, total, weight, mean, rstd)
    width = total.shape[-1]
    rows = total.numel() // max(1, width)
    d_x = torch.empty_like(total)
    if not rows:
        return d_x, torch.zeros_like(weight), torch.zeros_like(weight)
    per, padded, warps = _tile(width)
    tiles = _tiles(rows, per)
    programs = blocks(rows, per * tiles)
    partial = torch.empty((2, programs, width), dtype=torch.float32, device=total.device)
    with device_of(total):
        _backward[(programs,)](
            d_total,
            d_y,
            total,
            weight,
            mean,
            rstd,
            d_x,
            partial[0],
            partial[1],
            rows,
            width,
            ROWS=per,
            WIDTH=padded,
            TILES=tiles,
            num_warps=warps,
        )
    d_weight, d_bias = partial.sum(1).to(weight.dtype).unbind(0)
    return d_x, d_weight.clone(), d_bias.clone()


@_op_backward.register_fake
def _(d_total: Tensor, d_y: Tensor, total: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return total.new_empty(total.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape)


def _save(ctx: Any, inputs: Any, output: Any) -> None:
    total, _, mean, rstd = output
    ctx.dtypes = inputs[0].dtype, inputs[1].dtype
    ctx.save_for_backward(total, inputs[2], mean, rstd)
    ctx.mark_non_differentiable(mean, rstd)


def _gradients(ctx: Any, d_total: Tensor, d_y: Tensor, *_: Any) -> tuple[Any, ...]:
    d_x, d_weight, d_bias = _op_backward(d_total, d_y, *ctx.saved_tensors)
    return (*(d_x.to(dtype) for dtype in ctx.dtypes), d_weight, d_bias, None, None)


_op.register_autograd(_gradients, setup_context=_save)


def reference(x: Tensor, r: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """``residual_layer_norm`` in plain torch."""
    total = x + r
    return total, F.layer_norm(total, total.shape[-1:], weight, bias, eps)


def _is_widened(dtype: torch.dtype, device_type: str) -> bool:
    """Whether autocast lets ``F.layer_norm`` return float32: that of CUDA does, that of the CPU does not."""
    return device_type == "cuda" and dtype.itemsize == 2 and torch.is_autocast_enabled("cuda")


def residual_layer_norm(x: Tensor, r: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """``total = x + r`` and the LayerNorm of ``total``.

    Args:
        x: (..., width).
        r: of the same shape.
        weight: (width,).
        bias: (width,).
        eps: added to the variance.

    Returns:
        total (..., width), normed (..., width); with autocast in the dtypes that the two separate ops have there.
    """
    if kernel_selected("layer_norm", x, x.numel()):
        total, y, _, _ = _op(x, r, weight, bias, eps, _is_widened(torch.promote_types(x.dtype, r.dtype), x.device.type))
        return total, y
    return reference(x, r, weight, bias, eps)


def add_norm(x: Tensor, r: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """``x + r`` and its LayerNorm; computed by the module itself if it has hooks or the kernel is not selected.

    Args:
        x: (..., width).
        r: of the same shape.
        norm: the module.

    Returns:
        Sum and normalised sum.
    """
    plain = norm.weight is not None and norm.bias is not None and len(norm.normalized_shape) == 1
    if plain and kernel_selected("layer_norm", x, x.numel()) and not (norm._forward_hooks or norm._forward_pre_hooks):
        return residual_layer_norm(x, r, norm.weight, norm.bias, norm.eps)
    total = x + r
    return total, norm(total)


def builds() -> list[Build]:
    """Kernels to compile ahead of time: widths of gem-nano, ECG-CoCa and CLIP-L."""
    out = []
    sizes = ((256, "fp32"), (768, "bf16"), (1024, "bf16"), (1024, "fp16"), (4096, "bf16"))
    for width, dtype, wide in [*((*one, False) for one in sizes), (768, "bf16", True)]:
        per, padded, warps = _tile(width)
        p, size = f"*{dtype}", {"ROWS": per, "WIDTH": padded}
        normed, weights = ("*fp32", "*fp32") if wide else (p, p)  # wide: under autocast
        name = f"{width} {dtype}" + (" autocast" if wide else "")
        many = {
            "X": p,
            "R": p,
            "WEIGHT": weights,
            "BIAS": weights,
            "TOTAL": p,
            "Y": normed,
            "MEAN": "*fp32",
            "RSTD": "*fp32",
            "rows": "i32",
            "width": "i32",
            "eps": "fp32",
        }
        known: dict[str, Any] = {"aligned": True, "even": ("width",)}
        out.append(Build(f"layer_norm forward {name}", _forward, many, size, warps, **known))
        back = {
            "D_TOTAL": p,
            "D_Y": normed,
            "TOTAL": p,
            "WEIGHT": weights,
            "MEAN": "*fp32",
            "RSTD": "*fp32",
            "D_X": p,
            "D_WEIGHT": "*fp32",
            "D_BIAS": "*fp32",
            "rows": "i32",
            "width": "i32",
        }
        out.append(Build(f"layer_norm backward {name}", _backward, back, {**size, "TILES": 4}, warps, **known))
    return out
