"""A recorder that needs no GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gem.kernels.graph import CudaGraph


class Recorded(CudaGraph):
    """What a CUDA graph does, on the CPU: static buffers in and out, the function run on them at each replay."""

    made = 0

    def record(self, function: Callable[..., tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        type(self).made += 1
        self.function = function
        self.bound = [id(x) for x in self.inputs]
        return function(*self.inputs)

    def replay(self) -> None:
        assert [id(x) for x in self.inputs] == self.bound
        with torch.no_grad():
            for static, fresh in zip(self.outputs, self.function(*self.inputs), strict=True):
                static.copy_(fresh)

    def begin(self) -> None: ...

    def end(self) -> None: ...
