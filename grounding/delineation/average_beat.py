"""The classical delineator: NeuroKit2 on the average beat of each lead, combined over methods and leads.

NeuroKit2 reads one lead at a time, and errs where that lead is noisy, a wave is low, or its QRS points down. An average
beat has less noise; it is delineated upright and inverted; and of all waves that NeuroKit2's methods propose, those are
kept that most leads have at the same time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..record import fill_missing
from . import neurokit
from .features import FS_HZ
from .fusion import row_medians
from .types import Array, Boundaries

FINE_HZ = 1000  # of the average beat that NeuroKit2 reads
FINE = int(FINE_HZ / FS_HZ)
STRETCH_S = 60.0  # each minute has average beats of its own: the rate changes, and QT with it
# samples at 250 Hz around an R that are compared between beats, and by which an R may be moved
QRS_REACH, QRS_SHIFT = 20, 10
MIN_CORRELATION = 0.85  # of a beat with the average that it is part of
MAX_SHAPES = 3  # average beats per stretch; beats of rarer shapes get no boundaries
R_REACH = 40  # samples at 1000 Hz around the common R, in which a lead has its own peak
# A beat has a P wave if the signal before it correlates with the average's P wave at least so much, over all leads.
MIN_P_CORRELATION = 0.5
MEDIAN_FROM = 5  # beats: the median of fewer is noisier than their mean
# NeuroKit2's onsets and offsets less those of cardiologists, ms: medians over 50 records of LUDB (every second of the
# odd ones). For an inverted QRS each method has other offsets than for an upright one. Boundaries that are far off are
# not used: the onsets of dwt, and those of prominence, which looks no further than 50 ms from an R.
P_OFFSETS_MS = {"dwt": (2, 5), "cwt": (2, -7), "prominence": (4, 3)}
T_OFFSETS_MS = {"dwt": (30, -9), "cwt": (7, -5), "prominence": (4, 17)}
QRS_OFFSETS_MS = {  # (upright, inverted) of onset and offset; NaN where it is not used
    "dwt": ((np.nan, np.nan), (11, -13)),
    "cwt": ((-13, 10), (-4, -30)),
    "prominence": ((np.nan, 38), (np.nan, np.nan)),
}
METHODS = tuple(QRS_OFFSETS_MS)
MIN_BEATS_IN_ROW = 8  # beats
QRS_MAX_DISTANCE_MS = 150.0
P_PLACES_MS, T_PLACES_MS = (-380.0, -40.0), (60.0, 620.0)  # range of the peak, after the R
P_ENDS_MS = 20.0  # latest end of a P wave, after the R
P_WIDTH_MS, T_WIDTH_MS = 15.0, 25.0  # usual difference between leads in the peak of the same wave
P_NEAR_MS, T_NEAR_MS = 45.0, 80.0  # largest such difference
HALF_WAVE_MS = 50.0  # assumed where a method gives a peak without boundaries


class Average(NamedTuple):
    """An average beat: ``leads`` (leads, samples) at 1000 Hz, zero where a lead is missing; ``r``, the R's sample."""

    leads: Array
    r: int


def find_beats(cleaned: Array) -> NDArray[np.intp]:
    """R positions by NeuroKit2, in the RMS over the leads.

    Args:
        cleaned: (leads, samples) at 250 Hz, NaN where a lead is missing.

    Returns:
        Increasing sample numbers; those at which no lead is recorded are left out.
    """
    present = np.isfinite(cleaned)
    power = np.where(present, cleaned, 0.0) ** 2
    beats = neurokit.r_peaks(np.sqrt(power.sum(axis=0) / np.maximum(present.sum(axis=0), 1)))
    return beats[present[:, beats].any(axis=0)] if len(beats) else beats


