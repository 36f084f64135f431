"""ECG-QA's six numeric features, by the definitions that its answers follow.

The features of ECG-QA are not the clinical intervals. Its answers on raw records of PTB-XL agree (99.2 to 100 % of the
states that the questions of folds 1-8 tell, by feature; these questions were used to find the method) with a wavelet
delineation (Martinez et al. 2004, with NeuroKit2's choices of peaks) of lead II alone: the QRS "duration"
runs from the Q peak to the S peak, QT begins at the Q peak, and QTc is the median of QT / sqrt(RR before it). A
benchmark of these answers measures agreement with these definitions, so they are computed here; ``grounding.measure``
keeps the clinical ones.

References:
    Martinez et al., A wavelet-based ECG delineator, IEEE Trans Biomed Eng 2004.
    Oh et al., ECG-QA, NeurIPS 2023 (datasets and benchmarks).
"""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

if TYPE_CHECKING:
    from grounding import ECGRecord

Array = NDArray[np.float64]
FS_HZ, ANALYSIS_HZ = 500, 2000
LEVELS = 9
# ms, both ends normal; inferred from the answers of the questions on folds 1-8
NORMAL_MS = {
    "rr interval": (600.0, 1000.0),
    "p duration": (0.0, 120.0),
    "pr interval": (120.0, 200.0),
    "qrs duration": (60.0, 110.0),
    "qt interval": (330.0, 430.0),
    "qt corrected": (330.0, 447.5),
}
_SAMPLE_MS = 1000.0 / FS_HZ


def numeric_features(record: ECGRecord) -> dict[str, float]:
    """The six features of lead II, as ECG-QA defines them.

    Args:
        record: with a lead II.

    Returns:
        Name, as in ECG-QA, -> median in ms; NaN where no beat has it.
    """
    if "II" not in record.leads:
        return dict.fromkeys(NORMAL_MS, np.nan)
    import neurokit2

    lead = np.nan_to_num(np.asarray(record.signal[record.leads.index("II")], np.float64))
    lead = np.asarray(neurokit2.signal_resample(lead, sampling_rate=record.fs, desired_sampling_rate=FS_HZ), np.float64)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            cleaned = neurokit2.ecg_clean(lead, sampling_rate=FS_HZ)
            r = np.asarray(neurokit2.ecg_peaks(cleaned, sampling_rate=FS_HZ)[1]["ECG_R_Peaks"], np.float64)
            waves = neurokit2.ecg_delineate(cleaned, r.astype(int), sampling_rate=FS_HZ, method="peak")[1]
        except (ValueError, IndexError, KeyError, ZeroDivisionError):  # no beats that it can segment
            return dict.fromkeys(NORMAL_MS, np.nan)
        if len(r) < 2:
            return dict.fromkeys(NORMAL_MS, np.nan)
        q, s = (_as_long(waves[name], len(r)) for name in ("ECG_Q_Peaks", "ECG_S_Peaks"))
        return _medians(cleaned, r, q, s)


def is_abnormal(name: str, value_ms: float) -> bool:
    """Whether ECG-QA calls a feature abnormal; what could not be measured counts as abnormal there.

    Args:
        name: of the feature, as in ``NORMAL_MS``.
        value_ms: its value, ms.

    Example:
        >>> is_abnormal("pr interval", 200.0), is_abnormal("pr interval", 202.0)
        (False, True)
    """
    low, high = NORMAL_MS[name]
    return not low <= value_ms <= high


def _as_long(values: Any, n: int) -> Array:
    array = np.asarray(values, np.float64)
    return array if len(array) == n else np.full(n, np.nan)


def _medians(cleaned: Array, r: Array, q: Array, s: Array) -> dict[str, float]:
    delineated = _Wavelets(cleaned, r)
    p_onset, p_offset, qrs_onset, t_offset = delineated.fiducials()
    rr_ms = np.diff(r) * _SAMPLE_MS
    qt_ms = _span_ms(q, t_offset)
    values = {
        "rr interval": rr_ms,
        "p duration": _span_ms(p_onset, p_offset),
        "pr interval": _span_ms(p_onset, qrs_onset),
        "qrs duration": _span_ms(q, s),
        "qt interval": qt_ms,
        "qt corrected": qt_ms[1:] / np.sqrt(rr_ms / 1000.0),
    }
    return {name: float(np.nanmedian(value)) for name, value in values.items()}


def _span_ms(first: Array, last: Array) -> Array:
    """Both samples belong to the span, so it is a sample longer than their distance."""
    return (last - first + 1) * _SAMPLE_MS


