"""SCP-ECG (EN 1064), through the ecgdatakit package."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from .bounds import add_warnings
from .channels import Channels
from .device import add_device_values, add_person
from .registry import register_reader

MAX_BYTES = 16 << 20  # a lead has at most 64 kB
_VALUES = {
    "heart_rate": "heart_rate",
    "rr_interval": "rr",
    "pr_interval": "pr",
    "qrs_duration": "qrs",
    "qt_interval": "qt",
    "qtc_bazett": "qtc_bazett",
    "qtc_fridericia": "qtc_fridericia",
    "p_axis": "p_axis",
    "qrs_axis": "axis",
    "t_axis": "t_axis",
}


def _is_scp(head: bytes) -> bool:
    """Section 0 follows the six bytes of checksum and size, and its first pointer is to itself, at byte 7."""
    return len(head) >= 32 and head[8:10] == b"\0\0" and head[22:24] == b"\0\0" and head[28:32] == b"\x07\0\0\0"


@register_reader((".scp", ".ecg"), sniff=_is_scp)
def scp(path: Path) -> Channels:
    """SCP-ECG (EN 1064): the rhythm data; eight leads are completed to twelve."""
    from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

    where = str(path)
    _check(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        document = SCPECGParser().parse(path)
    if not document.leads:
        raise EcgFormatError("there is no rhythm recording in it", where=where, remedy="export the waveforms too")
    meta: dict[str, Any] = {}
    add_warnings(meta, *(str(item.message) for item in caught))
    interval_us = document.raw_metadata.get("rhythm_sample_interval_us")
    leads = document.leads
    starts = [int(lead.annotations.get("start_sample", "1")) for lead in leads]
    signals = [_placed(lead, start - min(starts)) for lead, start in zip(leads, starts, strict=True)]
    # the package rounds the rate to whole hertz
    rate = 1e6 / interval_us if interval_us else float(leads[0].sampling_rate)
    add_person(meta, document.patient.age, document.patient.sex)
    measured = document.measurements
    statements = [text for text, _ in document.interpretation.statements]
    add_device_values(meta, [(ours, getattr(measured, name)) for name, ours in _VALUES.items()], statements)
    units = [lead.resolution_unit or "adu" for lead in leads]
    return Channels([lead.label for lead in leads], signals, rate, units, meta, complete_limb_leads=True)


def _placed(lead: Any, late: int) -> NDArray[np.float64]:
    """A lead's samples in its unit, with missing samples before its start."""
    samples = np.asarray(lead.samples, np.float64)
    if lead.is_raw and lead.resolution_unit:
        samples = samples * lead.resolution
    return np.concatenate([np.full(late, np.nan), samples]) if late else samples


def _check(path: Path) -> None:
    """Check the number of samples in section 3 against the size of the file: compressed ones take at least one bit."""
    where, size = str(path), path.stat().st_size
    if size > MAX_BYTES:
        raise EcgFormatError(
            f"the file has {size} bytes, over {MAX_BYTES}", where=where, remedy="check that it is SCP-ECG"
        )
    data = path.read_bytes()
    if len(data) >= 6 and (claimed := struct.unpack_from("<I", data, 2)[0]) > size:
        raise EcgFormatError(
            f"the file is truncated, or no SCP-ECG: {size} of {claimed} bytes", where=where, remedy="fetch it again"
        )
    for at in range(22, min(22 + 10 * 12, len(data) - 10), 10):
        number, length, position = struct.unpack_from("<HII", data, at)
        body = data[position + 15 : position - 1 + length]
        if number != 3 or len(body) < 2:
            continue
        spans = [struct.unpack_from("<II", body, 2 + 9 * k) for k in range(min(body[0], (len(body) - 2) // 9))]
        most = max((last for _, last in spans), default=0)
        if most > 8 * size:
            raise EcgFormatError(f"it promises {most} samples in {size} bytes", where=where, remedy="fetch it again")
