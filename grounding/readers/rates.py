"""Resampling of the signals of one file to their highest sampling rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError, EcgSignalError
from ..record import ECGRecord
from .bounds import MAX_SAMPLES, add_warnings

_AT_ONCE = 1 << 22  # samples
MAX_RATES = 16  # no recorder uses more in one file


def one_rate(
    signals: Iterable[NDArray[Any]], rates: Sequence[float], scales: Sequence[float], meta: dict[str, Any], where: str
) -> tuple[NDArray[np.float32], float]:
    """Resample all signals to the highest rate, scale them, and cut them to the shortest.

    Args:
        signals: each (samples,); consumed one by one, so that only one need be in memory in its stored form.
        rates: Hz, one per signal.
        scales: factor of each signal.
        meta: gets a warning where something was resampled or cut.
        where: the file, for errors.

    Returns:
        (leads, samples) and its rate.

    Raises:
        EcgFormatError: a rate is not positive, there are too many rates, or too many samples.
        EcgSignalError: a signal is empty.
    """
    top = max(rates)
    if len(set(rates)) > MAX_RATES:
        raise EcgFormatError(
            f"its signals have {len(set(rates))} sampling rates", where=where, remedy="take some of them with leads="
        )
    out = np.empty((len(rates), 0), np.float32)
    lengths: list[int] = []
    room = float(MAX_SAMPLES)
    for signal, rate, scale in zip(signals, rates, scales, strict=True):
        room -= len(signal) * top / rate if rate > 0 else np.inf
        if not room >= 0:
            raise EcgFormatError(
                f"signals at {min(rates):g} to {top:g} Hz, {len(signal)} samples", where=where, remedy="check the rates"
            )
        row = _at_rate(signal, rate, top, scale)
        if not lengths and len(row) * len(rates) <= MAX_SAMPLES:
            # filled row by row, to avoid a second copy of all signals, or any copy of a single one
            alone = len(rates) == 1 and row.flags.writeable
            out = row[None] if alone else np.empty((len(rates), len(row)), np.float32)
        length = min(len(row), out.shape[1])
        out[len(lengths), :length] = row[:length]
        lengths.append(len(row))
    if len(set(rates)) > 1:
        add_warnings(meta, f"signals at {', '.join(f'{r:g}' for r in sorted(set(rates)))} Hz, resampled to {top:g} Hz")
    if not min(lengths) or not out.size:
        raise EcgSignalError("a lead has no samples", where=where, remedy="export the recording again")
    if max(lengths) - min(lengths) > 0.01 * max(lengths):
        add_warnings(meta, f"signals of {min(lengths)} to {max(lengths)} samples, cut to the shortest")
    return np.ascontiguousarray(out[:, : min(lengths)]), top


def _at_rate(signal: NDArray[Any], rate: float, top: float, scale: float) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        if scale == 1:
            row = np.asarray(signal, dtype=np.float32)
        else:
            row = np.empty(len(signal), np.float32)
            for start in range(0, len(signal), _AT_ONCE):  # in float64, in parts
                part = slice(start, start + _AT_ONCE)
                row[part] = np.multiply(signal[part], scale, dtype=np.float64)
    if rate == top:
        return row
    if not np.isfinite(row).any():
        return np.full(round(len(row) * top / rate), np.nan, np.float32)
    out: NDArray[np.float32] = ECGRecord(row[None], rate, ("lead",)).resample(top).signal[0]
    return out
