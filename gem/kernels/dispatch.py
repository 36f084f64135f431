"""Which implementation runs: the mode that ``use`` sets, a table of measurements, and the rule that reads it.

A mode that ``use`` sets without ``with`` holds for the process; in a ``with`` block it holds for that thread alone, so
that servers and tests beside each other don't change each other's.
"""

from __future__ import annotations

import csv
import functools
import os
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import GemConfigError

MODES = ("auto", "triton", "torch")
OPS = ("merge", "layer_norm", "dual_projector", "towers", "ecg_front_end", "segment_pooling")
TABLE = Path(__file__).with_name("table.csv")  # absent until it was measured on a GPU
COLUMNS = ("op", "device_class", "dtype", "direction", "size", "triton_ms", "rival_ms")
# a thread's ``mode`` of its innermost ``with`` block; torch 2.11 can't compile code that reads a ContextVar
_own = threading.local()
_lock = threading.Lock()
_table: Table | None = None


@dataclass(frozen=True)
class DispatchEntry:
    """One measurement.

    Attributes:
        op: one of ``OPS``.
        device_class: such as ``"sm_90"``.
        dtype: such as ``"bfloat16"``.
        direction: ``"forward"`` or ``"both"`` (forward and backward).
        size: elements of the op's main tensor.
        triton_ms: median, ms.
        rival_ms: median of the fastest other implementation, ms.
    """

    op: str
    device_class: str
    dtype: str
    direction: str
    size: int
    triton_ms: float
    rival_ms: float

    @property
    def wins(self) -> bool:
        """Faster than every other implementation by more than 3 %, the spread of repeated runs."""
        return self.triton_ms < 0.97 * self.rival_ms


