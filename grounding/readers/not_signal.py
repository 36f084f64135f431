"""Samples that are not an ECG: calibration pulses, codes for missing samples, appended constant blocks.

Every recording that is read is searched for them, in any format:

* **Calibration pulse**: a square pulse of the same height in the leads at the same time, with a flat line before and
  after it, at the beginning or the end of the recording. A heart never gives the same voltage in every lead. It is cut
  off, and its height, 1 mV by convention, is compared with the gain.
* **Codes**: an extreme value, such as the lowest integer, that is repeated and far from every other sample.
* **Constant blocks** at the beginning or the end. Where all leads are constant they are cut off; in single leads the
  samples become missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..record import ECGRecord
from ..small_arrays import middle_two

EDGE_S = 5.0  # distance from either end in which a pulse is searched
PULSE_S = (0.08, 0.6)  # duration of a pulse; those of devices last 0.1 to 0.5 s
FLAT_S = 0.04  # length of the flat line before and after it
RISE_S = 0.012  # duration of its edges, which a filter may round
TOLERANCE = 0.04  # deviation of its top, its baseline and the other leads, as a share of its height
MIN_SHARE = 0.6  # of the leads with the full height; others, such as III by lead algebra, may have another
CONSTANT_S, CONSTANT_LEADS = 0.5, 6  # six or more leads that are all constant for this time are not an ECG ...
CONSTANT_RATIO = 2.0  # ... if the time is also twice the longest between beats (for recordings without noise)
MAX_REST_SAMPLES = 1 << 24  # in longer recordings the time between beats is not determined
LEAD_CONSTANT_S = 2.0  # the same for fewer leads
REST_S = 0.5  # longest stretch between a pulse and the end of the recording
CODE_MV = 10.0  # a surface ECG does not reach this value
CODES = frozenset(
    sign * value for power in (15, 16, 23, 24, 31, 32) for value in (2**power, 2**power - 1) for sign in (1, -1)
)


@dataclass(frozen=True)
class Pulse:
    """A calibration pulse.

    Attributes:
        start: first sample of the flat line before it.
        end: the sample after the flat line after it.
        at_end: it is at the end of the recording; else at the beginning.
        rise: first sample of its top.
        fall: the sample after its top.
        height: in the record's unit.
    """

    start: int
    end: int
    at_end: bool
    rise: int
    fall: int
    height: float


def without_non_signal(record: ECGRecord) -> ECGRecord:
    """Remove what is not an ECG from a recording.

    Args:
        record: as read from a file.

    Returns:
        The recording; ``meta["warnings"]`` lists what was removed. ``meta["cut_from_start_s"]`` is the time cut off its
        beginning, to which positions in annotation files must be corrected.
    """
    warnings: list[str] = []
    signal = _without_codes(record, warnings)
    first, last, cut = 0, record.n_samples, []
    for _ in range(4):  # some devices write a pulse at each end, or two
        pulse = find_pulse(signal[:, first:last], record.fs)
        if pulse is None:
            break
        begin, end = (first + pulse.start, last) if pulse.at_end else (first, first + pulse.end)
        cut.append(
            f"{begin / record.fs:g}-{end / record.fs:g} s (a calibration pulse of {_height(pulse.height, record)})"
        )
        _check_gain(pulse.height, record, warnings)
        first, last = (first, begin) if pulse.at_end else (end, last)
    if last <= first:  # nothing would be left: these were not pulses
        first, last, cut = 0, record.n_samples, []
    for at_end in (True, False):
        n_constant = _constant_samples(signal[:, first:last], record.fs, at_end)
        if n_constant:
            begin, end = (last - n_constant, last) if at_end else (first, first + n_constant)
            cut.append(f"{begin / record.fs:g}-{end / record.fs:g} s (no lead moves)")
            first, last = (first, begin) if at_end else (end, last)
    signal = _without_constant_ends(signal, first, last, record, warnings)
    if cut:
        warnings.append(f"no ECG, cut off: {', '.join(cut)}")
    if not warnings:
        return record
    meta = {**record.meta, "warnings": (*record.meta.get("warnings", ()), *warnings)}
    if first:
        meta["cut_from_start_s"] = first / record.fs
    if first or last < record.n_samples:
        signal = np.ascontiguousarray(signal[:, first:last])
    return replace(record, signal=signal, meta=meta)


def find_pulse(signal: NDArray[np.float32], fs: float) -> Pulse | None:
    """Find a calibration pulse near the beginning or the end.

    Args:
        signal: (leads, samples), any unit.
        fs: Hz.

    Returns:
        The pulse, with positions in ``signal``; None where there is none.

    Example:
        >>> t = np.arange(1000) / 100
        >>> leads = np.stack([np.sin(9 * t), np.cos(7 * t)]).astype(np.float32)
        >>> find_pulse(leads, 100) is None
        True
        >>> leads[:, 900:] = 0
        >>> leads[:, 930:950] = 1
        >>> find_pulse(leads, 100)
        Pulse(start=900, end=1000, at_end=True, rise=930, fall=950, height=1.0)
    """
    n_samples, edge = signal.shape[1], round(EDGE_S * fs)
    windows = [(max(0, n_samples - edge), n_samples)]
    if windows[0][0] > 0:
        windows.append((0, min(edge, n_samples)))
    for begin, end in windows:
        part = signal[:, begin:end].astype(np.float64)
        if not part.size:  # no samples, or a very low sampling rate
            continue
        leads = part[np.isfinite(part).all(axis=1) & (np.ptp(part, axis=1) > 0)]
        span = _pulse_in(leads, fs) if len(leads) else None
        if span is None:
            continue
        start, stop, rise, fall, height = span
        # a pulse with ECG on both sides is not a calibration pulse
        at_end = end == n_samples and len(part[0]) - stop <= REST_S * fs
        if (at_end or (begin == 0 and start <= REST_S * fs)) and stop - start < n_samples:
            return Pulse(begin + start, begin + stop, at_end, begin + rise, begin + fall, height)
    return None


_Span = tuple[int, int, int, int, float]  # as the fields of Pulse


def _pulse_in(leads: NDArray[np.float64], fs: float) -> _Span | None:
    """Find a square pulse of the same height at the same time in most leads, flat in all."""
    rise = max(1, round(RISE_S * fs))
    shortest, longest = round(PULSE_S[0] * fs), round(PULSE_S[1] * fs)
    if leads.shape[1] < shortest + 2 * rise:
        return None
    middle, similar = steps_of(leads, rise)
    ups, downs = _edges(middle, similar & (middle > 0), rise), _edges(-middle, similar & (middle < 0), rise)
    for up in ups:
        for down in downs:
            if shortest <= down - up <= longest and abs(middle[up] + middle[down]) < 2 * TOLERANCE * middle[up]:
                pulse = _verified(leads, up, down, float(middle[up]), rise, fs)
                if pulse is not None:
                    return pulse
    return None


def steps_of(leads: NDArray[np.float64], rise: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far the leads move within an edge, and when most move equally far.

    Args:
        leads: (leads, samples), finite.
        rise: samples of an edge.

    Returns:
        (samples - rise,) the median over the leads, and whether the median distance from it is within ``TOLERANCE``.
    """
    steps = leads[:, rise:] - leads[:, :-rise]
    # few leads at many times: ten times as fast as np.median, and the same
    low, high = middle_two(steps)
    middle = (low + high) / 2
    limits = np.abs(middle) * TOLERANCE
    similar = np.minimum(high - middle, middle - low) < limits  # else no lead is near enough
    near = np.flatnonzero(similar)
    low, high = middle_two(np.abs(steps[:, near] - middle[near]))
    similar[near] = limits[near] > (low + high) / 2
    return middle, similar


