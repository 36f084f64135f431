"""Pacing: where the spikes are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..record import SAMPLES_AT_ONCE

LEAST_HZ = 400.0  # below, a spike is not told from an R peak
SPIKE_MV, STEP_MV = 0.12, 0.1  # mean over the leads
QUIET_S, QUIET_SHARE = 0.032, 0.5  # a QRS rises for longer than a spike, and not out of nothing
# over the three jumps' time after it, a step goes on by less than half of what a ramp would
AFTER_JUMPS, RISES_ON = 3, 0.5
# Of 668 recordings one without a pacemaker has three steps, two of them where it breaks off.
FEWEST_SPIKES, FEWEST_STEPS = 3, 4
STEPS_PER_S = 0.25  # at least: recordings put together have a step at every seam


def pacing_spikes(leads: list[NDArray[np.float32]], fs: float) -> NDArray[np.intp]:
    """Where pacing spikes are: narrow peaks, or steps out of the quiet into a plateau, as amplifiers make of them that take a while to recover.

    Args:
        leads: (samples,) each, in millivolts.
        fs: their rate, Hz; below 400 Hz there are none to be told.

    Returns:
        Increasing sample numbers, each the first of its spike or step; empty where there are too few to be a
        pacemaker's.
    """
    if fs < LEAST_HZ or not leads or len(leads[0]) < round(0.04 * fs):
        return np.empty(0, np.intp)
    both = np.sort(np.concatenate([_peaks(leads, fs), _steps(leads, fs)]))
    return both[_first_of_each(both, fs)]


def _stretches(leads: list[NDArray[np.float32]], margin: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first sample, (leads, samples) with the margin on both sides), so that no large copy is made of a long recording."""
    n = len(leads[0])
    length = max(4 * margin, SAMPLES_AT_ONCE // len(leads))
    for start in range(margin, n - margin, length):
        yield start, np.stack([lead[start - margin : min(n, start + length + margin)] for lead in leads])


def _peaks(leads: list[NDArray[np.float32]], fs: float) -> NDArray[np.intp]:
    """Peaks not wider than about 4 ms (an R peak is five times as wide)."""
    near, far = max(1, round(0.004 * fs)), max(2, round(0.008 * fs))
    found = []  # position, rise over the near and over the far neighbours, of each sample that stands out
    for start, signal in _stretches(leads, far):
        views = (signal[:, far + step : signal.shape[1] - far + step] for step in (-near, 0, near))
        narrow = _rise(*views)
        spots = np.flatnonzero(narrow > SPIKE_MV)
        broad = _rise(*(signal[:, spots + far + step] for step in (-far, 0, far)))
        found.append(np.stack([spots + start, narrow[spots], broad]))
    spots, narrow, broad = np.concatenate(found, axis=1)
    if spots.size == 0:
        return np.empty(0, np.intp)
    starts = np.flatnonzero(_first_of_each(spots, fs))
    tops = np.array([group[np.argmax(narrow[group])] for group in np.split(np.arange(len(spots)), starts[1:])])
    sharp = narrow[tops] > 0.7 * broad[tops]
    # broad noise has as many blunt peaks as sharp ones, and more peaks than a heart has beats (two spikes each)
    if sharp.sum() < FEWEST_SPIKES or sharp.mean() <= 0.7 or len(tops) > 6 * len(leads[0]) / fs:
        return np.empty(0, np.intp)
    return np.asarray(spots[tops[sharp]], np.intp)


def _steps(leads: list[NDArray[np.float32]], fs: float) -> NDArray[np.intp]:
    """The first samples after jumps within 2 ms out of 32 quiet ms."""
    jump, quiet = max(1, round(0.002 * fs)), round(QUIET_S * fs)
    found = [np.empty(0, np.intp)]
    for start, signal in _stretches(leads, quiet):
        inner = slice(quiet, signal.shape[1] - quiet)
        jumped = signal[:, inner] - signal[:, quiet - jump : signal.shape[1] - quiet - jump]
        size = _mean_over_leads(np.abs(jumped))
        spots = np.flatnonzero(size > STEP_MV)
        before = signal[:, spots[:, None] + np.arange(quiet - jump + 1)]  # up to where the jump begins
        spots = spots[_mean_over_leads(np.ptp(before, axis=2)) < QUIET_SHARE * size[spots]]
        # a QRS goes on rising after its first 2 ms, an amplifier that was hit by a spike does not
        further = signal[:, spots + quiet + AFTER_JUMPS * jump] - signal[:, spots + quiet]
        spots = spots[_mean_over_leads(further * np.sign(jumped[:, spots])) < RISES_ON * AFTER_JUMPS * size[spots]]
        found.append(spots + start)
    spots = np.concatenate(found)
    spots = spots[_first_of_each(spots, fs)]
    enough = max(FEWEST_STEPS, STEPS_PER_S * len(leads[0]) / fs)
    return spots if len(spots) >= enough else np.empty(0, np.intp)


def _first_of_each(spots: NDArray[Any], fs: float) -> NDArray[np.bool_]:
    """Which of increasing samples lie more than 20 ms behind the one before: nearer ones are of the same spike."""
    return np.asarray(np.diff(spots, prepend=-np.inf) > 0.02 * fs)


def _rise(*views: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far samples stand out of those before and after them, mean over leads: (leads, n) each, in time order."""
    left, right = views[1] - views[0], views[1] - views[2]
    with np.errstate(invalid="ignore"):
        return _mean_over_leads(
            np.minimum(np.abs(left), np.abs(right)) * np.where(np.isnan(left + right), np.nan, left * right > 0)
        )


def _mean_over_leads(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Mean (n,) of (leads, n) over the leads that are there (NaN: is not), 0 where none is."""
    there = np.isfinite(values)
    if there.all():
        return np.asarray(values.mean(axis=0), np.float64)
    total = np.where(there, values, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / np.maximum(there.sum(axis=0), 1))
