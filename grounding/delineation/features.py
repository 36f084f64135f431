"""Input of the learned delineator: each lead at 250 Hz, scaled and in millivolts, and three channels of all leads."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, iirnotch, sosfilt, sosfilt_zi

from ..record import fill_missing, finite_rows, lead_groups

FS_HZ = 250.0
CHANNELS = 7
_BAND = butter(2, (0.5, 40.0), btype="bandpass", fs=FS_HZ, output="sos")
MAINS_HZ, MAINS_Q = (50.0, 60.0), 30.0
BLOCK = int(10 * FS_HZ)  # samples: leads are scaled by blocks of 10 s, so that windows of the network do not matter
LEAD_MV, SLOPE_MV, BEND_MV, VELOCITY_MV = 0.03, 0.01, 0.01, 0.003  # compression begins here; differences are over 4 ms
SLOPE_REACH = 4  # samples on either side
MAX_OVER_USUAL = np.float32(1e6)  # keeps a single spike in an otherwise flat lead finite
MIN_OVER_USUAL = 0.05  # a block without a signal is not amplified to the size of the others


def without_mains(lead: NDArray[np.float32], fs: float = FS_HZ) -> NDArray[np.float32]:
    """Remove 50 or 60 Hz, whichever is stronger, with a notch 2 Hz wide and without delay.

    Args:
        lead: (samples,), finite, in which mains was found.
        fs: its sampling rate, Hz, above 120.
    """
    second = min(len(lead), int(fs))  # the mains frequency drifts: its phase is stable over a second, not an hour
    parts = lead[: len(lead) // second * second].reshape(-1, second)
    turns = np.outer(np.arange(second) / fs, MAINS_HZ)
    strength = np.abs(parts @ np.exp(-2j * np.pi * turns)).sum(axis=0)
    b, a = iirnotch(MAINS_HZ[int(np.argmax(strength))], MAINS_Q, fs)
    out: NDArray[np.float32] = filtfilt(b, a, lead, padlen=min(int(fs), len(lead) - 1)).astype(np.float32)
    return out


class NetworkChannels(NamedTuple):
    """The parts that ``stacked`` assembles to the network's input.

    Attributes:
        signal: (leads, samples), mV, gaps interpolated.
        lead: (leads, samples), mV, band-passed.
        size: (leads, blocks), half the usual extreme of the lead in each block of 10 s.
        shared: (3, samples), over all leads: RMS and spatial velocity over their usual extremes, and the velocity in
            mV, compressed.
        rms: (samples,), RMS of the leads over their sizes.
        present: (leads, samples), where a lead was recorded.
    """

    signal: NDArray[np.floating[Any]]
    lead: NDArray[np.float32]
    size: NDArray[np.float32]
    shared: NDArray[np.float32]
    rms: NDArray[np.float32]
    present: NDArray[np.bool_]


def net_input(signal: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Input of the network.

    It has channels in millivolts beside scaled ones: annotators see the end of a wave where it reaches the baseline on
    paper, so that a small QRS ends earlier.

    Args:
        signal: (leads, samples) at 250 Hz, mV; NaN where a lead is missing; a lead of zeros counts as missing.

    Returns:
        float32 (leads, 7, samples): the band-passed lead over its usual size and in millivolts, its slope over 32 ms,
        the second difference of the unfiltered lead; over all leads the RMS and the spatial velocity over their usual
        sizes, and the velocity in millivolts. Channels in millivolts are compressed (``arcsinh``).
    """
    return stacked(channels(signal), 0, signal.shape[1])


