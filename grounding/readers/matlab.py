"""Matrices in MATLAB files: beside a WFDB header (as in the PhysioNet Challenges), or alone."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from .arrays import from_array
from .bounds import add_warnings, check_expansion, check_inflated
from .channels import Channels
from .registry import register_reader

_HEADER_BYTES, _PACKED = 128, 15


def _is_matlab(head: bytes) -> bool:
    """Version 5 has a text; version 4 the kind of a matrix, rows, columns, whether it is complex, its name's length."""
    if head[:10] == b"MATLAB 5.0" or len(head) < 20:
        return head[:10] == b"MATLAB 5.0"
    kind, rows, columns, is_complex, length = struct.unpack("<5i", head[:20])
    name = head[20 : 20 + max(0, length)].rstrip(b"\0")
    return kind in range(0, 60, 10) and rows > 0 < columns and not is_complex and length < 64 and name.isalnum()


@register_reader((".mat",), sniff=_is_matlab)
def mat(path: Path, fs: float | None = None, leads: Sequence[str] | None = None, units: str | None = None) -> Channels:
    """MATLAB matrix ``val``, or the only one, of (leads, samples) or (samples, leads), without a WFDB header.

    Args:
        path: the file, of version 4 or 5.
        fs: sampling rate, Hz.
        leads: one name per lead.
        units: by default mV, or steps of an unknown size (``adu``) where all numbers are whole.

    Raises:
        EcgFormatError: the leads are not named.
    """
    if leads is None:
        raise EcgFormatError(
            "there is no header file for this record; this is a MATLAB file",
            where=str(path),
            remedy=f"put {path.stem}.hea beside it, or pass fs= and leads=",
        )
    matrix = read_matrix(path)
    whole = bool(np.array_equal(matrix, np.round(matrix), equal_nan=True))
    channels = from_array(matrix, str(path), leads, units or ("adu" if whole else "mV"))
    channels.rates = fs
    if whole and units is None:
        add_warnings(channels.meta, "whole numbers without a header that tells their gain")
    return channels


def is_matlab_5(file: Path) -> bool:
    """Whether a file is of version 5, which may be compressed; version 4 is read as WFDB does, by an offset.

    Args:
        file: the file.
    """
    with file.open("rb") as handle:
        return handle.read(10) == b"MATLAB 5.0"


def read_matrix(path: Path) -> NDArray[Any]:
    """The matrix ``val``, or the only matrix, of a MATLAB file of version 4 or 5.

    Args:
        path: the file.

    Returns:
        (signals, samples).

    Raises:
        EcgFormatError: there is none, or its unpacked size is excessive.
    """
    import scipy.io

    data = path.read_bytes()
    order, at = "<" if data[126:128] == b"IM" else ">", _HEADER_BYTES
    while is_matlab_5(path) and at + 8 <= len(data):
        kind, n_bytes = struct.unpack_from(f"{order}II", data, at)
        if kind == _PACKED:
            check_inflated(data[at + 8 : at + 8 + n_bytes], path)
        at += 8 + n_bytes
    shapes = {
        name: shape
        for name, shape, kind in scipy.io.whosmat(str(path))
        if len(shape) == 2 and kind != "char" and np.prod(shape, dtype=float) > 1
    }
    name = "val" if "val" in shapes else next(iter(shapes), "")
    if not name or ("val" not in shapes and len(shapes) > 1):
        raise EcgFormatError(
            f"it holds {', '.join(shapes) or 'no matrix'}, not one matrix of signals",
            where=str(path),
            remedy="check it",
        )
    check_expansion(8 * int(np.prod([int(n) for n in shapes[name]], dtype=object)), path)
    matrix = np.asarray(scipy.io.loadmat(str(path), variable_names=[name])[name])
    if matrix.ndim != 2 or matrix.dtype.kind not in "iuf":
        raise EcgFormatError(f"{name} is no matrix of numbers", where=str(path), remedy="check it")
    return matrix
