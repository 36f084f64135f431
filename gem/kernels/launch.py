"""Shared by the kernel files: Triton if it is installed, block sizes, and builds to compile ahead of time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # Triton is not available outside Linux; there dispatch always selects plain torch

    class _Absent:
        """Lets the kernel files be imported without Triton; their kernels are never launched."""

        def jit(self, function: Any) -> Any:
            return function

        def constexpr(self, value: Any) -> Any:
            return value

    triton = tl = _Absent()

__all__ = ["INTERPRET", "Build", "blocks", "contiguous", "device_of", "power_of_2", "tl", "triton"]

# the interpreter keeps bf16 as bit patterns: kernels widen to float32 before a tl.dot
INTERPRET = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@dataclass(frozen=True)
class Build:
    """One kernel in one configuration, to compile ahead of time.

    Attributes:
        name: for readers.
        kernel: the jitted function.
        signature: argument -> Triton type, without the constants.
        constants: argument -> compile-time value.
        warps: of the launch.
        stages: of the launch.
        registers: limit per thread.
        spill_bytes: limit on a thread's stack.
        aligned: pointers, and the arguments in ``even``, are multiples of 16 bytes, as they are for the models' widths.
            Triton then loads 16 bytes at once and prefetches, which changes the use of registers and shared memory.
        even: arguments that are multiples of 16 when ``aligned``.
    """

    name: str
    kernel: Any
    signature: dict[str, str]
    constants: dict[str, Any] = field(default_factory=dict)
    warps: int = 4
    stages: int = 3
    registers: int = 255
    spill_bytes: int = 0
    aligned: bool = False
    even: tuple[str, ...] = ()


def blocks(total: int, each: int) -> int:
    """Number of blocks of ``each`` items that cover ``total`` items."""
    return -(-total // each)


def power_of_2(n: int) -> int:
    """The smallest power of two that is at least ``n``, and at least 1."""
    return 1 << max(0, n - 1).bit_length()


def contiguous(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, contiguous, as the kernels' address arithmetic assumes."""
    return tuple(tensor.contiguous() for tensor in tensors)


def device_of(tensor: Tensor) -> Any:
    """Context in which the tensor's GPU is the current one, where Triton launches; does nothing on the CPU."""
    return torch.cuda.device_of(tensor)
