"""Matrices in MATLAB 5 files, which some copies of the PhysioNet Challenges have instead of version 4."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from .bounds import check_expansion, check_inflated

_HEADER_BYTES, _PACKED = 128, 15


def is_matlab_5(file: Path) -> bool:
    """Whether a file is of version 5, which may be compressed; version 4 is read as WFDB does, by an offset.

    Args:
        file: the file.
    """
    with file.open("rb") as handle:
        return handle.read(10) == b"MATLAB 5.0"


def read_matrix(path: Path) -> NDArray[Any]:
    """The matrix ``val``, or the only matrix, of a MATLAB 5 file.

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
    while at + 8 <= len(data):
        kind, n_bytes = struct.unpack_from(f"{order}II", data, at)
        if kind == _PACKED:
            check_inflated(data[at + 8 : at + 8 + n_bytes], path)
        at += 8 + n_bytes
    shapes = {name: shape for name, shape, kind in scipy.io.whosmat(str(path)) if len(shape) == 2 and kind != "char"}
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
