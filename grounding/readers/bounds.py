"""What every reader keeps to: how much a file may hold, and where warnings go."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from ..errors import EcgFormatError

MAX_FILE_BYTES = 1 << 30
MAX_SAMPLES = 1 << 28  # over all leads; a day of 12 leads at 200 Hz is 2.07e8
# what a packed file may become in memory: ECGs pack to a tenth or a twentieth, lines of one value to a thousandth
FREE_BYTES, MAX_EXPANSION = 64 << 20, 100


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