def _edges(steps: NDArray[np.float64], candidates: NDArray[np.bool_], rise: int, limit: int = 12) -> list[int]:
    """Positions of the largest steps, one for each run of candidates."""
    places = np.flatnonzero(candidates)
    if not places.size:
        return []
    stretches = np.split(places, np.flatnonzero(np.diff(places) > rise) + 1)
    best = [int(one[np.argmax(steps[one])]) for one in stretches]
    return sorted(sorted(best, key=lambda place: -steps[place])[:limit])


def _verified(leads: NDArray[np.float64], up: int, down: int, height: float, rise: int, fs: float) -> _Span | None:
    """The pulse between two edges, if every lead is flat before, on and after it."""
    n_samples, flat = leads.shape[1], round(FLAT_S * fs)
    tolerance = TOLERANCE * height
    before = leads[:, max(0, up - flat) : up + 1]
    top = leads[:, up + rise : down + 1]
    behind = leads[:, down + rise : down + rise + flat]
    if top.shape[1] < 2 or behind.shape[1] < min(flat, n_samples - down - rise) or not behind.shape[1]:
        return None
    base = np.median(before, axis=1)
    heights = np.median(top, axis=1) - base
    full = np.abs(heights - height) < tolerance
    if full.mean() < MIN_SHARE or abs(float(np.median(heights)) - height) > tolerance:
        return None
    if len(leads) < 3:
        tolerance /= 2  # with few leads, agreement between leads is a weaker criterion
    for part, level in ((before, base), (top, base + heights), (behind, np.median(behind, axis=1))):
        if np.abs(part - level[:, None]).max() > tolerance:
            return None
    if np.abs(np.median(behind, axis=1) - base).max() > 2 * tolerance:
        return None
    at_base = np.all(np.abs(leads - base[:, None]) <= tolerance / 2, axis=0).tolist()
    start = up
    while start > 0 and at_base[start - 1]:
        start -= 1
    end = down + rise
    while end < n_samples and at_base[end]:
        end += 1
    return start, end, up + rise, down + rise, round(float(np.median(heights[full])), 6)


