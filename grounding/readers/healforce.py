"""Heal Force (Prince 180) recordings: SCP-ECG with another header, lead table and packing of samples.

The length of the record is two bytes further on, positions count from 0, and section 6 has four samples of 10 bits in
three words. This is not documented; the packing was derived from a file, in which II - I is III except for rounding.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from .bounds import add_warnings
from .channels import Channels
from .registry import register_reader

_SECTION_HEADER = 16
_ZERO = 512
_LEADS = ("I", "II", "III")


@register_reader((), sniff=lambda head: len(head) >= 32 and head[8:16] == b"\0\0L\0\0\0\r\r")
def healforce(path: Path) -> Channels:
    """Heal Force SCP: a variant of SCP-ECG that handheld recorders write, 30 s of one or three leads."""
    where = str(path)
    data = path.read_bytes()[: 1 << 24]
    sections = {}
    for at in range(8 + 14, min(6 + 76, len(data) - 10), 10):
        number, length, start = struct.unpack_from("<HII", data, at)
        if number and length >= _SECTION_HEADER:
            sections[number] = data[start + _SECTION_HEADER : start + length]
    leads, body = sections.get(3, b""), sections.get(6, b"")
    if not leads or len(body) < 8 or not 1 <= leads[0] <= 12:
        raise EcgFormatError("its lead or rhythm section is missing", where=where, remedy="fetch it again")
    step_nv, rate, _, n_bytes = struct.unpack_from("<HHHH", body)
    if len(body) < 8 + n_bytes:
        raise EcgFormatError(
            f"the file is truncated: {len(body) - 8} of {n_bytes} bytes of samples",
            where=where,
            remedy="fetch it again",
        )
    signal = _unpacked(body[8 : 8 + n_bytes // 6 * 6]) - _ZERO
    n_leads = leads[0]
    signal = signal[: len(signal) // n_leads * n_leads].reshape(-1, n_leads).T
    if not signal.size or not rate:
        raise EcgFormatError("it holds no samples", where=where, remedy="fetch it again")
    names = _LEADS if n_leads == 3 else (None,) * n_leads
    meta: dict[str, Any] = {}
    add_warnings(
        meta,
        "a variant of SCP-ECG whose packing is not documented; "
        "the names of the leads are those of a three-lead recorder",
    )
    signals = list(signal * (step_nv / 1000 if step_nv else 1.0))
    return Channels(names, signals, float(rate), "uV" if step_nv else "adu", meta, word="lead")


def _unpacked(raw: bytes) -> NDArray[np.int32]:
    """Unpack four samples from three words: three in their lowest ten bits, the fourth in their upper bits."""
    words = np.frombuffer(raw, "<u2").reshape(-1, 3).astype(np.int32)
    above = words >> 10
    fourth = (above[:, 0] & 3) << 8 | (above[:, 1] & 15) << 4 | above[:, 2] & 15
    return np.column_stack([words & 1023, fourth]).reshape(-1)