def stacked(inputs: NetworkChannels, first: int, last: int, multiple: int = 1) -> NDArray[np.float32]:
    """``net_input`` of a range of samples.

    Args:
        inputs: from ``channels``, of the whole recording.
        first: first sample.
        last: the sample after the last one.
        multiple: of samples, to which the last one is repeated.
    """
    n, lead = inputs.lead.shape[1], inputs.lead[:, first:last]
    padded = np.empty((len(lead), CHANNELS, -(-lead.shape[1] // multiple) * multiple), np.float32)
    out = padded[:, :, : lead.shape[1]]
    np.divide(lead, _interpolated(inputs.size, n, first, last), out=out[:, 0])
    out[:, 1] = _compressed(lead, LEAD_MV)

    def shifted(x: NDArray[np.floating[Any]], step: int) -> NDArray[np.floating[Any]]:
        """The samples ``step`` later, with the first or the last one repeated beyond the recording's ends."""
        inside = x[:, max(0, first + step) : max(0, last + step)]
        if not 0 < inside.shape[1] < last - first:
            return inside if inside.shape[1] else x[:, np.clip(np.arange(first, last) + step, 0, n - 1)]
        missing = last - first - inside.shape[1]
        end = np.repeat(x[:, :1] if step < 0 else x[:, -1:], missing, axis=1)
        return np.concatenate([end, inside] if step < 0 else [inside, end], axis=1)

    out[:, 2] = _compressed(shifted(inputs.lead, SLOPE_REACH) - shifted(inputs.lead, -SLOPE_REACH), SLOPE_MV)
    out[:, 3] = _compressed(
        shifted(inputs.signal, 1) + shifted(inputs.signal, -1) - 2 * inputs.signal[:, first:last], BEND_MV
    )
    out[:, 4:] = inputs.shared[:, first:last]
    padded[:, :, lead.shape[1] :] = out[:, :, -1:]
    return padded


def channels(signal: NDArray[np.floating[Any]]) -> NetworkChannels:
    """The parts of ``net_input``.

    Args:
        signal: as in ``net_input``.
    """
    n = signal.shape[1]
    whole = bool(finite_rows(signal).all())
    finite = None if whole else np.isfinite(signal)
    signal = signal if whole else fill_missing(signal)
    alive = np.any(signal != 0, axis=1)
    present = np.broadcast_to(alive[:, None], signal.shape) if finite is None else finite & alive[:, None]
    lead = np.empty(signal.shape, np.float32)
    for rows in lead_groups(*signal.shape):
        lead[rows] = zero_phase(_BAND, signal[rows], min(500, n - 1))
    size = _usual_size(lead) if whole else _usual_size_of_present(lead, present)
    size = np.maximum(size, np.abs(lead).max(axis=1, keepdims=True) / MAX_OVER_USUAL)
    shared = np.zeros((3, n), np.float32)
    used = np.flatnonzero(alive) if alive.any() else np.arange(len(lead))
    for group in lead_groups(len(used), n):
        chosen = used[group]
        part = lead[chosen]
        slope = _slope(part)
        if not whole:  # interpolated samples do not count
            part[~present[chosen]] = slope[~present[chosen]] = 0.0
            lead[chosen] = part
        at = _interpolated(size[chosen], n, 0, n)
        for row in (part / at) ** 2:
            shared[0] += row
        for row in (slope / at) ** 2:
            shared[1] += row
        for row in slope**2:
            shared[2] += row
    shared /= np.float32(max(len(used), 1)) if whole else np.maximum(present.sum(axis=0), 1).astype(np.float32)
    np.sqrt(shared, out=shared)
    rms = shared[0].copy()
    common = shared[:2]
    seen = np.full(n, alive.any()) if whole else present.any(axis=0)
    shared[:2] /= _interpolated(
        _usual_size(common) if seen.all() else _usual_size_of_present(common, np.stack([seen, seen])), n, 0, n
    )
    shared[2] = _compressed(shared[2], VELOCITY_MV)
    return NetworkChannels(signal, lead, size, shared, rms, present)


def zero_phase(sos: NDArray[np.float64], x: NDArray[np.floating[Any]], padding: int) -> NDArray[np.float64]:
    """Filter forward and backward: SciPy's ``sosfiltfilt`` to the last bit, which solves for its start at every call.

    Args:
        sos: (sections, 6), the filter.
        x: (leads, samples).
        padding: samples by which the leads are continued on both sides, point-mirrored; fewer than there are.

    Returns:
        (leads, samples).
    """
    longer = x
    if padding > 0:
        first, last = 2 * x[:, :1] - x[:, padding:0:-1], 2 * x[:, -1:] - x[:, -2 : -padding - 2 : -1]
        longer = np.concatenate([first, x, last], axis=1)
    start = _start(sos.tobytes())[:, None]
    out = sosfilt(sos, longer, axis=1, zi=start * longer[:, :1])[0]
    out = sosfilt(sos, out[:, ::-1], axis=1, zi=start * out[:, -1:])[0][:, ::-1]
    return np.asarray(out[:, padding : out.shape[1] - padding])


@lru_cache(maxsize=8)
def _start(sos: bytes) -> NDArray[np.float64]:
    """The state of a filter after a long constant input of 1, (sections, 2)."""
    state: NDArray[np.float64] = sosfilt_zi(np.frombuffer(sos).reshape(-1, 6))
    return state


def _compressed(x: NDArray[np.floating[Any]], unit: float) -> NDArray[np.float32]:
    """Half the inverse hyperbolic sine: linear up to about one ``unit``, logarithmic beyond."""
    out = np.asarray(x * np.float32(1 / unit), np.float32)
    np.arcsinh(out, out=out)
    out *= np.float32(0.5)
    return out


def _slope(leads: NDArray[np.float32]) -> NDArray[np.float32]:
    """``np.gradient`` of each lead without its checks, which take longer than the computation."""
    out = np.zeros_like(leads)
    if leads.shape[1] > 1:
        out[:, 1:-1] = (leads[:, 2:] - leads[:, :-2]) * np.float32(0.5)
        out[:, 0], out[:, -1] = leads[:, 1] - leads[:, 0], leads[:, -1] - leads[:, -2]
    return out


def _usual_size(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the 98th percentile of |x| in each block, (rows, blocks): one large beat or artefact does not change it."""
    begins, ends = _bounds(x.shape[1])
    spread = np.stack([_percentile(x[:, a:b]) for a, b in zip(begins, ends, strict=True)], axis=1)
    if len(begins) > 1:
        spread = np.maximum(spread, MIN_OVER_USUAL * np.median(spread, axis=1, keepdims=True))
    return np.asarray(np.maximum(spread, 1e-9) / 2.0, np.float32)


def _usual_size_of_present(x: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``_usual_size`` of rows with gaps, from recorded samples; blocks with less than a second get the row's median."""
    begins, ends = _bounds(x.shape[1])
    spread = np.full((len(x), len(begins)), np.nan)
    for row, lead in enumerate(x):
        for k, (a, b) in enumerate(zip(begins, ends, strict=True)):
            part = lead[a:b][present[row, a:b]]
            if len(part) >= min(FS_HZ, b - a):
                spread[row, k] = _percentile(part[None])[0]
        known = np.isfinite(spread[row])
        usual = float(np.median(spread[row, known])) if known.any() else 0.0
        if not known.any() and present[row].any():
            usual = float(_percentile(lead[None, present[row]])[0])
        spread[row, ~known] = usual
    if len(begins) > 1:
        spread = np.maximum(spread, MIN_OVER_USUAL * np.median(spread, axis=1, keepdims=True))
    return np.asarray(np.maximum(spread, 1e-9) / 2.0, np.float32)


def _interpolated(size: NDArray[np.float32], n: int, first: int, last: int) -> NDArray[np.float32]:
    """Sizes at each sample from ``first`` to ``last`` of ``n``, linear between the middles of blocks."""
    if size.shape[1] == 1:
        return size
    middle = np.add(*_bounds(n)) / 2
    if not np.isfinite(size).all():
        return np.stack([np.interp(np.arange(first, last), middle, row) for row in size]).astype(np.float32)
    # np.interp, block by block instead of sample by sample
    out = np.empty((len(size), last - first), np.float32)
    begins = np.clip(np.ceil(middle).astype(np.intp), first, last) - first
    out[:, : begins[0]], out[:, begins[-1] :] = size[:, :1], size[:, -1:]
    known = size.astype(np.float64)
    slope = np.diff(known, axis=1) / np.diff(middle)
    for k in np.flatnonzero(begins[1:] > begins[:-1]):
        here = slice(begins[k], begins[k + 1])
        at = np.arange(first + here.start - middle[k], first + here.stop - middle[k])  # whole and half numbers
        np.add(slope[:, k, None] * at, known[:, k, None], out=out[:, here], casting="same_kind")
    return out


def _bounds(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where blocks of 10 s begin and end; a recording under 20 s is one block."""
    begins = np.arange(max(1, n // BLOCK)) * BLOCK
    return begins, np.append(begins[1:], n)


def _percentile(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 98th percentile of |x| along the last axis: ``np.percentile``, in a fifth of its time."""
    place = 0.98 * (x.shape[1] - 1)
    low = int(place)
    high = min(low + 1, x.shape[1] - 1)
    ordered = np.partition(np.abs(x), (low, high), axis=1)
    found: NDArray[np.float32] = ordered[:, low] + np.float32(place - low) * (ordered[:, high] - ordered[:, low])
    return found
