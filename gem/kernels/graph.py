"""Both towers at once: two CUDA streams, recorded as a CUDA graph for each shape. Never run on a GPU so far.

At small batches a tower is hundreds of launches that each take the host longer than the GPU: a graph replays them in
one call, and the ECG tower runs in the shadow of the picture tower. What is recorded is bound to addresses: weights
that are changed in place (an optimiser's step, ``load_state_dict``) are seen, and anything else that changes makes a
new recording.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GemError
from .dispatch import mode

Function = Callable[..., tuple[Tensor, ...]]


def beside(first: Callable[[], Any], second: Callable[[], Any], device: torch.device) -> tuple[Any, Any]:
    """Both results; on a GPU ``first`` runs on a stream of its own while ``second`` runs on the current one."""
    if device.type != "cuda":
        return first(), second()
    with torch.cuda.device(device):
        here, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            a = first()
        b = second()
        here.wait_stream(side)
        a.record_stream(here)
    return a, b


class CudaGraph:
    """One recording of a function.

    Args:
        function: tensors -> tensors, without a look at the device from the host.
        inputs: tensors like those that will come.
    """

    def __init__(self, function: Function, inputs: tuple[Tensor, ...]) -> None:
        with torch.inference_mode(False), torch.no_grad():  # inference tensors can't be written to later
            self.inputs = tuple(x.clone() for x in inputs)
            self.outputs = self.record(function)

    def record(self, function: Function) -> tuple[Tensor, ...]:
        """Warm up and record; the outputs are those that each replay overwrites."""
        here, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries choose their algorithms and take their workspaces now
                function(*self.inputs)
        here.wait_stream(side)
        self.graph, self.done = torch.cuda.CUDAGraph(), torch.cuda.Event()
        self.done.record()
        with torch.cuda.graph(self.graph):
            return function(*self.inputs)

    def replay(self) -> None:
        """Run it on the static inputs."""
        self.graph.replay()

    def begin(self) -> None:
        """Wait, on the device, until whoever came before has read the outputs, on whatever stream that was."""
        torch.cuda.current_stream().wait_event(self.done)

    def end(self) -> None:
        """Mark the outputs as read."""
        self.done.record()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        self.begin()
        for static, given in zip(self.inputs, inputs, strict=True):
            static.copy_(given)
        self.replay()
        out = tuple(x.clone() for x in self.outputs)  # the next replay overwrites them
        self.end()
        return out


class Graphs:
    """Recordings of one function, by the shapes of its inputs and by all that a recording depends on.

    Args:
        most: recordings kept; the one used longest ago goes first.
        recorder: makes a recording; tests hand in one that needs no GPU.
        device_type: where that recorder works.
    """

    def __init__(
        self,
        most: int = 8,
        recorder: Callable[[Function, tuple[Tensor, ...]], Any] = CudaGraph,
        device_type: str = "cuda",
    ) -> None:
        self.most, self.recorder, self.device_type = most, recorder, device_type
        self._refused: set[Hashable] = set()
        self._listed: list[nn.Module] = []
        self._children: list[int] | None = None
        self._kept: OrderedDict[Hashable, tuple[list[int], Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def modules(self, roots: Iterable[nn.Module]) -> list[nn.Module]:
        """All modules under ``roots``, walked again only where one has got another child: walking hundreds takes a millisecond."""
        roots = list(roots)
        children = [*map(id, roots), *_children(self._listed)]
        if children != self._children:
            self._listed = [module for root in roots for module in root.modules()]
            self._children = [*map(id, roots), *_children(self._listed)]
        return self._listed

    def __deepcopy__(self, memo: Any) -> Graphs:
        return Graphs(self.most, self.recorder, self.device_type)  # a copied model has other addresses

    def __reduce__(self) -> Any:
        return Graphs, (self.most, self.recorder, self.device_type)

    def __call__(
        self, function: Function, inputs: tuple[Tensor, ...], modules: Iterable[nn.Module], key: Hashable = ()
    ) -> tuple[Tensor, ...]:
        """``function(*inputs)``, recorded at the first call with such inputs and replayed at later ones.

        Args:
            function: what is recorded.
            inputs: on one device.
            modules: all modules whose weights the function reads.
            key: what else the function depends on.

        Raises:
            GemError: it can't be recorded, under ``use("triton")``. Under ``auto`` it then runs as it is, with one
                warning.
        """
        like = tuple((tuple(x.shape), x.dtype, x.device) for x in inputs)
        device = inputs[0].device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        whole = (like, key, mode(), autocast, torch.get_float32_matmul_precision())
        state = addresses(modules)
        if whole in self._refused:
            return function(*inputs)
        with self._lock:
            before, graph = self._kept.get(whole, (None, None))
            if before != state:
                graph = None  # frees the stale recording's memory before the new one is made
                self._kept.pop(whole, None)
                try:
                    graph = self.recorder(function, inputs)
                except RuntimeError as error:
                    if mode() != "auto":
                        raise GemError(
                            f"can't be recorded as a CUDA graph: {error}",
                            where="towers",
                            remedy='an encoder looks at the device from the host, say: gem.kernels.use("torch")',
                        ) from error
                    self._refused.add(whole)
                    warnings.warn(f"encoders run without a CUDA graph, since recording failed: {error}", stacklevel=2)
                    return function(*inputs)
                self._kept[whole] = (state, graph)
                while len(self._kept) > self.most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(whole)
            out: tuple[Tensor, ...] = graph(*inputs)  # type: ignore[misc]
        return out


def _children(modules: Iterable[nn.Module]) -> list[int]:
    return [id(child) for module in modules for child in module._modules.values()]


def addresses(modules: Iterable[nn.Module]) -> list[int]:
    """Where all weights and buffers lie, and which modules hold them: what a recording is bound to."""
    found: list[int] = []
    for module in modules:
        found += map(id, module._modules.values())
        found += [x.data_ptr() for x in module._parameters.values() if x is not None]
        found += [x.data_ptr() for x in module._buffers.values() if x is not None]
    return found


def hooked(modules: Iterable[nn.Module]) -> bool:
    """Whether someone listens to a module's forward pass, which no replay would tell."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)
