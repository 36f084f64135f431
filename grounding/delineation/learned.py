"""The ``learned`` delineator: a small network trained on cardiologists' annotations, on beats common to all leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter

from . import network
from .features import FS_HZ, zero_phase
from .types import Array, Boundaries, delineators, no_waves

MIN_PROBABILITY, MIN_SAMPLES = 0.4, 8  # of a QRS; 32 ms
FEW_LEADS = 3  # in which a tall T wave is taken for a QRS now and then; in more never, of 300 records of PTB-XL
# a tall T wave after a low QRS may be taken for it: the true one comes so much before it, and has so much more of what
# is fast, though the network is hardly sure of it
T_S, WEAK_PROBABILITY, FASTER = (0.16, 0.4), 0.1, 3.0
NO_OTHER_S = 0.3  # a beat is not nearer to such a T wave
MIN_APART_S = 0.2
_FAST_BAND = butter(2, (15.0, 40.0), btype="bandpass", fs=FS_HZ, output="sos")
CUT_OFF_SHARE = 0.6  # of the median height: a lower QRS at an end of the recording is cut off before its R
WEIGHTS = Path(__file__).parent / "weights" / "delineator.onnx"


def probabilities(signal: NDArray[np.floating[Any]], weights: Path | None = None) -> NDArray[np.float32]:
    """Class probabilities of every sample.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        weights: ONNX file; ``None`` for the bundled network.

    Returns:
        (leads, 4, samples): none, P, QRS, T.
    """
    return network.probabilities(signal, weights or WEIGHTS)


@delineators.register
def learned(signal: NDArray[np.floating[Any]]) -> Boundaries:
    """The network's classes per lead, assigned to beats common to all leads.

    Args:
        signal: (leads, samples) at 250 Hz, mV; NaN where a lead is missing.

    Raises:
        EcgError: the weights are not installed.
    """
    reading = network.read(signal, WEIGHTS)
    strength = uniform_filter1d(reading.qrs, 5)
    inside = np.zeros(len(strength) + 2, bool)
    inside[1:-1] = strength > MIN_PROBABILITY
    starts, ends = np.flatnonzero(inside[1:] != inside[:-1]).reshape(-1, 2).T
    long = ends - starts >= MIN_SAMPLES
    beats = _tops(reading.spread, starts[long], ends[long])
    if len(signal) <= FEW_LEADS:
        beats = _not_t_waves(beats, strength, signal)
    beats = beats[_apart(beats, strength)]
    beats = beats[_not_cut_off(beats, reading.qrs, reading.spread)]
    if len(beats) == 0:
        return Boundaries(beats, *no_waves(len(signal), 0))
    tables = _by_beat(reading.runs, beats, signal.shape)
    return Boundaries(beats, *tables, reading.inside, reading.p)


def _tops(values: NDArray[np.float32], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where ``values`` (samples,) are highest, first from each start (n,) to before each end (n,)."""
    length = ends - starts
    first = np.cumsum(length) - length
    at = np.arange(length.sum()) + np.repeat(starts - first, length)
    inside = values[at]
    if not len(inside):
        return np.empty(0, np.intp)
    highest = np.flatnonzero(inside == np.repeat(np.maximum.reduceat(inside, first), length))
    return np.asarray(at[highest[np.searchsorted(highest, first)]])


def _not_t_waves(
    beats: NDArray[np.intp], strength: NDArray[np.float32], signal: NDArray[np.floating[Any]]
) -> NDArray[np.intp]:
    """The beats (beats,) with the QRS complex in place of a T wave that was taken for it."""
    padding = min(250, signal.shape[1] - 1)
    fast = np.sqrt(sum(np.square(zero_phase(_FAST_BAND, np.nan_to_num(lead[None]), padding)[0]) for lead in signal))
    nearest, farthest, reach = (round(seconds * FS_HZ) for seconds in (*T_S, T_S[0] / 2))
    out: list[int] = []
    for beat in beats.tolist():
        begin, end = max(0, beat - farthest), max(0, beat - nearest)
        before = np.where(strength[begin:end] > WEAK_PROBABILITY, fast[begin:end], 0.0)
        if len(before) and before.max() > FASTER * fast[max(0, beat - reach) : beat + reach].max():
            earlier = begin + int(before.argmax())
            if not out or earlier - out[-1] > NO_OTHER_S * FS_HZ:
                beat = earlier
            elif beat - out[-1] < NO_OTHER_S * FS_HZ:
                continue
        out.append(beat)
    return np.asarray(out, np.intp)


def _apart(beats: NDArray[np.intp], strength: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which beats (beats,) are no second part of a surer one: where a lead begins or ends, a QRS may seem to be two."""
    kept = np.ones(len(beats), bool)
    for second in np.flatnonzero(np.diff(beats) < MIN_APART_S * FS_HZ) + 1:
        kept[second - (strength[beats[second - 1]] < strength[beats[second]])] = False
    return kept


def _not_cut_off(beats: NDArray[np.intp], qrs: NDArray[np.float32], spread: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which beats (beats,) have their R in the recording; those that do not are low and begin or end with it."""
    cut_off = np.zeros(len(beats), bool)
    if len(beats) > 2:
        height = spread[beats]
        for end, inside in ((0, qrs[: beats[0] + 1]), (-1, qrs[beats[-1] :])):
            cut_off[end] = bool((inside > 0.3).all()) and height[end] < CUT_OFF_SHARE * np.median(height)
    return ~cut_off


def _by_beat(runs: network.Runs, beats: NDArray[np.intp], shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Assign runs to beats; of several runs of one kind and lead, the one of greatest weight."""
    tables = no_waves(shape[0], len(beats))
    middle = np.concatenate([[0], (beats[1:] + beats[:-1]) / 2, [shape[1]]])
    centre = (runs.begin + runs.stop) / 2
    for kind, table, shortest, farthest_s in zip((1, 2, 3), tables, (8, 6, 12), (0.4, 0.12, 0.75), strict=True):
        chosen = np.flatnonzero((runs.kind == kind) & (runs.stop - runs.begin >= shortest))
        chosen = chosen[np.argsort(runs.weight[chosen], kind="stable")]  # the greatest last, to overwrite the others
        if kind == 2:
            owner = np.clip(np.searchsorted(middle, centre[chosen], side="right") - 1, 0, len(beats) - 1)
        else:
            owner = np.searchsorted(beats, centre[chosen]) - (kind == 3)
        near = (owner >= 0) & (owner < len(beats))
        chosen, owner = chosen[near], owner[near]
        near = np.abs(centre[chosen] - beats[owner]) < farthest_s * FS_HZ
        chosen, owner = chosen[near], owner[near]
        table[runs.lead[chosen], owner, 0] = runs.first[chosen]
        table[runs.lead[chosen], owner, 2] = runs.last[chosen]
    return tables