def align_beats(cleaned: Array, beats: NDArray[np.intp]) -> tuple[NDArray[np.intp], Array]:
    """Align beats to the median beat.

    Args:
        cleaned: (leads, samples) at 250 Hz, NaN where a lead is missing.
        beats: (n,) R positions, samples.

    Returns:
        The positions (n,) of highest correlation with the median beat, over all leads, and that correlation (n,).
    """
    known = np.nan_to_num(cleaned)
    scaled: Array = known / np.maximum(np.percentile(np.abs(known), 98, axis=1, keepdims=True), 1e-9)
    n, at = cleaned.shape[1], np.arange(-QRS_REACH, QRS_REACH + 1)

    def windows(places: NDArray[np.intp]) -> Array:
        cut = scaled[:, np.clip(places[:, None] + at, 0, n - 1)].transpose(1, 0, 2)
        return np.asarray((cut - cut.mean(axis=2, keepdims=True)).reshape(len(places), -1))

    usual = np.median(windows(beats), axis=0)
    best, moved = np.full(len(beats), -np.inf), beats.copy()
    for shift in sorted(range(-QRS_SHIFT, QRS_SHIFT + 1), key=abs):  # the nearest of equal correlations
        shifted = windows(beats + shift)
        correlation = shifted @ usual / np.maximum(np.linalg.norm(shifted, axis=1) * np.linalg.norm(usual), 1e-12)
        better = correlation > best + 1e-4
        best[better], moved[better] = correlation[better], (beats + shift)[better]
    return np.clip(moved, 0, n - 1), best


def average_beat(cleaned: Array, beats: NDArray[np.intp], rr: float) -> Average:
    """The average of beats; of those that lie completely inside the recording, if there are any.

    Args:
        cleaned: (leads, samples) at 250 Hz, NaN where a lead is missing.
        beats: (n,) R positions, samples.
        rr: length of the average, samples at 250 Hz.
    """
    before = int(min(0.42 * rr + 15, 100))
    after = int(max(rr - before, 60))
    inside = beats[(beats >= before) & (beats + after < cleaned.shape[1])]
    at = (inside if len(inside) else beats)[:, None] + np.arange(-before, after)
    cut = cleaned[:, np.clip(at, 0, cleaned.shape[1] - 1)]  # leads, beats, samples
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(cut).all(axis=2))
    leads = np.zeros((len(cleaned), (before + after - 1) * FINE + 1))
    for row in np.flatnonzero(whole.any(axis=1)):
        pieces = cut[row, whole[row]]
        mean = np.median(pieces, axis=0) if len(pieces) >= MEDIAN_FROM else pieces.mean(axis=0)
        leads[row] = neurokit.upsample(mean, FINE)
    return Average(leads, before * FINE)


