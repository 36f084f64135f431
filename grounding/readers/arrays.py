"""A named table or a bare array becomes a record: what CSV, Parquet, NPY and NPZ have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgSignalError
from ..record import STANDARD_LEADS, UNITS_MV, ECGRecord
from .registry import MAX_SAMPLES

_TIME = re.compile(
    r"(time|t|seconds?|secs?|s|ms|milliseconds?|timestamps?)([_ (\[]*(s|sec|seconds|ms|us)[)\]]*)?", re.IGNORECASE
)
_NAME_AND_UNIT = re.compile(
    r"(?P<name>.*?)\s*[(\[](?P<unit>[^)\]]+)[)\]]|(?P<name2>.*?)_(?P<unit2>mv|uv|µv|nv)", re.IGNORECASE
)
_INDEX = {"", "index", "sample", "samples", "unnamed: 0", "n"}


def from_table(
    names: Sequence[str], values: NDArray[np.float64], where: str, record_id: str,
    fs: float | None, leads: Sequence[str] | None, units: str | None,
) -> ECGRecord:  # fmt: skip
    """A record from named columns.

    Args:
        names: one per column; a time column (``time``, ``time_ms``, ``t [s]``) gives the rate, an index column is skipped, ``II (uV)`` gives a unit.
        values: (samples, columns).
        where: the file, for errors.
        record_id: the record's name.
        fs: Hz; wins over the time column.
        leads: the columns to take, in this order; all by default.
        units: of every column that names none; mV by default.

    Raises:
        EcgSignalError: the rate is unknown, time is not evenly spaced, or a column is missing or has an unknown unit.
    """
    wanted: list[int] = []
    labels, factors = [], []
    for column, name in enumerate(names):
        text = str(name).strip()
        if _TIME.fullmatch(text):
            fs = _rate(values[:, column], text, where) if fs is None else fs
        elif text.lower() not in _INDEX:
            label, unit = _split(text)
            wanted.append(column)
            labels.append(label)
            factors.append(_factor(unit, units or "mV", where))
    if leads is not None:
        missing = [name for name in leads if name not in labels]
        if missing:
            raise EcgSignalError(
                f"there is no column {', '.join(missing)}", where=where, remedy=f"there are {', '.join(labels)}"
            )
        order = [labels.index(name) for name in leads]
        wanted, factors, labels = [wanted[k] for k in order], [factors[k] for k in order], list(leads)
    if not wanted:
        raise EcgSignalError(
            "no column is a lead", where=where, remedy="name the columns after their leads (I, II, V1, ...)"
        )
    unit = units if units is not None and units.lower() not in UNITS_MV else "mV"
    return ECGRecord.from_array(
        values[:, wanted].T * np.array(factors)[:, None], _known(fs, where), labels, unit, record_id
    )


def from_array(
    values: NDArray[Any], where: str, record_id: str, fs: float | None, leads: Sequence[str] | None, units: str | None
) -> ECGRecord:
    """A record from a bare (leads, samples) or (samples, leads) array; the lead names tell which.

    Raises:
        EcgSignalError: the rate or the leads are unknown, or the shape fits neither way.
    """
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or values.dtype.kind not in "iufb":
        raise EcgSignalError(
            f"the array has {values.ndim} axes of type {values.dtype}",
            where=where,
            remedy="save (leads, samples) numbers",
        )
    if values.size > MAX_SAMPLES:
        raise EcgSignalError(f"the array has {values.size} samples, over {MAX_SAMPLES}", where=where, remedy="cut it")
    if leads is None:
        raise EcgSignalError(
            f"the leads of this {values.shape[0]} x {values.shape[1]} array are not named",
            where=where,
            remedy=f"pass leads=, e.g. leads={list(STANDARD_LEADS)}",
        )
    if len(leads) not in values.shape:
        raise EcgSignalError(
            f"{len(leads)} leads are named but the array is {values.shape[0]} x {values.shape[1]}",
            where=where,
            remedy="name each lead once",
        )
    turned = values if values.shape[0] == len(leads) else values.T
    return ECGRecord.from_array(turned, _known(fs, where), list(leads), units or "mV", record_id)


def _known(fs: float | None, where: str) -> float:
    if fs is None:
        raise EcgSignalError("the sampling rate is not in the file", where=where, remedy="pass fs= in Hz, e.g. fs=500")
    return fs


def _split(text: str) -> tuple[str, str | None]:
    """``"II (uV)"`` -> ``("II", "uV")``; ``"V1_mV"`` -> ``("V1", "mV")``."""
    match = _NAME_AND_UNIT.fullmatch(text)
    if not match:
        return text, None
    return (match["name"] or match["name2"] or "").strip(), (match["unit"] or match["unit2"]).strip()


def _factor(unit: str | None, default: str, where: str) -> float:
    """Millivolts per unit; 1 for units without voltage, which ECGRecord checks by name."""
    if unit is None:
        return UNITS_MV.get(default.strip().lower(), 1.0)
    if unit.lower() not in UNITS_MV:
        raise EcgSignalError(
            f"unknown unit {unit!r} in a column name", where=where, remedy=f"use one of {', '.join(UNITS_MV)}"
        )
    return UNITS_MV[unit.lower()]


def _rate(time: NDArray[np.float64], name: str, where: str) -> float:
    """Hz from a time column, in seconds unless its name says ms or us."""
    steps = np.diff(time)
    if steps.size == 0 or not np.isfinite(steps).all() or not (steps > 0).all():
        raise EcgSignalError(f"column {name!r} does not grow from row to row", where=where, remedy="pass fs= in Hz")
    step = float(time[-1] - time[0]) / steps.size
    # rounded time stamps jitter by less than a sample; a gap is a sample or more
    if np.abs(steps - step).max() > 0.75 * step:
        raise EcgSignalError(f"column {name!r} is not evenly spaced", where=where, remedy="fill the gap or cut there")
    lower = name.lower()
    unit = (
        1e-6
        if "us" in re.split(r"[^a-z]", lower)
        else 1e-3
        if re.search(r"(^|[^a-z])(ms|milliseconds?)", lower)
        else 1.0
    )
    rate = 1 / (step * unit)
    return round(rate, 3) if abs(rate - round(rate)) > 0.01 else float(round(rate))
