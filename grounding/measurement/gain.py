"""Whether a recording's millivolts can be: a wrong gain is told by the height of the QRS complexes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..delineation.features import FS_HZ
from ..delineation.fusion import mean_correlation
from ..record import ECGRecord
from ..signal.quality import typical_gain

# Height of the QRS in the median lead, mV. In 1,430 recordings of PTB-XL, LUDB, QTDB, the CinC Challenges and devices
# it is between 0.18 and 4.1; a single lead may be across the heart's axis.
FEW_LEADS = 6
LOWEST_MV, LOWEST_OF_FEW_MV, HIGHEST_MV = 0.15, 0.05, 6.0
# Standard deviation to which a lead without voltages is scaled. With it, z-scored copies of 45 PTB-XL recordings get
# the QRS and QT of the originals (0.5 and -0.2 ms more on average); the originals' median lead has 0.15 mV.
USUAL_MV = 0.12
ALIKE = 0.5  # mean correlation of beats with each other
REACH_S = 0.05  # on both sides of R
ISSUE = "implausible_gain"


def qrs_height_mv(signal: NDArray[np.float32], beats: NDArray[np.intp], present: NDArray[np.bool_]) -> float | None:
    """Height of the QRS from its lowest to its highest sample: median over the beats, then over the leads.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        beats: (n,) R positions, samples.
        present: (leads, samples), where each lead can be used.

    Returns:
        mV; None where no lead has a beat.
    """
    reach = round(REACH_S * FS_HZ)
    at = np.clip(beats[:, None] + np.arange(-reach, reach + 1), 0, signal.shape[1] - 1)
    heights = [
        np.median(np.ptp(lead[at[there[beats]]], axis=1))
        for lead, there in zip(signal, present, strict=True)
        if there[beats].any()
    ]
    return float(np.median(heights)) if heights else None


def is_plausible(
    signal: NDArray[np.float32], beats: NDArray[np.intp], present: NDArray[np.bool_], shapes: NDArray[np.float32]
) -> bool:
    """Whether a heart can give QRS complexes of this height at the body's surface; True where they are not alike.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        beats: (n,) R positions, samples.
        present: (leads, samples), where each lead can be used.
        shapes: of the beats, from ``beat_shapes``.
    """
    height_mv = qrs_height_mv(signal, beats, present)
    lowest_mv = LOWEST_MV if len(signal) >= FEW_LEADS else LOWEST_OF_FEW_MV
    if height_mv is None or lowest_mv <= height_mv <= HIGHEST_MV or len(beats) < 2:
        return True
    return mean_correlation(shapes) < ALIKE  # artefacts may have any height


def without_voltages(record: ECGRecord) -> ECGRecord:
    """The recording in arbitrary units of a usual size: criteria in mV can't be decided, all else can.

    Args:
        record: whose gain is wrong.
    """
    signal = record.signal * np.float32(typical_gain(record, USUAL_MV))
    return replace(record, signal=signal, meta={**record.meta, "units": "adu"})
