"""Channels of a table with named columns (CSV, Parquet, NPY, NPZ): time columns, index columns, units in names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgSignalError
from ..leads import recognise
from ..record import MAX_FS_HZ, MIN_FS_HZ
from ..units import millivolts_per
from .bounds import add_warnings
from .channels import Channels

_MAX_NAME = 200  # characters that are examined
_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "sekunden": 1.0,
    "segundos": 1.0,
    "secondes": 1.0,
    "secondi": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "msecs": 1e-3,
    "millisecond": 1e-3,
    "milliseconds": 1e-3,
    "millis": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "usec": 1e-6,
    "microsecond": 1e-6,
    "microseconds": 1e-6,
    "ns": 1e-9,
    "nsec": 1e-9,
    "nanosecond": 1e-9,
    "nanoseconds": 1e-9,
    "min": 60.0,
    "minutes": 60.0,
}
_CLOCK_UNIT = re.compile(r"[hms]{1,2}(:[ms]{1,2})+([.,]m+)?", re.IGNORECASE)
_TIME_WORDS = {
    "t",
    "time",
    "times",
    "timestamp",
    "timestamps",
    "datetime",
    "zeit",
    "uhrzeit",
    "zeitstempel",
    "tiempo",
    "temps",
    "tempo",
    "tid",
    "czas",
    "tijd",
    "aika",
    "elapsed",
    "时间",
    "時間",
    "время",
    *_SECONDS,
}
_BESIDE_TIME = {
    "relative",
    "rel",
    "absolute",
    "abs",
    "sample",
    "sampling",
    "sensor",
    "phone",
    "unix",
    "epoch",
    "utc",
    "gmt",
    "local",
    "system",
    "recording",
    "since",
    "start",
    "in",
    "of",
    "and",
    "date",
    "day",
    "stamp",
    "formatted",
    "hh",
    "mm",
    "ss",
    "mmm",
    "o",
    "la",
    "le",
}
_INDEX = re.compile(
    r"(index|idx|row|n|nr|no|#|samples?( ?(#|no|nr|number|index|num|interval))?|"
    r"unnamed: ?\d+|__index_level_\d+__|level_0)\.?",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"(?P<name>.*?)\s*[(\[](?P<unit>[^()\[\]]*)[)\]]\s*")
_AT_THE_END = re.compile(r"(?P<name>.+?)(?:[_:.\-]|\s+(?:in\s+)?|\s*/\s*)(?P<unit>[^\W\d_]+)")
_AT_THE_START = re.compile(r"(?P<unit>[^\W\d_]{2,})[_:.\- ](?P<name>.+)")
_JOINED = re.compile(r"(?P<name>.+?)(?P<unit>[muµμn]v)", re.IGNORECASE)  # "IuV", "V1mV"
# text in brackets after a name that is not a unit
_REMARK = re.compile(
    r"einthoven|goldberger|wilson|filt\w*|clean\w*|leads?|ecg|ekg|limb|chest|left|right|augmented|\d+|"
    r"[lr][al][- ]?[lr][al]|.{13,}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: as in the file; blank where it has none.
        read: returns its numbers, float (samples,), NaN where a cell is empty; called only when they are needed.
        unit: from a row of units.
        is_time: its cells are times, read as seconds.
        is_text: it has no numbers.
        labels: returns the text of every row; called only where it may name leads. None where it can't be read, or has
            too many different texts for that.
    """

    name: str
    read: Callable[[], NDArray[Any]]
    unit: str = ""
    is_time: bool = False
    is_text: bool = False
    labels: Callable[[], Sequence[str] | NDArray[Any] | None] | None = None


