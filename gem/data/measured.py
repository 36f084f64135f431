"""What ``grounding`` measures in a record, and the patient's age and sex, as numbers to learn beside the labels.

A few thousand labels say little about where a wave begins; the measurement says it for every lead. Only training sees
these numbers.
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
OLDEST = 92.0  # PTB-XL writes 300 for "over 89"


def measured(sample: Sample, millivolts: bool = False) -> NDArray[np.float32]:
    """(len(NAMES),) float32; NaN where something could not be measured or is not known.

    Amplitudes are given in the unit that the encoder sees, and are not known for records in another.

    Args:
        sample: the record.
        millivolts: the encoder sees millivolts; else z-scored leads, whose amplitudes are standard deviations of the
            lead.
    """
    values: dict[str, float | None] = {
        "age": None if sample.age is None else min(sample.age, OLDEST),
        "male": None if sample.sex is None else float(sample.sex == "male"),
    }
    try:
        result = measure(sample.record)
    except EcgError:
        pass  # nothing of it can be measured: NaN says so
    else:
        values |= {name: result.intervals[name] for name in GLOBAL}
        usual: Any = result.lead_features.groupby("lead").median(numeric_only=True)
        names = [name for name in PER_LEAD if result.has_millivolts == millivolts or not name.endswith("_mv")]
        values |= {f"{lead} {name}": float(usual.at[lead, name]) for lead in usual.index for name in names}
    found = [values.get(name) for name in NAMES]
    return np.array([np.nan if value is None else value for value in found], np.float32)


def standardize(values: NDArray[Any], limit: float = 3.0) -> NDArray[np.float32]:
    """(records, NAMES) to zero mean and unit spread of each column, within +-``limit``; NaN stays, and so does a column without spread."""
    known = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    count = np.isfinite(known).sum(0)
    mean = np.where(count > 0, np.nansum(known, 0) / np.maximum(count, 1), np.nan)
    spread = np.sqrt(np.nansum((known - mean) ** 2, 0) / np.maximum(count, 1))
    return np.clip((known - mean) / np.where(spread > 0, spread, np.nan), -limit, limit).astype(np.float32)