class _Wavelets:
    """P, QRS and T of one lead from the zero crossings and slopes of its wavelet transform."""

    def __init__(self, cleaned: Array, r: Array) -> None:
        import neurokit2

        self.ecg = np.asarray(
            neurokit2.signal_resample(cleaned, sampling_rate=FS_HZ, desired_sampling_rate=ANALYSIS_HZ), np.float64
        )
        self.details = _details(self.ecg)
        self.r = [int(x * ANALYSIS_HZ / FS_HZ) for x in r]
        periods_s = np.diff(r) / FS_HZ
        rate = float(np.median(60.0 / np.r_[periods_s.mean(), periods_s]))
        self.slow = 60.0 / rate  # searches are longer at slow rates, and scales coarser
        self.degree = int(np.log2((ANALYSIS_HZ / 250) * self.slow))

    def fiducials(self) -> tuple[Array, Array, Array, Array]:
        """P onset, P offset, QRS onset and T offset of each beat, in samples at ``FS_HZ``; NaN where absent."""
        p, t = [self._p_peak(r) for r in self.r], [self._t_peak(r) for r in self.r]
        return (
            _at_fs([self._onset(x) for x in p]),
            _at_fs([self._offset(x) for x in p]),
            _at_fs([self._qrs_onset(*pair) for pair in zip(p, self.r, strict=True)]),
            _at_fs([self._offset(x) for x in t]),
        )

    def _seconds(self, duration_s: float) -> float:
        return round(duration_s * self.slow, 3)

    def _scale(self, number: int) -> Array:
        return self.details[min(number + self.degree, LEVELS - 1)]

    def _t_peak(self, r: int) -> int | None:
        reach = self._seconds(0.25)
        start = r + int(0.065 * ANALYSIS_HZ)
        return self._crossing(self._scale(3), start, r + 2 * int(reach * ANALYSIS_HZ), 0.25, reach - 0.065, False)

    def _p_peak(self, r: int) -> int | None:
        reach = self._seconds(0.2)
        start = r - 2 * int(reach * ANALYSIS_HZ)
        return self._crossing(self._scale(2), start, r - int(0.065 * ANALYSIS_HZ), 0.02, reach, True)

    def _crossing(
        self, scale: Array, start: int, end: int, share: float, usual_s: float, both_sides: bool
    ) -> int | None:
        """The likeliest wave in a window: high, and near its usual place.

        A wave is a crossing of zero from a maximum to a minimum of the transform. Its score is its height in mV less
        its distance from the usual place in s (before it: plus, for T, which may come early).
        """
        if start < 0 or start >= len(scale):
            return None
        part = scale[start:end]
        if not len(part):
            return None
        size = np.abs(part)
        extrema = find_peaks(size, height=share * float(np.sqrt(np.mean(part**2))))[0]
        extrema = extrema[size[extrema] > 0.025 * part.max()]
        if part[0] > 0:
            extrema = np.r_[0, extrema]
        best: tuple[float, int] | None = None
        for rising, falling in itertools.pairwise(extrema):
            if not part[rising] > 0 > part[falling]:
                continue
            zero = int(rising + np.flatnonzero(np.diff(np.sign(part[rising : falling + 1])))[0])
            late_s = zero / ANALYSIS_HZ - usual_s
            score = float(self.ecg[start + zero]) - (abs(late_s) if both_sides else late_s)
            if best is None or score > best[0]:
                best = (score, start + zero)
        return None if best is None else best[1]

    def _onset(self, peak: int | None) -> int | None:
        start = 0 if peak is None else peak - int(self._seconds(0.3) * ANALYSIS_HZ)
        return None if peak is None or start < 0 else _rise(self._scale(2)[start:peak], start, 0.4)

    def _qrs_onset(self, p: int | None, r: int) -> int | None:
        return None if p is None else _rise(-self._scale(2)[p:r], p, 0.5)

    def _offset(self, peak: int | None) -> int | None:
        if peak is None:
            return None
        part = -self._scale(2)[peak : peak + int(self._seconds(0.3) * ANALYSIS_HZ)]
        slopes = find_peaks(part)[0]
        if not len(slopes):
            return None
        low = np.flatnonzero(part[slopes[0] :] < 0.4 * part[slopes[0]])
        return int(peak + slopes[0] + low[0]) if len(low) else None


def _rise(part: Array, start: int, share: float) -> int | None:
    """Where the last slope of a window begins: the last sample before it under a share of its height."""
    slopes = find_peaks(part)[0]
    if not len(slopes):
        return None
    low = np.flatnonzero(part[: slopes[-1]] < share * part[slopes[-1]])
    return int(start + low[-1]) if len(low) else None


def _at_fs(points: list[int | None]) -> Array:
    return np.array([np.nan if x is None else int(x * FS_HZ / ANALYSIS_HZ) for x in points], np.float64)


def _details(signal: Array) -> list[Array]:
    """The undecimated transform by the derivative of a smoothing spline, (levels, samples)."""
    n = len(signal)
    smooth = np.concatenate([signal, np.zeros(3 << LEVELS)])
    out = []
    for level in range(LEVELS):
        step = 1 << level
        out.append((2 * (_ahead(smooth, step) - smooth))[:n])
        smooth = (
            _ahead(smooth, step) + 3 * smooth + 3 * _ahead(smooth, -step) + _ahead(smooth, -2 * step)
        ) / 8  # cubic spline
    return out


def _ahead(signal: Array, step: int) -> Array:
    """``signal[n + step]``, and 0 outside."""
    moved = np.zeros_like(signal)
    if step > 0:
        moved[:-step] = signal[step:]
    else:
        moved[-step:] = signal[:step]
    return moved
