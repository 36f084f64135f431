"""Fusion of leads: boundaries of each beat over all leads, presence of P waves, shapes of beats, QTc, frontal axis."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter

from ..record import lead_groups
from ..small_arrays import median, quantile
from .features import FS_HZ, zero_phase
from .types import Array, Boundaries

MS = 1000.0 / FS_HZ
# Share of the leads in which a wave has begun, or still lasts, at its clinical boundaries. Chosen on 40 records with GE
# 12SL's values. P waves are low, so that fewer leads show their ends; T waves end at different times in different
# leads.
CLINICAL_SHARE = {"p": 0.25, "qrs": 1 / 3, "t": 0.25}
LEVEL = 0.5  # of the probability to be inside a wave, at its common boundary
# The end of T fades out in every lead at once: at one half, the common end is later than annotators put it.
T_OFFSET_LEVEL = 0.55
# In noise the boundaries of every lead are uncertain, and two leads of twelve may seem to be inside a QRS long before
# it. Then the common boundary lies as far outside that of the third lead as it does in clean recordings (median of 25
# of PTB-XL), and no further.
QRS_LEAD, QRS_REACH_MS = 0.2, (5.0, 6.5)
# Annotators follow a QRS as far as they see a lead move. The boundary moves outward by 3 ms for each factor of e by
# which the second-steepest lead, 10 ms outside it, is steeper than 2 mV/s (noise added in quadrature), and inward where
# it is less steep. Chosen on odd LUDB records held out of the network's training; any of the four steepest leads and 8
# to 16 ms give the same results.
SEEN_MV_S, SEEN_MS, SEEN_AT_MS, SEEN_AT_MOST_MS = 2.0, 3.0, 10.0, 6.0
QUIET_SHARE, QUIET_SAMPLES = 0.3, 499  # quantile of the slope that stands for noise, and at how many places it is read
# Share of a beat's leads that must show a P wave. It depends on the whole record: where P waves are the rule, or the
# rhythm is regular and some leads show them, a P wave in few leads counts (P_SHARE_RULE). Where the rhythm is irregular
# and most leads show none, as in atrial fibrillation, it must be seen in most leads (P_SHARE_EXCEPTION); so it must
# where the signal before the QRS differs from beat to beat, since P waves keep their distance to the QRS and
# fibrillatory waves do not. Chosen on CinC Challenge records and odd LUDB records.
P_SHARE, P_SHARE_RULE, P_SHARE_EXCEPTION = 1 / 3, 0.25, 0.8
IRREGULAR_CV = 0.08
MAX_COMPARED_BEATS = 200  # for the correlation of each beat with each other
# Of 39 irregular records labelled atrial fibrillation (CinC Challenge, LUDB, PTB-XL), three reach this, and only one of
# them seems to show P waves.
MIN_CORRELATION_BEFORE = 0.38
_ATRIAL_BAND = butter(2, (1.0, 30.0), btype="bandpass", fs=FS_HZ, output="sos")


def clinical_boundaries(found: Boundaries, extents: dict[str, Array]) -> dict[str, Array]:
    """Boundaries of every beat by the clinical definition: where the wave begins and ends in a typical lead.

    A QRS begins when it has begun in a third of the leads, and ends when it lasts in no more than a third; for P and T
    waves it is a quarter. Criteria ("QRS of 120 ms or more") are based on measurements of this kind: the earliest onset
    and the latest offset of twelve leads, each with its own error, lie 13 ms further apart (docs/measurement.md).

    Args:
        found: boundaries per lead, from ``drop_disagreeing``.
        extents: from ``fuse``; a wave that is missing there is missing here.

    Returns:
        ``p_onset p_offset qrs_onset qrs_offset t_onset t_offset``, each (beats,) samples at 250 Hz.
    """
    tables = {"p": found.p, "qrs": found.qrs, "t": found.t}
    values = np.concatenate([ends for table in tables.values() for ends in (table[:, :, 0], -table[:, :, 2])], axis=1)
    shares = np.repeat([CLINICAL_SHARE[name] for name in tables], 2 * len(found.beats))
    found_ends = iter(_quantile(values, shares).reshape(6, -1))
    out = {f"{name}_{end}": sign * next(found_ends) for name in tables for end, sign in (("onset", 1), ("offset", -1))}
    return {edge: np.where(np.isfinite(extents[edge]), values, np.nan) for edge, values in out.items()}


def _quantile(values: Array, share: Array) -> Array:
    """Quantiles, at shares (n,), of the finite values of (leads, n) over the leads, linear between two leads."""
    if not values.size:
        return np.full(values.shape[1], np.nan)
    ordered = np.sort(values, axis=0)  # NaN last
    place = share * np.maximum(np.isfinite(values).sum(axis=0) - 1, 0)
    low, at = place.astype(np.intp), np.arange(values.shape[1])
    below = ordered[low, at]
    return np.asarray(below + (place - low) * (ordered[np.ceil(place).astype(np.intp), at] - below))


def fuse(
    found: Boundaries, signal: NDArray[np.floating[Any]], rr: Array, n_leads: NDArray[np.intp], noisy: bool = False
) -> dict[str, Array]:
    """The extent of every wave over the leads: the earliest onset and the latest offset.

    Where there are eight leads or more, one outlier is ignored. This is what a reader does who superimposes the leads.

    Args:
        found: boundaries per lead.
        signal: (usable leads, samples) at 250 Hz, mV; shows how far a QRS is visible, and, where the rhythm is
            irregular, whether there are P waves or fibrillatory waves.
        rr: (beats - 1,) samples from beat to beat, NaN where there is a gap between them.
        n_leads: (beats,) number of leads recorded at the beat.
        noisy: most leads have muscle or converter noise.

    Returns:
        ``p_onset p_offset qrs_onset qrs_offset t_onset t_offset``, each (beats,) samples at 250 Hz; NaN where too few
        leads show the wave.
    """
    seen = np.maximum(np.isfinite(found.qrs[:, :, 0]).sum(axis=0), n_leads / 2)
    out: dict[str, Array] = {}
    p_seen = np.isfinite(found.p[:, :, 0]).sum(axis=0) / seen
    usual, rr = median(p_seen) if p_seen.size else 0.0, rr[np.isfinite(rr)]
    irregular = len(rr) > 2 and float(rr.std() / rr.mean()) > IRREGULAR_CV
    p_share = P_SHARE
    if irregular and (
        usual < 0.2 or correlation_before_qrs(signal, _robust_minimum(found.qrs[:, :, 0])) < MIN_CORRELATION_BEFORE
    ):
        p_share = P_SHARE_EXCEPTION
    elif usual >= (0.7 if irregular else 0.2):
        p_share = P_SHARE_RULE
    tables = (("p", found.p, p_share), ("qrs", found.qrs, 0.0), ("t", found.t, 0.3))
    ends = np.concatenate([part for _, table, _ in tables for part in (table[:, :, 0], -table[:, :, 2])], axis=1)
    first, last = _robust_minimum(ends).reshape(3, 2, -1).swapaxes(0, 1)
    for row, (name, table, share) in enumerate(tables):
        enough = np.isfinite(table[:, :, 0]).sum(axis=0) >= np.maximum(1, share * seen)
        out[f"{name}_onset"] = np.where(enough, first[row], np.nan)
        out[f"{name}_offset"] = np.where(enough, -last[row], np.nan)
    if found.inside is not None:
        onsets = np.stack([out[f"{name}_onset"] for name in ("p", "qrs", "t")])
        offsets = np.stack([out[f"{name}_offset"] for name in ("p", "qrs", "t")])
        waves, at = np.nonzero(np.isfinite(onsets) & np.isfinite(offsets))
        end, level = found.inside.shape[1] - 1, np.array([LEVEL, LEVEL, T_OFFSET_LEVEL])
        backwards = _first_fall_below(found.inside[:, ::-1], waves, end - onsets[waves, at], level[:1])
        onsets[waves, at] = end + 0.5 - backwards
        offsets[waves, at] = _first_fall_below(found.inside, waves, offsets[waves, at], level[waves]) - 0.5
        for wave, name in enumerate(("p", "qrs", "t")):
            out[f"{name}_onset"], out[f"{name}_offset"] = onsets[wave], offsets[wave]
    rank = 2 if len(signal) >= 8 else 1
    quiet = quantile(steepest(signal, np.linspace(0, signal.shape[1], QUIET_SAMPLES), rank), QUIET_SHARE)
    ends, outward = np.stack([out["qrs_onset"], out["qrs_offset"]]), np.array([[-1], [1]])
    steep = steepest(signal, (ends + outward * SEEN_AT_MS / MS).ravel(), rank).reshape(ends.shape)
    further_ms = SEEN_MS * np.log(np.maximum(steep, 1e-9) / math.hypot(SEEN_MV_S, quiet))
    out["qrs_onset"], out["qrs_offset"] = ends + outward * np.clip(further_ms, -SEEN_AT_MOST_MS, SEEN_AT_MOST_MS) / MS
    if noisy:
        for name, sign, column, reach_ms in (
            ("qrs_onset", 1, 0, QRS_REACH_MS[0]),
            ("qrs_offset", -1, 2, QRS_REACH_MS[1]),
        ):
            nearest = sign * _value_at_share(sign * found.qrs[:, :, column], QRS_LEAD) - sign * reach_ms / MS
            out[name] = sign * np.maximum(sign * out[name], sign * nearest)
    return out


def steepest(signal: NDArray[np.floating[Any]], at: Array, rank: int) -> Array:
    """Slope of the ``rank``-th steepest lead.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        at: (n,) positions in samples, not necessarily whole.
        rank: 1 for the steepest lead.

    Returns:
        (n,) absolute slopes, mV/s.
    """
    inside = np.minimum(np.maximum(np.where(np.isfinite(at), at, 0.0), 1), max(1, signal.shape[1] - 3))
    low = inside.astype(np.intp)
    before, at_low, at_high, after = (np.take(signal, low + step, axis=1) for step in (-1, 0, 1, 2))
    left, right = (np.abs(b - a) * (FS_HZ / 2) for a, b in ((before, at_high), (at_low, after)))
    slope = left + (right - left) * (inside - low)
    return np.asarray(np.sort(slope, axis=0)[-min(rank, len(slope))], np.float64)


def _first_fall_below(inside: NDArray[np.floating[Any]], row: NDArray[np.intp], start: Array, level: Array) -> Array:
    """First fall of a row (n,) of ``inside`` (rows, samples) below ``level`` after ``start``, at most 80 ms later."""
    begin, n = np.maximum(start.astype(np.intp) - 2, 0), inside.shape[1]
    at = begin[:, None] + np.arange(int(0.1 * FS_HZ))
    part = np.where(at < n, inside[row[:, None], np.minimum(at, n - 1)], 1.0).astype(np.float64)
    k = (part < level[:, None]).argmax(axis=1)  # 0 where it never falls below, or is below from the start
    rows, before = np.arange(len(part)), np.maximum(k - 1, 0)
    drop = np.where(k > 0, part[rows, before] - part[rows, k], 1.0)
    return np.where(k > 0, begin + k - 1 + (part[rows, before] - level) / drop, start + 0.5)


def _value_at_share(values: Array, share: float) -> Array:
    """Of each beat, the value of the lead below which a share of the leads lies."""
    if values.shape[1] == 0:
        return np.empty(0)
    count = np.isfinite(values).sum(axis=0)
    place = (share * np.maximum(count - 1, 0)).astype(int)
    return np.asarray(np.sort(values, axis=0)[place, np.arange(values.shape[1])])


def _robust_minimum(values: Array) -> Array:
    """Of each beat, the smallest value over the leads, or the second smallest of eight or more."""
    if values.shape[1] == 0:
        return np.empty(0)
    if len(values) < 8:
        return np.asarray(np.sort(values, axis=0)[0])  # NaN last
    ordered = np.sort(values, axis=0)
    return np.asarray(np.where(np.isfinite(ordered[7]), ordered[1], ordered[0]))


def drop_disagreeing(found: Boundaries, edges: dict[str, Array]) -> Boundaries:
    """Drop P and T waves of beats that have none over all leads, and waves far from where the other leads have them.

    Args:
        found: boundaries per lead.
        edges: boundaries of every beat, from ``fuse``.
    """
    p, qrs, t = (table.copy() for table in (found.p, found.qrs, found.t))
    p[:, ~np.isfinite(edges["p_onset"])] = np.nan
    t[:, ~np.isfinite(edges["t_offset"])] = np.nan
    middle = np.concatenate([(table[:, :, 0] + table[:, :, 2]) / 2 for table in (p, qrs, t)], axis=1)
    away = np.split(np.abs(middle - row_medians(middle.T)), 3, axis=1)
    for table, far, reach in zip((p, qrs, t), away, (0.1, 0.1, 0.2), strict=True):
        table[far > reach * FS_HZ] = np.nan
    return found._replace(p=p, qrs=qrs, t=t)


def row_medians(values: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Median of each row over its finite values; for small tables much faster than ``np.nanmedian``.

    Args:
        values: (rows, n).

    Returns:
        (rows,); NaN where a row has no finite value.
    """
    if values.shape[1] == 0:
        return np.full(len(values), np.nan)
    ordered = np.sort(values, axis=1)  # NaN last
    if np.isfinite(values).all():
        low, high = (values.shape[1] - 1) // 2, values.shape[1] // 2
        return np.asarray((ordered[:, low] + ordered[:, high]) / 2)
    count = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    return np.asarray((ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2]) / 2)


