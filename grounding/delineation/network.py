"""The learned network on a recording of any length: in through windows that overlap, out as runs of one class.

Windows begin at multiples of the network's stride and overlap by more than its reach, so a run is the same wherever a
window ends. Of all that grows with the recording, only the input, four common curves and the runs themselves are kept.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .features import NetworkChannels, channels, stacked

Array = NDArray[np.float64]
STRIDE = 32  # the network halves the rate five times
REACH = 14 * STRIDE  # samples on either side that a class can depend on: the network sees 435
WINDOW = 240 * STRIDE  # samples: 31 s


class Runs(NamedTuple):
    """Stretches of one class in one lead, each (runs,): samples at 250 Hz; ``weight`` sums the class's probability over its samples.

    ``begin`` and ``stop`` (exclusive) are whole samples; ``first`` and ``last`` lie between samples, half a sample
    inside where the class's probability crosses one half, as its first and last mark would.
    """

    lead: NDArray[np.intp]
    kind: NDArray[np.int8]
    begin: NDArray[np.intp]
    stop: NDArray[np.intp]
    first: Array
    last: Array
    weight: Array


class NetworkOutput(NamedTuple):
    """``runs``, and for every sample over the leads that are there: mean probability of ``p`` and ``qrs`` (samples,), probability
    ``inside`` (3, samples) the P, QRS, T of the record, and the leads' RMS ``spread`` (samples,)."""

    runs: Runs
    p: NDArray[np.float32]
    qrs: NDArray[np.float32]
    inside: NDArray[np.float32]
    spread: NDArray[np.float32]


@lru_cache(maxsize=8)
def _session(weights: Path) -> Any:
    """The network, on one thread: records are measured in parallel, not layers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


def _windows(of: NetworkChannels, weights: Path, window: int) -> Any:
    """Yields (start, end, odds (leads, 4, samples)) in order; ``odds`` begins a sample before ``start`` where there is one."""
    n = of.lead.shape[1]
    for start in range(0, n, window):
        end = min(n, start + window)
        first, last = max(0, start - REACH), min(n, end + REACH)
        x = stacked(of, first, last)
        x = np.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % STRIDE)), mode="edge")
        odds = _session(weights).run(None, {"x": x})[0][:, :, max(0, start - 1) - first : end - first]
        np.exp(odds - odds.max(axis=1, keepdims=True), out=odds)
        odds /= odds.sum(axis=1, keepdims=True)
        yield start, end, odds


def probabilities(signal: NDArray[np.floating[Any]], weights: Path) -> NDArray[np.float32]:
    """Class probabilities (leads, 4, samples): none, P, QRS, T; for (leads, samples) at 250 Hz, mV."""
    out = np.empty((len(signal), 4, signal.shape[1]), np.float32)
    for start, end, odds in _windows(channels(signal), weights, WINDOW):
        out[:, :, start:end] = odds[:, :, -(end - start) :]
    return out


def read(signal: NDArray[np.floating[Any]], weights: Path, window: int = WINDOW) -> NetworkOutput:
    """Run the network.

    Args:
        signal: (leads, samples) at 250 Hz, mV; NaN where a lead is missing, as is a lead of zeros.
        weights: ONNX file.
        window: samples per window, a multiple of ``STRIDE``.
    """
    of = channels(signal)
    spread = of.rms
    alive = np.asarray(of.there.any(axis=1))
    whole = not alive.any() or all(lead.all() for lead in of.there[alive])
    n = signal.shape[1]
    p, qrs, inside = (np.empty(shape, np.float32) for shape in (n, n, (3, n)))
    total = np.zeros((len(signal), 1))
    changes = []
    for start, end, odds in _windows(of, weights, window):
        if not whole:
            odds = _only_there(odds, of.there[:, end - odds.shape[2] : end])
        used = odds[alive] if alive.any() else odds
        part = used[:, :, -(end - start) :]
        if whole:
            p[start:end], qrs[start:end] = part[:, 1].mean(axis=0), part[:, 2].mean(axis=0)
            inside[:, start:end] = _several(part[:, 1:], np.intp(len(part)))
        else:
            count = of.there[:, start:end].sum(axis=0)
            p[start:end] = part[:, 1].sum(axis=0) / np.maximum(count, 1)
            qrs[start:end] = part[:, 2].sum(axis=0) / np.maximum(count, 1)
            inside[:, start:end] = _several(part[:, 1:], count)
        changes.append(_changes(odds, min(start, 1), max(0, start - 1), total))
    there = of.there
    del of  # before the runs are sorted: it is large
    runs = _runs(changes, alive)
    return NetworkOutput(runs if whole else _complete(runs, there), p, qrs, inside, spread)


def _only_there(odds: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The same odds (leads, 4, samples), no wave where a lead is missing."""
    out = odds * there[:, None]
    out[:, 0] += ~there
    return out


