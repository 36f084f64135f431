"""Means of token ranges against float64, one range after another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gem import GemInputError
from gem.kernels import use
from gem.kernels.segment_pooling import pool_op, pool_segments, reference

# tokens, width, segments of each record
CASES: dict[str, tuple[int, int, list[int]]] = {
    "one of each": (1, 1, [1]),
    "101 tokens, a record without segments": (101, 67, [40, 0, 3]),
    "577 tokens, several tiles of segments": (577, 13, [5, 70]),
    "no segments": (3, 4, [0, 0]),
    "no record": (5, 4, []),
}


def inputs(device: str, case: str, dtype: torch.dtype) -> dict[str, Tensor]:
    torch.manual_seed(0)
    tokens, width, counts = CASES[case]
    n = sum(counts)
    starts = torch.randint(-2, tokens, (n,))  # some begin before the record, end after it, or end before they begin
    ends = starts + torch.randint(-1, 12, (n,))
    if n > 5:
        starts[1], ends[1] = 0, tokens
        ends[2] = starts[2]
        starts[3], ends[3] = tokens + 3, tokens + 9
    first = torch.tensor([0, *counts]).cumsum(0)
    x = torch.randn(len(counts), tokens, width).to(dtype)
    return {
        "tokens": x.to(device).requires_grad_(),
        **{k: v.to(device) for k, v in {"starts": starts, "ends": ends, "first": first}.items()},
    }


def one_by_one(tokens: Tensor, starts: Tensor, ends: Tensor, first: Tensor) -> Tensor:
    rows = []
    for record in range(len(tokens)):
        for i in range(int(first[record]), int(first[record + 1])):
            part = tokens[record, max(0, int(starts[i])) : max(0, min(int(ends[i]), tokens.shape[1]))]
            rows.append(part.mean(0) if len(part) else part.sum(0))
    return torch.stack(rows) if rows else tokens.sum() * tokens.new_zeros(0, tokens.shape[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", CASES)
def test_forward_and_backward(kernels: str, close: Any, case: str, dtype: torch.dtype) -> None:
    values = inputs(kernels, case, dtype)
    exact = {**values, "tokens": values["tokens"].detach().double().requires_grad_()}
    seed = torch.randn(sum(CASES[case][2]), CASES[case][1], device=kernels).to(dtype)
    want = one_by_one(**exact)
    (d_want,) = torch.autograd.grad((want * seed).sum(), exact["tokens"])
    for run in (pool_segments, reference):
        got = run(**values)
        close(got, want)
        (d_got,) = torch.autograd.grad((got * seed).sum(), values["tokens"])
        close(d_got, d_want)


def test_most_bounds_the_work_and_not_the_result(kernels: str) -> None:
    values = inputs(kernels, "577 tokens, several tiles of segments", torch.float32)
    a, b = pool_segments(**values, most=70), pool_segments(**values)
    assert torch.equal(a, b)
    assert all(
        torch.equal(*pair)
        for pair in zip(*(torch.autograd.grad(x.square().sum(), values["tokens"]) for x in (a, b)), strict=True)
    )


def test_not_contiguous(kernels: str, close: Any) -> None:
    values = inputs(kernels, "101 tokens, a record without segments", torch.float32)
    want = pool_segments(**values)
    values["tokens"] = values["tokens"].detach().permute(2, 0, 1).contiguous().permute(1, 2, 0)
    values["starts"] = torch.stack([values["starts"]] * 2, 1)[:, 0]
    close(pool_segments(**values), want)


def test_gradcheck() -> None:
    values = inputs("cpu", "101 tokens, a record without segments", torch.float64)
    small = values.pop("tokens").detach()[..., :2].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: reference(x, **values), (small,))


def test_one_graph(kernels: str) -> None:
    values = inputs(kernels, "101 tokens, a record without segments", torch.float32)
    run = torch.compile(lambda v: pool_segments(**v, most=40).square().sum(), fullgraph=True, backend="aot_eager")
    got, want = run(values), pool_segments(**values).square().sum()
    torch.testing.assert_close(got, want)
    (a,), (b,) = (torch.autograd.grad(x, values["tokens"]) for x in (got, want))
    torch.testing.assert_close(a, b)
    with use("torch"):
        torch.testing.assert_close(
            torch.compile(pool_segments, fullgraph=True, backend="aot_eager")(**values), pool_segments(**values)
        )


def test_registration(kernels: str) -> None:
    v = inputs(kernels, "101 tokens, a record without segments", torch.float32)
    torch.library.opcheck(pool_op, (v["tokens"], v["starts"], v["ends"], v["first"], 40))


def test_what_does_not_fit_is_refused() -> None:
    values = inputs("cpu", "101 tokens, a record without segments", torch.float32)
    with pytest.raises(GemInputError, match="first"):
        pool_segments(**{**values, "first": values["first"][1:]})
