"""The registry of readers: functions from a file to its channels, selected by extension or by the first bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..record import ECGRecord
from ..registry import Registry

if TYPE_CHECKING:
    from .channels import Channels

SNIFF_BYTES = 4096

readers: Registry[Reader] = Registry("reader", "grounding.readers")


@dataclass(frozen=True)
class Reader:
    """A registered file format.

    Attributes:
        name: the format's name, also in ``record.meta["format"]``.
        read: takes a path and the format's options, returns the file's ``Channels`` (or an ECGRecord).
        extensions: lower-case file extensions.
        sniff: whether a file is of this format, from its first ``SNIFF_BYTES`` bytes.
        text: description of the format.
    """

    name: str
    read: Callable[..., Channels | ECGRecord]
    extensions: tuple[str, ...]
    sniff: Callable[[bytes], bool] | None = None
    text: str = ""


Read = TypeVar("Read", bound="Callable[..., Channels | ECGRecord]")


def register_reader(
    extensions: tuple[str, ...], sniff: Callable[[bytes], bool] | None = None
) -> Callable[[Read], Read]:
    r"""Register a reading function under its own name.

    The function takes a path, and options of its format. ``fs``, ``leads``, ``units``, ``age`` and ``sex`` are options
    of every reader, and are applied to what the function returns; one that needs such an option itself has a parameter
    of this name.

    Args:
        extensions: lower-case extensions with the dot; formats that share one are distinguished by ``sniff``.
        sniff: returns whether the first bytes of a file are of this format.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from grounding import read_record
        >>> from grounding.readers import readers, register_reader
        >>> @register_reader((".twolines",))
        ... def twolines(path: Path) -> ECGRecord:
        ...     rows = [[float(x) for x in line.split()] for line in path.read_text().splitlines()]
        ...     return ECGRecord.from_array(rows, fs=100, leads=["I", "II"], record_id=path.stem)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.twolines"
        ...     _ = path.write_text("0 1 2\n0 2 4")
        ...     read_record(path).lead("II").tolist()
        [0.0, 2.0, 4.0]
        >>> del readers._entries["twolines"]
    """

    def add(function: Read) -> Read:
        name = function.__name__
        text = (function.__doc__ or "").strip().split("\n")[0]
        readers.register(Reader(name, function, extensions, sniff, text), name=name)
        return function

    return add
