"""What the bench measures: an op at one size, and the other implementations of the same function."""

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
        op: name in ``dispatch.OPS``; under any other name it is measured only, and ``auto`` does not use the result.
        name: for readers, such as ``"GEM-7B, batch 8"``.
        dtype: of the op's main tensor.
        size: elements of the op's main tensor, as it passes them to ``kernel_selected``.
        inputs: device, generator -> keyword arguments of ``run``; new random values at each call.
        run: the public function; ``use`` selects the implementation.
        learn: names of the inputs that get a gradient; empty for an op that is used in inference only.
        forward_bytes: lower bound of the bytes moved: each input read once and each output written once.
        backward_bytes: the same for the backward pass.
        forward_flop: floating-point operations, where they bound the op.
        backward_flop: the same for the backward pass.
        rivals: other implementations of the same function, by name (``"liger"``, the published loop, ...).
        tolerance: largest ||out - ref|| / ||ref|| against float64; None for the default of the dtype.
        compiles: whether ``torch.compile`` is measured too.
        compile_s: seconds that compilation may take; it is skipped if less time is left.
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
        """What is measured: the forward pass, and for an op with gradients the backward pass and both."""
        return ("forward", "backward", "both") if self.learn else ("forward",)

    def floor_s(self, direction: str, bytes_per_s: float, flop_per_s: float) -> float:
        """Lower bound of the time, s: the slower of moving the bytes and doing the arithmetic.

        Args:
            direction: one of ``directions``.
            bytes_per_s: that the GPU moves.
            flop_per_s: that the GPU computes.
        """
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


def with_gradients(case: BenchCase, inputs: Inputs) -> Inputs:
    """The inputs, detached; those of ``case.learn`` require gradients."""
    return {
        name: value.detach().requires_grad_(name in case.learn) if isinstance(value, Tensor) else value
        for name, value in inputs.items()
    }


def in_float64(inputs: Inputs) -> Inputs:
    """Floating-point inputs in float64."""
    return {
        name: value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in inputs.items()
    }


def results(
    case: BenchCase, run: Callable[..., Any], inputs: Inputs, seed: int = 1
) -> tuple[list[Tensor], list[Tensor]]:
    """Run an implementation.

    Args:
        case: the case.
        run: the implementation.
        inputs: its arguments.
        seed: of the random cotangents.

    Returns:
        Outputs, and gradients of the inputs ``case.learn``.
    """
    inputs = with_gradients(case, inputs)
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
