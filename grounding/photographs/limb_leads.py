"""Whether lines that were read are limb leads: I + III = II, and aVL + aVF = -aVR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..errors import EcgSignalError
from ..record import ECGRecord

# leads printed above each other, of which the first two add up to the third, times a sign
SUMS = ((("I", "III", "II"), 1), (("aVL", "aVF", "aVR"), -1))
# correlation of one of the sums without what is slower: 0.86 or more on each of 25 photographs
MIN_SUM_AGREEMENT, SUM_SMOOTH_S, SUM_SLOW_S, MIN_SUM_S = 0.6, 0.02, 0.2, 0.5
# of both together, unless one is sure: the other one may have a lead that was read amiss
MIN_SUMS_TOGETHER, SURE_SUM = 1.0, 0.95
SUM_SHIFTS_MS = range(-20, 21, 10)


def check_limb_leads(record: ECGRecord) -> list[float]:
    """Compare I + III with II, and aVL + aVF with -aVR: that tells an ECG from other pictures and other layouts.

    Args:
        record: what was read by the layout that was inferred.

    Returns:
        The correlations of the sums, I + III with II first, of those that are seen together.

    Raises:
        EcgSignalError: neither sum is like the lead that it should be, or one only barely and the other not at all;
            where no three are seen together, none.
    """
    known = [alike for leads, sign in SUMS if (alike := _agreement(record, leads, sign)) is not None]
    barely = len(known) > 1 and max(known) < SURE_SUM and sum(known) < MIN_SUMS_TOGETHER
    if known and (max(known) < MIN_SUM_AGREEMENT or barely):
        raise EcgSignalError(
            "the lines don't fit each other as limb leads do: no ECG, or one of another layout",
            remedy='for an ECG, name its layout, e.g. layout="6x2"',
        )
    return known


def _agreement(record: ECGRecord, leads: Sequence[str], sign: int) -> float | None:
    """Correlation of the sum of two leads with the third; None where they are not seen together.

    Rows may be shifted a little against each other where the paper is bent: the best of small shifts counts.
    """
    if not set(leads) <= set(record.leads):
        return None
    limb = np.stack([record.lead(lead) for lead in leads]).astype(np.float64)
    limb = limb[:, np.isfinite(limb).all(axis=0)]
    if limb.shape[1] < MIN_SUM_S * record.fs:
        return None
    fast, slow = (ndimage.gaussian_filter1d(limb, width * record.fs, axis=1) for width in (SUM_SMOOTH_S, SUM_SLOW_S))
    three = sign * (fast - slow)[2]
    shifts = [round(ms * record.fs / 1000) for ms in SUM_SHIFTS_MS]
    ones, twos = (np.stack([np.roll(part, shift) for shift in shifts]) for part in (fast - slow)[:2])
    sums = (ones[:, None] + twos).reshape(-1, len(three))
    sums, three = sums - sums.mean(-1, keepdims=True), three - three.mean()
    spread = np.linalg.norm(sums, axis=-1) * np.linalg.norm(three)
    return float((sums @ three / np.maximum(spread, 1e-12)).max())