def interquartile_mean(values: Array) -> float:
    """Mean of the middle half of the values.

    Like the median it is robust to outliers, but where beats are of two kinds it does not jump from one to the other.

    Args:
        values: (n,), finite, at least one.

    Example:
        >>> interquartile_mean(np.array([400.0, 401.0, 415.0, 900.0])), interquartile_mean(np.array([400.0]))
        (408.0, 400.0)
    """
    weight, total = _middle_half(len(values))
    return float(np.sort(values) @ weight / total)


@lru_cache(maxsize=256)
def _middle_half(count: int) -> tuple[Array, np.float64]:
    """The weight of each of ``count`` values in increasing order, and the sum of the weights."""
    weight = np.clip(np.arange(1, count + 1) - 0.25 * count, 0, 1)
    weight = np.minimum(weight, weight[::-1])
    return weight, weight.sum()


def beat_shapes(
    signal: NDArray[np.float32], beats: NDArray[np.intp], present: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Shape of each QRS: 160 ms around each R in all leads, each lead less its mean there.

    Args:
        signal: (leads, samples) at 250 Hz.
        beats: (n,) R positions, samples.
        present: (leads, samples), where a lead was recorded; ``None``: everywhere.

    Returns:
        (beats, leads x samples); NaN in a lead that was not recorded.
    """
    reach = int(0.08 * FS_HZ)
    at = np.clip(beats[:, None] + np.arange(-reach, reach + 1), 0, signal.shape[1] - 1)
    windows: Any = np.take(signal, at, axis=1).transpose(1, 0, 2).copy()  # beats, leads, samples
    windows /= max(float(np.abs(windows).max()), np.finfo(np.float32).tiny)  # only the shape matters, in any unit
    windows -= windows.mean(axis=2, keepdims=True)
    if present is not None:
        for row, lead in enumerate(present):
            windows[~lead[at].all(axis=1), row] = np.nan
    shapes: NDArray[np.float32] = windows.reshape(len(beats), -1)
    return shapes


def mean_correlation(shapes: NDArray[np.floating[Any]]) -> float:
    """Mean correlation of each beat with each other.

    It is 0 +- 0.07 where noise was taken for beats, and at least 0.11 in 663 recordings of LUDB, CinC Challenge and
    PTB-XL, of which atrial fibrillation with noise and ventricular fibrillation have the lowest.

    Args:
        shapes: (beats, n), from ``beat_shapes``; pairs of beats without a common finite value are left out.
    """
    if not np.isfinite(shapes).all():
        few = shapes[:: max(1, len(shapes) // MAX_COMPARED_BEATS)]
        known, values = np.isfinite(few).astype(np.float64), np.nan_to_num(few).astype(np.float64)
        size = np.sqrt((values**2 @ known.T) * (known @ (values**2).T))
        pairs = (known @ known.T > 0) & ~np.eye(len(few), dtype=bool)
        return float(np.mean((values @ values.T / np.maximum(size, 1e-12))[pairs])) if pairs.any() else 1.0
    count = len(shapes)
    unit = shapes / np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-12)
    return float((np.sum(unit.sum(axis=0) ** 2) - count) / (count * (count - 1)))


def steepness(signal: NDArray[np.floating[Any]], beats: NDArray[np.intp]) -> float:
    """Mean slope within 80 ms of the beats over the mean slope of the whole recording.

    It is about 1 (0.9-1.26) where noise was taken for a beat. In 1 to 3 s of single leads of LUDB, CinC Challenge and
    PTB-XL it is 1.32 or more, of twelve leads 1.5 or more.

    Args:
        signal: (leads, samples) at 250 Hz.
        beats: (n,) samples, at least one.
    """
    slope = np.abs(np.diff(signal, axis=1)).mean(axis=0)
    reach = int(0.08 * FS_HZ)
    at = (beats[:, None] + np.arange(-reach, reach)).ravel()
    usual = float(slope.mean())
    return float(slope[at[(at >= 0) & (at < len(slope))]].mean()) / usual if usual > 0 else 0.0


def correlation_before_qrs(signal: NDArray[np.floating[Any]], onsets: Array) -> float:
    """``mean_correlation`` of the 200 ms before each QRS onset, where P waves are, each lead scaled to its usual size.

    Args:
        signal: (leads, samples) at 250 Hz.
        onsets: (beats,) samples; those too near the start are left out.

    Returns:
        -1 to 1; 0 with fewer than three beats.
    """
    reach, gap = int(0.22 * FS_HZ), int(0.016 * FS_HZ)
    begins = onsets[np.isfinite(onsets) & (onsets >= reach)].astype(int) - reach
    if len(begins) < 3:
        return 0.0
    at = begins[:, None] + np.arange(reach - gap)
    shapes = np.empty((len(begins), len(signal), reach - gap))
    for rows in lead_groups(*signal.shape):  # a few at a time: a filtered copy of a long recording is large
        filtered = zero_phase(_ATRIAL_BAND, signal[rows], min(250, signal.shape[1] - 1))
        shapes[:, rows] = filtered[:, at].transpose(1, 0, 2)
    shapes -= shapes.mean(axis=2, keepdims=True)
    shapes /= np.maximum(np.median(np.abs(shapes).max(axis=2), axis=0), 1e-9)[None, :, None]
    return mean_correlation(shapes.reshape(len(shapes), -1))


def corrected_qt(qt_ms: float | None, rr_ms: float | None) -> dict[str, float | None]:
    """QTc by Bazett (1920), Fridericia (1920), Framingham (Sagie 1992) and Hodges (1983).

    Args:
        qt_ms: QT interval, or ``None``.
        rr_ms: RR interval, or ``None``.

    Returns:
        ``qtc_bazett qtc_fridericia qtc_framingham qtc_hodges`` in ms; ``None`` where QT or RR is.

    Example:
        >>> {name: round(value) for name, value in corrected_qt(400, 800).items()}
        {'qtc_bazett': 447, 'qtc_fridericia': 431, 'qtc_framingham': 431, 'qtc_hodges': 426}
    """
    names = ("qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges")
    if qt_ms is None or rr_ms is None:
        return dict.fromkeys(names)
    rr_s = rr_ms / 1000.0
    values = (
        qt_ms / rr_s**0.5,
        qt_ms / rr_s ** (1 / 3),
        qt_ms + 154.0 * (1 - rr_s),
        qt_ms + 1.75 * (60.0 / rr_s - 60.0),
    )
    return dict(zip(names, values, strict=True))


def frontal_axis(net_i: float, net_avf: float) -> float:
    """Frontal axis from the net areas in I and aVF; aVF is scaled by 2/sqrt(3) for the lengths of the lead vectors.

    Args:
        net_i: net area in I, any unit.
        net_avf: net area in aVF, same unit.

    Returns:
        Degrees, -180 to 180.

    Example:
        >>> round(frontal_axis(1.0, 0.0)), round(frontal_axis(0.0, 1.0))
        (0, 90)
    """
    return math.degrees(math.atan2(net_avf * 2.0 / math.sqrt(3.0), net_i))
