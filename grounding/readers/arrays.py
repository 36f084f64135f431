"""A named table or a bare array becomes a record: what CSV, Parquet, NPY and NPZ have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgSignalError
from ..leads import STANDARD_LEADS
from .channels import Channels
from .registry import MAX_SAMPLES

_TIME = re.compile(
    r"(time|t|seconds?|secs?|s|ms|milliseconds?|timestamps?)([_ (\[]*(s|sec|seconds|ms|us)[)\]]*)?", re.IGNORECASE
)
_NAME_AND_UNIT = re.compile(
    r"(?P<name>.*?)\s*[(\[](?P<unit>[^)\]]+)[)\]]|(?P<name2>.*?)_(?P<unit2>mv|uv|µv|nv)", re.IGNORECASE
)
_INDEX = {"", "index", "sample", "samples", "unnamed: 0", "n"}


def from_table(names: Sequence[str], values: NDArray[np.float64], where: str, units: str | None) -> Channels:
    """The channels that a table's columns are.

    Args:
        names: one per column; a time column (``time``, ``time_ms``, ``t [s]``) gives the rate, an index column is skipped, ``II (uV)`` gives a unit.
        values: (samples, columns).
        where: the file, for errors.
        units: of every column that names none; mV by default.

    Raises:
        EcgSignalError: time is not evenly spaced.
    """
    rate, kept, units_of = None, [], []
    for column, name in enumerate(names):
        text = str(name).strip()
        if _TIME.fullmatch(text):
            rate = _rate(values[:, column], text, where)
        elif text.lower() not in _INDEX:
            kept.append(column)
            units_of.append(_split(text)[1] or units or "mV")
    return Channels(
        [_split(str(names[k]).strip())[0] for k in kept], [values[:, k] for k in kept], rate, units_of, word="column"
    )


def from_array(values: NDArray[Any], where: str, leads: Sequence[str] | None, units: str | None) -> Channels:
    """The channels of a bare (leads, samples) or (samples, leads) array; the lead names tell which.

    Raises:
        EcgSignalError: the leads are unknown, or the shape fits neither way.
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
    return Channels(leads, list(turned), None, units or "mV")


def _split(text: str) -> tuple[str, str | None]:
    """``"II (uV)"`` -> ``("II", "uV")``; ``"V1_mV"`` -> ``("V1", "mV")``."""
    match = _NAME_AND_UNIT.fullmatch(text)
    if not match:
        return text, None
    return (match["name"] or match["name2"] or "").strip(), (match["unit"] or match["unit2"]).strip()


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
