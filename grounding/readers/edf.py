"""EDF and EDF+, through the edfio package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EcgFormatError, EcgSignalError
from ..record import UNITS_MV, ECGRecord, canonical_lead
from .rates import one_rate
from .registry import MAX_SAMPLES, add_warnings, register_reader


@register_reader((".edf",), sniff=lambda head: head[:8] == b"0       ")
def edf(path: Path) -> ECGRecord:
    """EDF and continuous EDF+: every voltage signal; others are left out and named in ``meta["warnings"]``."""
    import edfio

    where = str(path)
    _check_size(path)
    file = edfio.read_edf(path, lazy_load_data=True)
    if not file.is_continuous:
        raise EcgFormatError("it is an interrupted recording (EDF+D)", where=where, remedy="export it as EDF or EDF+C")
    meta: dict[str, Any] = {}
    kept = [signal for signal in file.signals if signal.physical_dimension.strip().lower() in UNITS_MV]
    left_out = [f"{s.label} ({s.physical_dimension or 'no unit'})" for s in file.signals if s not in kept]
    if left_out:
        add_warnings(meta, f"not voltages, left out: {', '.join(left_out)}")
    if not kept:
        raise EcgSignalError("no signal is a voltage", where=where, remedy="choose an ECG recording")
    factors = np.array([UNITS_MV[signal.physical_dimension.strip().lower()] for signal in kept])
    signal, rate = one_rate([s.data for s in kept], [float(s.sampling_frequency) for s in kept], meta, where)
    sex = {"M": "male", "F": "female"}.get(_sex(file))
    if sex:
        meta["sex"] = sex
    names = [canonical_lead(item.label) for item in kept]
    return ECGRecord.from_array(signal * factors[:, None], rate, names, record_id=path.stem, meta=meta)


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
