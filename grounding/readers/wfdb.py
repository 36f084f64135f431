"""WFDB: a text header (.hea) and binary signals (.dat; .mat of the PhysioNet Challenges), through the wfdb package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..lead_algebra import einthoven_error
from ..leads import canonical_leads
from ..units import millivolts_per
from .channels import Channels
from .registry import MAX_SAMPLES, add_warnings, register_reader

# bytes per sample of each storage format; FLAC (508, 516, 524) is compressed and checked by its decoder
_BYTES = {
    "8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
}  # fmt: skip
LUDB_MV_PER_UNIT = 0.001  # inferred from the plausibility of the amplitudes, not documented by LUDB


@register_reader((".hea", ".dat", ".mat"))
def wfdb(path: Path) -> Channels:
    """WFDB record: header and signal files (.dat or .mat), one or several segments.

    Units are honoured per signal. Header comments give ``age``, ``sex`` and ``dx``.

    Records whose header gains scale every lead to 1.0 mV peak to peak while the stored integers obey I + III = II (all of
    LUDB) are read from the integers at 1 uV per unit, which keeps the leads' ratio and so the axis; a warning says so.
    """
    import wfdb as library

    base = path.with_suffix("") if path.suffix.lower() in (".hea", ".dat", ".mat") else path
    header_file = Path(f"{base}.hea")
    if not header_file.is_file():
        raise EcgFormatError(
            "there is no header file for this record",
            where=str(base),
            remedy=f"put {header_file.name} beside {path.name}",
        )
    text = header_file.read_text(encoding="utf-8", errors="replace")
    if not text.strip():
        raise EcgFormatError("the header is empty", where=str(header_file), remedy="fetch it again")
    header = library.rdheader(str(base), rd_segments=True)
    meta: dict[str, Any] = _comments(header.comments or [])
    _check_rate(text, header, meta, header_file)
    if isinstance(header, library.MultiRecord):
        for segment in header.segments or []:
            if segment is not None:
                _check(segment, base.parent)
        _bounded(header.n_sig or 1, header.sig_len or 0, header_file)
        record = library.rdrecord(str(base), m2s=True)
        leads, units = record.sig_name, record.units
        signals: list[NDArray[Any]] = list(record.p_signal.T)
        return Channels(leads, signals, float(record.fs), units, meta)
    _check(header, base.parent, header_file)
    record = library.rdrecord(str(base), physical=False, smooth_frames=False)
    rates = [float(record.fs) * count for count in record.samps_per_frame]
    signals = record.dac(expanded=True)
    if _normalised(signals, record.e_d_signal, record.units, record.sig_name):
        signals = [
            np.where(np.isfinite(signal), digital * LUDB_MV_PER_UNIT, np.nan)
            for signal, digital in zip(signals, record.e_d_signal, strict=True)
        ]
        add_warnings(
            meta,
            "the header's gains scale every lead to 1.0 mV peak to peak, which breaks lead algebra; "
            "amplitudes were taken from the stored integers at 1 uV per unit (inferred)",
        )
    return Channels(record.sig_name, signals, rates, record.units, meta)


def _normalised(signals: list[NDArray[Any]], digital: list[NDArray[Any]], units: list[str], names: list[str]) -> bool:
    """True where gains of different size make every lead span 1.0 mV, while the integers obey Einthoven's law."""
    leads = canonical_leads([str(name) for name in names])
    if not {"I", "II", "III"} <= set(leads) or len({len(lead) for lead in digital}) != 1:
        return False
    if any(millivolts_per(unit) != 1.0 for unit in units):
        return False
    with np.errstate(invalid="ignore"):
        spans = np.array([np.nanmax(signal) - np.nanmin(signal) for signal in signals])
    if not (np.abs(spans - 1.0) < 0.02).all():
        return False
    raw = np.array([np.ptp(lead) for lead in digital], dtype=np.float64)
    rows = [leads.index(name) for name in ("I", "II", "III")]
    stored, stored_span = einthoven_error(*(digital[row].astype(np.float64) for row in rows))
    return bool(np.ptp(raw) > 0.05 * raw.mean()) and stored <= max(2.0, 0.01 * stored_span)


