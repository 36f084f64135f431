"""Both towers at once: two CUDA streams, captured in a CUDA graph for each shape. Never run on a GPU so far.

At small batches a tower is hundreds of launches, each of which takes the host longer than the GPU. A graph replays them
in one call, and the ECG tower runs at the same time as the picture tower. A graph is bound to memory addresses: weights
that are changed in place (an optimiser's step, ``load_state_dict``) take effect, and after any other change a new graph
is captured.
"""

from __future__ import annotations

import sys
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
# of errors that have nothing to do with the function: memory is short, or another thread's call broke the recording
_PASSING = ("out of memory", "alloc_failed", "previous error during capture")
_FIRST_WAIT, _LONGEST_WAIT = 8, 4096  # calls without a graph after such an error, doubled by each further one


def run_concurrently(first: Callable[[], Any], second: Callable[[], Any], device: torch.device) -> tuple[Any, Any]:
    """Run two functions; on a GPU at the same time, ``first`` on a stream of its own and ``second`` on the current one.

    Args:
        first: returns a tensor.
        second: returns anything.
        device: where both work.

    Returns:
        Both results.
    """
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
    """One captured function.

    Args:
        function: tensors -> tensors, without synchronising with the device.
        inputs: tensors of the shapes and dtypes of later calls.
    """

    def __init__(self, function: Function, inputs: tuple[Tensor, ...]) -> None:
        with torch.inference_mode(False), torch.no_grad():  # inference tensors can't be written to later
            self.inputs = tuple(x.clone() for x in inputs)
            self.outputs = self.record(function)

    def record(self, function: Function) -> tuple[Tensor, ...]:
        """Warm up and capture.

        Args:
            function: as in the class.

        Returns:
            The outputs, which each replay overwrites.
        """
        here, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries choose algorithms and allocate workspaces in the first calls
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
        """Wait, on the device, until the previous caller's stream has read the outputs."""
        torch.cuda.current_stream().wait_event(self.done)

    def end(self) -> None:
        """Mark the outputs as read."""
        self.done.record()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Copy the inputs, replay, and copy the outputs."""
        self.begin()
        for static, given in zip(self.inputs, inputs, strict=True):
            static.copy_(given)
        self.replay()
        out = tuple(x.clone() for x in self.outputs)  # the next replay overwrites them
        self.end()
        return out


class Graphs:
    """CUDA graphs of one function, by the shapes of its inputs and everything else that a graph depends on.

    Args:
        most: graphs that are kept; the least recently used is dropped first.
        recorder: captures a graph; tests pass one that needs no GPU.
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
        self._waits: dict[Hashable, tuple[int, int]] = {}  # calls until the next attempt, and how many there were
        self._listed: list[nn.Module] = []
        self._children: list[int] | None = None
        self._kept: OrderedDict[Hashable, tuple[list[int], Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def modules(self, roots: Iterable[nn.Module]) -> list[nn.Module]:
        """All modules under ``roots``, cached until a module's children change: walking hundreds takes a millisecond.

        Args:
            roots: the same at each call.
        """
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
        """``function(*inputs)``, captured at the first call with such inputs and replayed at later ones.

        Args:
            function: what is captured.
            inputs: on one device.
            modules: all modules whose weights the function reads.
            key: anything else that the function depends on.

        Raises:
            GemError: it can't be captured, under ``use("triton")``. Under ``auto`` it then runs without a graph, and
                warns once; after an error that may pass, such as memory that is short, it is tried again later.
        """
        like = tuple((tuple(x.shape), x.dtype, x.device) for x in inputs)
        device = inputs[0].device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        whole = (like, key, mode(), autocast, torch.get_float32_matmul_precision())
        state, handled = addresses(modules), sys.exception()
        if whole in self._refused:
            return function(*inputs)
        with self._lock:
            before, graph = self._kept.get(whole, (None, None))
            if before != state:
                if self._is_waiting(whole):
                    return function(*inputs)
                graph = None  # frees the stale graph's memory before the new one is captured
                self._kept.pop(whole, None)
                try:
                    graph = self.recorder(function, inputs)
                except RuntimeError as error:
                    self._refuse(whole, error, handled)
                    return function(*inputs)
                self._waits.pop(whole, None)
                self._kept[whole] = (state, graph)
                while len(self._kept) > self.most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(whole)
            out: tuple[Tensor, ...] = graph(*inputs)  # type: ignore[misc]
        return out

    def _is_waiting(self, whole: Hashable) -> bool:
        """Whether an error that may pass is too recent; counts the call."""
        left, wait = self._waits.get(whole, (0, 0))
        if left:
            self._waits[whole] = (left - 1, wait)
        return left > 0

    def _refuse(self, whole: Hashable, error: RuntimeError, handled: BaseException | None) -> None:
        """Remember that recording failed: for good, or for some calls where the error may pass."""
        passes = may_pass(error, handled)
        if mode() != "auto":
            remedy = "free memory of the GPU and try again" if passes else "an encoder synchronises with the device"
            raise GemError(
                f"can't be recorded as a CUDA graph: {error}",
                where="towers",
                remedy=f'{remedy}; or use gem.kernels.use("torch")',
            ) from error
        if passes:
            first = whole not in self._waits
            wait = min(_LONGEST_WAIT, 2 * self._waits.get(whole, (0, _FIRST_WAIT // 2))[1])
            self._waits[whole] = (wait, wait)
        else:
            first = True
            self._refused.add(whole)
        if first:
            later = "; it is tried again later" if passes else ""
            warnings.warn(f"encoders run without a CUDA graph, since recording failed{later}: {error}", stacklevel=3)


def may_pass(error: BaseException, handled: BaseException | None = None) -> bool:
    """Whether recording may succeed at another time: the error is not about what the function does.

    Args:
        error: from the recorder. What came first counts: ending a broken recording is a second error.
        handled: an exception that the caller was handling before, which has nothing to do with it.
    """
    while (earlier := error.__cause__ or error.__context__) is not None and earlier is not handled:
        error = earlier
    return isinstance(error, torch.OutOfMemoryError) or any(part in str(error).lower() for part in _PASSING)


def _children(modules: Iterable[nn.Module]) -> list[int]:
    return [id(child) for module in modules for child in module._modules.values()]


def addresses(modules: Iterable[nn.Module]) -> list[int]:
    """Addresses of all weights and buffers, and the modules that hold them: what a graph is bound to.

    Args:
        modules: all of them, submodules included.
    """
    found: list[int] = []
    for module in modules:
        found += map(id, module._modules.values())
        found += [x.data_ptr() for x in module._parameters.values() if x is not None]
        found += [x.data_ptr() for x in module._buffers.values() if x is not None]
    return found


def has_forward_hooks(modules: Iterable[nn.Module]) -> bool:
    """Whether a module has forward hooks, which a replay would not call.

    Args:
        modules: all of them, submodules included.
    """
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)
