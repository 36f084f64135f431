"""Regular atrial waves: their rate, and how much of the signal they explain once the usual QRS-T is subtracted."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter

from ..delineation.features import FS_HZ, zero_phase
from ..delineation.types import Array

DECIMATION = 5  # from 250 to 50 Hz: atrial waves lie below 15 Hz
RATE_HZ = FS_HZ / DECIMATION
_BAND = butter(2, (2.5, 15.0), btype="bandpass", fs=RATE_HZ, output="sos")
FREQUENCIES_HZ = np.arange(3.2, 6.2, 0.04)  # 192-370 waves a minute
SEGMENT = int(10 * RATE_HZ)  # samples: over a longer time flutter does not keep its phase
MIN_SAMPLES = int(4 * RATE_HZ)
BEFORE, AROUND = 2, 1  # samples by which the QRS-T begins before the QRS onset, and by which the excluded QRS is wider
RIDGE = 0.02
FLOOR_MV = 0.01  # added as unexplained, since a residual that low may be the end of a T wave


class RegularWaves(NamedTuple):
    """The regular waves that explain most of the signal without the QRS-T.

    Attributes:
        rate_hz: their rate.
        explained: their share of the remaining energy, 0 to 1.
        lag_correlation: correlation of the signal between the QRS complexes with itself one wave later, -1 to 1.
    """

    rate_hz: float
    explained: float
    lag_correlation: float


def regular_waves(
    signal: NDArray[np.floating[Any]], onsets: Array, offsets: Array, t_end: float, usual: NDArray[np.bool_]
) -> RegularWaves | None:
    """Search for waves of one rate, 192 to 370 per minute, in the signal without the usual QRS-T.

    A wave with its first overtone is fitted by least squares for each rate. The average over beats is subtracted from
    the fitted wave as it is from the signal: flutter conducted at a fixed ratio is part of every average beat, and
    would otherwise be lost. In 2:1 conduction, where T fills the rest of the beat, the correlation from one wave to the
    next is the better sign: P and T differ from lead to lead, two flutter waves do not.

    Args:
        signal: (leads, samples) at 250 Hz, mV: the leads in which atrial waves are largest.
        onsets: (beats,) of the QRS, samples at 250 Hz, NaN where not known.
        offsets: (beats,) of the QRS, likewise.
        t_end: usual end of T after the QRS onset, samples.
        usual: (beats,) whether the beat has the usual QRS-T.

    Returns:
        Medians over segments of 10 s; ``None`` where too little signal is left.
    """
    known = np.isfinite(onsets) & np.isfinite(offsets)
    low = uniform_filter1d(np.asarray(signal, np.float64), DECIMATION, axis=1)[:, DECIMATION // 2 :: DECIMATION]
    n = low.shape[1]
    if n < MIN_SAMPLES or (known & usual).sum() < 4:
        return None
    begin, end = onsets[known] / DECIMATION, offsets[known] / DECIMATION
    plain = usual[known]
    excluded = np.zeros(n, bool)  # QRS complexes, and the whole QRS-T of beats with other shapes
    for first, last, is_usual in zip(begin, end, plain, strict=True):
        excluded[max(0, int(first) - AROUND) : int(last if is_usual else first + t_end / DECIMATION) + 1 + AROUND] = (
            True
        )
    low = zero_phase(_BAND, low, min(100, n - 1))
    starts = begin[plain].round().astype(np.intp) - BEFORE
    length = int(t_end / DECIMATION) + BEFORE
    parts = []
    for first in range(0, max(1, n - SEGMENT // 2), SEGMENT):
        last = min(n, first + SEGMENT)
        chosen = starts[(starts > first - length) & (starts < last)] - first
        if last - first >= MIN_SAMPLES and len(chosen) >= 3:
            part = _fit_segment(low[:, first:last], excluded[first:last], chosen, length)
            if part is not None:
                parts.append(part)
    return RegularWaves(*(float(value) for value in np.median(np.array(parts), axis=0))) if parts else None


def _fit_segment(
    low: Array, excluded: NDArray[np.bool_], starts: NDArray[np.intp], length: int
) -> tuple[float, float, float] | None:
    """``RegularWaves`` of one segment.

    Args:
        low: (leads, samples) at 50 Hz, band-passed, at most 15 s.
        excluded: (samples,) that are left out.
        starts: where the usual beats' QRS-T begins; the first may lie before the segment.
        length: of a QRS-T, samples at 50 Hz.
    """
    at = np.arange(low.shape[1])
    owner = np.searchsorted(starts, at, side="right") - 1
    lag = at - starts[np.maximum(owner, 0)]
    inside = (owner >= 0) & (lag < length)
    count = np.bincount(lag[inside & ~excluded], minlength=length)
    used = ~excluded & (~inside | (count[np.where(inside, lag, 0)] >= 3))
    if used.sum() < RATE_HZ:
        return None
    in_beat, lag = inside[used], lag[used & inside]
    rest = low[:, used]
    usual = np.stack([np.bincount(lag, weights=lead[in_beat], minlength=length) for lead in rest])
    rest[:, in_beat] -= (usual / np.maximum(count, 1))[:, lag]
    waves = []
    for overtone in (1, 2):
        phasor = _phasors(overtone)
        begin = np.exp(2j * np.pi / RATE_HZ * overtone * FREQUENCIES_HZ[:, None] * starts).mean(axis=1)
        wave = phasor[:, at[used]]
        wave[:, in_beat] -= begin[:, None] * phasor[:, lag]  # the average over the usual beats of such a wave
        waves += [wave.real, wave.imag]
    basis = np.stack(waves, axis=1)  # frequencies, 4, samples
    gram = basis @ basis.transpose(0, 2, 1) + RIDGE * rest.shape[1] * np.eye(4)
    along = basis @ rest.T  # frequencies, 4, leads
    explained = (np.linalg.solve(gram, along) * along).sum(axis=(1, 2))
    best, total = int(explained.argmax()), float((rest**2).sum()) + rest.size * FLOOR_MV**2
    rate_hz = float(FREQUENCIES_HZ[best])
    return rate_hz, float(explained[best]) / total, _lag_correlation(low, excluded, RATE_HZ / rate_hz)


@lru_cache(maxsize=2)
def _phasors(overtone: int) -> NDArray[np.complexfloating[Any, Any]]:
    """Complex exponential at each frequency, (frequencies, samples), of the length of a segment."""
    angle = 2j * np.pi / RATE_HZ * overtone * FREQUENCIES_HZ[:, None] * np.arange(SEGMENT + SEGMENT // 2)
    return np.asarray(np.exp(angle), np.complex64)


def _lag_correlation(low: Array, excluded: NDArray[np.bool_], step: float) -> float:
    """Correlation of all leads with themselves ``step`` samples later, where neither place is excluded."""
    whole, part = int(step), step - int(step)
    later = (1 - part) * low[:, whole:-1] + part * low[:, whole + 1 :]
    now = low[:, : later.shape[1]]
    both = ~(excluded[: later.shape[1]] | excluded[whole:-1] | excluded[whole + 1 :])
    a, b = now[:, both], later[:, both]
    size = float(np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)).sum())
    return float((a * b).sum()) / size if size > 0 else 0.0
