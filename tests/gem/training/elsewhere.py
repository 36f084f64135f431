"""A second device for machines without a GPU: tensors on ``meta`` that hold numbers and can't be mixed with the CPU's.

A training step may read values on the host (which texts to write, how long a row is), and plain meta tensors have no
values. Here every op is computed on the CPU, and an op on tensors of both devices is refused as CUDA refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
# ops whose result the host has to wait for, so that CUDA refuses to record them in a graph
WAITS = {
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::masked_select",
    "aten::nonzero",
    "aten::unique_dim",
    "aten::_unique2",
    "aten::_linalg_eigh",
    "aten::_linalg_svd",
}
_recording: ContextVar[bool] = ContextVar("recording", default=False)
# ops that CUDA lets take tensors from both sides: a copy from here to there, and an index from the host
BOTH = {"aten::copy_", "aten::index", "aten::index_put", "aten::index_put_"}


class There(Tensor):
    """A tensor on the other device; ``held`` are its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        made: There = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    def tolist(self) -> Any:
        _refuse_waiting("tolist")
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Ops that make a tensor, ``torch.zeros(device=...)`` say, make one on the other device too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """So do those that take numbers of Python's, which are no ops."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor and isinstance(args[0], There):
            func, args, kwargs = torch.tensor, args[1:], {"dtype": args[0].dtype, "device": DEVICE, **kwargs}
        if func is torch.tensor and kwargs.get("device") is not None and torch.device(kwargs["device"]) == DEVICE:
            _refuse_waiting("torch.tensor")
            return There(torch.tensor(*args, **{**kwargs, "device": "cpu"}))
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], There):
            one = args[1] if isinstance(args[1], tuple) else (args[1],)
            index = tuple(torch.tensor(part) if isinstance(part, list) else part for part in one)
            value = [
                part if isinstance(part, Tensor) else There(torch.tensor(part, dtype=args[0].dtype))
                for part in args[2:]
            ]
            args = (args[0], index, *value)
        return func(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[None]:
    """Inside, tensors can also be made on the other device."""
    with _FromNumbers(), _Factories():
        yield


@contextmanager
def recording() -> Iterator[None]:
    """Inside, what CUDA refuses while a graph is recorded is refused: to wait for a result, and to copy from here."""
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


def _refuse_waiting(name: str) -> None:
    if _recording.get():
        raise RuntimeError(f"{name}: operation not permitted when stream is capturing")


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    there = [x for x in given if isinstance(x, There)]
    # a number without dimensions goes along with anything, as on CUDA
    here = [x for x in given if not isinstance(x, There) and x.dim()]
    if any(x.is_meta for x in given if not isinstance(x, There)):
        raise NotImplementedError(f"{func._schema.name}: a tensor was made in a way that this device does not know")
    by_mask = func._schema.name.startswith("aten::index") and any(
        x.dtype == torch.bool for x in tree_leaves(args[1]) if isinstance(x, Tensor)
    )
    # numbers without dimensions go with the call, other tensors of the host are copied
    waits = there and (func._schema.name in WAITS or by_mask)
    if waits or (here and (there or kwargs.get("device") == DEVICE)):
        _refuse_waiting(func._schema.name)
    if here and there and func._schema.name not in BOTH:
        raise RuntimeError(f"{func._schema.name}: tensors on two devices")
    asked = kwargs.get("device")
    goes_there = bool(there) if asked is None else torch.device(asked) == DEVICE
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args, kwargs = tree_map(lambda x: x.held if isinstance(x, There) else x, (args, kwargs))
    out = func(*args, **kwargs)
    return move(out) if goes_there else out


def move(tree: Any) -> Any:
    """All tensors of a batch to the other device."""
    return tree_map(lambda x: There(x) if isinstance(x, Tensor) and not isinstance(x, There) else x, tree)


def move_module(module: nn.Module) -> None:
    """All parameters and buffers, as ``module.to`` would; a parameter that is shared stays shared."""
    moved: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and not isinstance(parameter, There):
                if id(parameter) not in moved:
                    there = There(parameter.detach())
                    moved[id(parameter)] = nn.Parameter(there, requires_grad=parameter.requires_grad)
                part._parameters[name] = moved[id(parameter)]
        part._buffers.update(move(part._buffers))
