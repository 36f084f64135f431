"""Delineators: from leads to the boundaries of P, QRS and T in every lead and beat. Pick one by name.

``learned`` is a small network trained on cardiologists' marks; ``classical`` needs no weights: it is NeuroKit2 on average beats, and what the
leads agree on; ``nk_*`` are NeuroKit2's methods, lead by lead, for comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ..errors import EcgError
from ..registry import Registry
from . import network
from .detection import detect_beats
from .features import FS_HZ

Array = NDArray[np.float64]
CUT_SHARE = 0.6  # of the usual height
WEIGHTS = Path(__file__).parent / "weights" / "delineator.onnx"


class Boundaries(NamedTuple):
    """``beats`` (n,) R positions and ``p``, ``qrs``, ``t`` (leads, n, 3) onset, peak, offset: samples at 250 Hz, NaN where absent.

    Where the method knows it: ``inside`` (3, samples), the probability that a sample lies in the P, QRS, T of the record, and
    ``p_mean`` (samples,), the mean over the leads of the probability that it lies in a P.
    """

    beats: NDArray[np.intp]
    p: Array
    qrs: Array
    t: Array
    inside: NDArray[np.floating[Any]] | None = None
    p_mean: NDArray[np.floating[Any]] | None = None


Delineator = Callable[[NDArray[np.floating[Any]]], Boundaries]
delineators: Registry[Delineator] = Registry("delineator")


def _empty(n_leads: int, n_beats: int) -> tuple[Array, Array, Array]:
    p, qrs, t = (np.full((n_leads, n_beats, 3), np.nan) for _ in range(3))
    return p, qrs, t


def probabilities(signal: NDArray[np.floating[Any]], weights: Path | None = None) -> NDArray[np.float32]:
    """Class probabilities (leads, 4, samples): none, P, QRS, T.

    Args:
        signal: (leads, samples) at 250 Hz.
        weights: of another network than the shipped one.
    """
    return network.probabilities(signal, weights or WEIGHTS)


@delineators.register
def learned(signal: NDArray[np.floating[Any]]) -> Boundaries:
    """The network's classes per lead, held together by beats that all leads share."""
    if not WEIGHTS.is_file():
        raise EcgError(
            "the learned delineator has no weights here", where=str(WEIGHTS), remedy="use delineator='classical'"
        )
    reading = network.read(signal, WEIGHTS)
    strength = uniform_filter1d(reading.qrs, 5)
    inside = np.flatnonzero(np.diff(np.concatenate([[0], (strength > 0.4).astype(np.int8), [0]])))
    starts, ends = inside[::2], inside[1::2]
    beats = np.array(
        [a + int(np.argmax(reading.spread[a:b])) for a, b in zip(starts, ends, strict=True) if b - a >= 8], np.intp
    )
    beats = beats[_not_a_rest(beats, reading.qrs, reading.spread)]
    if len(beats) == 0:
        return Boundaries(beats, *_empty(len(signal), 0))
    tables = _own(reading.runs, beats, signal.shape)
    return Boundaries(beats, *tables, reading.inside, reading.p)


def _not_a_rest(beats: NDArray[np.intp], qrs: NDArray[np.float32], spread: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which beats (beats,) are not the rest of a QRS that the recording's end cuts off before its R, as their size tells."""
    cut = np.zeros(len(beats), bool)
    if len(beats) > 2:
        height = spread[beats]
        for end, inside in ((0, qrs[: beats[0] + 1]), (-1, qrs[beats[-1] :])):
            cut[end] = bool((inside > 0.3).all()) and height[end] < CUT_SHARE * np.median(height)
    return ~cut


def _own(runs: network.Runs, beats: NDArray[np.intp], shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Runs given to the beat they belong to; of several, the heaviest."""
    tables = _empty(shape[0], len(beats))
    middle = np.concatenate([[0], (beats[1:] + beats[:-1]) / 2, [shape[1]]])
    centre = (runs.begin + runs.stop) / 2
    for kind, table, shortest, farthest_s in zip((1, 2, 3), tables, (8, 6, 12), (0.4, 0.12, 0.75), strict=True):
        chosen = np.flatnonzero((runs.kind == kind) & (runs.stop - runs.begin >= shortest))
        chosen = chosen[np.argsort(runs.weight[chosen], kind="stable")]  # the heaviest last: it stays
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


@delineators.register
def classical(signal: NDArray[np.floating[Any]]) -> Boundaries:
    """Without weights: NeuroKit2 on the average beat of each lead, and where the leads agree."""
    from .average_beat import delineate  # imports NeuroKit2, which takes seconds

    return delineate(signal)


def _lead_by_lead(method: str, signal: NDArray[np.floating[Any]]) -> Boundaries:
    """Plain NeuroKit2: one of its methods on each lead as it comes, on our beats. For comparison."""
    from .neurokit import clean, delineate

    beats = detect_beats(np.nan_to_num(signal))
    tables = np.full((3, len(signal), len(beats), 3), np.nan)
    for row, lead in enumerate(signal):
        if len(beats) and np.isfinite(lead).all():
            tables[:, row] = delineate(clean(lead), beats, method, int(FS_HZ))
    return Boundaries(beats, *tables)


for _method in ("dwt", "cwt", "prominence", "peak"):
    delineators.register(partial(_lead_by_lead, _method), name=f"nk_{_method}")
