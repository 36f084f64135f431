"""Amplitudes and shape words of each lead, read in its median beat."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..delineation.fusion import row_medians
from ..small_arrays import middle_two
from .columns import LEAD_SUMMARY_COLUMNS

Lead = NDArray[np.float64]


class Segments(NamedTuple):
    """A batch of segments, cut out of the leads and padded to the longest of them.

    Attributes:
        chosen: which of all segments these n are.
        values: (n, longest).
        inside: (n, longest), False in the padding.
        first: (n,) first sample.
        length: (n,) in samples.
    """

    chosen: slice
    values: NDArray[np.float32]
    inside: NDArray[np.bool_]
    first: NDArray[np.intp]
    length: NDArray[np.intp]

    @property
    def last_value(self) -> NDArray[np.float32]:
        """The last value of each segment, (n,)."""
        value: NDArray[np.float32] = self.values[np.arange(len(self.values)), self.length - 1]
        return value


BEFORE_S, AFTER_S = 0.35, 0.6
# a deflection of the QRS below a quarter of a small square, or 4 % of the largest one, is not named
MIN_DEFLECTION_MV, MIN_DEFLECTION_SHARE = 0.025, 0.04
FLAT_ST_MV = 0.05
VALUES_AT_ONCE, STRETCHES_AT_ONCE = 1 << 20, 1 << 13


def segments(signal: NDArray[np.float32], rows: NDArray[np.intp], begins: Lead, ends: Lead) -> Iterator[Segments]:
    """Cut segments out of the leads, in batches.

    Args:
        signal: (leads, samples).
        rows: (n,) the lead of each segment.
        begins: (n,) first samples, finite, rounded down.
        ends: (n,) last samples (inclusive), finite, rounded down.

    Yields:
        Batches of segments, in order.
    """
    end = signal.shape[1] - 1
    for start in range(0, len(rows), STRETCHES_AT_ONCE):
        chosen = slice(start, start + STRETCHES_AT_ONCE)
        first = np.minimum(np.maximum(begins[chosen], 0), end).astype(np.intp)
        length = np.minimum(np.maximum(ends[chosen], first), end).astype(np.intp) - first + 1
        at = np.arange(int(length.max()))
        places = np.minimum(first[:, None] + at, end)
        places += rows[chosen, None] * signal.shape[1]
        values = np.take(signal, places)
        yield Segments(chosen, values, at < length[:, None], first, length)


def median_beats(
    leads: NDArray[np.float32],
    onsets: NDArray[np.intp],
    fs: float,
    before_s: float = BEFORE_S,
    after_s: float = AFTER_S,
) -> Lead | None:
    """The sample-wise median of beats aligned at the QRS onset, relative to the level before the onset.

    Args:
        leads: (leads, samples).
        onsets: (n,) QRS onsets, samples.
        fs: sampling rate, Hz.
        before_s: what is taken before the onset, s.
        after_s: what is taken after it, s.

    Returns:
        (leads, samples) from ``before_s`` before the onset to ``after_s`` after it; ``None`` where no beat fits
        completely into the recording.
    """
    before, after = int(before_s * fs), int(after_s * fs)
    onsets = onsets[(onsets >= before) & (onsets + after <= leads.shape[1])]
    if len(onsets) == 0:
        return None
    before_onset = np.arange(-max(1, int(0.016 * fs)), 0)
    level = row_medians(np.take(leads, onsets[:, None] + before_onset, axis=1).reshape(-1, len(before_onset)))
    level = level.reshape(len(leads), len(onsets), 1)
    step = max(1, VALUES_AT_ONCE // (len(onsets) * len(leads)))  # in parts, so that a day of beats fits into memory
    out = np.empty((len(leads), before + after))
    for start in range(0, before + after, step):
        at = np.arange(start, min(before + after, start + step)) - before
        out[:, start : start + len(at)] = _medians(np.take(leads, onsets[:, None] + at, axis=1) - level)
    return out


def _medians(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Medians over the middle one of three axes."""
    if np.isfinite(values).all():
        low, high = middle_two(values.swapaxes(0, 1))
        return np.asarray((low + high) / 2, values.dtype)
    last = values.swapaxes(1, 2)
    return np.asarray(row_medians(last.reshape(-1, last.shape[2])).reshape(last.shape[:2]))


