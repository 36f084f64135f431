"""Leads of one file at different sampling rates, brought to the highest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..record import ECGRecord
from .registry import MAX_SAMPLES, add_warnings


def one_rate(
    signals: Sequence[NDArray[Any]], rates: Sequence[float], meta: dict[str, Any], where: str
) -> tuple[NDArray[np.float64], float]:
    """All signals at the highest rate, cut to the shortest.

    Args:
        signals: each (samples,).
        rates: Hz, one per signal.
        meta: gets a warning where something was resampled or cut.
        where: the file, for errors.

    Returns:
        (leads, samples) and its rate.
    """
    top = max(rates)
    if not min(rates) > 0 or sum(len(s) * top / r for s, r in zip(signals, rates, strict=True)) > MAX_SAMPLES:
        raise EcgFormatError(
            f"signals at {min(rates):g} to {top:g} Hz, {max(map(len, signals))} samples",
            where=where,
            remedy="check the rates",
        )
    if len(set(rates)) > 1:
        add_warnings(meta, f"signals at {', '.join(f'{r:g}' for r in sorted(set(rates)))} Hz, resampled to {top:g} Hz")
    rows = []
    for signal, rate in zip(signals, rates, strict=True):
        if rate == top:
            rows.append(np.asarray(signal, dtype=np.float64))
        elif not np.isfinite(signal).any():
            rows.append(np.full(round(len(signal) * top / rate), np.nan))
        else:
            lead = ECGRecord.from_array(signal[None], rate, ["lead"]).resample(top)
            rows.append(lead.signal[0].astype(np.float64))
    lengths = {len(row) for row in rows}
    if max(lengths) - min(lengths) > 0.01 * max(lengths):
        add_warnings(meta, f"signals of {min(lengths)} to {max(lengths)} samples, cut to the shortest")
    return np.stack([row[: min(lengths)] for row in rows]), top
