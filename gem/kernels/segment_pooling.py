"""One vector per segment: the mean of its tokens, for any number of segments per record, without atomics.

Membership is a matrix of 0 and 1 that is computed on the fly and multiplied with the tokens: each token is read once
for all segments of a tile (a wave has one in each of 12 leads), and the backward pass is the transposed product, so
that it sums in a fixed order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import GemInputError
from .dispatch import kernel_selected
from .launch import INTERPRET, Build, blocks, contiguous, device_of, power_of_2, tl, triton


@triton.jit
def _bounds(STARTS, ENDS, segment, there, tokens):
    """First and last token (exclusive) of each segment, inside the record; an empty one ends where it starts."""
    start = tl.maximum(tl.load(STARTS + segment, mask=there, other=0), 0)
    end = tl.minimum(tl.load(ENDS + segment, mask=there, other=0), tokens)
    start = tl.minimum(start, tokens)
    return start.to(tl.int32), tl.maximum(end, start).to(tl.int32)


@triton.jit
def _pool(
    X,  # (B, tokens, width)
    STARTS,  # (n,) int64
    ENDS,  # (n,) int64
    FIRST,  # (B + 1,) int64, first segment of each record, then n
    OUT,  # (n, width), written
    tokens,
    width,
    SEGMENTS: tl.constexpr,
    TOKENS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILES: tl.constexpr,
):
    record = tl.program_id(0)
    begin = tl.load(FIRST + record).to(tl.int32) + tl.program_id(1) * SEGMENTS
    last = tl.load(FIRST + record + 1).to(tl.int32)
    if begin < last:
        segment = begin + tl.arange(0, SEGMENTS)
        there = segment < last
        col = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)
        start, end = _bounds(STARTS, ENDS, segment, there, tokens)
        low = tl.min(tl.where(end > start, start, tokens), 0)
        high = tl.max(tl.where(end > start, end, 0), 0)
        total = tl.zeros((SEGMENTS, WIDTH), tl.float32)
        for tile in range(TILES):
            if (tile * TOKENS < high) & ((tile + 1) * TOKENS > low):
                token = tile * TOKENS + tl.arange(0, TOKENS)
                at = (record.to(tl.int64) * tokens + token)[:, None] * width + col[None, :]
                x = tl.load(X + at, mask=(token < tokens)[:, None] & (col < width)[None, :], other=0.0)
                covers = (token[None, :] >= start[:, None]) & (token[None, :] < end[:, None])
                if INTERPRET:
                    total = tl.dot(covers.to(tl.float32), x.to(tl.float32), total, input_precision="ieee")
                else:
                    total = tl.dot(covers.to(x.dtype), x, total, input_precision="ieee")
        total = total / tl.maximum(end - start, 1).to(tl.float32)[:, None]
        at = segment.to(tl.int64)[:, None] * width + col[None, :]
        tl.store(OUT + at, total.to(OUT.dtype.element_ty), mask=there[:, None] & (col < width)[None, :])


@triton.jit
def _spread(
    GRAD,  # (n, width)
    STARTS,  # (n,) int64
    ENDS,  # (n,) int64
    FIRST,  # (B + 1,) int64
    D_X,  # (B, tokens, width), written
    tokens,
    width,
    SEGMENTS: tl.constexpr,
    TOKENS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILES: tl.constexpr,
):
    record = tl.program_id(0)
    begin, last = tl.load(FIRST + record).to(tl.int32), tl.load(FIRST + record + 1).to(tl.int32)
    token = tl.program_id(1) * TOKENS + tl.arange(0, TOKENS)
    col = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)
    total = tl.zeros((TOKENS, WIDTH), tl.float32)
    for tile in range(TILES):
        if begin + tile * SEGMENTS < last:
            segment = begin + tile * SEGMENTS + tl.arange(0, SEGMENTS)
            there = segment < last
            start, end = _bounds(STARTS, ENDS, segment, there, tokens)
            at = segment.to(tl.int64)[:, None] * width + col[None, :]
            grad = tl.load(GRAD + at, mask=there[:, None] & (col < width)[None, :], other=0.0)
            share = grad.to(tl.float32) / tl.maximum(end - start, 1).to(tl.float32)[:, None]
            covers = (token[:, None] >= start[None, :]) & (token[:, None] < end[None, :])
            if INTERPRET:
                total = tl.dot(covers.to(tl.float32), share, total, input_precision="ieee")
            else:
                total = tl.dot(covers.to(grad.dtype), share.to(grad.dtype), total, input_precision="ieee")
    at = (record.to(tl.int64) * tokens + token)[:, None] * width + col[None, :]
    tl.store(D_X + at, total.to(D_X.dtype.element_ty), mask=(token < tokens)[:, None] & (col < width)[None, :])


def _tile(tokens: int, width: int) -> dict[str, int]:
    return {"SEGMENTS": 32, "TOKENS": 32 if tokens > 16 else 16, "WIDTH": max(16, min(64, power_of_2(width)))}


@torch.library.custom_op(
    "gem::segment_pooling",
    mutates_args=(),
    schema="(Tensor tokens, Tensor starts, Tensor ends, Tensor first, SymInt most) -> Tensor",
)
def pool_op(tokens: Tensor, starts: Tensor, ends: Tensor, first: Tensor, most: int) -> Tensor:
    """Mean of each segment's tokens; arguments as in ``pool_segments``: (B, T, width) -> (n, width)."""
    tokens, starts, ends, first = contiguous(tokens, starts, ends, first)
    out = _pooled(tokens, starts)
    records, count, width = tokens.shape
    if not out.numel():
        return out
    if not records * count:
        return out.zero_()
    tile = _tile(count, width)
    with device_of(tokens):
        _pool[(records, blocks(most, tile["SEGMENTS"]), blocks(width, tile["WIDTH"]))](
            tokens, starts, ends, first, out, count, width, TILES=power_of_2(blocks(count, tile["TOKENS"])), **tile
        )
    return out