def from_table(
    columns: Sequence[Column], where: str, fs: float | None, units: str | None, rate_hz: float | None = None
) -> Channels:
    """The channels of a table.

    A time column (``time``, ``time_ms``, ``t [s]``, ``Zeit``) gives the rate; an index column is skipped; ``II (uV)``
    contains a unit. Where a column of text names the lead of each row, its leads become the channels.

    Args:
        columns: of equal length.
        where: the file, for errors.
        fs: sampling rate given by the user, Hz; then time columns are not read.
        units: of columns without a unit of their own; mV by default.
        rate_hz: sampling rate from elsewhere in the file; a time column has precedence.

    Raises:
        EcgSignalError: time is not evenly spaced, and there is no other sampling rate; or rows are those of several
            leads, which do not fit together.
    """
    meta: dict[str, Any] = {}
    times: list[Column] = []
    kept: list[Column] = []
    texts: list[Column] = []
    for position, column in enumerate(columns):
        if column.is_text:  # not read, since its unpacked size is not checked
            texts.append(column)
        elif column.is_time or is_time(column.name):
            times.append(column)
        elif not (is_index(column.name) or (position == 0 and not column.name)):  # pandas gives its index no name
            kept.append(column)
    words = ", ".join(column.name or "no name" for column in texts)[:200]
    if texts and not kept:
        raise EcgSignalError(
            f"no column of numbers is a lead, these hold text: {words}",
            where=where,
            remedy="store numbers, a column per lead",
        )
    for column in texts:
        if (rows := _rows_of_leads(column, where)) is not None:
            times, kept = _a_column_per_lead(rows, column.name, times, kept, where)
            break
    else:
        if texts:
            add_warnings(meta, f"no numbers, left out: {words}")
    split = [split_unit(column.name) for column in kept]
    own = [unit or column.unit for column, (_, unit) in zip(kept, split, strict=True)]
    return Channels(
        names=[name for name, _ in split],
        signals=[column.read for column in kept],
        rates=fs if fs is not None else _rate_of(times, rate_hz, where),
        units=[unit or units or "mV" for unit in own],
        labelled=frozenset(row for row, unit in enumerate(own) if unit),
        meta=meta,
        word="column",
    )


def _rows_of_leads(column: Column, where: str) -> dict[str, NDArray[np.intp]] | None:
    """The rows of each lead, where a column of text names several; None where it does not, as a label of beats.

    Raises:
        EcgSignalError: it names leads, and something else.
    """
    labels = None if column.labels is None else column.labels()
    if labels is None:
        return None
    names, of_row = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    others = [str(name) for name in names if recognise([name])[0].kind != "lead"]
    if len(names) - len(others) < (3 if others else 2):  # N and V are beats
        return None
    if others:
        raise EcgSignalError(
            f"column {column.name!r} names leads, and in other rows {', '.join(repr(one) for one in others[:3])}",
            where=where,
            remedy="leave those rows out, or write a row per sample and a column per lead",
        )
    rows = {str(name): np.flatnonzero(of_row == k) for k, name in enumerate(names)}
    return dict(sorted(rows.items(), key=lambda item: int(item[1][0])))


