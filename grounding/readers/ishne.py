"""ISHNE Holter (.ecg): Badilini 1998, Ann Noninvasive Electrocardiol 3:263-266."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import EcgFormatError
from .bounds import MAX_SAMPLES, add_warnings
from .channels import Channels
from .device import add_person, years_between
from .registry import register_reader
from .stored import read_channel

MAGIC = b"ISHNE1.0"
_HEADER_BYTES, _MAX_LEADS = 522, 12
_LEADS = {
    2: "X",
    3: "Y",
    4: "Z",
    5: "I",
    6: "II",
    7: "III",
    8: "aVR",
    9: "aVL",
    10: "aVF",
    11: "V1",
    12: "V2",
    13: "V3",
    14: "V4",
    15: "V5",
    16: "V6",
    17: "ECG ES",
    18: "ECG AS",
    19: "ECG AI",
}


@register_reader((".ecg",), sniff=lambda head: head.startswith(MAGIC))
def ishne(path: Path) -> Channels:
    """ISHNE Holter: the standard output file of Holter recorders; lead faults are NaN."""
    where, size = str(path), path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or not head.startswith(MAGIC):
        raise EcgFormatError("the header is truncated or none of ISHNE", where=where, remedy="fetch it again")
    variable_bytes, claimed = struct.unpack_from("<ii", head, 10)
    (sex,) = struct.unpack_from("<h", head, 128)
    born, then = struct.unpack_from("<3h", head, 132), struct.unpack_from("<3h", head, 138)  # day, month, year
    (n_leads,) = struct.unpack_from("<h", head, 156)
    codes, steps_nv = struct.unpack_from("<12h", head, 158), struct.unpack_from("<12h", head, 206)
    (rate,) = struct.unpack_from("<h", head, 272)
    offset = _HEADER_BYTES + variable_bytes
    if not 1 <= n_leads <= _MAX_LEADS or rate <= 0 or variable_bytes < 0:
        raise EcgFormatError(
            f"the header gives {n_leads} leads at {rate} Hz, {variable_bytes} bytes of remarks",
            where=where,
            remedy="check the file",
        )
    # many writers put a nominal number of samples into the header: the size of the file decides
    length = (size - offset) // (2 * n_leads)
    if length <= 0 or length * n_leads > MAX_SAMPLES:
        raise EcgFormatError(
            f"the file is truncated: it holds {max(length, 0)} samples", where=where, remedy="fetch it again"
        )
    meta: dict[str, Any] = {}
    if length < claimed:
        add_warnings(
            meta,
            f"the header promises {claimed} samples, {length} are there: some writers do, or the file is truncated",
        )
    age = years_between(*(f"{max(y, 0):04d}{max(m, 0):02d}{max(d, 0):02d}" for d, m, y in (born, then)))
    add_person(meta, age if born[2] > 0 else None, {1: "male", 2: "female"}.get(sex, ""))
    signals = [
        partial(
            read_channel, path, "16", [1] * n_leads, row, length, offset=offset, gain=1e6 / step if step > 0 else 1.0
        )
        for row, step in enumerate(steps_nv[:n_leads])
    ]
    names = [_LEADS.get(code, "ECG") for code in codes[:n_leads]]  # 0 and 1: an unspecified lead
    units = ["mV" if step > 0 else "adu" for step in steps_nv[:n_leads]]
    return Channels(names, signals, float(rate), units, meta, word="lead")
