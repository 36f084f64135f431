"""The ``learned`` delineator: a small network trained on cardiologists' annotations, on beats common to all leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from . import network
from .features import FS_HZ
from .types import Array, Boundaries, delineators, no_waves

CUT_OFF_SHARE = 0.6  # of the median height: a lower QRS at an end of the recording is cut off before its R
SHORTEST_QRS = 8  # samples: 32 ms
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
    inside[1:-1] = strength > 0.4
    starts, ends = np.flatnonzero(inside[1:] != inside[:-1]).reshape(-1, 2).T
    long = ends - starts >= SHORTEST_QRS
    beats = _tops(reading.spread, starts[long], ends[long])
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
