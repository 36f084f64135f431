"""The merge against the model's own loop and against plain torch, on ragged, absent and broken rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gem import GemInputError
from gem.fusion.merge import Merged, merge_tokens
from gem.kernels import use
from gem.kernels.merge_plan import NO_PLACEHOLDER, NO_TOKENS, ROW_TOO_LONG, TWO_PLACEHOLDERS, Placed, plan_op
from gem.kernels.merge_rows import merge, rows_op

SIZES = {"odd": (101, 67), "one": (1, 1), "prime": (13, 577)}
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def batch(
    device: str, long: int, width: int, counts: list[tuple[int, int]], dtype: torch.dtype, left: bool
) -> dict[str, Any]:
    """One row per (ECG tokens, picture tokens); a row with neither has no placeholder."""
    rows = len(counts)
    ids = torch.randint(1, 50, (rows, long))
    mask = torch.ones_like(ids)
    for i, (ecg, picture) in enumerate(counts):
        pad = (i * 3) % max(1, long // 2) if long > 2 else 0
        mask[i, :pad] = 0
        if not left:
            mask[i] = mask[i].flip(0)
        where = mask[i].nonzero().flatten()
        if ecg + picture:
            ids[i, where[int(torch.randint(len(where), ()))]] = -200
    starts = [torch.tensor([0, *(c[n] for c in counts)]).cumsum(0) for n in (0, 1)]
    values: dict[str, Any] = {
        "ids": ids,
        "text": torch.randn(rows, long, width, dtype=torch.float64).to(dtype),
        "mask": mask,
        "labels": ids.clone(),
        "ecg": torch.randn(int(starts[0][-1]), width).to(dtype),
        "ecg_starts": starts[0],
        "picture": torch.randn(int(starts[1][-1]), width).to(dtype),
        "picture_starts": starts[1],
    }
    values = {name: value.to(device) for name, value in values.items()}
    return {**values, "placeholder": -200, "left": left, "length": long + max(a + b for a, b in counts)}


def same(got: Placed, want: Placed) -> None:
    for name, a, b in zip(Placed._fields, got, want, strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_and_backward_are_exact(kernels: str, dtype: torch.dtype, size: str, left: bool) -> None:
    counts = (
        [(5, 0), (0, 7), (0, 0), (3, 11), (1, 0)] if size == "odd" else [(101, 577)] if size == "one" else [(2, 3)] * 2
    )
    values = batch(kernels, *SIZES[size], counts, dtype, left)
    results = []
    for mode in ("triton", "torch"):
        with use(mode):
            inputs = {k: values[k].clone().requires_grad_() for k in ("text", "ecg", "picture")}
            out = merge(**{**values, **inputs})
        torch.manual_seed(3)
        (out.embeds * torch.randn_like(out.embeds)).sum().backward()
        results.append((out, [v.grad for v in inputs.values()]))
    same(results[0][0], results[1][0])
    assert results[0][0].problem.sum() == 0
    for a, b in zip(results[0][1], results[1][1], strict=True):
        assert torch.equal(a, b)  # moved, never computed with


def test_several_chunks_and_holes_in_the_mask(kernels: str) -> None:
    values = batch(kernels, 1500, 3, [(900, 700), (2, 1)], torch.float32, False)
    values["mask"] = (torch.rand(2, 1500, device=kernels) > 0.3).long() | (values["ids"] == -200).long()
    got = merge(**values)
    with use("torch"):
        same(got, merge(**values))


def test_not_contiguous_and_a_boolean_mask(kernels: str) -> None:
    values = batch(kernels, 9, 6, [(2, 1), (0, 4)], torch.float32, True)
    values["text"] = values["text"].transpose(0, 1).contiguous().transpose(0, 1)
    values["ecg"] = torch.randn(6, 2, device=kernels).T
    values["mask"] = values["mask"].bool()
    got = merge(**values)
    with use("torch"):
        same(got, merge(**values))


def test_problems_are_told_without_asking_the_host(kernels: str) -> None:
    values = batch(kernels, 4, 2, [(1, 0), (1, 0), (0, 0), (3, 0)], torch.float32, False)
    values["mask"][:] = 1
    values["ids"] = torch.tensor([[-200, -200, 1, 1], [1, 1, 1, 1], [-200, 1, 1, 1], [1, 1, 1, -200]], device=kernels)
    values["length"] = 5
    for mode in ("triton", "torch"):
        with use(mode):
            assert merge(**values).problem.tolist() == [TWO_PLACEHOLDERS, NO_PLACEHOLDER, NO_TOKENS, ROW_TOO_LONG]


def test_gradcheck(kernels: str) -> None:
    values = batch(kernels, 4, 3, [(2, 1), (0, 2)], torch.float64, True)
    inputs = [values.pop(k).requires_grad_() for k in ("text", "ecg", "picture")]
    assert torch.autograd.gradcheck(lambda *x: merge(**values, text=x[0], ecg=x[1], picture=x[2]).embeds, inputs)


def test_one_graph(kernels: str) -> None:
    values = batch(kernels, 7, 4, [(2, 1), (0, 2)], torch.float32, True)
    values["text"].requires_grad_()
    run = torch.compile(lambda v: merge(**v).embeds.square().sum(), fullgraph=True, backend="aot_eager")
    got, want = run(values), merge(**values).embeds.square().sum()
    torch.testing.assert_close(got, want)
    (a,), (b,) = (torch.autograd.grad(x, values["text"]) for x in (got, want))
    torch.testing.assert_close(a, b)


def test_registration(kernels: str) -> None:
    v = batch(kernels, 5, 4, [(2, 1), (0, 2)], torch.float32, True)
    args = (v["ids"], v["mask"], v["labels"], v["ecg_starts"], v["picture_starts"], 2, 3, -200, 8, True)
    torch.library.opcheck(plan_op, args, test_utils=("test_schema", "test_faketensor"))
    _, _, _, source, back, _ = plan_op(*args)
    torch.library.opcheck(rows_op, (v["text"].requires_grad_(), v["ecg"].requires_grad_(), v["picture"], source, back))


@pytest.mark.parametrize("left", [True, False])
def test_the_models_own_merge_goes_through_it(kernels: str, left: bool) -> None:
    values = batch(kernels, 11, 5, [(2, 3), (0, 0), (0, 4), (1, 0)], torch.float32, left)
    ecg, picture = (values[k].split(values[f"{k}_starts"].diff().tolist()) for k in ("ecg", "picture"))
    parts = [torch.cat(pair) if sum(map(len, pair)) else None for pair in zip(ecg, picture, strict=True)]
    results: list[Merged] = []
    for mode in ("triton", "torch"):
        with use(mode):
            results.append(merge_tokens(values["ids"], values["text"], parts, -200, values["mask"], values["labels"]))
    got, want = results
    for name in ("embeds", "attention_mask", "labels", "position_ids"):
        a, b = getattr(got, name), getattr(want, name)
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)
    for wrong, message in (([None] * 4, "neither"), ([parts[0]] * 4, "no placeholder")):
        with pytest.raises(GemInputError, match=message):
            merge_tokens(values["ids"], values["text"], wrong, -200, values["mask"])
