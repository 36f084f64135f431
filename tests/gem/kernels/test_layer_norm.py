"""Residual + LayerNorm against float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gem.kernels.layer_norm import _op, reference, residual_layer_norm

SHAPES = [(1, 1), (1, 101), (577, 67), (2, 3, 256), (0, 16)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward(kernels: str, close: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = [torch.randn(shape), torch.randn(shape), torch.randn(shape[-1]) + 1, torch.randn(shape[-1])]
    ours = [v.to(kernels, dtype).requires_grad_() for v in values]
    theirs = [v.detach().double().requires_grad_() for v in ours]
    weights = [torch.randn(shape, device=kernels, dtype=dtype) for _ in range(2)]
    got, want = residual_layer_norm(*ours), reference(*theirs)
    sum((a * w).sum() for a, w in zip(got, weights, strict=True)).backward()
    sum((a * w.double()).sum() for a, w in zip(want, weights, strict=True)).backward()
    # the sum is rounded to the dtype before the norm: a row of few channels feels that more
    scale = 4.0 if shape[-1] > 1 else 1.0
    for a, b in zip(got, want, strict=True):
        close(a, b, scale)
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is not None
        close(a.grad, b.grad, scale)


def test_not_contiguous(kernels: str, close: Any) -> None:
    x, r = torch.randn(8, 5, device=kernels).T, torch.randn(5, 16, device=kernels)[:, ::2]
    weight, bias = torch.randn(16, device=kernels)[::2], torch.randn(1, device=kernels).expand(8)
    for got, want in zip(
        residual_layer_norm(x, r, weight, bias),
        reference(x.double(), r.double(), weight.double(), bias.double()),
        strict=True,
    ):
        close(got, want)


def test_one_graph(kernels: str) -> None:
    def f(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        total, y = residual_layer_norm(x, x, w, w)
        return (total * y).sum()

    values = [torch.randn(3, 8, device=kernels, requires_grad=True), torch.randn(8, device=kernels, requires_grad=True)]
    out = torch.compile(f, fullgraph=True, backend="aot_eager")(*values)
    got = torch.autograd.grad(out, values)
    want = torch.autograd.grad(f(*values), values)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_registration(kernels: str) -> None:
    x = torch.randn(3, 8, device=kernels, requires_grad=True)
    w = torch.randn(8, device=kernels, requires_grad=True)
    torch.library.opcheck(_op, (x, x.detach(), w, w.detach(), 1e-5))
