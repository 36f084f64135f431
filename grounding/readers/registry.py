"""What a reader is: a function from a file to its channels, found by extension or by the file's first bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import EcgFormatError
from ..record import ECGRecord
from ..registry import Registry

if TYPE_CHECKING:
    from .channels import Channels

SNIFF_BYTES = 4096
MAX_FILE_BYTES = 1 << 30
MAX_SAMPLES = 1 << 28  # over all leads; a day of 12 leads at 200 Hz is 2.07e8
# what a packed file may become in memory: ECGs pack to a tenth or a twentieth, lines of one value to a thousandth
FREE_BYTES, MAX_EXPANSION = 64 << 20, 100

readers: Registry[Reader] = Registry("reader")


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

    It takes the path, and the options that its format alone has; ``fs``, ``leads``, ``units``, ``age`` and ``sex`` are every reader's
    and are applied to what it gives. One that can't read without such an option takes it by that name too.

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


def add_warnings(meta: dict[str, Any], *messages: str) -> None:
    """Append to ``meta["warnings"]``, what a reader noticed and a user should know."""
    meta["warnings"] = (*meta.get("warnings", ()), *messages)


def check_inflated(packed: bytes, path: Path, raw: bool = False) -> None:
    """Refuse zlib data that would fill the memory: it is unpacked a little at a time, and thrown away.

    Args:
        packed: the data.
        path: the file it is from.
        raw: deflate without zlib's header, as in DICOM.

    Raises:
        EcgFormatError: as ``check_expansion``, or it is cut off or damaged.
    """
    inflate = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    total = 0
    try:
        while not inflate.eof:
            part = inflate.decompress(packed, 1 << 20)
            packed = inflate.unconsumed_tail
            total += len(part)
            check_expansion(total, path)
            if not part and not packed:
                raise zlib.error("it ends too early")
    except zlib.error as error:
        raise EcgFormatError(
            f"its packed data are damaged ({error})", where=str(path), remedy="fetch it again"
        ) from None


def check_expansion(n_bytes: int, path: Path, size: int | None = None) -> None:
    """Refuse a small file that would fill the memory.

    Args:
        n_bytes: what it unpacks to, by its own account.
        path: the file.
        size: bytes that hold the samples, where they lie in other files.

    Raises:
        EcgFormatError: that is more than 64 MB and more than 100 times its size.
    """
    size = path.stat().st_size if size is None else size
    if n_bytes > max(FREE_BYTES, MAX_EXPANSION * size):
        raise EcgFormatError(
            f"the file of {size} bytes unpacks to {n_bytes}", where=str(path), remedy="store it plainly, or cut it"
        )