@pool_op.register_fake
def _pooled(tokens: Tensor, starts: Tensor, *_: Any) -> Tensor:
    return torch.empty((starts.shape[0], tokens.shape[2]), dtype=tokens.dtype, device=tokens.device)


@torch.library.custom_op(
    "gem::segment_pooling_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor starts, Tensor ends, Tensor first, SymInt tokens, SymInt most) -> Tensor",
)
def _pool_backward(grad: Tensor, starts: Tensor, ends: Tensor, first: Tensor, tokens: int, most: int) -> Tensor:
    grad, starts, ends, first = contiguous(grad, starts, ends, first)
    out = _spread_out(grad, starts, ends, first, tokens)
    records, _, width = out.shape
    if not out.numel():
        return out
    tile = _tile(tokens, width)
    with device_of(grad):
        _spread[(records, blocks(tokens, tile["TOKENS"]), blocks(width, tile["WIDTH"]))](
            grad, starts, ends, first, out, tokens, width, TILES=power_of_2(blocks(most, tile["SEGMENTS"])), **tile
        )
    return out


@_pool_backward.register_fake
def _spread_out(grad: Tensor, starts: Tensor, ends: Tensor, first: Tensor, tokens: int, *_: Any) -> Tensor:
    return torch.empty((first.shape[0] - 1, tokens, grad.shape[1]), dtype=grad.dtype, device=grad.device)


def _save(ctx: Any, inputs: Any, output: Any) -> None:
    tokens, starts, ends, first, ctx.most = inputs
    ctx.count = tokens.shape[1]
    ctx.save_for_backward(starts, ends, first)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _pool_backward(grad, *ctx.saved_tensors, ctx.count, ctx.most), None, None, None, None


pool_op.register_autograd(_gradients, setup_context=_save)


def reference(tokens: Tensor, starts: Tensor, ends: Tensor, first: Tensor) -> Tensor:
    """``pool_segments`` in plain torch: differences of cumulative sums, in float64 because they cancel."""
    count, n = tokens.shape[1], len(starts)
    segment = torch.arange(n, device=tokens.device)
    record = torch.searchsorted(first[1:].contiguous(), segment, right=True)
    start = starts.clamp(0, count)
    end = torch.maximum(ends.clamp(0, count), start)
    exact = torch.float32 if tokens.device.type == "mps" else torch.float64  # MPS has no float64
    running = torch.cat([tokens.new_zeros(len(tokens), 1, tokens.shape[2], dtype=exact), tokens.to(exact).cumsum(1)], 1)
    total = running[record, end] - running[record, start]
    return (total / (end - start).clamp(min=1)[:, None]).to(tokens.dtype)


def pool_segments(tokens: Tensor, starts: Tensor, ends: Tensor, first: Tensor, most: int | None = None) -> Tensor:
    """Mean of the tokens of each segment.

    Args:
        tokens: (B, T, width), finite.
        starts: (n,) int64, first token of each segment, all records' segments one after another.
        ends: (n,) int64, one after its last token. Tokens outside 0..T are left out, and a segment without tokens gives
            zeros.
        first: (B + 1,) int64, first segment of each record, then n.
        most: largest number of segments of a record, if known; n when None.

    Returns:
        (n, width).

    Raises:
        GemInputError: the shapes don't fit each other.

    Example:
        >>> x = torch.tensor([[[1.0], [3.0], [5.0]]])
        >>> pool_segments(x, torch.tensor([0, 2, 1]), torch.tensor([2, 3, 1]), torch.tensor([0, 3])).flatten()
        tensor([2., 5., 0.])
    """
    if tokens.dim() != 3 or starts.dim() != 1 or starts.shape != ends.shape or first.shape != (len(tokens) + 1,):
        shapes = [tuple(x.shape) for x in (tokens, starts, ends, first)]
        raise GemInputError(
            "tokens {}, starts {}, ends {}, first {}".format(*shapes), remedy="(B, T, width), (n,), (n,) and (B + 1,)"
        )
    if tokens.dtype != torch.float64 and kernel_selected("segment_pooling", tokens, len(starts) * tokens.shape[2]):
        return pool_op(tokens, starts, ends, first, len(starts) if most is None else most)
    return reference(tokens, starts, ends, first)


def builds() -> list[Build]:
    """Kernels to compile ahead of time: tokens of ECG-CoCa and of gem-nano, 576 segments a record."""
    out = []
    for tokens, width, dtype in ((101, 768, "bf16"), (101, 768, "fp16"), (40, 256, "fp32"), (5000, 2, "fp32")):
        p, tile = f"*{dtype}", _tile(tokens, width)
        fixed = {"STARTS": "*i64", "ENDS": "*i64", "FIRST": "*i64", "tokens": "i32", "width": "i32"}
        label = f"{tokens} x {width} {dtype}"
        known: dict[str, Any] = {"aligned": True, "even": ("width",) if width % 16 == 0 else ()}
        out += [
            Build(
                f"segment_pooling forward {label}",
                _pool,
                {**fixed, "X": p, "OUT": p},
                {**tile, "TILES": power_of_2(blocks(tokens, tile["TOKENS"]))},
                **known,
            ),
            Build(
                f"segment_pooling backward {label}",
                _spread,
                {**fixed, "GRAD": p, "D_X": p},
                {**tile, "TILES": 32},
                **known,
            ),
        ]
    return out
