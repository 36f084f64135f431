"""What a device writes among the samples that is no ECG: calibration pulses, codes for "no sample", appended blocks.

They are looked for in every recording that is read, whatever its format:

* **Calibration pulse**: a square of the same height in the leads at the same time, with nothing else before and behind
  it, at the beginning or the end of the recording. No heart gives the same voltage in every lead at once. It is cut
  off, and its height, 1 mV by convention, checks the gain.
* **Codes**: an extreme value, as of an integer's lowest, that comes again and again and lies far away from every other
  sample.
* **Appended blocks**: leads that stand still at the end or the beginning. In all leads at once they are cut off, in one
  they are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..record import ECGRecord

EDGE_S = 5.0  # how far from either end a pulse is looked for
PULSE_S = (0.08, 0.6)  # devices: 0.1 to 0.5 s
FLAT_S = 0.04  # of the line before and behind it
RISE_S = 0.012  # of its edges: a filter may round them
ALIKE = 0.04  # of its height: how far its top, its line and the other leads may be off
SHARE = 0.6  # of the leads that have it at full height; the others, such as III by lead algebra, at another
STILL_S, STILL_LEADS = 0.5, 6  # so many leads that all stand still so long are no ECG
STILL_RATIO = 2.0  # and so many times longer than between the beats, where a recording has no noise
MAX_REST_SAMPLES = 1 << 24  # in which that is looked for
LEAD_STILL_S = 2.0  # a lead, or fewer of them
REST_S = 0.5  # what may lie between a pulse and the end of the recording
CODE_MV = 10.0  # no surface ECG reaches it
CODES = frozenset(
    sign * value for power in (15, 16, 23, 24, 31, 32) for value in (2**power, 2**power - 1) for sign in (1, -1)
)


@dataclass(frozen=True)
class Pulse:
    """A calibration pulse.

    Attributes:
        start, end: samples from the beginning of the flat line before it to the end of that behind it.
        at_end: it ends the recording; else it begins it.
        rise, fall: the first sample of its top, the first behind it.
        height: in the record's unit.
    """

    start: int
    end: int
    at_end: bool
    rise: int
    fall: int
    height: float


def without_non_signal(record: ECGRecord) -> ECGRecord:
    """The recording without what is no ECG; ``meta["warnings"]`` says what was taken out.

    Where something was cut off the beginning, ``meta["cut_from_start_s"]`` says how much: positions in other files
    count from there.
    """
    told: list[str] = []
    signal = _without_codes(record, told)
    first, last, cut = 0, record.n_samples, []
    for _ in range(4):  # some devices write one at each end, or two
        pulse = find_pulse(signal[:, first:last], record.fs)
        if pulse is None:
            break
        begin, end = (first + pulse.start, last) if pulse.at_end else (first, first + pulse.end)
        cut.append(
            f"{begin / record.fs:g}-{end / record.fs:g} s (a calibration pulse of {_height(pulse.height, record)})"
        )
        _check_gain(pulse.height, record, told)
        first, last = (first, begin) if pulse.at_end else (end, last)
    if last <= first:  # nothing would be left: these were no pulses
        first, last, cut = 0, record.n_samples, []
    for at_end in (True, False):
        n_still = _still(signal[:, first:last], record.fs, at_end)
        if n_still:
            begin, end = (last - n_still, last) if at_end else (first, first + n_still)
            cut.append(f"{begin / record.fs:g}-{end / record.fs:g} s (no lead moves)")
            first, last = (first, begin) if at_end else (end, last)
    signal = _still_leads(signal, first, last, record, told)
    if cut:
        told.append(f"no ECG, cut off: {', '.join(cut)}")
    if not told:
        return record
    meta = {**record.meta, "warnings": (*record.meta.get("warnings", ()), *told)}
    if first:
        meta["cut_from_start_s"] = first / record.fs
    if first or last < record.n_samples:
        signal = np.ascontiguousarray(signal[:, first:last])
    return replace(record, signal=signal, meta=meta)


def find_pulse(signal: NDArray[np.float32], fs: float) -> Pulse | None:
    """A calibration pulse near the beginning or the end.

    Args:
        signal: (leads, samples), any unit.
        fs: Hz.

    Returns:
        It, positions counted from the beginning of ``signal``; None where there is none.

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
        if not part.size:  # no samples, or so few a second that no pulse fits
            continue
        leads = part[np.isfinite(part).all(axis=1) & (np.ptp(part, axis=1) > 0)]
        span = _pulse_in(leads, fs) if len(leads) else None
        if span is None:
            continue
        start, stop, rise, fall, height = span
        # with ECG on both sides it is none
        at_end = end == n_samples and len(part[0]) - stop <= REST_S * fs
        if (at_end or (begin == 0 and start <= REST_S * fs)) and stop - start < n_samples:
            return Pulse(begin + start, begin + stop, at_end, begin + rise, begin + fall, height)
    return None


_Span = tuple[int, int, int, int, float]  # as the fields of Pulse


def _pulse_in(leads: NDArray[np.float64], fs: float) -> _Span | None:
    """A square of the same height at the same time in most leads, flat in all."""
    rise = max(1, round(RISE_S * fs))
    shortest, longest = round(PULSE_S[0] * fs), round(PULSE_S[1] * fs)
    if leads.shape[1] < shortest + 2 * rise:
        return None
    # steps over the time that an edge takes, in all leads at once
    steps = leads[:, rise:] - leads[:, :-rise]
    middle = np.median(steps, axis=0)
    spread = np.median(np.abs(steps - middle), axis=0)
    alike = np.abs(middle) * ALIKE > spread
    ups, downs = _edges(middle, alike & (middle > 0), rise), _edges(-middle, alike & (middle < 0), rise)
    for up in ups:
        for down in downs:
            if shortest <= down - up <= longest and abs(middle[up] + middle[down]) < 2 * ALIKE * middle[up]:
                pulse = _checked(leads, up, down, float(middle[up]), rise, fs)
                if pulse is not None:
                    return pulse
    return None


