"""The interface to NeuroKit2: cleaning, R peaks and delineation of single leads, and its many kinds of errors.

Importing this module imports NeuroKit2, which takes seconds; do it only where NeuroKit2 is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import neurokit2
import numpy as np
from numpy.typing import NDArray

from .features import FS_HZ
from .types import Array

COLUMNS = (
    ("ECG_P_Onsets", "ECG_P_Peaks", "ECG_P_Offsets"),
    ("ECG_R_Onsets", "", "ECG_R_Offsets"),
    ("ECG_T_Onsets", "ECG_T_Peaks", "ECG_T_Offsets"),
)


def clean(lead: NDArray[np.floating[Any]]) -> Array:
    """``ecg_clean``: baseline wander and mains are removed; a flat lead becomes zero.

    Args:
        lead: (samples,) at 250 Hz, without NaN.
    """
    if not np.ptp(lead) > 0:
        return np.zeros(len(lead))
    cleaned = _call_or_none(neurokit2.ecg_clean, np.asarray(lead, np.float64), sampling_rate=int(FS_HZ))
    return np.zeros(len(lead)) if cleaned is None else np.asarray(cleaned, np.float64)


def r_peaks(lead: Array) -> NDArray[np.intp]:
    """``ecg_peaks``.

    Args:
        lead: (samples,) at 250 Hz, cleaned, with upright R waves.

    Returns:
        Sample numbers; empty where NeuroKit2 finds none or fails.
    """
    found = _call_or_none(neurokit2.ecg_peaks, lead, sampling_rate=int(FS_HZ))
    return np.empty(0, np.intp) if found is None else np.asarray(found[1]["ECG_R_Peaks"], np.intp)


def upsample(signal: Array, times: int) -> Array:
    """``signal_resample`` to a multiple of the rate; the first and the last sample keep their places.

    Args:
        signal: (samples,).
        times: factor of the sampling rate.
    """
    return np.asarray(neurokit2.signal_resample(signal, times * (len(signal) - 1) + 1), np.float64)


def delineate(lead: Array, r: NDArray[np.intp], method: str, fs_hz: int) -> Array:
    """``ecg_delineate`` of a clean lead.

    Args:
        lead: (samples,).
        r: (n,) R positions, samples.
        method: ``dwt``, ``cwt``, ``prominence`` or ``peak``.
        fs_hz: sampling rate of both.

    Returns:
        (3, n, 3): P, QRS, T; beats; onset, peak, offset in samples, NaN where there is none. All NaN where NeuroKit2
        fails.
    """
    out = np.full((3, len(r), 3), np.nan)
    answer = _call_or_none(neurokit2.ecg_delineate, lead, r, sampling_rate=fs_hz, method=method)
    if answer is None:
        return out
    for wave, names in enumerate(COLUMNS):
        for column, name in enumerate(names):
            values = np.array([np.nan if x is None else x for x in answer[1].get(name, [])], np.float64)
            # "cwt" searches both waves between two beats, and lists the P wave under the beat before it
            later = 1 if method == "cwt" and wave == 0 else 0
            values = values[: len(r) - later]
            out[wave, later : later + len(values), column] = values
    return out


def _call_or_none(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What NeuroKit2 returns, or ``None`` where it fails: it raises and warns in many ways on short or noisy leads."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return call(*arguments, **options)
        except (ArithmeticError, LookupError, ValueError, TypeError):
            return None
