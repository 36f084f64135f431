"""What every kernel file needs: Triton if it is there, block sizes, and what is compiled ahead of time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # not Linux: plain torch is all there is, and dispatch never comes here

    class _Absent:
        """Lets the kernel files be imported; nothing of it is ever launched."""

        def jit(self, function: Any) -> Any:
            return function

        def constexpr(self, value: Any) -> Any:
            return value

    triton = tl = _Absent()

__all__ = ["INTERPRET", "Build", "blocks", "dense", "device_of", "power_of_2", "tl", "triton"]

# the interpreter keeps bf16 as bit patterns: kernels widen to float32 before a tl.dot
INTERPRET = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@dataclass(frozen=True)
class Build:
    """One kernel in one configuration, to compile ahead of time.

    Attributes:
        name: for people.
        kernel: the jitted function.
        signature: argument -> Triton type, without the constants.
        constants: argument -> compile-time value.
        warps, stages: of the launch.
        registers: most registers a thread may use.
        spill_bytes: most bytes of stack a thread may use.
        aligned: pointers, and whole numbers of ``even``, are multiples of 16 bytes, as they are for the models'
            widths: Triton then loads 16 bytes at once and copies ahead, which needs other registers and more shared
            memory.
        even: arguments known to be multiples of 16 when ``aligned``.
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
    """Programs of ``each`` items that cover ``total``."""
    return -(-total // each)


def power_of_2(n: int) -> int:
    """The smallest power of two that is at least ``n``, and at least 1."""
    return 1 << max(0, n - 1).bit_length()


def dense(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, contiguous: kernels address rows by width alone."""
    return tuple(tensor.contiguous() for tensor in tensors)


def device_of(tensor: Tensor) -> Any:
    """Makes the tensor's GPU the current one, which is where Triton launches; does nothing on the CPU."""
    return torch.cuda.device_of(tensor)