def _edges(steps: NDArray[np.float64], candidates: NDArray[np.bool_], rise: int, most: int = 12) -> list[int]:
    """Where the largest steps are, one for each stretch of candidates."""
    places = np.flatnonzero(candidates)
    if not places.size:
        return []
    stretches = np.split(places, np.flatnonzero(np.diff(places) > rise) + 1)
    best = [int(one[np.argmax(steps[one])]) for one in stretches]
    return sorted(sorted(best, key=lambda place: -steps[place])[:most])


def _checked(leads: NDArray[np.float64], up: int, down: int, height: float, rise: int, fs: float) -> _Span | None:
    """The pulse between two edges, if every lead is flat before, on and behind it."""
    n_samples, flat = leads.shape[1], round(FLAT_S * fs)
    tolerance = ALIKE * height
    before = leads[:, max(0, up - flat) : up + 1]
    top = leads[:, up + rise : down + 1]
    behind = leads[:, down + rise : down + rise + flat]
    if top.shape[1] < 2 or behind.shape[1] < min(flat, n_samples - down - rise) or not behind.shape[1]:
        return None
    base = np.median(before, axis=1)
    heights = np.median(top, axis=1) - base
    full = np.abs(heights - height) < tolerance
    if full.mean() < SHARE or abs(float(np.median(heights)) - height) > tolerance:
        return None
    if len(leads) < 3:
        tolerance /= 2  # so few leads say less of being alike: they have to be flatter
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


def _check_gain(height: float, record: ECGRecord, told: list[str]) -> None:
    if not record.has_millivolts:
        told.append(
            f"if the calibration pulse of {height:g} units is 1 mV, so are {height:g} units: scale by it and pass units="
        )
    elif not 0.95 <= height <= 1.05:
        told.append(f"the calibration pulse is {height:.3g} mV high where 1 mV is usual: the gain may be wrong")


def _height(height: float, record: ECGRecord) -> str:
    return f"{height:.3g} mV" if record.has_millivolts else f"{height:g} units"


def _still(signal: NDArray[np.float32], fs: float, at_end: bool) -> int:
    """For how many samples all leads stand still at one end, where that is too long for an ECG."""
    rows = [row[::-1] if at_end else row for row in signal]
    runs = [(_run(row, len(row)), bool(np.isfinite(row[0]))) for row in rows]
    moving = [(count, finite) for count, finite in runs if count < signal.shape[1]]
    n_finite = sum(finite for _, finite in moving)
    shortest = min((count for count, _ in moving), default=0)
    needed = STILL_S if n_finite >= STILL_LEADS else LEAD_STILL_S
    if 2 * n_finite <= len(moving) or shortest < needed * fs:
        return 0
    rest = signal[:, :-shortest] if at_end else signal[:, shortest:]
    between = _longest((np.diff(rest, axis=1) == 0).all(axis=0)) if rest.size < MAX_REST_SAMPLES else 0
    return shortest if shortest >= STILL_RATIO * between else 0


def _run(row: NDArray[np.float32], most: int) -> int:
    """How many samples from the beginning are as the first (missing ones as missing), ``most`` at most."""
    first, block, done = row[0], 4096, 0
    while done < most:
        part = row[done : min(done + block, most)]
        other = ~np.isnan(part) if np.isnan(first) else part != first
        if other.any():
            return done + int(np.argmax(other))
        done += len(part)
    return done


def _still_leads(
    signal: NDArray[np.float32], first: int, last: int, record: ECGRecord, told: list[str]
) -> NDArray[np.float32]:
    """Single leads that stand still at an end, as where only a part of a lead was stored, become missing there."""
    found, out = [], signal
    for row, name in enumerate(record.leads):
        part = signal[row, first:last]
        n_end = _run(part[::-1], len(part))
        if np.isnan(part[-1]) or n_end == len(part):
            n_end = 0
        n_start = _run(part, len(part))
        if np.isnan(part[0]) or n_start == len(part):
            n_start = 0
        for n_still, at in ((n_start, slice(first, first + n_start)), (n_end, slice(last - n_end, last))):
            if n_still >= LEAD_STILL_S * record.fs:
                out = signal.copy() if out is signal else out
                out[row, at] = np.nan
                found.append(f"{name} {at.start / record.fs:g}-{at.stop / record.fs:g} s")
    if found:
        told.append(f"leads that stand still at an end, taken as missing: {', '.join(found)}")
    return out


def _without_codes(record: ECGRecord, told: list[str]) -> NDArray[np.float32]:
    """Samples that are codes become NaN."""
    out, found = record.signal, []
    for row, name in enumerate(record.leads):
        for pick in (np.fmin, np.fmax):
            code = float(pick.reduce(out[row]))
            if not np.isfinite(code) or (abs(code) < CODE_MV if record.has_millivolts else code not in CODES):
                continue
            at = out[row] == np.float32(code)
            rest = out[row][~at & np.isfinite(out[row])]
            longest = _longest(at)
            if not rest.size or longest < max(2, 0.008 * record.fs):
                continue
            span = float(rest.max() - rest.min())
            if np.abs(rest - code).min() > max(span, 1e-6 * abs(code)):
                out = out.copy() if out is record.signal else out
                out[row][at] = np.nan
                found.append(f"{name} ({int(at.sum()) / record.fs:g} s at {code:g})")
    if found:
        told.append(f"codes for missing samples: {', '.join(found)}")
    return out


def _longest(at: NDArray[np.bool_]) -> int:
    """The length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], at, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
