"""Delineators: from leads to the boundaries of P, QRS and T in every lead and beat. Pick one by name.

``learned`` is a small network trained on cardiologists' marks; ``classical`` needs no weights; ``nk_*`` are NeuroKit2's
methods, lead by lead, for comparison.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ..errors import EcgError
from ..registry import Registry
from .detection import detect_beats
from .features import FS_HZ, net_input

Array = NDArray[np.float64]
WEIGHTS = Path(__file__).parent / "weights" / "delineator.onnx"
CHUNK_S, OVERLAP_S = 60.0, 4.0


class Boundaries(NamedTuple):
    """``beats`` (n,) R positions and ``p``, ``qrs``, ``t`` (leads, n, 3) onset, peak, offset: samples at 250 Hz, NaN where absent.

    Where the method knows it: ``inside`` (3, samples), the probability that a sample lies in the P, QRS, T of the record, and
    ``p_mean`` (samples,), the mean over the leads of the probability that it lies in a P.
    """

    beats: NDArray[np.intp]
    p: Array
    qrs: Array
    t: Array
    inside: Array | None = None
    p_mean: Array | None = None


Delineator = Callable[[NDArray[np.floating[Any]]], Boundaries]
delineators: Registry[Delineator] = Registry("delineator")


def _empty(n_leads: int, n_beats: int) -> tuple[Array, Array, Array]:
    p, qrs, t = (np.full((n_leads, n_beats, 3), np.nan) for _ in range(3))
    return p, qrs, t


@lru_cache(maxsize=8)
def _session(weights: Path) -> Any:
    """The network, on one thread: records are measured in parallel, not layers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


def probabilities(signal: NDArray[np.floating[Any]], weights: Path | None = None) -> NDArray[np.float32]:
    """Class probabilities (leads, 4, samples): none, P, QRS, T.

    Args:
        signal: (leads, samples) at 250 Hz.
        weights: of another network than the shipped one.
    """
    return _probabilities_and_spread(signal, weights or WEIGHTS)[0]


