"""The learned network on a recording of any length: overlapping windows in, runs of one class out.

Windows begin at multiples of the network's stride and overlap by more than its receptive field, so the result does not
depend on where a window ends. Only the input, five curves over all leads and the runs are kept for the whole recording.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgError
from .features import NetworkChannels, channels, stacked

Array = NDArray[np.float64]
STRIDE = 32  # the network halves the rate five times
REACH = 14 * STRIDE  # samples of overlap on either side; the network sees 435
WINDOW, FULL = 240 * STRIDE, 12  # samples: 31 s of this many leads; of fewer leads, windows are longer


class Runs(NamedTuple):
    """Stretches of one class in one lead, each (runs,), in samples at 250 Hz.

    Attributes:
        lead: row of the lead.
        kind: 1 for P, 2 for QRS, 3 for T.
        begin: first sample.
        stop: the sample after the last one.
        first: onset between samples, half a sample after the class's probability rises above one half.
        last: offset between samples, half a sample before the probability falls below one half.
        weight: sum of the class's probability over the run.
    """

    lead: NDArray[np.intp]
    kind: NDArray[np.int8]
    begin: NDArray[np.intp]
    stop: NDArray[np.intp]
    first: Array
    last: Array
    weight: Array


class NetworkOutput(NamedTuple):
    """The network's reading of a recording.

    Attributes:
        runs: of all leads.
        p: (samples,), mean probability of P over the recorded leads.
        qrs: (samples,), mean probability of QRS over the recorded leads.
        inside: (3, samples), probability that the sample is inside the P, QRS, T of the record.
        spread: (samples,), RMS over the leads.
    """

    runs: Runs
    p: NDArray[np.float32]
    qrs: NDArray[np.float32]
    inside: NDArray[np.float32]
    spread: NDArray[np.float32]


@lru_cache(maxsize=8)
def _session(weights: Path) -> Any:
    """The network, on one thread: records are measured in parallel, not layers."""
    if not weights.is_file():
        raise EcgError(
            "the learned delineator has no weights here", where=str(weights), remedy="use delineator='classical'"
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


def _windows(inputs: NetworkChannels, weights: Path, window: int) -> Any:
    """Yield (start, end, probabilities (leads, 4, samples)), which begin one sample before ``start`` where possible."""
    n = inputs.lead.shape[1]
    for start in range(0, n, window):
        end = min(n, start + window)
        first, last = max(0, start - REACH), min(n, end + REACH)
        x = stacked(inputs, first, last, multiple=STRIDE)
        probs = _session(weights).run(None, {"x": x})[0][:, :, max(0, start - 1) - first : end - first]
        probs -= _over_classes(np.maximum, probs)
        np.exp(probs, out=probs)
        probs /= _over_classes(np.add, probs)
        yield start, end, probs


def _over_classes(combine: np.ufunc, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """``combine.reduce`` over the axis of the four classes, which NumPy does slowly, (leads, 1, samples)."""
    out: NDArray[np.float32] = combine(values[:, :1], values[:, 1:2])
    for kind in (2, 3):
        combine(out, values[:, kind : kind + 1], out=out)
    return out


def probabilities(signal: NDArray[np.floating[Any]], weights: Path) -> NDArray[np.float32]:
    """Class probabilities of every sample.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        weights: ONNX file.

    Returns:
        (leads, 4, samples): none, P, QRS, T.
    """
    out = np.empty((len(signal), 4, signal.shape[1]), np.float32)
    for start, end, probs in _windows(channels(signal), weights, WINDOW):
        out[:, :, start:end] = probs[:, :, -(end - start) :]
    return out


def read(signal: NDArray[np.floating[Any]], weights: Path, window: int | None = None) -> NetworkOutput:
    """Run the network.

    Args:
        signal: (leads, samples) at 250 Hz, mV; NaN where a lead is missing; a lead of zeros counts as missing.
        weights: ONNX file.
        window: samples per window, a multiple of ``STRIDE``; ``None`` for about six minutes of one lead.
    """
    window = window or WINDOW * max(1, FULL // len(signal))
    inputs = channels(signal)
    spread = inputs.rms
    alive = np.asarray(inputs.present.any(axis=1))
    whole = not alive.any() or bool(np.asarray(inputs.present.all(axis=1))[alive].all())
    n = signal.shape[1]
    p, qrs, inside = (np.empty(shape, np.float32) for shape in (n, n, (3, n)))
    total = np.zeros((len(signal), 1))
    changes = []
    for start, end, probs in _windows(inputs, weights, window):
        if not whole:
            probs = _none_where_absent(probs, inputs.present[:, end - probs.shape[2] : end])
        used = probs[alive] if alive.any() and not alive.all() else probs
        part = used[:, :, -(end - start) :]
        if whole:
            p[start:end], qrs[start:end] = part[:, 1].mean(axis=0), part[:, 2].mean(axis=0)
            inside[:, start:end] = _two_leads_inside(part[:, 1:], np.intp(len(part)))
        else:
            count = inputs.present[:, start:end].sum(axis=0)
            p[start:end] = part[:, 1].sum(axis=0) / np.maximum(count, 1)
            qrs[start:end] = part[:, 2].sum(axis=0) / np.maximum(count, 1)
            inside[:, start:end] = _two_leads_inside(part[:, 1:], count)
        changes.append(_changes(probs, min(start, 1), max(0, start - 1), total))
    present = inputs.present
    del inputs  # it is large, and sorting the runs takes memory
    runs = _runs(changes, alive)
    return NetworkOutput(runs if whole else _without_cut_off(runs, present), p, qrs, inside, spread)


def _none_where_absent(probs: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The probabilities (leads, 4, samples) with class "none" where a lead is missing."""
    out = probs * present[:, None]
    out[:, 0] += ~present
    return out


