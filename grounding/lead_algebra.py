"""Einthoven's law, I + III = II: consistency of the limb leads, and those that follow from I and II."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .small_arrays import row_median, row_quantiles


def einthoven_error(
    one: NDArray[np.floating[Any]], two: NDArray[np.floating[Any]], three: NDArray[np.floating[Any]]
) -> tuple[float, float]:
    """Deviation of I + III from II, and the range of the limb leads.

    Args:
        one: lead I, (samples,).
        two: lead II, (samples,), same unit.
        three: lead III, (samples,), same unit.

    Returns:
        The 99th percentile of the deviation about its median, and the widest of the three leads' spans (0.5th to 99.5th
        percentile), both in the leads' unit; zeros where the three have no finite sample in common.

    Example:
        >>> lead = np.sin(np.arange(500) / 20)
        >>> error, span = einthoven_error(lead, 3 * lead, 2 * lead)
        >>> round(error, 6), round(span)
        (0.0, 6)
    """
    leads = np.stack([one, two, three])
    leads = leads[:, np.isfinite(leads).all(axis=0)]
    if leads.shape[1] == 0:
        return 0.0, 0.0
    rest = leads[0] + leads[2] - leads[1]
    low, high = row_quantiles(leads, (0.005, 0.995))
    return float(np.percentile(np.abs(rest - row_median(rest[None])), 99)), float((high - low).max())


def derive_limb_leads(leads: dict[str, NDArray[np.floating[Any]]]) -> tuple[str, ...]:
    """Add those of III, aVR, aVL and aVF that are missing, computed from I and II.

    Args:
        leads: name -> (samples,); changed in place. Nothing is added without I and II.

    Returns:
        The names of the added leads.

    Example:
        >>> leads = {"I": np.array([1.0]), "II": np.array([3.0])}
        >>> derive_limb_leads(leads), leads["III"].tolist(), leads["aVF"].tolist()
        (('III', 'aVR', 'aVL', 'aVF'), [2.0], [2.5])
    """
    if not {"I", "II"} <= set(leads):
        return ()
    one, two = leads["I"], leads["II"]
    rules = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    added = tuple(name for name in rules if name not in leads)
    leads.update({name: rules[name] for name in added})
    return added
