"""Delineators: from leads to the boundaries of P, QRS and T in every lead and beat. Pick one by name.

``learned`` is a small network trained on cardiologists' marks; ``classical`` needs no weights; ``nk_*`` are NeuroKit2's
methods, lead by lead, for comparison.
"""

from __future__ import annotations

import warnings
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
from .features import FS_HZ, net_input

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
    """Without weights: spatial velocity bounds the QRS, tangents and levels of each lead bound P and T."""
    beats = detect_beats(signal)
    p, qrs, t = _empty(len(signal), len(beats))
    if len(beats) == 0:
        return Boundaries(beats, p, qrs, t)
    clean = net_input(signal)[:, 0].astype(np.float64)
    n = clean.shape[1]
    slope = uniform_filter1d(np.abs(np.gradient(clean, axis=1)), 5, axis=1)
    gaps = np.diff(beats, append=beats[-1] + int(np.median(np.diff(beats))) if len(beats) > 1 else beats[-1] + 250)
    for i, r in enumerate(beats):
        left, right = max(0, r - 30), min(n, r + 38)
        for row in range(len(signal)):
            part = slope[row, left:right]
            top = part.max()
            if not top > 1e-6:
                continue
            busy = np.flatnonzero(part > 0.12 * top)
            on, off = left + busy[0], left + busy[-1]
            qrs[row, i] = on, np.nan, off
            p[row, i] = _hump(clean[row], max(0, on - 60, int(r - 0.6 * gaps[i - 1]) if i else 0), on - 3, 0.04)
            t[row, i] = _hump(clean[row], off + 12, min(n, off + int(min(0.6 * gaps[i], 0.45 * FS_HZ))), 0.04)
    return Boundaries(beats, p, qrs, t)


def _hump(lead: Array, first: int, last: int, least: float) -> tuple[float, float, float]:
    """Onset, peak and offset of the largest bump over the line between the ends of a window."""
    if last - first < 10:
        return np.nan, np.nan, np.nan
    part = lead[first:last]
    bump = np.abs(part - np.linspace(part[0], part[-1], len(part)))
    peak = int(bump.argmax())
    if bump[peak] < least or peak in (0, len(part) - 1):
        return np.nan, np.nan, np.nan
    above = bump > 0.15 * bump[peak]
    on = peak - int(np.argmin(above[: peak + 1][::-1])) + 1 if not above[: peak + 1].all() else 0
    off = peak + int(np.argmin(above[peak:])) - 1 if not above[peak:].all() else len(part) - 1
    return float(first + on), float(first + peak), float(first + off)


def _neurokit(method: str, signal: NDArray[np.floating[Any]]) -> Boundaries:
    """NeuroKit2's ``ecg_delineate``, lead by lead, on our beats."""
    import neurokit2

    beats = detect_beats(signal)
    tables = _empty(len(signal), len(beats))
    columns = (
        ("ECG_P_Onsets", "ECG_P_Peaks", "ECG_P_Offsets"),
        ("ECG_R_Onsets", "", "ECG_R_Offsets"),
        ("ECG_T_Onsets", "ECG_T_Peaks", "ECG_T_Offsets"),
    )
    for row, lead in enumerate(signal):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                clean = neurokit2.ecg_clean(lead, sampling_rate=int(FS_HZ))
                _, found = neurokit2.ecg_delineate(clean, beats, sampling_rate=int(FS_HZ), method=method)
            except (
                Exception
            ):  # NeuroKit2 raises many kinds on short, flat or noisy leads; such a lead has no boundaries
                continue
        for table, names in zip(tables, columns, strict=True):
            for column, name in enumerate(names):
                values = np.asarray(found.get(name, []), np.float64)[: len(beats)]
                table[row, : len(values), column] = values
    return Boundaries(beats, *tables)


for _method in ("dwt", "cwt", "prominence", "peak"):
    delineators.register(partial(_neurokit, _method), name=f"nk_{_method}")
