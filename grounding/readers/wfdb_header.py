"""WFDB headers (.hea), in the many variants in which they are written.

Only what determines the values of samples has to be valid. An invalid date or time gives a warning and is not used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import EcgFormatError
from .device import age_of_text, sex_of_text
from .stored import FORMATS

MAX_HEADER_BYTES = 4 << 20  # enough for a recording of days, in thousands of segments
MAX_SIGNALS = 4096
DEFAULT_FS_HZ = 250.0

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_RATE = re.compile(rf"({_NUMBER})(?:/[^\s(]*)?(?:\(.*\))?", re.IGNORECASE)
_STORAGE = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(rf"({_NUMBER})?(?:\(([+-]?\d+)\))?(?:/(\S*))?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_TIME = re.compile(r"\d{1,2}(?::[0-5]?\d){0,2}(?:\.\d*)?|\d{1,3}:[0-5]\d:[0-5]\d(?:\.\d*)?")
_KEYS = r"<?(?P<key>age|sex|gender|dx)>?\s*(?:\((?P<unit>[^()]*)\))?\s*[:=]"
_KEY = re.compile(rf"{_KEYS}(?P<value>[^<]*)", re.IGNORECASE)
_NEXT_KEY = re.compile(rf"[\s,;]+(?={re.sub(r'[?]P<[a-z]+>', '?:', _KEYS)})", re.IGNORECASE)
_DATE = re.compile(r"(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|1[0-2])/\d{4}")


@dataclass(frozen=True)
class Signal:
    """One signal, from its line in the header.

    Attributes:
        name: description; empty where there is none.
        file: name of its signal file; None where this segment lacks the signal.
        storage: WFDB's number of the storage format.
        frame: samples per frame.
        skew: frames by which it is delayed in the file.
        offset: bytes (samples, in a FLAC file) before the first sample.
        gain: steps per unit; None where it is not calibrated.
        baseline: step at zero.
        first: initial value of format 8, which stores differences.
        unit: as written in the header.
    """

    name: str
    file: str | None
    storage: str
    frame: int
    skew: int
    offset: int
    gain: float | None
    baseline: int
    first: int
    unit: str


@dataclass(frozen=True)
class Header:
    """A header's content.

    Attributes:
        path: its file.
        fs: frames per second.
        length: frames; None where it is not given.
        signals: one per signal; empty in the header of a record of several segments.
        n_signals: number of signals in the first line.
        segments: (record name, frames) of each segment; ``"~"`` is a gap.
        comments: lines after ``#``.
        warnings: on invalid parts that are not used.
    """

    path: Path
    fs: float
    length: int | None
    signals: tuple[Signal, ...]
    n_signals: int
    segments: tuple[tuple[str, int], ...]
    comments: tuple[str, ...]
    warnings: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Read a header.

    Args:
        path: the file.

    Raises:
        EcgFormatError: it is missing, empty or too large, or a line is invalid; the message has the line.
    """
    where = str(path)
    if not path.is_file():
        raise EcgFormatError(f"its header {path.name} is missing", where=where, remedy="put it beside the record")
    if path.stat().st_size > MAX_HEADER_BYTES:
        raise EcgFormatError(
            f"the header has over {MAX_HEADER_BYTES} bytes", where=where, remedy="check that it is a WFDB header"
        )
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    written = [line.strip() for line in text.splitlines()]
    comments = tuple(line.lstrip("#").strip() for line in written if line.startswith("#"))
    lines = [line for line in written if line and not line.startswith("#")]
    if not lines:
        raise EcgFormatError("the header is empty", where=where, remedy="fetch it again")
    fs, length, n_signals, n_segments, warnings = _record_line(lines[0], where)
    if n_segments is None:
        signals = tuple(_signal_line(line, k, where) for k, line in enumerate(lines[1 : n_signals + 1], 2))
        if len(signals) != n_signals:
            raise EcgFormatError(
                f"the header announces {n_signals} signals and describes {len(signals)}",
                where=where,
                remedy="check the header, fetch it again",
            )
        return Header(path, fs, length, signals, n_signals, (), comments, warnings)
    segments = tuple(_segment_line(line, where) for line in lines[1 : n_segments + 1])
    if len(segments) != n_segments:
        raise EcgFormatError(
            f"the header announces {n_segments} segments and lists {len(segments)}",
            where=where,
            remedy="check the header, fetch it again",
        )
    return Header(path, fs, length, (), n_signals, segments, comments, warnings)


def file_of_header(header: Path, name: str) -> Path:
    """The path of a file that a header names: below the header's folder or beside it, never elsewhere.

    Args:
        header: path of the header.
        name: as written in the header, perhaps with folders.

    Raises:
        EcgFormatError: there is no such file.
    """
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    last = parts[-1] if parts else ""
    below = header.parent.joinpath(*parts) if ".." not in parts and not PurePosixPath(name).is_absolute() else None
    try:
        for file in (below, header.parent / last):
            if file is not None and last not in ("", "..") and file.is_file():
                return file
    except (OSError, ValueError):  # an invalid file name
        pass
    raise EcgFormatError(
        f"its file {name} is missing", where=str(header), remedy=f"put {last or name} beside the header"
    )


