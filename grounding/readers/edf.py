"""EDF, EDF+ and BDF (BioSemi's 24-bit EDF), through the edfio package."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..units import text_of
from .bounds import MAX_SAMPLES, add_warnings, check_expansion
from .channels import Channels
from .registry import register_reader

_MAX_SIGNALS = 4096
_BLOCK_BYTES = 8 << 20
_ONSET = re.compile(rb"[+-]\d{1,12}(?:\.\d{0,12})?(?=[\x14\x15])")


@dataclass(frozen=True)
class _Header:
    """An EDF header, checked against the file's size."""

    n_bytes: int
    n_records: int
    record_s: float
    sample_bytes: int  # 2 in EDF, 3 in BDF
    reserved: bytes
    labels: tuple[bytes, ...]
    units: tuple[bytes, ...]
    calibrated: tuple[bool, ...]
    samples: tuple[int, ...]  # per record

    @property
    def record_bytes(self) -> int:
        """Size of a data record, bytes."""
        return self.sample_bytes * sum(self.samples)

    @property
    def is_annotation(self) -> tuple[bool, ...]:
        """Which signals are annotations."""
        return tuple(label.strip() in (b"EDF Annotations", b"BDF Annotations") for label in self.labels)


@register_reader((".edf", ".rec"), sniff=lambda head: head[:8] == b"0       ")
def edf(path: Path) -> Channels:
    """EDF and EDF+; the gaps of an interrupted recording (EDF+D) are NaN.

    Args:
        path: the file.
    """
    import edfio

    header = _read_header(path, 2)
    file = _without_warnings(edfio.read_edf, path, lazy_load_data=True)
    return _channels(path, header, file, [partial(_edf_blocks, signal, header) for signal in file.signals])


@register_reader((".bdf",), sniff=lambda head: head[:8] == b"\xffBIOSEMI")
def bdf(path: Path) -> Channels:
    """BDF and BDF+ (BioSemi, 24 bits a sample); gaps as in EDF.

    Args:
        path: the file.
    """
    import edfio

    header = _read_header(path, 3)
    with path.open("rb") as file:
        head = file.read(header.n_bytes)
        first = _without_warnings(edfio.read_bdf, io.BytesIO(head + file.read(header.record_bytes)))
    readers = [partial(_bdf_blocks, path, head, header, k) for k in range(len(first.signals))]
    return _channels(path, header, first, readers)


def _channels(
    path: Path, header: _Header, file: Any, readers: Sequence[Callable[[], Iterator[NDArray[Any]]]]
) -> Channels:
    meta = _patient(file)
    rows = [row for row, annotation in enumerate(header.is_annotation) if not annotation]
    starts_s = _record_starts_s(path, header)
    if starts_s is not None:
        gap_s = np.diff(starts_s) - header.record_s
        add_warnings(
            meta, f"interrupted: {(gap_s > 0).sum()} gaps of {gap_s[gap_s > 0].sum():g} s in all are missing samples"
        )
    return Channels(
        names=[header.labels[row] for row in rows],
        signals=[
            partial(_signal, read, header.samples[row], header, starts_s, path)
            for row, read in zip(rows, readers, strict=True)
        ],
        rates=[header.samples[row] / header.record_s for row in rows],
        units=[header.units[row] if header.calibrated[row] else "adu" for row in rows],
        meta=meta,
    )


