"""From int16 samples to tokens without a float signal in memory: gain, missing samples, z-score and patch embedding.

Two launches forward: each lead's centre and scale, then one matrix product that decodes the samples as it reads them.
The backward pass decodes them again, so int16 is all that stays for it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import GemInputError
from .dispatch import kernel_selected
from .int16_samples import MISSING, UNITS_PER_MV, backward_through_zscore, reference
from .launch import INTERPRET, Build, blocks, contiguous, device_of, power_of_2, tl, triton

_MISSING = tl.constexpr(MISSING)


@triton.jit
def _statistics(
    SAMPLES,  # (B * leads, samples) int16
    GAIN,  # (B * leads,) float32, units per mV, 0 for an absent lead
    BASELINE,  # (B * leads,) float32, units at 0 mV
    AFFINE,  # (B * leads, 2) float32, written: value = (unit - centre) * scale
    channels,
    samples,
    GIVEN: tl.constexpr,
    ZSCORE: tl.constexpr,
    CHANNELS: tl.constexpr,
    CHUNK: tl.constexpr,
    CHUNKS: tl.constexpr,
):
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    there = channel < channels
    centre = tl.zeros((CHANNELS,), tl.float32)
    scale = centre + 0.001
    if GIVEN:
        centre = tl.load(BASELINE + channel, mask=there, other=0.0)
        gain = tl.load(GAIN + channel, mask=there, other=0.0)
        scale = tl.where(gain == 0, 0.0, 1.0 / tl.where(gain == 0, 1.0, gain))
    if ZSCORE:
        centre = tl.zeros((CHANNELS,), tl.float32)
        variance = tl.zeros((CHANNELS,), tl.float32)
        for _ in range(2):  # the second pass corrects the mean that the first one rounded
            total = tl.zeros((CHANNELS,), tl.float32)
            square = tl.zeros((CHANNELS,), tl.float32)
            count = tl.zeros((CHANNELS,), tl.float32)
            for chunk in range(CHUNKS):
                at = chunk * CHUNK + tl.arange(0, CHUNK)
                inside = there[:, None] & (at < samples)[None, :]
                unit = tl.load(
                    SAMPLES + channel.to(tl.int64)[:, None] * samples + at[None, :], mask=inside, other=_MISSING
                ).to(tl.int32)
                valid = unit != _MISSING
                off = tl.where(valid, unit.to(tl.float32) - centre[:, None], 0.0)
                total += tl.sum(off, 1)
                square += tl.sum(off * off, 1)
                count += tl.sum(valid.to(tl.float32), 1)
            mean = total / tl.maximum(count, 1.0)
            variance = square / tl.maximum(count, 1.0) - mean * mean
            centre += mean
        spread = tl.sqrt(tl.maximum(variance, 0.0)) * tl.abs(scale)
        flat = spread < 1e-6
        scale = tl.where(flat, 0.0, scale / tl.where(flat, 1.0, spread))
    tl.store(AFFINE + channel * 2, centre, mask=there)
    tl.store(AFFINE + channel * 2 + 1, scale, mask=there)


@triton.jit
def _values(SAMPLES, AFFINE, channel, first, there, off, samples, PATCH: tl.constexpr):
    """Decoded samples (rows, offsets in the patch), 0 where missing."""
    centre = tl.load(AFFINE + channel * 2, mask=there, other=0.0)
    scale = tl.load(AFFINE + channel * 2 + 1, mask=there, other=0.0)
    at = (channel.to(tl.int64) * samples + first)[:, None] + off[None, :]
    unit = tl.load(SAMPLES + at, mask=there[:, None] & (off < PATCH)[None, :], other=_MISSING).to(tl.int32)
    return tl.where(unit == _MISSING, 0.0, (unit.to(tl.float32) - centre[:, None]) * scale[:, None])


@triton.jit
def _embed(
    SAMPLES,  # (B, leads, samples) int16
    AFFINE,  # (B, leads, 2) float32
    WEIGHT,  # (width, leads, patch)
    BIAS,  # (width,)
    POSITION,  # (tokens, width)
    CLS,  # (width,)
    OUT,  # (B, tokens, width), written
    rows,
    tokens,
    samples,
    width,
    LEADS: tl.constexpr,
    PATCH: tl.constexpr,
    SKIP: tl.constexpr,  # 1 with a class token in front
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    DEPTH: tl.constexpr,
    CHUNKS: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    col = tl.program_id(1) * COLS + tl.arange(0, COLS)
    record, token = row // tokens, row % tokens
    is_patch = (row < rows) & (token >= SKIP)
    total = tl.zeros((ROWS, COLS), tl.float32)
    for step in range(LEADS * CHUNKS):
        lead = step // CHUNKS
        off = (step % CHUNKS) * DEPTH + tl.arange(0, DEPTH)
        value = _values(SAMPLES, AFFINE, record * LEADS + lead, (token - SKIP) * PATCH, is_patch, off, samples, PATCH)
        weight = tl.load(
            WEIGHT + (col * LEADS + lead)[None, :] * PATCH + off[:, None],
            mask=(col < width)[None, :] & (off < PATCH)[:, None],
            other=0.0,
        )
        value = value.to(weight.dtype)
        if INTERPRET:
            value, weight = value.to(tl.float32), weight.to(tl.float32)
        total = tl.dot(value, weight, total, input_precision="ieee")
    if HAS_BIAS:
        bias = tl.load(BIAS + col, mask=col < width, other=0.0).to(tl.float32)
        total += tl.where(is_patch[:, None], bias[None, :], 0.0)
    if SKIP:
        cls = tl.load(CLS + col, mask=col < width, other=0.0).to(tl.float32)
        total += tl.where(is_patch[:, None], 0.0, cls[None, :])
    inside = (row < rows)[:, None] & (col < width)[None, :]
    total += tl.load(POSITION + token[:, None] * width + col[None, :], mask=inside, other=0.0).to(tl.float32)
    tl.store(OUT + row.to(tl.int64)[:, None] * width + col[None, :], total.to(OUT.dtype.element_ty), mask=inside)


@triton.jit
def _weight(
    SAMPLES,  # (B, leads, samples) int16
    AFFINE,  # (B, leads, 2) float32
    GRAD,  # (B, tokens, width)
    D_WEIGHT,  # (splits, width, leads, patch) float32, written: partial sums
    rows,
    tokens,
    samples,
    width,
    LEADS: tl.constexpr,
    PATCH: tl.constexpr,
    SKIP: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    DEPTH: tl.constexpr,
    CHUNKS: tl.constexpr,
    TILES: tl.constexpr,
):
    lead = tl.program_id(0) // CHUNKS
    off = (tl.program_id(0) % CHUNKS) * DEPTH + tl.arange(0, DEPTH)
    col = tl.program_id(1) * COLS + tl.arange(0, COLS)
    total = tl.zeros((DEPTH, COLS), tl.float32)
    for tile in range(TILES):
        row = (tl.program_id(2) * TILES + tile) * ROWS + tl.arange(0, ROWS)
        record, token = row // tokens, row % tokens
        is_patch = (row < rows) & (token >= SKIP)
        value = _values(SAMPLES, AFFINE, record * LEADS + lead, (token - SKIP) * PATCH, is_patch, off, samples, PATCH)
        grad = tl.load(
            GRAD + row.to(tl.int64)[:, None] * width + col[None, :],
            mask=is_patch[:, None] & (col < width)[None, :],
            other=0.0,
        )
        value = tl.trans(value.to(grad.dtype))
        if INTERPRET:
            value, grad = value.to(tl.float32), grad.to(tl.float32)
        total = tl.dot(value, grad, total, input_precision="ieee")
    at = tl.program_id(2).to(tl.int64) * width + col
    tl.store(
        D_WEIGHT + (at * LEADS + lead)[None, :] * PATCH + off[:, None],
        total,
        mask=(col < width)[None, :] & (off < PATCH)[:, None],
    )


@triton.jit
def _signal(
    SAMPLES,  # (B, leads, samples) int16
    AFFINE,  # (B, leads, 2) float32
    GRAD,  # (B, tokens, width)
    WEIGHT,  # (width, leads, patch)
    D_SIGNAL,  # (B, leads, samples) float32, written up to the end of the last patch
    rows,  # B * patches
    tokens,
    samples,
    width,
    LEADS: tl.constexpr,
    PATCH: tl.constexpr,
    SKIP: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    DEPTH: tl.constexpr,
    CHUNKS: tl.constexpr,
    TILES: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    lead = tl.program_id(1) // CHUNKS
    off = (tl.program_id(1) % CHUNKS) * DEPTH + tl.arange(0, DEPTH)
    record, patch = row // (tokens - SKIP), row % (tokens - SKIP)
    there = row < rows
    total = tl.zeros((ROWS, DEPTH), tl.float32)
    source = (record.to(tl.int64) * tokens + SKIP + patch) * width
    for tile in range(TILES):
        col = tile * COLS + tl.arange(0, COLS)
        grad = tl.load(GRAD + source[:, None] + col[None, :], mask=there[:, None] & (col < width)[None, :], other=0.0)
        weight = tl.load(
            WEIGHT + (col * LEADS + lead)[:, None] * PATCH + off[None, :],
            mask=(col < width)[:, None] & (off < PATCH)[None, :],
            other=0.0,
        )
        if INTERPRET:
            grad, weight = grad.to(tl.float32), weight.to(tl.float32)
        total = tl.dot(grad, weight, total, input_precision="ieee")
    channel = record * LEADS + lead
    inside = there[:, None] & (off < PATCH)[None, :]
    at = (channel.to(tl.int64) * samples + patch * PATCH)[:, None] + off[None, :]
    known = tl.load(SAMPLES + at, mask=inside, other=_MISSING).to(tl.int32) != _MISSING
    scale = tl.load(AFFINE + channel * 2 + 1, mask=there, other=0.0)
    tl.store(D_SIGNAL + at, tl.where(known & (scale != 0)[:, None], total, 0.0), mask=inside)


def _tile(rows: int, patch: int, half: bool) -> dict[str, int]:
    """Tile sizes of the matrix products: small for one record, for more programs, and in float32, which spills."""
    depth = max(16, min(32, power_of_2(patch)))
    side = 64 if half and rows > 256 else 32
    # deeper tiles, or fewer warps on the larger ones, use all registers
    return {"ROWS": side, "COLS": side, "DEPTH": depth, "CHUNKS": blocks(patch, depth), "num_warps": side // 8}


def _constants(samples: Tensor, weight: Tensor, tokens: int) -> dict[str, int]:
    patch = weight.shape[2]
    return {"LEADS": weight.shape[1], "PATCH": patch, "SKIP": tokens - samples.shape[2] // patch}


@torch.library.custom_op(
    "gem::ecg_front_end",
    mutates_args=(),
    schema="(Tensor samples, Tensor? gain, Tensor? baseline, Tensor weight, Tensor? bias, Tensor position, "
    "Tensor? cls, Tensor? probe, bool zscore) -> (Tensor, Tensor)",
)
def embed_op(
    samples: Tensor, gain: Tensor | None, baseline: Tensor | None, weight: Tensor, bias: Tensor | None,
    position: Tensor, cls: Tensor | None, probe: Tensor | None, zscore: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """``embed_int16`` by the kernels.

    Returns:
        Tokens (B, tokens, width), and each lead's centre and scale (B, leads, 2).
    """
    samples, weight, position = contiguous(samples, weight, position)
    out, affine = _outputs(samples, gain, baseline, weight, bias, position)
    (records, leads, length), (tokens, width) = samples.shape, position.shape
    if not records:
        return out, affine
    given = gain is not None or baseline is not None
    gain = torch.full_like(affine[..., 0], UNITS_PER_MV) if given and gain is None else gain
    baseline = torch.zeros_like(affine[..., 0]) if given and baseline is None else baseline
    gain, baseline, bias, cls = (samples if x is None else x.contiguous() for x in (gain, baseline, bias, cls))
    chunk = min(8192, max(16, power_of_2(length))) if zscore else 16
    per = max(1, min(8, 8192 // chunk)) if zscore else 64
    rows = records * tokens
    tile, shape = _tile(rows, weight.shape[2], weight.dtype != torch.float32), _constants(samples, weight, tokens)
    with device_of(samples):
        _statistics[(blocks(records * leads, per),)](
            samples, gain, baseline, affine, records * leads, length, GIVEN=given, ZSCORE=zscore,
            CHANNELS=per, CHUNK=chunk, CHUNKS=blocks(length, chunk), num_warps=8 if zscore else 4,
        )  # fmt: skip
        _embed[(blocks(rows, tile["ROWS"]), blocks(width, tile["COLS"]))](
            samples, affine, weight, bias, position, cls, out, rows, tokens, length, width,
            HAS_BIAS=bias is not samples, **shape, **tile,
        )  # fmt: skip
    return out, affine


@embed_op.register_fake
def _outputs(
    samples: Tensor, gain: Any, baseline: Any, weight: Tensor, bias: Any, position: Tensor, *_: Any
) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(weight.dtype, position.dtype)
    out = torch.empty((samples.shape[0], *position.shape), dtype=dtype, device=samples.device)
    return out, torch.empty((*samples.shape[:2], 2), dtype=torch.float32, device=samples.device)


@torch.library.custom_op(
    "gem::ecg_front_end_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor samples, Tensor? gain, Tensor affine, Tensor weight, bool zscore, bool want_weight, "
    "bool want_signal) -> (Tensor, Tensor)",
)
def _embed_backward(
    grad: Tensor, samples: Tensor, gain: Tensor | None, affine: Tensor, weight: Tensor, zscore: bool, want_weight: bool,
    want_signal: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    grad, samples, weight = contiguous(grad, samples, weight)
    d_weight, d_signal = _gradients_of(grad, samples, gain, affine, weight, zscore, want_weight, want_signal)
    (records, tokens, width), length = grad.shape, samples.shape[2]
    if not records:
        return d_weight.zero_(), d_signal
    grad = grad.to(weight.dtype)
    shape = _constants(samples, weight, tokens)
    patches, steps = tokens - shape["SKIP"], shape["LEADS"]
    tile = _tile(records * tokens, weight.shape[2], weight.dtype != torch.float32)
    steps *= tile["CHUNKS"]
    with device_of(grad):
        if want_weight:
            tiles = blocks(records * tokens, tile["ROWS"])
            each = min(32, power_of_2(blocks(tiles, 4)))
            partial = torch.empty((blocks(tiles, each), *weight.shape), dtype=torch.float32, device=grad.device)
            _weight[(steps, blocks(width, tile["COLS"]), len(partial))](
                samples, affine, grad, partial, records * tokens, tokens, length, width, TILES=each, **shape, **tile
            )
            d_weight.copy_(partial.sum(0))
        if want_signal:
            _signal[(blocks(records * patches, tile["ROWS"]), steps)](
                samples, affine, grad, weight, d_signal, records * patches, tokens, length, width,
                TILES=blocks(width, tile["COLS"]), **shape, **tile,
            )  # fmt: skip
            d_signal[..., patches * weight.shape[2] :] = 0
            if zscore:
                backward_through_zscore(d_signal, samples, gain, affine)
    return d_weight, d_signal


@_embed_backward.register_fake
def _gradients_of(
    grad: Tensor, samples: Tensor, gain: Any, affine: Tensor, weight: Tensor, zscore: bool, want_weight: bool,
    want_signal: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    d_weight = torch.empty(weight.shape if want_weight else (0,), dtype=weight.dtype, device=weight.device)
    return d_weight, torch.empty(samples.shape if want_signal else (0,), dtype=torch.float32, device=samples.device)


def _save(ctx: Any, inputs: Any, output: Any) -> None:
    samples, gain, _, weight, bias, position, cls, _, ctx.zscore = inputs
    ctx.save_for_backward(samples, gain, output[1], weight)
    ctx.dtypes = [None if x is None else x.dtype for x in (bias, position, cls)]
    ctx.mark_non_differentiable(output[1])


def _gradients(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    samples, gain, affine, weight = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    d_weight, d_signal = _embed_backward(grad, samples, gain, affine, weight, ctx.zscore, wanted[3], wanted[7])
    d_bias = d_position = d_cls = None
    if any(wanted[4:7]):
        bias, position, cls = ctx.dtypes
        by_token = grad.sum(0, dtype=torch.float32)
        skip = int(cls is not None)
        d_position = by_token.to(position)
        d_bias = by_token[skip:].sum(0).to(bias) if bias is not None else None
        d_cls = by_token[0].to(cls, copy=True) if cls is not None else None
    d_weight, d_signal = d_weight if wanted[3] else None, d_signal if wanted[7] else None
    return None, None, None, d_weight, d_bias, d_position, d_cls, d_signal, None


embed_op.register_autograd(_gradients, setup_context=_save)


def embed_int16(
    samples: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    position: Tensor,
    cls: Tensor | None = None,
    gain: Tensor | None = None,
    baseline: Tensor | None = None,
    zscore: bool = False,
    probe: Tensor | None = None,
) -> Tensor:
    """Tokens of a patch encoder from the recorder's own integers.

    Args:
        samples: (B, leads, samples) int16, -32768 where a sample is missing: it counts as 0 mV, or as the lead's mean.
        weight: (width, leads, patch), of ``Conv1d(leads, width, patch, stride=patch)``.
        bias: (width,), or None.
        position: (tokens, width), added to the tokens.
        cls: (width,), a token in front of the patches; ``tokens`` is then the number of patches plus one.
        gain: (leads,) or (B, leads), units per mV, 0 for an absent lead; None for 1000: a unit is 1 uV.
        baseline: of the same shape, units at 0 mV; None for 0.
        zscore: give each lead mean 0 and standard deviation 1 over the samples that are there; a flat lead becomes 0.
        probe: (B, leads, samples) float that requires a gradient: it receives the gradient with respect to the signal
            in mV. Its values are not read.

    Returns:
        (B, tokens, width).

    Raises:
        GemInputError: samples that are not int16, or shapes that don't fit.
    """
    if samples.dtype != torch.int16 or samples.dim() != 3 or samples.shape[1] != weight.shape[1]:
        raise GemInputError(
            f"samples are {samples.dtype} of shape {tuple(samples.shape)}",
            remedy=f"int16, (B, {weight.shape[1]}, samples)",
        )
    tokens = samples.shape[2] // weight.shape[2] + (cls is not None)
    if position.shape != (tokens, weight.shape[0]):
        raise GemInputError(f"position has shape {tuple(position.shape)}, not {(tokens, weight.shape[0])}")
    gain, baseline = (None if x is None else x.float().expand(samples.shape[:2]) for x in (gain, baseline))
    if torch.is_autocast_enabled(samples.device.type):
        weight = weight.to(torch.get_autocast_dtype(samples.device.type))
    if weight.dtype != torch.float64 and kernel_selected("ecg_front_end", weight, samples.numel()):
        return embed_op(samples, gain, baseline, weight, bias, position, cls, probe, zscore)[0]
    return reference(samples, gain, baseline, weight, bias, position, cls, probe, zscore)


def builds() -> list[Build]:
    """Kernels to compile ahead of time: ECG-CoCa's front end in each dtype, that of ``ecg_patch`` in float32."""
    fixed = {"SAMPLES": "*i16", "AFFINE": "*fp32", **dict.fromkeys(("rows", "tokens", "samples", "width"), "i32")}
    out = []
    for zscore, given in ((False, True), (True, False)):
        signature = {"SAMPLES": "*i16", "GAIN": "*fp32", "BASELINE": "*fp32", "AFFINE": "*fp32"}
        signature |= {"channels": "i32", "samples": "i32"}
        size = {"CHANNELS": 1 if zscore else 64, "CHUNK": 8192 if zscore else 16, "CHUNKS": 1}
        label = f"zscore={zscore} gain={given}"
        constants: dict[str, Any] = {"GIVEN": given, "ZSCORE": zscore, **size}
        warps = 8 if zscore else 4
        name = f"ecg_front_end statistics {label}"
        out.append(Build(name, _statistics, signature, constants, warps, aligned=True))
    for name, rows, width, patch, skip, dtype in (
        ("coca", 101, 768, 50, 1, "bf16"),
        ("coca", 808, 768, 50, 1, "bf16"),
        ("coca", 808, 768, 50, 1, "fp16"),
        ("patch", 400, 192, 25, 0, "fp32"),
    ):
        p, tile = f"*{dtype}", _tile(rows, patch, dtype != "fp32")
        warps = tile.pop("num_warps")
        shape = {"LEADS": 12, "PATCH": patch, "SKIP": skip, **tile}
        more = dict.fromkeys(("WEIGHT", "BIAS", "POSITION", "CLS", "OUT"), p)
        label = f"{name} {rows} rows {dtype}"
        tiles = blocks(width, tile["COLS"])
        d_weight, d_signal = {"GRAD": p, "D_WEIGHT": "*fp32"}, {"GRAD": p, "WEIGHT": p, "D_SIGNAL": "*fp32"}
        for part, kernel, arguments, constants in (
            ("forward", _embed, more, {"HAS_BIAS": not skip}),
            ("d_weight", _weight, d_weight, {"TILES": 4}),
            ("d_signal", _signal, d_signal, {"TILES": tiles}),
        ):
            out.append(
                Build(
                    f"ecg_front_end {part} {label}",
                    kernel,
                    {**fixed, **arguments},
                    {**shape, **constants},
                    warps,
                    aligned=True,
                    even=("width",),
                )
            )
    return out
