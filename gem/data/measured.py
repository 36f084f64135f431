"""Measurements of ``grounding``, and the patient's age and sex, as additional targets of training.

A few thousand class labels say little about where a wave begins; the measurement says it for every lead. Models don't
get these numbers as input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding import STANDARD_LEADS, EcgError, measure

from .samples import Sample

GLOBAL = ("rr", "p", "pr", "qrs", "qt", "qtc_fridericia")
PER_LEAD = (
    *("p_amplitude_mv", "p_duration_ms", "pr_interval_ms", "qrs_amplitude_mv", "qrs_duration_ms"),
    *("t_amplitude_mv", "t_duration_ms", "st_duration_ms", "qt_interval_ms"),
)
NAMES = (*GLOBAL, *(f"{lead} {name}" for lead in STANDARD_LEADS for name in PER_LEAD), "age", "male")
MAX_AGE_YEARS = 92.0  # PTB-XL writes 300 for "over 89"


def measured(sample: Sample, millivolts: bool = False) -> NDArray[np.float32]:
    """The targets of one record.

    Amplitudes are in the unit of the encoder's input, and NaN for records in another unit.

    Args:
        sample: the record.
        millivolts: the encoder's input is in mV; else it is z-scored leads, whose amplitudes are in standard deviations
            of the lead.

    Returns:
        (len(NAMES),) float32; NaN where a value could not be measured or is not known.
    """
    values: dict[str, float | None] = {
        "age": None if sample.age is None else min(sample.age, MAX_AGE_YEARS),
        "male": None if sample.sex is None else float(sample.sex == "male"),
    }
    try:
        result = measure(sample.record)
    except EcgError:
        pass  # nothing can be measured, so that all values stay NaN
    else:
        values |= {name: result.intervals[name] for name in GLOBAL}
        medians: Any = result.lead_features.groupby("lead").median(numeric_only=True)
        names = [name for name in PER_LEAD if result.has_millivolts == millivolts or not name.endswith("_mv")]
        values |= {f"{lead} {name}": float(medians.at[lead, name]) for lead in medians.index for name in names}
    found = [values.get(name) for name in NAMES]
    return np.array([np.nan if value is None else value for value in found], np.float32)


def standardize(values: NDArray[Any], limit: float = 3.0) -> NDArray[np.float32]:
    """Scale each column to zero mean and unit standard deviation, clipped to +-``limit``.

    Args:
        values: (records, NAMES).
        limit: largest absolute value.

    Returns:
        (records, NAMES); NaN where a value is missing, and in columns without spread.
    """
    known = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    count = np.isfinite(known).sum(0)
    mean = np.where(count > 0, np.nansum(known, 0) / np.maximum(count, 1), np.nan)
    spread = np.sqrt(np.nansum((known - mean) ** 2, 0) / np.maximum(count, 1))
    return np.clip((known - mean) / np.where(spread > 0, spread, np.nan), -limit, limit).astype(np.float32)