def _probabilities_and_spread(
    signal: NDArray[np.floating[Any]], weights: Path
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``probabilities``, and the RMS (samples,) over the leads that are there, from the same filtered input.

    Long recordings go through in chunks that overlap, so memory stays bounded.
    """
    n = signal.shape[1]
    size, margin = int(CHUNK_S * FS_HZ), int(OVERLAP_S * FS_HZ)
    out = np.empty((signal.shape[0], 4, n), np.float32)
    spread = np.empty(n, np.float32)
    alive = np.any(signal != 0, axis=1)
    if not alive.any():
        alive[:] = True
    for start in range(0, n, size):
        first, last = max(0, start - margin), min(n, start + size + margin)
        x = net_input(signal[:, first:last])
        end = min(n, start + size)
        spread[start:end] = np.sqrt(np.mean(np.square(x[alive, 0, start - first : end - first]), axis=0))
        padded = -(-x.shape[2] // 32) * 32
        x = np.pad(x, ((0, 0), (0, 0), (0, padded - x.shape[2])), mode="edge")
        logits = _session(weights).run(None, {"x": x})[0]
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        odds /= odds.sum(axis=1, keepdims=True)
        out[:, :, start:end] = odds[:, :, start - first : end - first]
    return out, spread


@delineators.register
def learned(signal: NDArray[np.floating[Any]]) -> Boundaries:
    """The network's classes per lead, held together by beats that all leads share."""
    if not WEIGHTS.is_file():
        raise EcgError(
            "the learned delineator has no weights here", where=str(WEIGHTS), remedy="use delineator='classical'"
        )
    odds, spread = _probabilities_and_spread(signal, WEIGHTS)
    alive = np.any(signal != 0, axis=1)
    shared = odds[alive, 2].mean(axis=0) if alive.any() else odds[:, 2].mean(axis=0)
    strength = uniform_filter1d(shared, 5)
    inside = np.flatnonzero(np.diff(np.concatenate([[0], (strength > 0.4).astype(np.int8), [0]])))
    starts, ends = inside[::2], inside[1::2]
    beats = np.array(
        [a + int(np.argmax(spread[a:b])) for a, b in zip(starts, ends, strict=True) if b - a >= 8], np.intp
    )
    if len(beats) == 0:
        return Boundaries(beats, *_empty(len(signal), 0))
    return _from_labels(odds, beats, alive)


def _from_labels(odds: NDArray[np.float32], beats: NDArray[np.intp], alive: NDArray[np.bool_]) -> Boundaries:
    """Runs of each class, given to the beat they belong to; of several, the heaviest."""
    p, qrs, t = _empty(len(odds), len(beats))
    n = odds.shape[2]
    middle = np.concatenate([[0], (beats[1:] + beats[:-1]) / 2, [n]])
    labels, top = np.zeros(odds[:, 0].shape, np.int8), odds[:, 0].copy()
    for kind in (1, 2, 3):  # argmax over a short axis that is not the last is slow
        labels[odds[:, kind] > top] = kind
        np.maximum(top, odds[:, kind], out=top)
    inside = _several(odds[alive, 1:])
    for row in np.flatnonzero(alive):
        edges = np.flatnonzero(np.diff(labels[row])) + 1
        begins, stops = np.concatenate([[0], edges]), np.concatenate([edges, [n]])
        kinds = labels[row][begins]
        weight = np.add.reduceat(top[row], begins)
        centre = (begins + stops) / 2
        for kind, table, shortest in ((2, qrs, 6), (1, p, 8), (3, t, 12)):
            chosen = np.flatnonzero((kinds == kind) & (stops - begins >= shortest) & (begins > 0) & (stops < n))
            if kind == 2:
                owner = np.clip(np.searchsorted(middle, centre[chosen], side="right") - 1, 0, len(beats) - 1)
            elif kind == 1:
                owner = np.searchsorted(beats, centre[chosen])
            else:
                owner = np.searchsorted(beats, centre[chosen]) - 1
            best: dict[int, int] = {}
            for run, beat in zip(chosen, owner, strict=True):
                near = (
                    0 <= beat < len(beats)
                    and abs(centre[run] - beats[beat]) < (0.12, 0.4, 0.75)[(2, 1, 3).index(kind)] * FS_HZ
                )
                if near and (beat not in best or weight[run] > weight[best[beat]]):
                    best[int(beat)] = int(run)
            for beat, at_run in best.items():
                begin, stop = _edge(odds[row, kind], int(begins[at_run])), _edge(odds[row, kind], int(stops[at_run]))
                # a class covers its samples' whole width: its first and last mark lie half a sample inside the crossings
                table[row, beat] = begin + 0.5, np.nan, stop - 0.5
    return Boundaries(beats, p, qrs, t, inside, odds[alive, 1].mean(axis=0, dtype=np.float64))


def _several(odds: NDArray[np.float32]) -> Array:
    """Probability (3, samples) that two leads or more are inside a wave; one or more where there are fewer than eight leads.

    A reader's marks scatter over the leads, so the second-earliest of twelve marks lies before the second-earliest of twelve
    best guesses. Leads count as independent, which the network's errors are only in part.
    """
    none, one = np.ones(odds.shape[1:]), np.zeros(odds.shape[1:])
    for lead in odds.astype(np.float64):
        outside = 1.0 - lead
        one *= outside
        one += none * lead
        none *= outside
    return np.asarray(1.0 - none if len(odds) < 8 else 1.0 - none - one)


def _edge(odds: NDArray[np.float32], at: int) -> float:
    """Where, between two samples, the class reaches one half."""
    before, after = float(odds[at - 1]), float(odds[min(at, len(odds) - 1)])
    if (before - 0.5) * (after - 0.5) >= 0 or before == after:
        return at - 0.5
    return at - 1 + (0.5 - before) / (after - before)


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
