"""EDF and EDF+, through the edfio package."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..errors import EcgFormatError
from .channels import Channels
from .registry import MAX_SAMPLES, register_reader


@register_reader((".edf",), sniff=lambda head: head[:8] == b"0       ")
def edf(path: Path) -> Channels:
    """EDF and continuous EDF+."""
    import edfio

    where = str(path)
    _check_size(path)
    file = edfio.read_edf(path, lazy_load_data=True)
    if not file.is_continuous:
        raise EcgFormatError("it is an interrupted recording (EDF+D)", where=where, remedy="export it as EDF or EDF+C")
    meta: dict[str, Any] = {}
    sex = {"M": "male", "F": "female"}.get(_sex(file))
    if sex:
        meta["sex"] = sex
    return Channels(
        names=[signal.label for signal in file.signals],
        signals=[partial(getattr, signal, "data") for signal in file.signals],
        rates=[float(signal.sampling_frequency) for signal in file.signals],
        units=[signal.physical_dimension for signal in file.signals],
        meta=meta,
    )


def _sex(file: Any) -> str:
    """Sex code of an EDF+ patient field; a plain EDF header is free text."""
    try:
        return str(file.patient.sex)
    except (ValueError, IndexError, AttributeError):
        return ""


def _check_size(path: Path) -> None:
    """Hold the header's number of data records against the file's size."""
    where, size = str(path), path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
        try:
            header_bytes, records, signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
            rest = file.read(256 * signals) if 0 < signals <= 4096 else b""
            samples = [int(rest[216 * signals + 8 * k : 216 * signals + 8 * k + 8]) for k in range(signals)]
        except ValueError:
            raise EcgFormatError("the header is not EDF", where=where, remedy="check the file") from None
    needed = header_bytes + 2 * records * sum(samples)
    if not samples or min(samples) <= 0 or records <= 0 or records * sum(samples) > MAX_SAMPLES:
        raise EcgFormatError(
            f"the header gives {records} x {sum(samples)} samples", where=where, remedy="check the file"
        )
    if size < needed:
        raise EcgFormatError(f"the file is truncated: {size} of {needed} bytes", where=where, remedy="fetch it again")