def _several(odds: NDArray[np.float32], count: NDArray[np.intp] | np.intp) -> Array:
    """Probability (3, samples) that two leads or more are inside a wave; one or more where fewer than eight leads are there.

    ``count`` is how many are, in all or at each sample.

    A reader's marks scatter over the leads, so the second-earliest of twelve marks lies before the second-earliest of
    twelve best guesses. Leads count as independent, which the network's errors are only in part.
    """
    none, one = np.ones(odds.shape[1:]), np.zeros(odds.shape[1:])
    for lead in odds.astype(np.float64):
        outside = 1.0 - lead
        one *= outside
        one += none * lead
        none *= outside
    return np.asarray(1.0 - none - one * (count >= 8))


def _complete(runs: Runs, there: NDArray[np.bool_]) -> Runs:
    """The runs that no missing stretch cuts off."""
    kept = there[runs.lead, runs.begin - 1] & there[runs.lead, np.minimum(runs.stop, there.shape[1] - 1)]
    return Runs(*(values[kept] for values in runs))


def _changes(odds: NDArray[np.float32], known: int, offset: int, total: Array) -> tuple[NDArray[Any], ...]:
    """Where the most probable class changes: lead, sample, new class, where the old one ends, where the new one begins, weight so far.

    Args:
        odds: (leads, 4, samples) of a window; the first ``known`` samples belong to the window before.
        offset: position of the first sample.
        total: (leads, 1) summed probability of the most probable class before this window; updated.
    """
    labels, top = np.zeros(odds[:, 0].shape, np.int8), odds[:, 0].copy()
    for kind in (1, 2, 3):  # argmax over a short axis that is not the last is slow
        labels[odds[:, kind] > top] = kind
        np.maximum(top, odds[:, kind], out=top)
    row, at = np.nonzero(labels[:, 1:] != labels[:, :-1])
    at += 1
    old, new = labels[row, at - 1], labels[row, at]
    so_far = np.cumsum(top[:, known:], axis=1, dtype=np.float64)
    so_far = np.concatenate([total, so_far + total], axis=1)
    total[:] = so_far[:, -1:]
    ends, begins = (offset + _crossing(odds[row, kind, at - 1], odds[row, kind, at], at) for kind in (old, new))
    return row, at + offset, new, ends, begins, so_far[row, at - known]


def _crossing(before: NDArray[np.float32], after: NDArray[np.float32], at: NDArray[np.intp]) -> Array:
    """Where, between the samples ``at - 1`` and ``at``, a class reaches one half."""
    before, after = before.astype(np.float64), after.astype(np.float64)
    step = np.where(before == after, 1.0, after - before)
    crosses = ((before - 0.5) * (after - 0.5) < 0) & (before != after)
    return np.asarray(np.where(crosses, at - 1 + (0.5 - before) / step, at - 0.5))


def _runs(changes: list[tuple[NDArray[Any], ...]], alive: NDArray[np.bool_]) -> Runs:
    """Runs between two changes of the same lead; what reaches an end of the recording is cut off and left out."""
    row, at, kind, ends, begins, so_far = (np.concatenate(parts) for parts in zip(*changes, strict=True))
    order = np.lexsort((at, row))
    row, at, kind, ends, begins, so_far = (values[order] for values in (row, at, kind, ends, begins, so_far))
    this = np.flatnonzero((row[:-1] == row[1:]) & (kind[:-1] > 0) & alive[row[:-1]])
    return Runs(
        row[this],
        kind[this],
        at[this],
        at[this + 1],
        begins[this] + 0.5,
        ends[this + 1] - 0.5,
        so_far[this + 1] - so_far[this],
    )
