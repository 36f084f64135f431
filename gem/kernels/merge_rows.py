"""The multimodal merge: text, ECG and picture tokens of a ragged batch in one padded sequence, without host sync.

Two launches forward (plan the places, ``merge_plan.py``; move the rows), one backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..labels import IGNORE
from .dispatch import kernel_selected
from .launch import Build, blocks, contiguous, device_of, power_of_2, tl, triton
from .merge_plan import Placed, plan
from .merge_plan import builds as plan_builds


@triton.jit
def _move(
    SOURCE,  # (rows,) int32
    TEXT,  # (n_text, width)
    ECG,  # (n_ecg, width)
    PICTURE,  # (n_picture, width)
    OUT,  # (rows, width), written
    rows,
    n_text,
    n_ecg,
    width,
    ONLY_TEXT: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    col = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    source = tl.load(SOURCE + row, mask=row < rows, other=-1).to(tl.int64)
    inside = (row < rows)[:, None] & (col < width)[None, :]
    is_text = (source >= 0) & (source < n_text)
    value = tl.load(TEXT + source[:, None] * width + col[None, :], mask=inside & is_text[:, None], other=0.0)
    if ONLY_TEXT:
        inside = inside & (source < n_text)[:, None]
    else:
        is_ecg = (source >= n_text) & (source < n_text + n_ecg)
        is_picture = source >= n_text + n_ecg
        ecg = tl.load(ECG + (source - n_text)[:, None] * width + col[None, :], mask=inside & is_ecg[:, None], other=0.0)
        at = (source - n_text - n_ecg)[:, None] * width + col[None, :]
        picture = tl.load(PICTURE + at, mask=inside & is_picture[:, None], other=0.0)
        value = tl.where(
            is_ecg[:, None], ecg.to(value.dtype), tl.where(is_picture[:, None], picture.to(value.dtype), value)
        )
    tl.store(OUT + row.to(tl.int64)[:, None] * width + col[None, :], value, mask=inside)


@triton.jit
def _return(
    BACK,  # (n_text + n_ecg + n_picture,) int32
    GRAD,  # (B * T, width)
    TEXT,  # (n_text, width), written unless first == n_text
    ECG,  # (n_ecg, width), written
    PICTURE,  # (n_picture, width), written
    first,
    rows,
    n_text,
    n_ecg,
    width,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = first + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    col = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    source = tl.load(BACK + row, mask=row < rows, other=-1).to(tl.int64)
    row = row.to(tl.int64)
    inside = (row < rows)[:, None] & (col < width)[None, :]
    value = tl.load(GRAD + source[:, None] * width + col[None, :], mask=inside & (source >= 0)[:, None], other=0.0)
    tl.store(TEXT + row[:, None] * width + col[None, :], value, mask=inside & (row < n_text)[:, None])
    ecg = row - n_text
    tl.store(
        ECG + ecg[:, None] * width + col[None, :],
        value.to(ECG.dtype.element_ty),
        mask=inside & ((ecg >= 0) & (ecg < n_ecg))[:, None],
    )
    picture = ecg - n_ecg
    tl.store(
        PICTURE + picture[:, None] * width + col[None, :],
        value.to(PICTURE.dtype.element_ty),
        mask=inside & (picture >= 0)[:, None],
    )


def _tile(width: int) -> tuple[int, int]:
    """(rows, columns) of a program: 4096 numbers at most."""
    columns = min(1024, power_of_2(width))
    return max(1, min(32, 4096 // columns)), columns


def move_rows(source: Tensor, text: Tensor, ecg: Tensor, picture: Tensor, out: Tensor, only_text: bool = False) -> None:
    """Write the rows of the merged sequence.

    Args:
        source: (B, T) int32, as in ``merge_plan.Placed``.
        text: (n_text, width).
        ecg: (n_ecg, width).
        picture: (n_picture, width).
        out: (B, T, width), written.
        only_text: leave the places of encoder tokens unwritten.
    """
    width, rows = out.shape[-1], source.numel()
    if not out.numel():
        return
    per, columns = _tile(width)
    with device_of(out):
        _move[(blocks(rows, per), blocks(width, columns))](
            source,
            text,
            ecg,
            picture,
            out,
            rows,
            text.numel() // width,
            ecg.numel() // width,
            width,
            ONLY_TEXT=only_text,
            ROWS=per,
            WIDTH=columns,
        )


def gather_gradients(back: Tensor, grad: Tensor, text: Tensor, ecg: Tensor, picture: Tensor, n_text: int) -> None:
    """Write the gradients of the three sources.

    Args:
        back: (n_text + n_ecg + n_picture,) int32, as in ``merge_plan.Placed``.
        grad: (B, T, width).
        text: (n_text, width), written; empty if its gradient is not needed.
        ecg: (n_ecg, width), written.
        picture: (n_picture, width), written.
        n_text: rows of text.
    """
    width = grad.shape[-1]
    first = 0 if text.numel() else n_text
    rows = len(back) - first
    if not rows or not width:
        return
    per, columns = _tile(width)
    with device_of(grad):
        _return[(blocks(rows, per), blocks(width, columns))](
            back,
            grad,
            text,
            ecg,
            picture,
            first,
            len(back),
            n_text,
            ecg.numel() // width,
            width,
            ROWS=per,
            WIDTH=columns,
        )


@torch.library.custom_op(
    "gem::merge_rows",
    mutates_args=(),
    schema="(Tensor text, Tensor ecg, Tensor picture, Tensor source, Tensor back) -> Tensor",
)
def rows_op(text: Tensor, ecg: Tensor, picture: Tensor, source: Tensor, back: Tensor) -> Tensor:
    """Move rows to their places: (B, L, hidden), (n, hidden), (m, hidden) -> (B, T, hidden)."""
    text, ecg, picture, source = contiguous(text, ecg, picture, source)
    out = _moved(text, ecg, picture, source, back)
    move_rows(source, text, ecg, picture, out)
    return out


@rows_op.register_fake
def _moved(text: Tensor, ecg: Tensor, picture: Tensor, source: Tensor, back: Tensor) -> Tensor:
    return torch.empty((*source.shape, text.shape[-1]), dtype=text.dtype, device=text.device)


@torch.library.custom_op(
    "gem::merge_rows_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor back, Tensor text, Tensor ecg, Tensor picture, bool want_text) "
    "-> (Tensor, Tensor, Tensor)",
)
def _rows_backward(
    grad: Tensor, back: Tensor, text: Tensor, ecg: Tensor, picture: Tensor, want_text: bool
) -> tuple[Tensor, Tensor, Tensor]:
    grad, back = contiguous(grad, back)
    out = _returned(grad, back, text, ecg, picture, want_text)
    d_text, d_ecg, d_picture = out
    gather_gradients(back, grad, d_text, d_ecg, d_picture, text.shape[0] * text.shape[1])
    return out


@_rows_backward.register_fake
def _returned(
    grad: Tensor, back: Tensor, text: Tensor, ecg: Tensor, picture: Tensor, want_text: bool
) -> tuple[Tensor, Tensor, Tensor]:
    d_text = torch.empty(text.shape if want_text else (0, text.shape[-1]), dtype=text.dtype, device=grad.device)
    like = [torch.empty(x.shape, dtype=x.dtype, device=grad.device) for x in (ecg, picture)]
    return d_text, like[0], like[1]


def _save(ctx: Any, inputs: Any, output: Any) -> None:
    text, ecg, picture, _, back = inputs
    # only the sources' shapes and dtypes are needed: expanded scalars have them and keep no rows in memory
    ctx.save_for_backward(back, *(x.new_empty(()).expand(x.shape) for x in (text, ecg, picture)))


def _gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    d_text, d_ecg, d_picture = _rows_backward(grad, *ctx.saved_tensors, ctx.needs_input_grad[0])
    return (d_text if ctx.needs_input_grad[0] else None), d_ecg, d_picture, None, None


rows_op.register_autograd(_gradients, setup_context=_save)


def reference_rows(text: Tensor, ecg: Tensor, picture: Tensor, source: Tensor) -> Tensor:
    """``rows_op`` in plain torch: one concatenation, one gather."""
    table = torch.cat(
        [text.flatten(0, 1), ecg.to(text.dtype), picture.to(text.dtype), text.new_zeros(1, text.shape[-1])]
    )
    return table[source.long()]  # padding is -1: the last row


def merge(
    ids: Tensor,
    text: Tensor,
    ecg: Tensor,
    ecg_starts: Tensor,
    picture: Tensor,
    picture_starts: Tensor,
    placeholder: int,
    length: int,
    left: bool,
    mask: Tensor | None = None,
    labels: Tensor | None = None,
) -> Placed:
    """Replace each record's placeholder by its ECG rows, then its picture rows.

    Args:
        ids: (B, L) int64.
        text: (B, L, hidden).
        ecg: (n, hidden), rows of all records one after another; (0, hidden) without any.
        ecg_starts: (B + 1,) int64, first row of each record, then n.
        picture: (m, hidden), the same for pictures.
        picture_starts: (B + 1,) int64, the same for pictures.
        placeholder: the id that marks the place.
        length: T; ``L - 1`` plus the largest number of tokens of a record is always enough.
        left: pad on the left.
        mask: (B, L), 1 where there is a token; None for everywhere.
        labels: (B, L) int64; None if no token is trained.

    Returns:
        The merged batch. To avoid synchronising with the host nothing is raised: ``problem`` marks rows that don't fit.
    """
    keep = torch.ones_like(ids) if mask is None else mask
    labels = torch.full_like(ids, IGNORE) if labels is None else labels
    more = (ids, keep, labels, ecg_starts, picture_starts, len(ecg), len(picture), placeholder, length, left)
    places = plan(*more, text)
    if kernel_selected("merge", text, ids.shape[0] * length * text.shape[-1]):
        embeds = rows_op(text, ecg, picture, places.source, places.back)
    else:
        embeds = reference_rows(text, ecg, picture, places.source)
    return Placed(embeds, *places)


def builds() -> list[Build]:
    """Kernels to compile ahead of time: GEM-7B's width in half precision, gem-nano's in float32."""
    out = plan_builds()
    # as Triton finds at a launch: rows of these widths begin at multiples of 16 bytes
    known: dict[str, Any] = {"aligned": True, "even": ("width",)}
    for width, dtype in ((4096, "bf16"), (4096, "fp16"), (256, "fp32")):
        per, columns = _tile(width)
        p, size = f"*{dtype}", {"ROWS": per, "WIDTH": columns}
        rows = {
            "SOURCE": "*i32",
            "TEXT": p,
            "ECG": p,
            "PICTURE": p,
            "OUT": p,
            "rows": "i32",
            "n_text": "i32",
            "n_ecg": "i32",
            "width": "i32",
        }
        back = {
            "BACK": "*i32",
            "GRAD": p,
            "TEXT": p,
            "ECG": p,
            "PICTURE": p,
            "first": "i32",
            "rows": "i32",
            "n_text": "i32",
            "n_ecg": "i32",
            "width": "i32",
        }
        out += [
            Build(f"merge rows {width} {dtype} only_text={only}", _move, rows, {**size, "ONLY_TEXT": only}, **known)
            for only in ((False, True) if dtype == "bf16" else (False,))
        ]
        out.append(Build(f"merge backward {width} {dtype}", _return, back, size, **known))
    return out