class Table:
    """Measurements, and the rule that reads them.

    Args:
        entries: measurements in any order.
    """

    def __init__(self, entries: Iterable[DispatchEntry] = ()) -> None:
        self._rows: dict[tuple[str, str, str, str], list[tuple[int, bool]]] = {}
        self.entries = sorted(entries, key=lambda e: (e.op, e.device_class, e.dtype, e.direction, e.size))
        for entry in self.entries:
            key = (entry.op, entry.device_class, entry.dtype, entry.direction)
            self._rows.setdefault(key, []).append((entry.size, entry.wins))

    @classmethod
    def read(cls, path: Path = TABLE) -> Table:
        """Read a table; an empty one if there is no file.

        Args:
            path: of the CSV; the committed one when not given.

        Raises:
            GemConfigError: a column is missing or a value is not a number.
        """
        if not path.is_file():
            return cls()
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(line for line in file if not line.startswith("#")))
        entries = []
        for number, row in enumerate(lines, 1):
            try:
                values: dict[str, Any] = {name: row[name] for name in COLUMNS}
                values.update(size=int(values["size"]))
                values.update({name: float(values[name]) for name in ("triton_ms", "rival_ms")})
            except (KeyError, ValueError, TypeError) as error:
                raise GemConfigError(
                    f"the table of measurements is damaged: {error}",
                    where=f"{path.name}, row {number}",
                    remedy="write it again with Table.write",
                ) from error
            entries.append(DispatchEntry(**values))
        return cls(entries)

    def write(self, path: Path, heading: str) -> None:
        """Write the table.

        Args:
            path: of the CSV.
            heading: comment in the first line: GPU and versions.
        """
        lines = [f"# {heading}", ",".join(COLUMNS)]
        lines += [
            ",".join(f"{getattr(e, c):.6g}" if c.endswith("_ms") else str(getattr(e, c)) for c in COLUMNS)
            for e in self.entries
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def wins(self, op: str, device_class: str, dtype: str, direction: str, size: int) -> bool:
        """Whether the kernel is known to be faster: between two measured sizes, if it was faster at both.

        Args:
            op: one of ``OPS``.
            device_class: such as ``"sm_90"``.
            dtype: such as ``"bfloat16"``.
            direction: ``"forward"`` or ``"both"``.
            size: elements of the op's main tensor.
        """
        rows = self._rows.get((op, device_class, dtype, direction), [])
        below = [won for at, won in rows if at <= size]
        above = [won for at, won in rows if at >= size]
        return bool(below and above and below[-1] and above[0])


class _Switch:
    """What ``use`` returns: entered by ``with``, it holds for that block and thread instead of the process."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._before: list[str | None] = []

    def __enter__(self) -> _Switch:
        with _lock:
            if self in _process:
                _process.remove(self)
            _entered.append(self)
        self._before.append(getattr(_own, "mode", None))
        _own.mode = self.mode
        return self

    def __exit__(self, *_: object) -> None:
        _own.mode = self._before.pop()
        with _lock:
            _entered.remove(self)


# the last one is the process's mode; those before it are kept because it may yet be entered by ``with``
_process: deque[_Switch] = deque(maxlen=64)
_entered: list[_Switch] = []


def use(mode: str) -> _Switch:
    """Choose the implementation of every op.

    As a statement it sets the mode of the process: of every thread that is not inside a ``with`` block of its own. In a
    ``with`` statement it sets the mode of that block, for this thread alone; a backward pass on a GPU, which runs
    in a thread of autograd's, follows the block that was entered last.

    Args:
        mode: ``"auto"`` (a kernel where the table says it wins, else torch), ``"triton"`` (always the kernel) or
            ``"torch"``.

    Raises:
        GemConfigError: an unknown mode.
    """
    global _table
    if mode not in MODES:
        raise GemConfigError(f"unknown kernel mode {mode!r}", remedy=f"use one of {', '.join(MODES)}")
    switch = _Switch(mode)
    with _lock:
        _process.append(switch)
    if mode == "auto":
        _table = None  # read again, because a table may have been written meanwhile
    return switch


def mode() -> str:
    """The current mode, see ``use``."""
    own: str | None = getattr(_own, "mode", None)
    if own is not None:
        return own
    if _entered and not torch.compiler.is_compiling() and torch._C._current_graph_task_id() >= 0:
        return _entered[-1].mode  # layers that are recomputed in a thread of autograd's: as in the forward pass
    return _process[-1].mode if _process else "auto"


def _current() -> Table:
    global _table
    if _table is None:
        _table = Table.read()
    return _table


def kernel_selected(op: str, like: Tensor, size: int, grad: bool | None = None) -> bool:
    """Whether the kernel of ``op`` runs for this input.

    Args:
        op: one of ``OPS``.
        like: a tensor with the dtype and device of the work.
        size: elements of the op's main tensor.
        grad: whether a backward pass will follow; when None, whether gradients are enabled.

    Raises:
        GemConfigError: ``use("triton")`` where Triton can't run.
    """
    chosen = mode()
    if chosen == "torch":
        return False
    if chosen == "triton":
        if not runnable(like.device.type):
            raise GemConfigError(
                f'use("triton") but the tensors are on {like.device.type}',
                where=op,
                remedy='move them to a GPU, or gem.kernels.use("auto"); TRITON_INTERPRET=1 interprets kernels in tests',
            )
        return True
    if like.device.type != "cuda" or not _current().entries:
        return False
    grad = torch.is_grad_enabled() if grad is None else grad
    dtype = str(like.dtype).removeprefix("torch.")
    return _current().wins(op, device_class(like.device.index), dtype, "both" if grad else "forward", size)


def runnable(device_type: str) -> bool:
    """Whether Triton can run kernels there: on a GPU, or anywhere when it interprets."""
    return device_type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def device_class(index: int | None = None) -> str:
    """The kind of a GPU, such as ``"sm_90"``."""
    major, minor = torch.cuda.get_device_capability(index)
    return f"sm_{major}{minor}"


# what torch.compiler.assume_constant_result sets, which would import the compiler: longer than all of torch
device_class._dynamo_marked_constant = True  # type: ignore[attr-defined]
