"""Noise as PTB-XL's annotators marked it, by simple figures of each lead.

The marks are one technician's view of a page, and noisy themselves: on the questions of folds 1-8 no model of 150
figures of the signal, among four families, told them from their absence better than with a cross-validated ROC-AUC of
0.73.
The limits are single cuts chosen on these questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

if TYPE_CHECKING:
    from grounding import ECGRecord

STATIC_UV, BURST_UV, QUIET_UV, DRIFT_UV, ROUGH_UV, STEP_UV = 7.2, 31.7, 19.8, 158.0, 6.4, 260.0
WINDOW_S = 0.2
_RESOLVED_HZ = 200.0  # slower recordings do not have the band above 60 Hz

NOISES = ("baseline drift", "static noise", "burst noise", "electrodes problems")


@dataclass(frozen=True)
class NoiseFigures:
    """Figures of each lead, (leads,), in uV.

    Attributes:
        leads: their names.
        floor: high-frequency noise (over 60 Hz) in the quietest quarter of windows, standard deviation.
        burst: the same in the noisiest window.
        rough: noise over 35 Hz in the quietest quarter of windows, standard deviation.
        drift: standard deviation of the baseline (under 0.5 Hz).
        step: largest change of the median level from one second to the next.
        flat: the lead holds no signal.
    """

    leads: tuple[str, ...]
    floor: NDArray[np.float64]
    burst: NDArray[np.float64]
    rough: NDArray[np.float64]
    drift: NDArray[np.float64]
    step: NDArray[np.float64]
    flat: NDArray[np.bool_]


def noise_figures(record: ECGRecord) -> NoiseFigures | None:
    """Measure the noise of each lead.

    Args:
        record: with millivolts.

    Returns:
        The figures; None where the band of noise is not in the recording, or its samples are not millivolts.
    """
    signal = np.nan_to_num(np.asarray(record.signal, np.float64)) * 1000.0
    fs = record.fs
    if fs < _RESOLVED_HZ or not record.has_millivolts or signal.shape[1] < 2 * fs:
        return None
    high = _windows(sosfiltfilt(butter(4, 60, "highpass", fs=fs, output="sos"), signal), round(WINDOW_S * fs))
    rough = _windows(sosfiltfilt(butter(4, 35, "highpass", fs=fs, output="sos"), signal), round(WINDOW_S * fs))
    spread = high.std(2)
    baseline = sosfiltfilt(butter(2, 0.5, fs=fs, output="sos"), signal)
    levels = np.median(_windows(signal, round(fs)), axis=2)
    return NoiseFigures(
        tuple(record.leads),
        np.percentile(spread, 25, axis=1),
        spread.max(1),
        np.percentile(rough.std(2), 25, axis=1),
        baseline.std(1),
        np.abs(np.diff(levels, axis=1)).max(1),
        np.ptp(signal, axis=1) < 1.0,
    )


def _windows(signal: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """(leads, windows, samples)."""
    n = signal.shape[1] // width
    return signal[:, : n * width].reshape(len(signal), n, width)


def has_noise(figures: NoiseFigures | None, kind: str, lead: str | None = None) -> bool:
    """Whether a kind of noise is there.

    Args:
        figures: of the recording; with None nothing is claimed.
        kind: of ``NOISES``, or ``any``.
        lead: where; None for anywhere.
    """
    if figures is None or (lead is not None and lead not in figures.leads):
        return False
    one = slice(None) if lead is None else slice(figures.leads.index(lead), figures.leads.index(lead) + 1)
    if kind == "static noise":  # it is marked for the whole page, as a rule
        return bool(np.median(figures.floor) > STATIC_UV)
    if kind == "burst noise":
        return bool((figures.burst[one] > BURST_UV).any() and np.median(figures.burst) <= QUIET_UV)
    if kind == "baseline drift":
        return bool((figures.drift[one] > DRIFT_UV).any())
    if kind == "electrodes problems":
        return bool(figures.flat[one].any())
    return bool(figures.rough.max() > ROUGH_UV and figures.step.max() <= STEP_UV) or any(
        has_noise(figures, name, lead) for name in NOISES
    )