def _a_column_per_lead(
    rows: Mapping[str, NDArray[np.intp]], name: str, times: Sequence[Column], kept: Sequence[Column], where: str
) -> tuple[list[Column], list[Column]]:
    """The columns of a table with a row for each sample of each lead: the times of one lead, and a column per lead.

    Raises:
        EcgSignalError: there are several columns of numbers, or the leads have other numbers of rows, or other times.
    """
    remedy = "write a row per sample and a column per lead (pivot the table)"
    what = f"column {name!r} names {len(rows)} leads, a row for each sample of each"
    if len(kept) != 1:
        also = ", ".join(column.name or "no name" for column in kept)[:200]
        raise EcgSignalError(f"{what}, and the numbers are in {also}", where=where, remedy=remedy)
    counts = {lead: len(own) for lead, own in rows.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{lead}: {count}" for lead, count in list(counts.items())[:3])
        raise EcgSignalError(f"{what}, and their numbers differ ({shown})", where=where, remedy=remedy)
    first, *others = rows.values()
    for time in times:
        values = np.asarray(time.read(), np.float64)
        if any(not np.array_equal(values[own], values[first], equal_nan=True) for own in others):
            raise EcgSignalError(f"{what}, at other times ({time.name})", where=where, remedy=remedy)
    (value,) = kept
    bare, unit = split_unit(value.name)
    unit = unit or (bare if len(bare) > 1 and millivolts_per(bare) is not None else value.unit)
    read = {lead: partial(_picked, value.read, own) for lead, own in rows.items()}
    return (
        [replace(time, read=partial(_picked, time.read, first)) for time in times],
        [Column(lead, one, unit) for lead, one in read.items()],
    )


def _picked(read: Callable[[], NDArray[Any]], rows: NDArray[np.intp]) -> NDArray[Any]:
    return read()[rows]


def is_index(name: str) -> bool:
    """Whether a column only counts the rows.

    Args:
        name: of the column.

    Example:
        >>> [is_index(name) for name in ("index", "Sample #", "Unnamed: 0", "II")]
        [True, True, True, False]
    """
    return _INDEX.fullmatch(name.strip()[:_MAX_NAME]) is not None


def is_time(name: str) -> bool:
    """Whether a column is the time.

    Args:
        name: of the column.

    Example:
        >>> [is_time(name) for name in ("time_ms", "Elapsed time", "Zeit [s]", "sensor timestamp [ns]", "RR time")]
        [True, True, True, True, False]
    """
    words = re.findall(r"[^\W\d_]+", name[:_MAX_NAME].lower())
    return (
        bool(words)
        and any(word in _TIME_WORDS for word in words)
        and all(word in _TIME_WORDS or word in _BESIDE_TIME for word in words)
    )


def time_unit_s(unit: str) -> float | None:
    """Seconds in a unit of time.

    Args:
        unit: in any spelling, with or without brackets.

    Returns:
        The factor; None where it is not a unit of time.

    Example:
        >>> time_unit_s("ms"), time_unit_s("seconds"), time_unit_s("hh:mm:ss.mmm"), time_unit_s("mV")
        (0.001, 1.0, 1.0, None)
    """
    text = unit.strip("()[] ").lower()
    return 1.0 if _CLOCK_UNIT.fullmatch(text) else _SECONDS.get(text)


def split_unit(name: str) -> tuple[str, str | None]:
    """Separate a column's name from the unit in it.

    Args:
        name: of the column.

    Returns:
        The name and its unit, or None.

    Example:
        >>> split_unit("II (uV)"), split_unit("V1_mV"), split_unit("Lead I (Einthoven)"), split_unit("II [parsec]")
        (('II', 'uV'), ('V1', 'mV'), ('Lead I (Einthoven)', None), ('II', 'parsec'))
        >>> split_unit("I-uV"), split_unit("uV_I"), split_unit("IuV"), split_unit("x-ray")
        (('I', 'uV'), ('I', 'uV'), ('I', 'uV'), ('x-ray', None))
    """
    text = name.strip()
    if len(text) > _MAX_NAME:
        return text, None
    match = _IN_BRACKETS.fullmatch(text)
    inner = match["unit"].strip() if match and match["name"] else ""
    a_lead = millivolts_per(inner) is None and recognise([inner])[0].kind == "lead"  # "ECG (II)"
    if match and inner and not a_lead and not _REMARK.fullmatch(inner):
        return match["name"].strip(), inner
    match = _AT_THE_END.fullmatch(text)
    if match and len(match["unit"]) > 1 and millivolts_per(match["unit"]) is not None:
        return match["name"].strip(), match["unit"]
    for pattern in (_AT_THE_START, _JOINED):
        match = pattern.fullmatch(text)
        if match and millivolts_per(match["unit"]) is not None and recognise([match["name"]])[0].kind == "lead":
            return match["name"].strip(), match["unit"]
    return text, None


def _rate_of(times: Sequence[Column], rate_hz: float | None, where: str) -> float | None:
    """Sampling rate, Hz, from the first evenly spaced time column, else ``rate_hz``."""
    trouble = None
    for column in times:
        try:
            return _rate(column, where)
        except EcgSignalError as error:
            trouble = trouble or error
    if trouble is not None and rate_hz is None:
        raise trouble
    return rate_hz


def _rate(column: Column, where: str) -> float:
    """Sampling rate, Hz, from a time column, which is in seconds unless its name or unit is another."""
    time = np.asarray(column.read(), dtype=np.float64)
    steps = np.diff(time)
    name = column.name
    if steps.size == 0 or not np.isfinite(steps).all() or not (steps > 0).all():
        raise EcgSignalError(f"column {name!r} does not grow from row to row", where=where, remedy="pass fs= in Hz")
    step = float(time[-1] - time[0]) / steps.size
    # rounding moves time stamps by less than a sample; a gap is a sample or more
    if np.abs(steps - step).max() > 0.75 * step:
        raise EcgSignalError(
            f"column {name!r} is not evenly spaced", where=where, remedy="fill the gap, cut there, or pass fs= in Hz"
        )
    words = re.findall(r"[^\W\d_]+", name.lower())
    named = [_SECONDS[word] for word in words if word in _SECONDS]
    unit_s = 1.0 if column.is_time else named[-1] if named else time_unit_s(column.unit) or 1.0
    rate = 1 / (step * unit_s)
    if not MIN_FS_HZ <= rate <= MAX_FS_HZ:
        raise EcgSignalError(
            f"column {name!r} gives {rate:.4g} Hz", where=where, remedy="name its unit (time_ms), or pass fs= in Hz"
        )
    return round(rate, 3) if abs(rate - round(rate)) > 0.01 else float(round(rate))