def patient_meta(comments: Sequence[str]) -> dict[str, Any]:
    """Age, sex and diagnosis codes from a header's comments, as the databases write them.

    Args:
        comments: lines without ``#``.

    Returns:
        ``comments`` and, where found, ``age``, ``sex`` and ``dx``.
    """
    meta: dict[str, Any] = {"comments": tuple(comments)}
    for line in comments:
        for part in _NEXT_KEY.split(line):  # several on a line: "<age>: 64  <sex>: M"
            match = _KEY.match(part.strip())
            if not match:
                break  # "Mother's age: 30" is not the patient's
            key, unit, value = match["key"].lower(), match["unit"] or "", match["value"].strip()
            if key == "age":
                age = age_of_text(value, unit)
                meta |= {} if age is None else {"age": age}
            elif key == "dx":
                meta["dx"] = tuple(code.strip() for code in value.split(",") if code.strip())
            elif sex := sex_of_text(value):
                meta["sex"] = sex
    return meta


def _record_line(line: str, where: str) -> tuple[float, int | None, int, int | None, tuple[str, ...]]:
    """Rate, length, number of signals, number of segments and warnings, from a header's first line."""

    def wrong(what: str) -> EcgFormatError:
        return EcgFormatError(
            f"{what} in the header's first line {line[:80]!r}",
            where=where,
            remedy="it should be: name, signals, rate in Hz, samples",
        )

    words = line.split()
    segments = re.fullmatch(r"[^/]*/(\d{1,6})", words[0])  # "r/3" has three segments; "set/r" is a name with a folder
    if len(words) < 2 or not words[1].isdecimal() or not 1 <= int(words[1][:9]) <= MAX_SIGNALS:
        raise wrong("no number of signals that can be used")
    problems: list[str] = []
    if len(words) < 3:
        fs = DEFAULT_FS_HZ
        problems.append("the header has no sampling rate; 250 Hz, the default of WFDB, was taken")
    else:
        rate = _RATE.fullmatch(words[2])
        fs = float(rate[1]) if rate else 0.0
        if not 0 < fs < np.inf:
            raise wrong(f"the sampling rate {words[2][:30]!r} can't be read")
    length, rest = None, words[3:]
    if rest and _WHOLE.fullmatch(rest[0]):
        length = int(rest.pop(0))
        if length < 0:
            raise wrong(f"{length} samples")
    if rest and not (_TIME.fullmatch(rest[0]) and (len(rest) == 1 or _DATE.fullmatch(rest[1])) and len(rest) <= 2):
        problems.append(
            f"the header's date {' '.join(rest)[:40]!r} is not as WFDB has it (hh:mm:ss dd/mm/yyyy); it is not used"
        )
    return fs, length or None, int(words[1]), int(segments[1]) if segments else None, tuple(problems)


def _signal_line(line: str, number: int, where: str) -> Signal:
    words = line.split()
    storage = _STORAGE.fullmatch(words[1]) if len(words) > 1 else None
    if not storage or any(len(part or "") > 15 for part in storage.groups()):
        raise EcgFormatError(
            f"line {number} of the header, {line[:80]!r}, does not describe a signal",
            where=where,
            remedy="it should be: file, storage format, gain, ..., name",
        )
    code, frame, skew, offset = storage[1], *(int(part or 0) for part in storage.groups()[1:])
    file = None if words[0] == "~" else words[0]
    if file is not None and code not in FORMATS:
        raise EcgFormatError(
            f"line {number} of the header names the storage format {code}",
            where=where,
            remedy=f"the formats of WFDB are {', '.join(FORMATS)}",
        )
    if frame > 100_000:
        raise EcgFormatError(f"the header gives {frame} samples per frame", where=where, remedy="check the header")
    rest = words[2:]
    scale = _GAIN.fullmatch(rest[0]) if rest else None
    if scale:
        rest.pop(0)
    gain, baseline, unit = scale.groups() if scale else (None, None, None)
    numbers: list[int] = []  # resolution and zero of the converter, first sample, checksum, block size
    while rest and len(numbers) < 5 and _WHOLE.fullmatch(rest[0]):
        numbers.append(int(rest.pop(0)))
    zero = numbers[1] if len(numbers) > 1 else 0
    steps = float(gain) if gain else 0.0
    return Signal(
        name=" ".join(rest),
        file=file,
        storage=code,
        frame=frame or 1,
        skew=skew,
        offset=offset,
        gain=steps if steps and np.isfinite(steps) else None,
        baseline=zero if baseline is None else int(baseline[:19]),
        first=numbers[2] if len(numbers) > 2 else zero,
        unit=unit or "mV",  # WFDB's default
    )


def _segment_line(line: str, where: str) -> tuple[str, int]:
    words = line.split()
    if len(words) < 2 or not words[1].isdecimal() or len(words[1]) > 15:
        raise EcgFormatError(
            f"the header's line {line[:80]!r} does not name a segment",
            where=where,
            remedy="it should be: name, samples",
        )
    return words[0], int(words[1])
