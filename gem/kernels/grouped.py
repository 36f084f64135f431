"""The three matrix products of the dual projector, each with its elementwise work; ECG and picture rows in one grid.

Triton's autotuning would need a GPU at import and can't be interpreted; ``tiling`` is a fixed choice instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .launch import INTERPRET, Build, blocks, device_of, tl, triton

_GROUP = tl.constexpr(8)  # row blocks whose programs run at the same time and share the weight's columns in cache


@triton.jit
def _place(program, row_blocks, col_blocks):
    """(row block, column block) of a program."""
    group = program // (_GROUP * col_blocks)
    size = tl.minimum(row_blocks - group * _GROUP, _GROUP)
    inner = program % (_GROUP * col_blocks)
    return group * _GROUP + inner % size, inner // size


@triton.jit
def _product(
    A,  # (n, inner)
    row,  # (ROWS,), may run past n
    n,
    W,  # (columns, inner) or its transpose, by strides
    col,  # (COLS,), may run past columns
    columns,
    inner,
    w_inner,  # stride of W along inner
    w_col,  # stride of W along columns
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    INNER: tl.constexpr,
    STEPS: tl.constexpr,
    EVEN: tl.constexpr,
):
    """A @ W.T of one tile in float32."""
    k = tl.arange(0, INNER)
    row = tl.where(row < n, row, 0).to(tl.int64)  # rows past the end read the first one, and are not stored
    a_at = A + row[:, None] * inner + k[None, :]
    w_at = W + k.to(tl.int64)[:, None] * w_inner + col.to(tl.int64)[None, :] * w_col
    total = tl.zeros((ROWS, COLS), tl.float32)
    for step in range(STEPS):
        if EVEN:
            a = tl.load(a_at)
            w = tl.load(w_at)
        else:
            there = step * INNER + k < inner
            a = tl.load(a_at, mask=there[None, :], other=0.0)
            w = tl.load(w_at, mask=there[:, None] & (col < columns)[None, :], other=0.0)
        if INTERPRET:
            a = a.to(tl.float32)
            w = w.to(tl.float32)
        total = tl.dot(a, w, total, input_precision="ieee")
        a_at += INNER
        w_at += INNER * w_inner
    return total


@triton.jit
def _normal_cdf(z):
    return 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))


@triton.jit
def _halves(tile, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Left and right columns of a tile: what is done to one after the other needs half the registers."""
    return tl.split(tl.permute(tl.reshape(tile, (ROWS, 2, COLS // 2)), (0, 2, 1)))


@triton.jit
def _through_gelu(z, row, n, first, col, BIAS, Z, H, columns, KEEP: tl.constexpr):
    """Bias, GELU, and both stored, of one half of a tile."""
    z += tl.load(BIAS + col, mask=col < columns, other=0.0).to(tl.float32)[None, :]
    # rounded like the stored value: forward and backward must use the same number
    z = z.to(H.dtype.element_ty)
    inside = (row < n)[:, None] & (col < columns)[None, :]
    at = (first + row).to(tl.int64)[:, None] * columns + col[None, :]
    if KEEP:
        tl.store(Z + at, z, mask=inside)
    z = z.to(tl.float32)
    tl.store(H + at, (z * _normal_cdf(z)).to(H.dtype.element_ty), mask=inside)


@triton.jit
def _up(
    ECG,  # (n_ecg, inner)
    PICTURE,  # (n_picture, inner)
    W,  # (columns, inner)
    BIAS,  # (columns,)
    Z,  # (n_ecg + n_picture, columns), written if KEEP: before the GELU
    H,  # (n_ecg + n_picture, columns), written: after it
    n_ecg,
    n_picture,
    inner,
    columns,
    ecg_blocks,
    row_blocks,
    KEEP: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    INNER: tl.constexpr,
    STEPS: tl.constexpr,
    EVEN: tl.constexpr,
):
    m, c = _place(tl.program_id(0), row_blocks, tl.cdiv(columns, COLS))
    if m < ecg_blocks:
        source = ECG
        n = n_ecg
        first = 0
        row = m * ROWS + tl.arange(0, ROWS)
    else:
        source = PICTURE
        n = n_picture
        first = n_ecg
        row = (m - ecg_blocks) * ROWS + tl.arange(0, ROWS)
    col = c * COLS + tl.arange(0, COLS)
    z = _product(source, row, n, W, col, columns, inner, 1, inner, ROWS, COLS, INNER, STEPS, EVEN)
    left, right = _halves(z, ROWS, COLS)
    half = tl.arange(0, COLS // 2)
    _through_gelu(left, row, n, first, c * COLS + half, BIAS, Z, H, columns, KEEP)
    _through_gelu(right, row, n, first, c * COLS + COLS // 2 + half, BIAS, Z, H, columns, KEEP)


@triton.jit
def _down(
    H,  # (rows, inner)
    W,  # (columns, inner)
    BIAS,  # (columns,)
    BACK,  # (rows,) int32, row of OUT or -1; read if PLACED
    OUT,  # (any, columns), written at those rows
    rows,
    inner,
    columns,
    row_blocks,
    PLACED: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    INNER: tl.constexpr,
    STEPS: tl.constexpr,
    EVEN: tl.constexpr,
):
    m, c = _place(tl.program_id(0), row_blocks, tl.cdiv(columns, COLS))
    row = m * ROWS + tl.arange(0, ROWS)
    col = c * COLS + tl.arange(0, COLS)
    y = _product(H, row, rows, W, col, columns, inner, 1, inner, ROWS, COLS, INNER, STEPS, EVEN)
    y += tl.load(BIAS + col, mask=col < columns, other=0.0).to(tl.float32)[None, :]
    to = tl.load(BACK + row, mask=row < rows, other=-1) if PLACED else row
    inside = ((row < rows) & (to >= 0))[:, None] & (col < columns)[None, :]
    tl.store(OUT + to.to(tl.int64)[:, None] * columns + col[None, :], y.to(OUT.dtype.element_ty), mask=inside)


@triton.jit
def _back_through_gelu(dh, m, row, col, Z, DZ, H, D_BIAS, rows, columns):
    """Gradient before the GELU, the GELU's value once more, and the bias's partial sums of one half of a tile."""
    inside = (row < rows)[:, None] & (col < columns)[None, :]
    at = row.to(tl.int64)[:, None] * columns + col[None, :]
    z = tl.load(Z + at, mask=inside, other=0.0).to(tl.float32)
    cdf = _normal_cdf(z)
    tl.store(H + at, (z * cdf).to(H.dtype.element_ty), mask=inside)
    dz = dh * (cdf + z * 0.3989422804014327 * tl.exp(-0.5 * z * z))
    dz = tl.where(inside, dz, 0.0)
    tl.store(DZ + at, dz.to(DZ.dtype.element_ty), mask=inside)
    tl.store(D_BIAS + m.to(tl.int64) * columns + col, tl.sum(dz, 0), mask=col < columns)


@triton.jit
def _back(
    DY,  # (rows, inner)
    W,  # (inner, columns): the second layer's weight as it is
    Z,  # (rows, columns)
    DZ,  # (rows, columns), written
    H,  # (rows, columns), written: GELU of Z once more
    D_BIAS,  # (row_blocks, columns) float32, written: partial sums
    rows,
    inner,
    columns,
    row_blocks,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    INNER: tl.constexpr,
    STEPS: tl.constexpr,
    EVEN: tl.constexpr,
):
    m, c = _place(tl.program_id(0), row_blocks, tl.cdiv(columns, COLS))
    row = m * ROWS + tl.arange(0, ROWS)
    col = c * COLS + tl.arange(0, COLS)
    dh = _product(DY, row, rows, W, col, columns, inner, columns, 1, ROWS, COLS, INNER, STEPS, EVEN)
    left, right = _halves(dh, ROWS, COLS)
    half = tl.arange(0, COLS // 2)
    _back_through_gelu(left, m, row, c * COLS + half, Z, DZ, H, D_BIAS, rows, columns)
    _back_through_gelu(right, m, row, c * COLS + COLS // 2 + half, Z, DZ, H, D_BIAS, rows, columns)


def tiling(dtype: torch.dtype, inner: int, columns: int) -> tuple[int, int, int, int, int]:
    """Tile sizes, chosen by arithmetic and register spills; they have not been timed on a GPU.

    128 x 256 spills in half precision, and so does 128 x 128 with the masks that odd widths need.
    ``benchmarks/gpu_tiles.py`` times others.

    Args:
        dtype: of the product.
        inner: length of the sums.
        columns: of the result.

    Returns:
        Rows, columns and inner length of a tile, warps, stages.
    """
    if dtype == torch.float32 or inner % 64 or columns % 128:
        return 64, 64, 32, 4, 3
    return 128, 128, 64, 8, 3


def _sizes(like: Tensor, inner: int, columns: int) -> tuple[dict[str, int], dict[str, int]]:
    """Constants of a launch, and its warps and stages."""
    per, cols, step, warps, stages = tiling(like.dtype, inner, columns)
    even = int(inner % step == 0 and columns % cols == 0)
    constants = {"ROWS": per, "COLS": cols, "INNER": step, "STEPS": blocks(inner, step), "EVEN": even}
    return constants, {"num_warps": warps, "num_stages": stages}


def first_layer(ecg: Tensor, picture: Tensor, weight: Tensor, bias: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    """First layer of the MLP, for both inputs.

    Args:
        ecg: (n, inner).
        picture: (m, inner).
        weight: (columns, inner).
        bias: (columns,).
        keep: store the values before the GELU, for the backward pass.

    Returns:
        z (n + m, columns), or (0, columns) unless kept, and gelu(z) (n + m, columns).
    """
    (columns, inner), n, m = weight.shape, len(ecg), len(picture)
    h = torch.empty((n + m, columns), dtype=weight.dtype, device=weight.device)
    z = torch.empty_like(h) if keep else h[:0].clone()
    if n + m:
        sizes, options = _sizes(weight, inner, columns)
        from_ecg = blocks(n, sizes["ROWS"])
        row_blocks = from_ecg + blocks(m, sizes["ROWS"])
        with device_of(weight):
            _up[(row_blocks * blocks(columns, sizes["COLS"]),)](
                ecg,
                picture,
                weight,
                bias,
                z,
                h,
                n,
                m,
                inner,
                columns,
                from_ecg,
                row_blocks,
                KEEP=keep,
                **sizes,
                **options,
            )
    return z, h


def second_layer(h: Tensor, weight: Tensor, bias: Tensor, back: Tensor | None, out: Tensor) -> None:
    """Second layer of the MLP.

    Args:
        h: (rows, inner).
        weight: (columns, inner).
        bias: (columns,).
        back: (rows,), the row of ``out`` that each row is written to, -1 for none; None for the same row.
        out: (any, columns), written.
    """
    (columns, inner), rows = weight.shape, len(h)
    if rows:
        sizes, options = _sizes(weight, inner, columns)
        row_blocks = blocks(rows, sizes["ROWS"])
        with device_of(weight):
            _down[(row_blocks * blocks(columns, sizes["COLS"]),)](
                h,
                weight,
                bias,
                h if back is None else back,
                out,
                rows,
                inner,
                columns,
                row_blocks,
                PLACED=back is not None,
                **sizes,
                **options,
            )


def backward_to_first_layer(dy: Tensor, weight: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Backward pass through the second layer and the GELU.

    Args:
        dy: (rows, inner), gradient of the second layer's output.
        weight: (inner, columns), of the second layer.
        z: (rows, columns), before the GELU.

    Returns:
        Gradient of ``z``, gelu(z), and the gradient of the first bias in float32.
    """
    (inner, columns), rows = weight.shape, len(dy)
    dz, h = torch.empty_like(z), torch.empty_like(z)
    sizes, options = _sizes(weight, inner, columns)
    row_blocks = blocks(rows, sizes["ROWS"])
    partial = torch.empty((row_blocks, columns), dtype=torch.float32, device=z.device)
    if rows:
        with device_of(weight):
            _back[(row_blocks * blocks(columns, sizes["COLS"]),)](
                dy, weight, z, dz, h, partial, rows, inner, columns, row_blocks, **sizes, **options
            )
    return dz, h, partial.sum(0)


def builds() -> list[Build]:
    """Kernels to compile ahead of time: GEM-7B in half precision, gem-nano in float32, widths that fit no tile."""
    out = []
    for name, dtype, widths in (
        ("bf16", torch.bfloat16, (1024, 4096, 4096)),
        ("fp16", torch.float16, (1024, 4096, 4096)),
        ("fp32", torch.float32, (384, 256, 256)),
        ("fp16 odd", torch.float16, (101, 67, 59)),
    ):
        p, like = f"*{name.split()[0]}", torch.empty(0, dtype=dtype, device="meta")
        text = f"{name} {widths[0]}"
        numbers = dict.fromkeys(("rows", "inner", "columns", "row_blocks"), "i32")
        sizes, options = _sizes(like, widths[0], widths[1])
        more: dict[str, Any] = {"warps": options["num_warps"], "stages": options["num_stages"]}
        if "odd" not in name:
            more |= {"aligned": True, "even": ("inner", "columns")}
        first = dict.fromkeys(("ECG", "PICTURE", "W", "BIAS", "Z", "H"), p) | dict.fromkeys(
            ("n_ecg", "n_picture", "inner", "columns", "ecg_blocks", "row_blocks"), "i32"
        )
        out += [
            Build(f"dual projector up keep={keep} {text}", _up, first, {**sizes, "KEEP": keep}, **more)
            for keep in (True, False)
        ]
        sizes, _ = _sizes(like, widths[1], widths[2])
        second = {"H": p, "W": p, "BIAS": p, "BACK": "*i32", "OUT": p, **numbers}
        out += [
            Build(
                f"dual projector down placed={placed} {text}",
                _down,
                second if placed else {**second, "BACK": p},
                {**sizes, "PLACED": placed},
                **more,
            )
            for placed in (True, False)
        ]
        sizes, _ = _sizes(like, widths[2], widths[1])
        third = {**dict.fromkeys(("DY", "W", "Z", "DZ", "H"), p), "D_BIAS": "*fp32", **numbers}
        spilled = 8 if dtype == torch.float32 else 0  # Triton 3.6 on sm_90
        out.append(Build(f"dual projector back {text}", _back, third, sizes, **more, spill_bytes=spilled))
    return out
