"""Residual + LayerNorm against float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gem.kernels import use
from gem.kernels.layer_norm import _is_widened, _op, add_norm, reference, residual_layer_norm

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


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtypes", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.bfloat16)])
def test_autocast_has_the_dtypes_of_the_two_ops(
    kernels: str, close: Any, dtypes: tuple[torch.dtype, torch.dtype], weights: torch.dtype
) -> None:
    if kernels == "cpu" and torch.float32 in dtypes and weights == torch.bfloat16:
        weights = torch.float32  # the CPU's LayerNorm takes no such pair
    values = [torch.randn(3, 16).to(kernels, dtype).requires_grad_() for dtype in dtypes]
    norm = torch.nn.LayerNorm(16, device=kernels, dtype=weights)
    outs, grads = [], []
    for mode in ("triton", "torch"):
        with use(mode), torch.autocast(kernels, torch.bfloat16):
            out = add_norm(*values, norm)
        outs.append(out)
        loss = out[0].float().square().sum() + (out[1].float() ** 3).sum()
        grads.append(torch.autograd.grad(loss, [*values, norm.weight, norm.bias]))
    for got, want in zip((*outs[0], *grads[0]), (*outs[1], *grads[1]), strict=True):
        assert got.dtype == want.dtype
        torch.testing.assert_close(got.double(), want.double(), rtol=0.03, atol=0.03 * float(want.abs().max()))


def test_a_norm_in_float32_of_a_sum_in_bfloat16(kernels: str, close: Any) -> None:
    """What CUDA's autocast asks for."""
    values = [torch.randn(5, 12, device=kernels).bfloat16().requires_grad_() for _ in range(2)]
    weight, bias = torch.randn(12, device=kernels), torch.randn(12, device=kernels)
    total, y, *_ = _op(*values, weight, bias, 1e-5, True)
    assert (total.dtype, y.dtype) == (torch.bfloat16, torch.float32)
    want = F.layer_norm(total.detach().double(), (12,), weight.double(), bias.double())
    close(y, want)
    (y**2).sum().backward()
    assert values[0].grad is not None
    assert values[0].grad.dtype == torch.bfloat16


def test_when_autocast_widens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: device == "cuda")
    assert _is_widened(torch.bfloat16, "cuda")
    assert not _is_widened(torch.float32, "cuda")
    assert not _is_widened(torch.bfloat16, "cpu")


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
    torch.library.opcheck(_op, (x, x.detach(), w, w.detach(), 1e-5, False))