def proposals(average: Average) -> Array:
    """Every wave that NeuroKit2 proposes, upright and inverted.

    The leads' average beats are joined to one signal, so that one call per method delineates all of them.

    Args:
        average: of beats of one shape.

    Returns:
        (methods, 2, leads, 3, 3): polarity; P, QRS, T; onset, peak, offset; ms after the R. NaN where there is none.
    """
    length, r = average.leads.shape[1], average.r
    out = np.full((len(METHODS), 2, len(average.leads), 3, 3), np.nan)
    rows = np.flatnonzero(np.any(average.leads != 0, axis=1))
    if not len(rows):
        return out
    tiles, peaks = [], []
    edge = min(20, length // 4)
    for lead in average.leads[rows]:
        first, last = lead[:edge].mean(), lead[-edge:].mean()
        level = lead - first - (last - first) * np.linspace(0, 1, length)
        reach = slice(max(0, r - R_REACH), r + R_REACH + 1)
        peak = reach.start + int(np.argmax(np.abs(level[reach])))
        tiles.append(level / level[peak] if level[peak] else level)  # R waves upright
        peaks.append(peak)
    # NeuroKit2 needs some seconds of signal, more than a few leads give, and a neighbour on both sides of every beat
    order = [0, *range(len(rows)), *np.resize(np.arange(len(rows)), max(1, MIN_BEATS_IN_ROW - len(rows)))]
    one_row = np.concatenate([tiles[k] for k in order])
    at = np.array([number * length + peaks[k] for number, k in enumerate(order)])
    start = np.arange(len(order)) * length + r
    for number, method in enumerate(METHODS):
        for inverted in (0, 1):
            found = neurokit.delineate(-one_row if inverted else one_row, at, method, FINE_HZ) - start[None, :, None]
            out[number, inverted, rows] = found[:, 1 : len(rows) + 1].transpose(1, 0, 2)
    return out  # at 1000 Hz a sample is a millisecond


def combine_proposals(average: Average, proposed: Array) -> Array:
    """Combine the boundaries that NeuroKit2's methods propose.

    Args:
        average: of beats of one shape.
        proposed: from ``proposals``.

    Returns:
        (3, leads, 2): P, QRS, T; onset and offset in ms after the R, NaN where there is none.
    """
    out = np.full((3, len(average.leads), 2), np.nan)
    for edge in (0, 1):
        offsets = np.array([QRS_OFFSETS_MS[method][edge] for method in METHODS])[:, :, None]
        values = proposed[:, :, :, 1, 2 * edge]
        values = np.where(np.abs(values) < QRS_MAX_DISTANCE_MS, values, np.nan) - offsets
        out[1, :, edge] = row_medians(values.reshape(-1, values.shape[2]).T)
    heights = _heights(average, proposed)
    last = min(T_PLACES_MS[1], average.leads.shape[1] - average.r)
    for wave, (earliest, latest), width, near_ms, table in (
        (0, P_PLACES_MS, P_WIDTH_MS, P_NEAR_MS, P_OFFSETS_MS),
        (2, (T_PLACES_MS[0], last), T_WIDTH_MS, T_NEAR_MS, T_OFFSETS_MS),
    ):
        on, peak, off = np.moveaxis(proposed[..., wave, :], -1, 0)
        height = np.where((peak >= earliest) & (peak <= latest), heights[..., wave], 0.0)
        if wave == 0:
            height[np.where(np.isfinite(off), off, peak + HALF_WAVE_MS) > P_ENDS_MS] = 0.0
        place = _common_place(peak, height, width)
        if place is None:
            continue
        height = np.where(np.abs(peak - place) <= near_ms, height, 0.0)
        inverted = height.max(axis=0).argmax(axis=0)  # in each lead the polarity with the higher wave
        leads = np.arange(len(average.leads))
        chosen = height[:, inverted, leads] > 0  # methods, leads
        for edge, ends in ((0, on), (1, off)):
            values = ends[:, inverted, leads] - np.array([table[method][edge] for method in METHODS])[:, None]
            out[wave, :, edge] = row_medians(np.where(chosen, values, np.nan).T)
    out[~np.isfinite(out).all(axis=2) | (out[..., 1] <= out[..., 0])] = np.nan
    return out


def _heights(average: Average, proposed: Array) -> Array:
    """Heights (methods, 2, leads, 3) of proposed waves over the line between their ends, mV; 0 where there is none."""
    n, r = average.leads.shape[1], average.r
    reach = slice(max(0, r - R_REACH), r + R_REACH + 1)
    qrs = average.leads[:, reach]
    sign = np.sign(qrs[np.arange(len(qrs)), np.abs(qrs).argmax(axis=1)])  # "upright" refers to this deflection
    on, peak, off = np.moveaxis(proposed, -1, 0)
    ends = (
        np.where(np.isfinite(on), on, peak - HALF_WAVE_MS),
        peak,
        np.where(np.isfinite(off), off, peak + HALF_WAVE_MS),
    )
    a, b, c = (np.clip(np.nan_to_num(x) + r, 0, n - 1).astype(np.intp) for x in ends)
    rows = np.arange(len(average.leads))[None, None, :, None]
    at_a, at_b, at_c = (average.leads[rows, x] for x in (a, b, c))
    bump = at_b - at_a - (at_c - at_a) * (b - a) / np.maximum(c - a, 1)
    bump *= np.array([1.0, -1.0])[None, :, None, None] * sign[None, None, :, None]
    return np.where(np.isfinite(peak), np.maximum(bump, 0.0), 0.0)


def _common_place(peak: Array, height: Array, width: float) -> float | None:
    """Where most leads have the wave, ms after the R, or ``None`` without proposals.

    Each lead votes for its proposals, weighted by the root of their height.
    """
    if not (height > 0).any():
        return None
    places = np.arange(-400.0, 700.0, 4.0)
    apart = (places[:, None, None, None] - np.nan_to_num(peak, nan=1e9)) / width
    votes = (np.exp(-0.5 * apart**2) * np.sqrt(height)).sum(axis=(1, 2))  # places, leads
    votes *= np.sqrt(height.max(axis=(0, 1))) / np.maximum(votes.max(axis=0), 1e-9)
    return float(places[votes.sum(axis=1).argmax()])


def delineate(signal: NDArray[np.floating[Any]]) -> Boundaries:
    """Boundaries of every wave of a recording.

    Args:
        signal: (leads, samples) at 250 Hz, mV; NaN where a lead is missing; a lead of zeros counts as missing.
    """
    present: NDArray[np.bool_] = np.isfinite(signal) & np.any(np.nan_to_num(signal) != 0, axis=1, keepdims=True)
    filled = signal if present.all() else fill_missing(np.where(present, signal, np.nan))
    cleaned = np.stack([neurokit.clean(lead) for lead in filled]) if len(signal) else np.zeros(signal.shape)
    cleaned[~present] = np.nan
    beats = find_beats(cleaned)
    tables = np.full((3, len(signal), len(beats), 3), np.nan)
    stretch = (beats // (STRETCH_S * FS_HZ)).astype(np.intp)
    for number in np.unique(stretch):
        here = np.flatnonzero(stretch == number)
        rr = float(np.median(np.diff(beats[here]))) if len(here) > 1 else FS_HZ
        for _ in range(MAX_SHAPES):
            moved, correlation = align_beats(cleaned, beats[here])
            members = correlation >= MIN_CORRELATION
            if not members.any():
                members[:] = True
            chosen = here[members]
            beats[chosen] = moved[members]
            _fill(tables, cleaned, beats, chosen, rr)
            here = here[~members]
            if not len(here):
                break
    return Boundaries(beats, *tables)


def _fill(tables: Array, cleaned: Array, beats: NDArray[np.intp], chosen: NDArray[np.intp], rr: float) -> None:
    """Write the boundaries of beats of one shape into ``tables``, from their average."""
    average = average_beat(cleaned, beats[chosen], rr)
    edges = combine_proposals(average, proposals(average)) * (FS_HZ / 1000.0)
    n = cleaned.shape[1]
    for wave in range(3):
        at = beats[chosen][None, :, None] + edges[wave][:, None, :]  # leads, beats, 2
        index = np.clip(np.nan_to_num(at), 0, n - 1).astype(np.intp)
        seen = np.isfinite(cleaned[np.arange(len(cleaned))[:, None, None], index]) & (at >= 0) & (at <= n - 1)
        tables[wave][:, chosen, 0::2] = np.where(seen.all(axis=2, keepdims=True), at, np.nan)
    without = ~_has_p(average, cleaned, beats[chosen], edges[0])
    tables[0][:, chosen[without]] = np.nan


def _has_p(average: Average, cleaned: Array, beats: NDArray[np.intp], p: Array) -> NDArray[np.bool_]:
    """Which beats (n,) have the average's P wave, over all leads; ``p`` (leads, 2): 250 Hz samples after the R."""
    n, correlation, sizes, usual = len(beats), np.zeros(len(beats)), np.zeros(len(beats)), np.zeros(len(beats))
    for row in np.flatnonzero(np.isfinite(p).all(axis=1)):
        span = np.arange(int(p[row, 0]) - 3, int(p[row, 1]) + 4)
        model = average.leads[row, np.clip(average.r + span * FINE, 0, average.leads.shape[1] - 1)]
        model = model - model.mean()
        at = beats[:, None] + span
        cut = np.where((at >= 0) & (at < cleaned.shape[1]), cleaned[row, np.clip(at, 0, cleaned.shape[1] - 1)], np.nan)
        known: NDArray[np.bool_] = np.asarray(np.isfinite(cut).all(axis=1))
        cut = np.nan_to_num(cut - cut.mean(axis=1, keepdims=True)) * known[:, None]
        # each beat is compared with the average of the others: its own noise is part of the average of all
        others = (n * model - cut) / (n - 1) if n > 1 else np.broadcast_to(model, cut.shape)
        correlation += (cut * others).sum(axis=1)
        sizes += (cut**2).sum(axis=1)
        usual += (others**2).sum(axis=1) * known
    return correlation >= MIN_P_CORRELATION * np.sqrt(sizes * usual)