def _check_rate(text: str, header: Any, meta: dict[str, Any], header_file: Path) -> None:
    """The rate as written: the wfdb package takes 250 Hz in silence where it can't read one."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    words = first.split()
    if len(words) < 3:
        add_warnings(meta, "the header has no sampling rate; 250 Hz, the default of WFDB, was taken")
        return
    number = re.match(r"\d+\.?\d*(e[+-]?\d+)?", words[2], flags=re.IGNORECASE)
    if not number or not np.isclose(float(number[0]), float(header.fs), rtol=1e-6):
        raise EcgFormatError(
            f"the header's sampling rate {words[2]!r} can't be read", where=str(header_file), remedy="write it in Hz"
        )


def _bounded(n_signals: int, n_samples: int, header_file: Path) -> None:
    if n_signals * n_samples > MAX_SAMPLES:
        raise EcgFormatError(
            f"the header claims {n_signals} x {n_samples} samples",
            where=str(header_file),
            remedy="check its first line",
        )


def _check(header: Any, folder: Path, header_file: Path | None = None) -> None:
    """Hold what the header promises against the signal files before anything is allocated."""
    where = str(header_file or folder / f"{header.record_name}.hea")
    names = header.file_name or []
    if not header.n_sig or len(names) != header.n_sig:
        raise EcgFormatError(
            f"the header announces {header.n_sig} signals and describes {len(names)}",
            where=where,
            remedy="check the header",
        )
    if header.sig_len is not None and header.sig_len <= 0:
        raise EcgFormatError(f"the header gives {header.sig_len} samples", where=where, remedy="check its first line")
    per_file: dict[str, float] = {}
    for row, name in enumerate(names):
        if name == "~":  # a segment without this signal
            continue
        if not re.fullmatch(r"[\w.\-+ ]+", str(name)):
            raise EcgFormatError(f"the header names a signal file {name!r}", where=where, remedy="check the header")
        frame = header.samps_per_frame[row] or 1
        if not 1 <= frame <= 100_000:
            raise EcgFormatError(f"the header gives {frame} samples per frame", where=where, remedy="check the header")
        _bounded(frame, header.sig_len or 0, Path(where))
        per_file[name] = per_file.get(name, 0.0) + frame * _BYTES.get(str(header.fmt[row]), 0.0)
    for name, frame_bytes in per_file.items():
        file = folder / name
        if not file.is_file():
            raise EcgFormatError(
                f"its signal file {name} is missing", where=where, remedy=f"put {name} beside the header"
            )
        size = file.stat().st_size
        offset = max(header.byte_offset[names.index(name)] or 0, 0)
        if size <= offset:
            raise EcgFormatError("the signal file is empty", where=str(file), remedy="fetch it again")
        needed = offset + int(frame_bytes * (header.sig_len or 0))
        if size < needed:
            there = int((size - offset) / frame_bytes)
            raise EcgFormatError(
                f"the file is truncated: {there} of {header.sig_len} samples", where=str(file), remedy="fetch it again"
            )
    frames = sum(header.samps_per_frame[row] or 1 for row in range(header.n_sig))
    _bounded(frames, header.sig_len or 0, Path(where))


def _comments(comments: list[str]) -> dict[str, Any]:
    """Age, sex and diagnosis codes out of a header's comment lines."""
    meta: dict[str, Any] = {"comments": tuple(comments)}
    for line in comments:
        match = re.match(r"\s*<?(age|sex|gender|dx)>?\s*:\s*(.*?)\s*$", line, flags=re.IGNORECASE)
        if not match:
            continue
        key, value = match[1].lower(), match[2]
        if key == "age":
            number = re.match(r"\d+(\.\d+)?", value)
            if number and float(number[0]) <= 130:
                meta["age"] = float(number[0])
        elif key == "dx":
            meta["dx"] = tuple(code.strip() for code in value.split(",") if code.strip())
        elif value.lower() in ("f", "female", "m", "male"):
            meta["sex"] = "female" if value.lower().startswith("f") else "male"
    return meta