def summarise(beat: Lead, fs: float, qrs_ms: float, p: tuple[float, float], t: tuple[float, float]) -> dict[str, Any]:
    """One row of ``Measurement.lead_summary`` (without ``lead``).

    Args:
        beat: the median beat, mV, from ``BEFORE_S`` before its QRS onset.
        fs: Hz.
        qrs_ms: QRS duration in this lead.
        p: onset and offset of P in ms from the QRS onset, NaN where absent.
        t: onset and offset of T, likewise.
    """
    origin, end = int(BEFORE_S * fs), len(beat) - 1

    def at(ms: float) -> int:
        return min(end, max(0, origin + round(ms * fs / 1000.0)))

    out: dict[str, Any] = dict.fromkeys(LEAD_SUMMARY_COLUMNS[1:], math.nan)
    out |= {"qrs_form": None, "st_form": None, "t_form": None, "p_form": None, "qrs_ms": qrs_ms}
    if math.isfinite(qrs_ms):
        out |= _qrs(beat[origin : at(qrs_ms) + 1], fs)
        out["j_mv"] = out["st0_mv"] = float(beat[at(qrs_ms)])
        for name, after in (("st40_mv", 40), ("st60_mv", 60), ("st80_mv", 80)):
            out[name] = float(beat[at(qrs_ms + after)])
        rise = out["st80_mv"] - out["j_mv"]
        out["st_form"] = "horizontal" if abs(rise) < FLAT_ST_MV else "upsloping" if rise > 0 else "downsloping"
    if math.isfinite(p[0]) and math.isfinite(p[1]):
        out["p_ms"] = p[1] - p[0]
        out["p_mv"], out["p_form"] = _wave(beat[at(p[0]) : at(p[1]) + 1], over_ends=True)
    if math.isfinite(t[0]) and math.isfinite(t[1]):
        out["t_mv"], out["t_form"] = _wave(beat[at(t[0]) : at(t[1]) + 1], over_ends=False)
    return out


def _wave(part: Lead, over_ends: bool) -> tuple[float, str | None]:
    """Largest deviation, and ``positive``, ``negative``, ``biphasic`` or ``flat``.

    Args:
        part: of the median beat, mV.
        over_ends: deviations are from the line between the ends, not from zero.
    """
    if len(part) < 3:
        return math.nan, None
    if over_ends:  # np.linspace, in a third of its time
        base = np.arange(len(part)) * ((part[-1] - part[0]) / (len(part) - 1)) + part[0]
        base[-1] = part[-1]
        part = part - base
    high, low = float(part.max()), float(part.min())
    value = high if high >= -low else low
    if max(high, -low) < MIN_DEFLECTION_MV:
        return value, "flat"
    if min(high, -low) > 0.4 * max(high, -low):
        return value, "biphasic"
    return value, "positive" if value > 0 else "negative"


def _qrs(part: Lead, fs: float) -> dict[str, Any]:
    """Amplitudes and durations of Q, R, S, R', S', and the form; capitals from half the largest deflection on."""
    values = part.tolist()  # so few that Python is faster than NumPy
    threshold = max(MIN_DEFLECTION_MV, MIN_DEFLECTION_SHARE * max(max(values), -min(values)))
    signs = [1 if value > threshold else -1 if value < -threshold else 0 for value in values]
    waves: list[tuple[int, float, int, float]] = []  # sign, amplitude, position, ms
    stop = 0
    for sign, run in itertools.groupby(signs):
        start, stop = stop, stop + len(list(run))
        if sign and (stop - start) * 1000.0 / fs >= 6:
            top = (max if sign > 0 else min)(values[start:stop])
            peak = values.index(top, start)
            if waves and waves[-1][0] == sign:  # a notch that does not cross the baseline does not split a wave
                if abs(top) > abs(waves[-1][1]):
                    waves[-1] = (sign, top, peak, waves[-1][3] + (stop - start) * 1000.0 / fs)
            else:
                waves.append((sign, top, peak, (stop - start) * 1000.0 / fs))
    out: dict[str, Any] = {
        "q_mv": 0.0,
        "r_mv": 0.0,
        "s_mv": 0.0,
        "r2_mv": 0.0,
        "s2_mv": 0.0,
        "q_ms": 0.0,
        "r_ms": 0.0,
        "s_ms": 0.0,
    }
    if not waves:
        return {**out, "qrs_form": None, "r_peak_time_ms": math.nan}
    largest = max(abs(wave[1]) for wave in waves)
    word, seen_r, seen_s = "", 0, 0
    for sign, value, peak, ms in waves[:5]:
        if sign > 0:
            name, seen_r = ("r" if seen_r == 0 else "r'"), seen_r + 1
            if seen_r == 1:
                out |= {"r_mv": value, "r_ms": ms, "r_peak_time_ms": peak * 1000.0 / fs}
            elif seen_r == 2:
                out["r2_mv"] = value
        elif seen_r == 0:
            name = "q"
            out |= {"q_mv": value, "q_ms": ms}
        else:
            name, seen_s = ("s" if seen_s == 0 else "s'"), seen_s + 1
            if seen_s == 1:
                out |= {"s_mv": value, "s_ms": ms}
            else:
                out["s2_mv"] = value
        word += name.upper() if abs(value) >= 0.5 * largest else name
    out["qrs_form"] = "QS" if word.lower() == "q" else word
    out.setdefault("r_peak_time_ms", math.nan)
    return out
