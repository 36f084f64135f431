"""Detection of pacing spikes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..record import SAMPLES_AT_ONCE

MIN_HZ = 400.0  # at lower sampling rates a spike can't be distinguished from an R peak
SPIKE_MV, STEP_MV = 0.12, 0.1  # mean over the leads
# the signal is quiet before a spike: its range in the 32 ms before is below half of the step
QUIET_S, QUIET_SHARE = 0.032, 0.5
# A peak stands out of the noise: nine tenths of the samples within 0.1 s rise over their neighbours by less than a
# quarter of its height. Spikes of 31 paced recordings of PTB-XL are 28 times as high or more, peaks of noise twice.
AROUND_S, NOISE_SHARE, NOISE_QUANTILE = 0.1, 0.25, 0.9
# after a step, the signal rises in three further jump times by less than half of what a ramp of that slope would
AFTER_JUMPS, CONTINUED_RISE = 3, 0.5
# Of 668 recordings one without a pacemaker has three steps, two of them where the recording is interrupted.
MIN_SPIKES, MIN_STEPS = 3, 4
ROUNDING = 1e-5  # of a mean over leads in 32 bits, at most
STEPS_PER_S = 0.25  # at least: concatenated recordings have a step at every seam


def pacing_spikes(leads: list[NDArray[np.float32]], fs: float) -> NDArray[np.intp]:
    """Find pacing spikes.

    A spike is a narrow peak, or a step from a quiet baseline to a plateau, which is what a slowly recovering amplifier
    makes of it.

    Args:
        leads: (samples,) each, mV.
        fs: sampling rate, Hz; below 400 Hz no spikes are reported.

    Returns:
        Increasing sample numbers, the first sample of each spike or step; empty where there are too few for a
        pacemaker.
    """
    if fs < MIN_HZ or not leads or len(leads[0]) < round(0.04 * fs):
        return np.empty(0, np.intp)
    both = np.sort(np.concatenate([_peaks(leads, fs), _steps(leads, fs)]))
    return np.asarray(both[_first_of_each(both, fs)])


def _stretches(leads: list[NDArray[np.float32]], margin: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first sample, (leads, samples) with a margin on both sides): a long recording is not copied as a whole."""
    n = len(leads[0])
    length = max(4 * margin, SAMPLES_AT_ONCE // len(leads))
    for start in range(margin, n - margin, length):
        yield start, np.stack([lead[start - margin : min(n, start + length + margin)] for lead in leads])


def _peaks(leads: list[NDArray[np.float32]], fs: float) -> NDArray[np.intp]:
    """Peaks not wider than about 4 ms (an R peak is five times as wide)."""
    near, far = max(1, round(0.004 * fs)), max(2, round(0.008 * fs))
    # of each candidate: position, height over its near neighbours, height over its far neighbours
    found = [np.empty((3, 0))]
    for start, signal in _stretches(leads, far):
        before, here, after = (signal[:, far + step : signal.shape[1] - far + step] for step in (-near, 0, near))
        steep = np.arange(here.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):  # huge amplitudes become infinite
            if np.isfinite(signal.sum()):  # the rise on one side is never lower than on the lower one
                steep = np.flatnonzero(np.abs(here - before).mean(axis=0) > SPIKE_MV * (1 - ROUNDING))
        if not len(steep):
            continue
        narrow = _rise(*(np.take(view, steep, axis=1) for view in (before, here, after)))
        high = narrow > SPIKE_MV
        candidates, narrow = steep[high], narrow[high]
        broad = _rise(*(signal[:, candidates + far + step] for step in (-far, 0, far)))
        found.append(np.stack([candidates + start, narrow, broad]))
    candidates, narrow, broad = np.concatenate(found, axis=1)
    if candidates.size == 0:
        return np.empty(0, np.intp)
    starts = np.flatnonzero(_first_of_each(candidates, fs))
    tops = np.array([group[np.argmax(narrow[group])] for group in np.split(np.arange(len(candidates)), starts[1:])])
    sharp = narrow[tops] > 0.7 * broad[tops]
    # broadband noise has as many blunt as sharp peaks, and more peaks than a heart can have spikes (two per beat)
    if sharp.sum() < MIN_SPIKES or sharp.mean() <= 0.7 or len(tops) > 6 * len(leads[0]) / fs:
        return np.empty(0, np.intp)
    tops = tops[sharp]
    spikes = np.asarray(candidates[tops], np.intp)
    spikes = spikes[narrow[tops] * NOISE_SHARE > _noise(leads, spikes, near, round(AROUND_S * fs))]
    return spikes if len(spikes) >= MIN_SPIKES else np.empty(0, np.intp)


def _noise(leads: list[NDArray[np.float32]], at: NDArray[np.intp], near: int, around: int) -> NDArray[np.float64]:
    """How high the samples around each of ``at`` rise over their neighbours, as a quantile, mean over leads."""
    out = np.empty(len(at))
    for row, here in enumerate(at):
        part = np.stack([lead[max(0, here - around - near) : here + around + near] for lead in leads])
        rises = _rise(part[:, : -2 * near], part[:, near:-near], part[:, 2 * near :])
        out[row] = np.quantile(rises, NOISE_QUANTILE)
    return out


def _steps(leads: list[NDArray[np.float32]], fs: float) -> NDArray[np.intp]:
    """First samples after jumps that take at most 2 ms and follow 32 quiet ms."""
    jump, quiet = max(1, round(0.002 * fs)), round(QUIET_S * fs)
    found = [np.empty(0, np.intp)]
    for start, signal in _stretches(leads, quiet):
        inner = slice(quiet, signal.shape[1] - quiet)
        jumped = signal[:, inner] - signal[:, quiet - jump : signal.shape[1] - quiet - jump]
        size = _mean_over_leads(np.abs(jumped))
        candidates = np.flatnonzero(size > STEP_MV)
        if not len(candidates):
            continue
        before = np.take(signal, candidates[:, None] + np.arange(quiet - jump + 1), axis=1)  # to where the jump begins
        candidates = candidates[_mean_over_leads(np.ptp(before, axis=2)) < QUIET_SHARE * size[candidates]]
        # a QRS continues to rise after its first 2 ms; an amplifier saturated by a spike does not
        further = signal[:, candidates + quiet + AFTER_JUMPS * jump] - signal[:, candidates + quiet]
        candidates = candidates[
            _mean_over_leads(further * np.sign(jumped[:, candidates])) < CONTINUED_RISE * AFTER_JUMPS * size[candidates]
        ]
        found.append(candidates + start)
    candidates = np.concatenate(found)
    candidates = candidates[_first_of_each(candidates, fs)]
    enough = max(MIN_STEPS, STEPS_PER_S * len(leads[0]) / fs)
    return candidates if len(candidates) >= enough else np.empty(0, np.intp)


def _first_of_each(candidates: NDArray[Any], fs: float) -> NDArray[np.bool_]:
    """Which samples, in increasing order, come more than 20 ms after the one before; nearer ones are the same spike."""
    first = np.ones(len(candidates), bool)
    first[1:] = candidates[1:] - candidates[:-1] > 0.02 * fs
    return first


def _rise(*views: NDArray[np.float32]) -> NDArray[np.float64]:
    """Height of samples over both neighbours, mean over leads; ``views`` are (leads, n): before, at and after them."""
    left, right = views[1] - views[0], views[1] - views[2]
    if np.isfinite(left).all() and np.isfinite(right).all():
        height = np.minimum(np.abs(left), np.abs(right))
        height *= left * right > 0
        return np.asarray(height.mean(axis=0, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        return _mean_over_leads(
            np.minimum(np.abs(left), np.abs(right)) * np.where(np.isnan(left + right), np.nan, left * right > 0)
        )


def _mean_over_leads(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Mean (n,) of (leads, n) over the leads that are not NaN; 0 where all are."""
    mean = np.asarray(values.mean(axis=0), np.float64)
    if np.isfinite(mean).all():
        return mean
    present = np.isfinite(values)
    total = np.where(present, values, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / np.maximum(present.sum(axis=0), 1))
