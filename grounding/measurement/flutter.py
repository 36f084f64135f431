"""Regular atrial waves: a rate and how much of what is left of the signal, once the QRS-T is taken off, goes along with it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfiltfilt

from ..delineation.features import FS_HZ
from ..delineation.types import Array

DOWN = 5  # of 250 Hz every fifth sample: atrial waves lie below 15 Hz
RATE_HZ = FS_HZ / DOWN
_BAND = butter(2, (2.5, 15.0), btype="bandpass", fs=RATE_HZ, output="sos")
FREQUENCIES_HZ = np.arange(3.2, 6.2, 0.04)  # 192-370 waves a minute
STRETCH = int(10 * RATE_HZ)  # samples: over a longer time flutter does not keep its phase
LEAST = int(4 * RATE_HZ)
BEFORE, AROUND = 2, 1  # samples: the QRS-T begins before the QRS onset; the QRS itself is left out
RIDGE = 0.02
FLOOR_MV = 0.01  # what is left may be no more than the tail of a T; waves that low count as unexplained


class RegularWaves(NamedTuple):
    """``rate_hz`` of the waves that explain most; ``explained``, 0 to 1, their share of what the QRS-T leaves; ``likeness``, -1 to 1, how the signal between the QRS
    complexes is like itself one wave later."""

    rate_hz: float
    explained: float
    likeness: float


def regular_waves(
    signal: NDArray[np.floating[Any]], onsets: Array, offsets: Array, t_end: float, usual: NDArray[np.bool_]
) -> RegularWaves | None:
    """Look for waves of one rate, 192 to 370 per minute, in what is left once the usual QRS-T is taken off.

    A wave with its first overtone is fitted by least squares for each rate. The usual QRS-T is taken off the fitted
    wave too: flutter that is conducted at a fixed ratio is part of every beat, and would go unseen where it is taken
    off the signal alone. Where two waves go to one beat and T fills the rest, likeness from one wave to the next tells
    more: a P and a T differ from lead to lead.

    Args:
        signal: (leads, samples) at 250 Hz: leads in which atrial waves show best.
        onsets, offsets: (beats,) of the QRS, samples at 250 Hz, NaN where not known.
        t_end: usual end of T after the QRS onset, samples.
        usual: (beats,) those whose QRS-T is the usual one.

    Returns:
        Medians over stretches of 10 s; ``None`` where too little is left to look at.
    """
    known = np.isfinite(onsets) & np.isfinite(offsets)
    low = uniform_filter1d(np.asarray(signal, np.float64), DOWN, axis=1)[:, DOWN // 2 :: DOWN]
    n = low.shape[1]
    if n < LEAST or (known & usual).sum() < 4:
        return None
    begin, end = onsets[known] / DOWN, offsets[known] / DOWN
    plain = usual[known]
    away = np.zeros(n, bool)  # QRS complexes, and all of beats of other shapes
    for first, last, is_usual in zip(begin, end, plain, strict=True):
        away[max(0, int(first) - AROUND) : int(last if is_usual else first + t_end / DOWN) + 1 + AROUND] = True
    low = sosfiltfilt(_BAND, low, axis=1, padlen=min(100, n - 1))
    starts = begin[plain].round().astype(np.intp) - BEFORE
    length = int(t_end / DOWN) + BEFORE
    parts = []
    for first in range(0, max(1, n - STRETCH // 2), STRETCH):
        last = min(n, first + STRETCH)
        chosen = starts[(starts > first - length) & (starts < last)] - first
        if last - first >= LEAST and len(chosen) >= 3:
            part = _of_stretch(low[:, first:last], away[first:last], chosen, length)
            if part is not None:
                parts.append(part)
    return RegularWaves(*(float(value) for value in np.median(np.array(parts), axis=0))) if parts else None


def _of_stretch(
    low: Array, away: NDArray[np.bool_], starts: NDArray[np.intp], length: int
) -> tuple[float, float, float] | None:
    """``RegularWaves`` of (leads, samples) at 50 Hz.

    Args:
        low: at most ten seconds, band-passed.
        away: (samples,) that are left out.
        starts: where the usual beats' QRS-T begins; the first may lie before the stretch.
        length: of a QRS-T.
    """
    at = np.arange(low.shape[1])
    owner = np.searchsorted(starts, at, side="right") - 1
    lag = at - starts[np.maximum(owner, 0)]
    inside = (owner >= 0) & (lag < length)
    count = np.bincount(lag[inside & ~away], minlength=length)
    used = ~away & (~inside | (count[np.where(inside, lag, 0)] >= 3))
    if used.sum() < RATE_HZ:
        return None
    in_beat, lag = inside[used], lag[used & inside]
    rest = low[:, used]
    usual = np.stack([np.bincount(lag, weights=lead[in_beat], minlength=length) for lead in rest])
    rest[:, in_beat] -= (usual / np.maximum(count, 1))[:, lag]
    waves = []
    for overtone in (1, 2):
        turn = _turns(overtone)
        begin = np.exp(2j * np.pi / RATE_HZ * overtone * FREQUENCIES_HZ[:, None] * starts).mean(axis=1)
        wave = turn[:, at[used]]
        wave[:, in_beat] -= begin[:, None] * turn[:, lag]  # what the usual beat has of such a wave
        waves += [wave.real, wave.imag]
    basis = np.stack(waves, axis=1)  # frequencies, 4, samples
    gram = basis @ basis.transpose(0, 2, 1) + RIDGE * rest.shape[1] * np.eye(4)
    along = basis @ rest.T  # frequencies, 4, leads
    explained = (np.linalg.solve(gram, along) * along).sum(axis=(1, 2))
    best, total = int(explained.argmax()), float((rest**2).sum()) + rest.size * FLOOR_MV**2
    rate_hz = float(FREQUENCIES_HZ[best])
    return rate_hz, float(explained[best]) / total, _likeness(low, away, RATE_HZ / rate_hz)


@lru_cache(maxsize=2)
def _turns(overtone: int) -> NDArray[np.complexfloating[Any, Any]]:
    """(frequencies, samples): a turning pointer at each frequency, as long as a stretch."""
    angle = 2j * np.pi / RATE_HZ * overtone * FREQUENCIES_HZ[:, None] * np.arange(STRETCH + STRETCH // 2)
    return np.asarray(np.exp(angle), np.complex64)


def _likeness(low: Array, away: NDArray[np.bool_], step: float) -> float:
    """Correlation of all leads with themselves ``step`` samples on, where neither place is left out."""
    whole, part = int(step), step - int(step)
    later = (1 - part) * low[:, whole:-1] + part * low[:, whole + 1 :]
    now = low[:, : later.shape[1]]
    both = ~(away[: later.shape[1]] | away[whole:-1] | away[whole + 1 :])
    a, b = now[:, both], later[:, both]
    size = float(np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)).sum())
    return float((a * b).sum()) / size if size > 0 else 0.0