def _check_gain(height: float, record: ECGRecord, warnings: list[str]) -> None:
    if not record.has_millivolts:
        warnings.append(
            f"if the calibration pulse of {height:g} units is 1 mV, so are {height:g} units: "
            "scale by it and pass units="
        )
    elif not 0.95 <= height <= 1.05:
        warnings.append(f"the calibration pulse is {height:.3g} mV high where 1 mV is usual: the gain may be wrong")


def _height(height: float, record: ECGRecord) -> str:
    return f"{height:.3g} mV" if record.has_millivolts else f"{height:g} units"


def _moves_at_once(signal: NDArray[np.float32], at_end: bool) -> NDArray[np.bool_]:
    """Which leads differ in the two samples at one end, as most leads do; (leads,)."""
    if signal.shape[1] < 2:
        return np.zeros(len(signal), bool)
    outer, inner = (signal[:, -1], signal[:, -2]) if at_end else (signal[:, 0], signal[:, 1])
    return np.asarray((outer != inner) & ~(np.isnan(outer) & np.isnan(inner)))


def _constant_samples(signal: NDArray[np.float32], fs: float, at_end: bool) -> int:
    """Number of samples for which all leads are constant at one end; 0 where that may be an ECG."""
    if CONSTANT_S * fs > 1 and _moves_at_once(signal, at_end).any():  # for one sample at most
        return 0
    rows = [row[::-1] if at_end else row for row in signal]
    runs = [(_run_length(row, len(row)), bool(np.isfinite(row[0]))) for row in rows]
    moving = [(count, finite) for count, finite in runs if count < signal.shape[1]]
    n_finite = sum(finite for _, finite in moving)
    shortest = min((count for count, _ in moving), default=0)
    needed = CONSTANT_S if n_finite >= CONSTANT_LEADS else LEAD_CONSTANT_S
    if 2 * n_finite <= len(moving) or shortest < needed * fs:
        return 0
    rest = signal[:, :-shortest] if at_end else signal[:, shortest:]
    between = _longest_run((np.diff(rest, axis=1) == 0).all(axis=0)) if rest.size < MAX_REST_SAMPLES else 0
    return shortest if shortest >= CONSTANT_RATIO * between else 0


def _run_length(row: NDArray[np.float32], limit: int) -> int:
    """Number of samples at the beginning that equal the first one (or are missing as it is), at most ``limit``."""
    first, block, done = row[0], 16, 0
    while done < limit:
        part = row[done : min(done + block, limit)]
        other = ~np.isnan(part) if np.isnan(first) else part != first
        if other.any():
            return done + int(np.argmax(other))
        done, block = done + len(part), 4096  # usually the first ones differ
    return done


def _without_constant_ends(
    signal: NDArray[np.float32], first: int, last: int, record: ECGRecord, warnings: list[str]
) -> NDArray[np.float32]:
    """Mark the constant ends of single leads, of which only a part was stored, as missing."""
    found, out = [], signal
    moves = _moves_at_once(signal[:, first:last], True) & _moves_at_once(signal[:, first:last], False)
    for row in np.flatnonzero(~moves).tolist():
        name, part = record.leads[row], signal[row, first:last]
        n_end = _run_length(part[::-1], len(part))
        if np.isnan(part[-1]) or n_end == len(part):
            n_end = 0
        n_start = _run_length(part, len(part))
        if np.isnan(part[0]) or n_start == len(part):
            n_start = 0
        for n_constant, at in ((n_start, slice(first, first + n_start)), (n_end, slice(last - n_end, last))):
            if n_constant >= LEAD_CONSTANT_S * record.fs:
                out = signal.copy() if out is signal else out
                out[row, at] = np.nan
                found.append(f"{name} {at.start / record.fs:g}-{at.stop / record.fs:g} s")
    if found:
        warnings.append(f"leads that stand still at an end, taken as missing: {', '.join(found)}")
    return out


def _without_codes(record: ECGRecord, warnings: list[str]) -> NDArray[np.float32]:
    """Replace codes for missing samples by NaN."""
    out, found = record.signal, []
    extremes = zip(np.fmin.reduce(out, axis=1).tolist(), np.fmax.reduce(out, axis=1).tolist(), strict=True)
    has_millivolts = record.has_millivolts
    for row, (name, both) in enumerate(zip(record.leads, extremes, strict=True)):
        for code in both:
            if not np.isfinite(code) or (abs(code) < CODE_MV if has_millivolts else code not in CODES):
                continue
            at = out[row] == np.float32(code)
            rest = out[row][~at & np.isfinite(out[row])]
            longest = _longest_run(at)
            if not rest.size or longest < max(2, 0.008 * record.fs):
                continue
            span = float(rest.max() - rest.min())
            if np.abs(rest - code).min() > max(span, 1e-6 * abs(code)):
                out = out.copy() if out is record.signal else out
                out[row][at] = np.nan
                found.append(f"{name} ({int(at.sum()) / record.fs:g} s at {code:g})")
    if found:
        warnings.append(f"codes for missing samples: {', '.join(found)}")
    return out


def _longest_run(at: NDArray[np.bool_]) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], at, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
