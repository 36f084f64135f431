"""Warnings on implausible amplitudes and on limb leads that violate Einthoven's law."""

from __future__ import annotations

import warnings

import numpy as np

from ..lead_algebra import einthoven_error
from ..record import ECGRecord
from ..small_arrays import row_quantiles

# Surface ECGs span roughly 0.3-10 mV; values ten times smaller or five times larger are errors of gain or unit.
PLAUSIBLE_SPAN_MV = (0.03, 50.0)


def plausibility_warnings(record: ECGRecord) -> tuple[str, ...]:
    """Warnings on the amplitude and on Einthoven's law, for ``record.meta["warnings"]``.

    Args:
        record: any recording; without voltages only Einthoven's law is checked.

    Returns:
        One line per warning; empty for a plausible recording.
    """
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN leads
        some = record.signal[:, :: max(1, record.n_samples // 20_000)]
        if np.isfinite(some).all():
            low, high = row_quantiles(some, (0.005, 0.995))
        else:
            low, high = np.nanpercentile(some, (0.5, 99.5), axis=1)
    spans = (high - low)[np.isfinite(high - low)]
    alive = spans[spans > 0]
    if record.has_millivolts and alive.size:
        span = float(np.median(alive))
        if not PLAUSIBLE_SPAN_MV[0] <= span <= PLAUSIBLE_SPAN_MV[1]:
            found.append(
                f"implausible amplitude: the median lead spans {span:.3g} mV; the gain or unit is probably wrong"
            )
    if {"I", "II", "III"} <= set(record.leads) and record.meta.get("units") != "zscore":
        step = max(1, record.n_samples // 100_000)  # a subset is enough
        error, span = einthoven_error(*(record.lead(name)[::step] for name in ("I", "II", "III")))
        if error > 0.15 * span > 0:
            found.append(f"lead algebra is broken: I + III differs from II by {error:.2g} where II spans {span:.2g}")
    return tuple(found)
