"""Einthoven's law, I + III = II: what the limb leads say about gains and cables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def einthoven_error(
    one: NDArray[np.floating[Any]], two: NDArray[np.floating[Any]], three: NDArray[np.floating[Any]]
) -> tuple[float, float]:
    """How far I + III is from II, and how far the limb leads span.

    Args:
        one, two, three: leads I, II, III, each (samples,), any common unit.

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
    low, high = np.percentile(leads, (0.5, 99.5), axis=1)
    return float(np.percentile(np.abs(rest - np.median(rest)), 99)), float((high - low).max())


def derive_limb_leads(leads: dict[str, NDArray[np.floating[Any]]]) -> tuple[str, ...]:
    """Add III, aVR, aVL and aVF where I and II are there and these are not, and return their names.

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
