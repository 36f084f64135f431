"""What a reader is: a function from a file to an ECGRecord, found by extension or by the file's first bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..record import ECGRecord
from ..registry import Registry

SNIFF_BYTES = 4096
MAX_FILE_BYTES = 1 << 30
MAX_SAMPLES = 1 << 28  # over all leads; a day of 12 leads at 200 Hz is 2.07e8

readers: Registry[Reader] = Registry("reader")


@dataclass(frozen=True)
class Reader:
    """A registered file format.

    Attributes:
        name: the format's name, also in ``record.meta["format"]``.
        read: takes a path and the format's options, gives an ECGRecord.
        extensions: lower-case file extensions it is known by.
        sniff: tells from the first ``SNIFF_BYTES`` bytes whether a file is of this format.
        text: what the format is, in words.
    """

    name: str
    read: Callable[..., ECGRecord]
    extensions: tuple[str, ...]
    sniff: Callable[[bytes], bool] | None = None
    text: str = ""


def register_reader(
    extensions: tuple[str, ...], sniff: Callable[[bytes], bool] | None = None
) -> Callable[[Callable[..., ECGRecord]], Callable[..., ECGRecord]]:
    """Register a reading function under its own name.

    Args:
        extensions: lower-case extensions with the dot; several formats may share one and are told apart by ``sniff``.
        sniff: True when the first bytes of a file are of this format.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
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

    def add(function: Callable[..., ECGRecord]) -> Callable[..., ECGRecord]:
        name = function.__name__
        text = (function.__doc__ or "").strip().split("\n")[0]
        readers.register(Reader(name, function, extensions, sniff, text), name=name)
        return function

    return add


def add_warnings(meta: dict[str, Any], *messages: str) -> None:
    """Append to ``meta["warnings"]``, what a reader noticed and a user should know."""
    meta["warnings"] = (*meta.get("warnings", ()), *messages)