def _two_leads_inside(probs: NDArray[np.float32], count: NDArray[np.intp] | np.intp) -> Array:
    """Probability (3, samples) that two leads or more are inside a wave, or one where fewer than eight are recorded.

    An annotator's marks scatter over the leads, so the second-earliest of twelve marks is earlier than the
    second-earliest of twelve best estimates. Leads are taken as independent, which the network's errors are only in
    part.

    Args:
        probs: (leads, 3, samples) of P, QRS, T.
        count: recorded leads, in all or (samples,).
    """
    none, one = np.ones(probs.shape[1:]), np.zeros(probs.shape[1:])
    lead, other = np.empty(none.shape), np.empty(none.shape)  # used for every lead: making arrays takes half the time
    for part in probs:
        lead[:] = part
        np.subtract(1.0, lead, out=other)
        one *= other
        one += np.multiply(none, lead, out=lead)
        none *= other
    return np.asarray(1.0 - none - one * (count >= 8))


def _without_cut_off(runs: Runs, present: NDArray[np.bool_]) -> Runs:
    """The runs that do not begin or end at a gap."""
    kept = present[runs.lead, runs.begin - 1] & present[runs.lead, np.minimum(runs.stop, present.shape[1] - 1)]
    return Runs(*(values[kept] for values in runs))


def _changes(probs: NDArray[np.float32], known: int, offset: int, total: Array) -> tuple[NDArray[Any], ...]:
    """Where the most probable class changes.

    Args:
        probs: (leads, 4, samples) of a window.
        known: samples at its start that belong to the window before.
        offset: position of its first sample.
        total: (leads, 1) summed probability of the most probable class before this window; updated.

    Returns:
        Of each change: lead, sample, new class, where the old class ends, where the new one begins, and the summed
        probability up to there.
    """
    labels, top = (probs[:, 1] > probs[:, 0]).view(np.int8), np.maximum(probs[:, 0], probs[:, 1])
    for kind in (2, 3):  # argmax over a short axis that is not the last is slow
        np.maximum(labels, np.int8(kind) * (probs[:, kind] > top).view(np.int8), out=labels)
        np.maximum(top, probs[:, kind], out=top)
    row, at = np.divmod(np.flatnonzero(labels[:, 1:] != labels[:, :-1]), max(probs.shape[2] - 1, 1))
    at += 1
    old, new, sample = labels[row, at - 1], labels[row, at], at + offset
    so_far = np.zeros((len(top), top.shape[1] - known + 1))
    np.cumsum(top[:, known:], axis=1, dtype=np.float64, out=so_far[:, 1:])
    so_far += total
    total[:] = so_far[:, -1:]
    base = np.maximum(sample // WINDOW * WINDOW - 1, 0)  # places are rounded the same, however long a window is
    both, twice = np.stack([old, new]), np.stack([row, row])
    ends, begins = base + _crossing(probs[twice, both, at - 1], probs[twice, both, at], sample - base)
    return row, sample, new, ends, begins, so_far[row, at - known]


def _crossing(before: NDArray[np.float32], after: NDArray[np.float32], at: NDArray[np.intp]) -> Array:
    """Where, between the samples ``at - 1`` and ``at``, a class reaches one half."""
    before, after = before.astype(np.float64), after.astype(np.float64)
    step = np.where(before == after, 1.0, after - before)
    crosses = ((before - 0.5) * (after - 0.5) < 0) & (before != after)
    return np.asarray(np.where(crosses, at - 1 + (0.5 - before) / step, at - 0.5))


def _runs(changes: list[tuple[NDArray[Any], ...]], alive: NDArray[np.bool_]) -> Runs:
    """Runs between two changes in the same lead; a run that an end of the recording cuts off is left out."""
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
