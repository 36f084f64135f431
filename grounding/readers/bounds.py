"""Limits on the size of a recording, and warnings, for every reader."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from ..errors import EcgFormatError

MAX_FILE_BYTES = 1 << 30
MAX_SAMPLES = 1 << 28  # over all leads; a day of 12 leads at 200 Hz is 2.07e8
# limits of unpacked data: ECGs are compressed to a tenth or a twentieth, constant lines to a thousandth
FREE_BYTES, MAX_EXPANSION = 64 << 20, 100


def add_warnings(meta: dict[str, Any], *messages: str) -> None:
    """Append warnings for the user to ``meta["warnings"]``.

    Args:
        meta: of a record.
        *messages: one line each.
    """
    meta["warnings"] = (*meta.get("warnings", ()), *messages)


def check_inflated(packed: bytes, path: Path, raw: bool = False) -> None:
    """Check that zlib data do not unpack to an excessive size, by unpacking them piece by piece.

    Args:
        packed: the data.
        path: the file they are from.
        raw: deflate without zlib's header, as in DICOM.

    Raises:
        EcgFormatError: as in ``check_expansion``, or the data are cut off or damaged.
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
    """Check that a file does not unpack to an excessive size.

    Args:
        n_bytes: unpacked size, as the file states it.
        path: the file.
        size: packed size; by default that of the file.

    Raises:
        EcgFormatError: the unpacked size is over 64 MB and over 100 times the packed size.
    """
    size = path.stat().st_size if size is None else size
    if n_bytes > max(FREE_BYTES, MAX_EXPANSION * size):
        raise EcgFormatError(
            f"the file of {size} bytes unpacks to {n_bytes}", where=str(path), remedy="store it plainly, or cut it"
        )
