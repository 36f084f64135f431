"""What the bench measures: an op at one size, with everything that computes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Inputs = dict[str, Any]


@dataclass(frozen=True)
class BenchCase:
    """One op at one size.

    Attributes:
        op: name in ``dispatch.OPS``; any other is measured, and nothing in ``auto`` depends on it.
        name: for people, such as ``"GEM-7B, batch 8"``.
        dtype: of the op's main tensor.
        size: what the op hands to ``chosen``: elements of its main tensor.
        inputs: device, generator -> keyword arguments of ``run``; fresh random values at each call.
        run: the public function; ``use`` decides what it does.
        learn: names of the inputs that get a gradient; empty for an op that is never trained through.
        forward_bytes, backward_bytes: fewest bytes to move, each input read once and each output written once.
        forward_flop, backward_flop: floating-point operations, where the op is bound by them.
        rivals: other implementations of the same function, by name (``"liger"``, the published loop, ...).
        tolerance: largest ||out - ref|| / ||ref|| against float64; None for the dtype's usual one.
        compiles: ``torch.compile`` can be asked to do it.
        compile_s: seconds that it may take: not begun with less time left.
    """

    op: str
    name: str
    dtype: torch.dtype
    size: int
    inputs: Callable[[str, torch.Generator], Inputs]
    run: Callable[..., Any]
    learn: tuple[str, ...] = ()
    forward_bytes: int = 0
    backward_bytes: int = 0
    forward_flop: float = 0.0
    backward_flop: float = 0.0
    rivals: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    tolerance: float | None = None
    compiles: bool = True
    compile_s: float = 30.0

    @property
    def directions(self) -> tuple[str, ...]:
        return ("forward", "backward", "both") if self.learn else ("forward",)

    def floor_s(self, direction: str, bytes_per_s: float, flop_per_s: float) -> float:
        """Seconds below which no version comes: the slower of moving the bytes and doing the arithmetic."""
        n_bytes = n_flop = 0.0
        if direction in ("forward", "both"):
            n_bytes, n_flop = float(self.forward_bytes), self.forward_flop
        if direction in ("backward", "both"):
            n_bytes, n_flop = n_bytes + self.backward_bytes, n_flop + self.backward_flop
        return max(n_bytes / bytes_per_s, n_flop / flop_per_s)

    def work(self, direction: str) -> tuple[float, float]:
        """(bytes, floating-point operations) of a direction."""
        parts = {"forward": (1, 0), "backward": (0, 1), "both": (1, 1)}[direction]
        return (
            parts[0] * self.forward_bytes + parts[1] * self.backward_bytes,
            parts[0] * self.forward_flop + parts[1] * self.backward_flop,
        )


def tensors(out: Any) -> list[Tensor]:
    """The tensors of an op's result, in order."""
    if isinstance(out, Tensor):
        return [out]
    if isinstance(out, Mapping):
        out = list(out.values())
    return [t for item in out for t in tensors(item)] if isinstance(out, Sequence) else []


def learning(case: BenchCase, inputs: Inputs) -> Inputs:
    """The inputs, detached; those that learn ask for gradients."""
    return {
        name: value.detach().requires_grad_(name in case.learn) if isinstance(value, Tensor) else value
        for name, value in inputs.items()
    }


def doubled(inputs: Inputs) -> Inputs:
    """Floating-point inputs in float64."""
    return {
        name: value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in inputs.items()
    }


def results(
    case: BenchCase, run: Callable[..., Any], inputs: Inputs, seed: int = 1
) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, and gradients of ``case.learn`` for cotangents that depend only on ``seed``."""
    inputs = learning(case, inputs)
    outs = tensors(run(**inputs))
    if not case.learn:
        return outs, []
    differentiable = [out for out in outs if out.requires_grad]
    wanted = [inputs[name] for name in case.learn]
    grads = torch.autograd.grad(differentiable, wanted, cotangents(differentiable, seed), allow_unused=True)
    return [out.detach() for out in outs], [
        torch.zeros_like(x) if grad is None else grad for grad, x in zip(grads, wanted, strict=True)
    ]


def cotangents(outs: list[Tensor], seed: int = 1) -> list[Tensor]:
    """Random gradients of the outputs, the same in every dtype."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(out.shape, generator=generator).to(out) for out in outs]


def distance(got: Tensor, want: Tensor) -> float:
    """||got - want|| / ||want|| in float64, NaN counted as infinity; integers must be equal."""
    if got.shape != want.shape:
        return float("inf")
    if not got.is_floating_point():
        return 0.0 if torch.equal(got, want.to(got.dtype)) else float("inf")
    got, want = got.double(), want.double()
    error, size = float((got - want).norm()), float(want.norm())
    if error != error:
        return float("inf")
    return error / size if size else error