def _edf_blocks(signal: Any, header: _Header) -> Iterator[NDArray[Any]]:
    """A signal's samples, in blocks of data records."""
    step = max(1, _BLOCK_BYTES // header.record_bytes)
    for first in range(0, header.n_records, step):
        last = min(first + step, header.n_records)
        yield _without_warnings(signal.get_data_slice, first * header.record_s, last * header.record_s)


def _bdf_blocks(path: Path, head: bytes, header: _Header, k: int) -> Iterator[NDArray[Any]]:
    """The same for BDF, which edfio reads as a whole: it gets the header and a block of data records at a time."""
    import edfio

    with path.open("rb") as file:
        file.seek(header.n_bytes)
        step = max(1, _BLOCK_BYTES // header.record_bytes)
        for first in range(0, header.n_records, step):
            block = file.read(header.record_bytes * min(step, header.n_records - first))
            yield _without_warnings(lambda part: edfio.read_bdf(io.BytesIO(part)).signals[k].data, head + block)


def _signal(
    blocks: Callable[[], Iterator[NDArray[Any]]],
    samples: int,
    header: _Header,
    starts_s: NDArray[np.float64] | None,
    path: Path,
) -> NDArray[np.float32]:
    """A whole channel, with its data records at their times."""
    rate = samples / header.record_s
    total = header.n_records * samples
    if starts_s is None:
        out = np.empty(total, np.float32)
    else:
        begins = np.round((starts_s - starts_s[0]) * rate).astype(np.int64)
        total = int(begins[-1]) + samples
        check_expansion(4 * total, path)
        out = np.full(total, np.nan, np.float32)
    at = record = 0
    for block in blocks():
        if starts_s is None:
            out[at : at + len(block)] = block
            at += len(block)
            continue
        for row in block.reshape(-1, samples):
            out[begins[record] : begins[record] + samples] = row
            record += 1
    return out


def _record_starts_s(path: Path, header: _Header) -> NDArray[np.float64] | None:
    """Start of each data record, s, in an interrupted EDF+ or BDF+ recording; else None."""
    annotations = [row for row, annotation in enumerate(header.is_annotation) if annotation]
    if not annotations or header.reserved[:5] not in (b"EDF+D", b"BDF+D"):
        return None
    at = header.sample_bytes * sum(header.samples[: annotations[0]])
    length = header.sample_bytes * header.samples[annotations[0]]
    starts = np.empty(header.n_records)
    with path.open("rb") as file:
        for record in range(header.n_records):
            file.seek(header.n_bytes + record * header.record_bytes + at)
            match = _ONSET.match(file.read(min(length, 40)))
            if not match:
                raise EcgFormatError(
                    f"data record {record + 1} does not say when it began", where=str(path), remedy="export it again"
                )
            starts[record] = float(match[0])
    steps = np.diff(starts)
    shortest_s = header.record_s / max(header.samples)
    if (steps < header.record_s - shortest_s).any():
        raise EcgFormatError("its data records overlap", where=str(path), remedy="export it as EDF or EDF+C")
    return starts if (steps > header.record_s + shortest_s / 2).any() else None


def _patient(file: Any) -> dict[str, Any]:
    """Sex and age from the patient field of EDF+; in plain EDF it is free text."""
    meta: dict[str, Any] = {}
    try:
        sex = {"M": "male", "F": "female"}.get(str(file.patient.sex))
        if sex:
            meta["sex"] = sex
        born, then = file.patient.birthdate, file.recording.startdate
        years = then.year - born.year - ((then.month, then.day) < (born.month, born.day))
        if 0 <= years <= 130:
            meta["age"] = float(years)
    except Exception:  # edfio raises many kinds of errors on free text
        return meta
    return meta


def _read_header(path: Path, sample_bytes: int) -> _Header:
    """Read the header and check it against the file's size.

    Raises:
        EcgFormatError: it is not an EDF header, its numbers are absurd, or the file is truncated.
    """
    where, size = str(path), path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
        try:
            n_bytes, records, n_signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
            record_s = float(head[244:252])
            rest = file.read(256 * n_signals) if 0 < n_signals <= _MAX_SIGNALS else b""

            def field(start: int, length: int) -> list[bytes]:
                first = start * n_signals
                return [rest[first + length * k : first + length * (k + 1)] for k in range(n_signals)]

            samples = tuple(int(text) for text in field(216, 8))
        except (ValueError, OverflowError):
            raise EcgFormatError("the header is not EDF", where=where, remedy="check the file") from None
    if not samples or min(samples) <= 0 or not 0 < record_s < 1e6 or n_bytes != 256 * (n_signals + 1):
        raise EcgFormatError(
            f"the header gives {n_signals} signals, {sum(samples)} samples in records of {record_s:g} s",
            where=where,
            remedy="check the file",
        )
    needed = sample_bytes * sum(samples)
    if records == -1:  # a recorder that was interrupted did not write the number
        records = (size - n_bytes) // needed
    if records <= 0 or records * sum(samples) > MAX_SAMPLES:
        raise EcgFormatError(
            f"the header gives {records} x {sum(samples)} samples", where=where, remedy="check the file"
        )
    if size < n_bytes + records * needed:
        raise EcgFormatError(
            f"the file is truncated: {size} of {n_bytes + records * needed} bytes", where=where, remedy="fetch it again"
        )
    ranges = [field(start, 8) for start in (104, 112, 120, 128)]
    return _Header(
        n_bytes,
        records,
        record_s,
        sample_bytes,
        head[192:236],
        tuple(field(0, 16)),
        tuple(field(96, 8)),
        tuple(_is_calibrated(*of_one) for of_one in zip(*ranges, strict=True)),
        samples,
    )


def _is_calibrated(low: bytes, high: bytes, digital_low: bytes, digital_high: bytes) -> bool:
    """False where the ranges define no gain (minimum = maximum); then edfio returns the stored integers."""
    try:
        physical = float(text_of(high)) - float(text_of(low))
        return bool(np.isfinite(physical)) and physical != 0 and int(text_of(digital_low)) != int(text_of(digital_high))
    except ValueError:
        return False


def _without_warnings(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing gains and the number of data records, which are handled here
        return call(*args, **options)
