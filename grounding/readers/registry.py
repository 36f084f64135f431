"""What a reader is: a function from a file to its channels, found by extension or by the file's first bytes."""

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
        read: takes a path and the format's options, gives the file's ``Channels`` (or an ECGRecord of its own making).
        extensions: lower-case file extensions it is known by.
        sniff: tells from the first ``SNIFF_BYTES`` bytes whether a file is of this format.
        text: what the format is, in words.
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
    """Register a reading function under its own name.

    It takes the path, and the options that its format alone has; ``fs``, ``leads``, ``units``, ``age`` and ``sex`` are
    every reader's and are applied to what it gives. One that can't read without such an option takes it by that name
    too.

    Args:
        extensions: lower-case extensions with the dot; several formats may share one and are told apart by ``sniff``.
        sniff: True when the first bytes of a file are of this format.

    Example:
        >>> import tempfile
        >>> from grounding import read_record
        >>> @register_reader((".twolines",))
        ... def twolines(path: Path) -> ECGRecord:
        ...     rows = [[float(x) for x in line.split()] for line in path.read_text().splitlines()]
        ...     return ECGRecord.from_array(rows, fs=100, leads=["I", "II"], record_id=path.stem)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.twolines"
        ...     _ = path.write_text("0 1 2\\n0 2 4")
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
