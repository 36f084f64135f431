"""Channels of an array without names, as in NPY, NPZ and tables without a header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from ..errors import EcgSignalError
from ..leads import STANDARD_LEADS
from .bounds import MAX_SAMPLES
from .channels import Channels


def from_array(values: NDArray[Any], where: str, leads: Sequence[str] | None, units: str | None) -> Channels:
    """The channels of an array.

    Args:
        values: (leads, samples) or (samples, leads); the number of ``leads`` decides which.
        where: the file, for errors.
        leads: one name per lead.
        units: mV by default.

    Raises:
        EcgSignalError: the leads are not named, or the shape fits neither way.
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
    return Channels(leads, list(turned), None, "mV" if units is None else units)
