"""The dual projector: a linear layer for ECG rows, then a shared two-layer MLP for ECG and picture rows.

Forward: one cuBLAS product for the ECG layer, two grouped launches (``grouped.py``) and one that moves the text. Of the
hidden layer only the values before the GELU are stored, and nothing is concatenated: rows are read where the encoders
wrote them, and written to their places in the merged sequence.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import GemInputError
from .dispatch import kernel_selected
from .grouped import backward_to_first_layer, builds, first_layer, second_layer
from .launch import contiguous
from .merge_rows import gather_gradients, move_rows, reference_rows

__all__ = ["builds", "project_both", "reference"]


@torch.library.custom_op(
    "gem::dual_projector",
    mutates_args=(),
    schema="(Tensor ecg, Tensor picture, Tensor w1, Tensor b1, Tensor w2, Tensor b2, Tensor text, Tensor source, "
    "Tensor back, bool keep) -> (Tensor, Tensor)",
)
def _op(
    ecg: Tensor,
    picture: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    text: Tensor,
    source: Tensor,
    back: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    ecg, picture, w1, b1, w2, b2, text, source, back = contiguous(ecg, picture, w1, b1, w2, b2, text, source, back)
    z, h = first_layer(ecg, picture, w1, b1, keep)
    out = _outputs(ecg, picture, w1, b1, w2, b2, text, source, back, keep)[0]
    if source.numel():
        move_rows(source, text, text, text, out, only_text=True)
        second_layer(h, w2, b2, back[text.shape[0] * text.shape[1] :], out)
    elif text.dim() == 2:
        second_layer(h, w2, b2, None, out)
    return out, z


@_op.register_fake
def _outputs(
    ecg: Tensor,
    picture: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    text: Tensor,
    source: Tensor,
    back: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    rows = ecg.shape[0] + picture.shape[0]
    shape = (rows, w2.shape[0]) if text.dim() == 2 else (*source.shape, w2.shape[0])
    z = torch.empty((rows if keep else 0, w1.shape[0]), dtype=w1.dtype, device=w1.device)
    return torch.empty(shape, dtype=text.dtype, device=w1.device), z


@torch.library.custom_op(
    "gem::dual_projector_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor ecg, Tensor picture, Tensor w1, Tensor w2, Tensor z, Tensor text, Tensor back, "
    "bool[] want) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def _op_backward(
    grad: Tensor,
    ecg: Tensor,
    picture: Tensor,
    w1: Tensor,
    w2: Tensor,
    z: Tensor,
    text: Tensor,
    back: Tensor,
    want: list[bool],
) -> tuple[Tensor, ...]:
    grad, ecg, picture, w1, w2, z, back = contiguous(grad, ecg, picture, w1, w2, z, back)
    n = len(ecg)
    d_text = torch.empty(text.shape if want[6] else (0, text.shape[-1]), dtype=text.dtype, device=grad.device)
    if text.dim() == 2:
        dy = grad.to(w2.dtype, copy=False)
    else:
        dy = torch.empty((n + len(picture), w2.shape[0]), dtype=w2.dtype, device=grad.device)
        gather_gradients(back, grad, d_text, dy[:n], dy[n:], text.shape[0] * text.shape[1])
    dz, h, d_b1 = backward_to_first_layer(dy, w2, z)
    none = w1.new_empty(0)
    # plain cuBLAS products: there is nothing to fuse here
    d_ecg = dz[:n] @ w1 if want[0] else none.clone()
    d_picture = dz[n:] @ w1 if want[1] else none.clone()
    d_w1 = torch.addmm(dz[:n].T @ ecg, dz[n:].T, picture) if want[2] else none.clone()
    d_w2 = dy.T @ h if want[4] else none.clone()
    d_b2 = dy.sum(0, dtype=torch.float32).to(w2.dtype) if want[5] else none.clone()
    return d_ecg, d_picture, d_w1, d_b1.to(w1.dtype), d_w2, d_b2, d_text


@_op_backward.register_fake
def _(
    grad: Tensor,
    ecg: Tensor,
    picture: Tensor,
    w1: Tensor,
    w2: Tensor,
    z: Tensor,
    text: Tensor,
    back: Tensor,
    want: list[bool],
) -> tuple[Tensor, ...]:
    shapes = (ecg.shape, picture.shape, w1.shape, w1.shape[:1], w2.shape, w2.shape[:1])
    out = [
        torch.empty(shape if wanted or i == 3 else (0,), dtype=w1.dtype, device=grad.device)
        for i, (shape, wanted) in enumerate(zip(shapes, want[:6], strict=True))
    ]
    d_text = torch.empty(text.shape if want[6] else (0, text.shape[-1]), dtype=text.dtype, device=grad.device)
    return (*out, d_text)


def _save(ctx: Any, inputs: Any, output: Any) -> None:
    ecg, picture, w1, _, w2, _, text, _, back, _ = inputs
    # only the text's shape and dtype are needed: an expanded scalar has them and keeps no rows in memory
    ctx.save_for_backward(ecg, picture, w1, w2, output[1], text.new_empty(()).expand(text.shape), back)
    ctx.mark_non_differentiable(output[1])


def _gradients(ctx: Any, grad: Tensor, *_: Any) -> tuple[Any, ...]:
    want = list(ctx.needs_input_grad[:7])
    out = _op_backward(grad, *ctx.saved_tensors, want)
    return (*(g if wanted else None for g, wanted in zip(out, want, strict=True)), None, None, None)


_op.register_autograd(_gradients, setup_context=_save)


def reference(
    ecg: Tensor,
    picture: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    text: Tensor | None = None,
    source: Tensor | None = None,
) -> Tensor:
    """``project_both`` after the ECG layer, in plain torch: concatenate, project, and gather if there is a plan."""
    rows = F.linear(F.gelu(F.linear(torch.cat([ecg, picture]), w1, b1)), w2, b2)
    if text is None or source is None:
        return rows
    return reference_rows(text, rows[: len(ecg)], rows[len(ecg) :], source)


def project_both(
    ecg: Tensor,
    picture: Tensor,
    ecg_layer: tuple[Tensor, Tensor | None] | None,
    layers: tuple[Tensor, Tensor, Tensor, Tensor],
    text: Tensor | None = None,
    source: Tensor | None = None,
    back: Tensor | None = None,
) -> Tensor:
    """Project both encoders' tokens and, if there is a plan, write them to their places in the merged sequence.

    float64 always uses plain torch, because the kernels accumulate in float32.

    Args:
        ecg: (n, ecg width); n may be 0.
        picture: (m, width); m may be 0.
        ecg_layer: weight (width, ecg width) and bias (width,) of the ECG rows' own layer; None if their width is
            ``width``.
        layers: w1 (inner, width), b1 (inner,), w2 (hidden, inner), b2 (hidden,), shared by both.
        text: (B, L, hidden), embeddings of the prompts.
        source: (B, T) of ``merge_plan``; pass ``text``, ``source`` and ``back`` together or none of them.
        back: (B * L + n + m,) of ``merge_plan``.

    Returns:
        (B, T, hidden), zero where padded; (n + m, hidden), ECG rows first, without a plan.

    Raises:
        GemInputError: shapes that don't fit each other, or half a plan.
    """
    w1, b1, w2, b2 = layers
    if torch.is_autocast_enabled(picture.device.type):  # as F.linear would
        kind = torch.get_autocast_dtype(picture.device.type)
        ecg, picture, w1, b1, w2, b2 = (x.to(kind) for x in (ecg, picture, w1, b1, w2, b2))
    if ecg_layer is not None:
        ecg = F.linear(ecg, *ecg_layer)
    if ecg.shape[1:] != picture.shape[1:] or picture.shape[1:] != w1.shape[1:] or w1.shape[0] != w2.shape[1]:
        shapes = ", ".join(str(tuple(x.shape)) for x in (ecg, picture, w1, w2))
        raise GemInputError(
            f"widths don't fit: {shapes}", where="project_both", remedy="(n, d), (m, d), (i, d), (h, i)"
        )
    if len({text is None, source is None, back is None}) > 1:
        raise GemInputError("half a plan", where="project_both", remedy="pass text, source and back, or none of them")
    rows = ecg.shape[0] + picture.shape[0]
    if w1.dtype == torch.float64 or not kernel_selected("dual_projector", w1, rows * w2.shape[0]):
        return reference(ecg, picture, w1, b1, w2, b2, text, source)
    inputs = (ecg, picture, w1, b1, w2, b2)
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    if text is None or source is None or back is None:
        none = torch.empty((0,), dtype=torch.int32, device=w1.device)
        text, source, back = w1.new_empty(0, w2.shape[0]), none, none.clone()
    out: Tensor = _op(*inputs, text, source, back, keep)[0]
    return out
