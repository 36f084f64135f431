"""Twelve leads, one beat: global boundaries, P present or absent, intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from .features import FS_HZ
from .types import Array, Boundaries

MS = 1000.0 / FS_HZ
# Share of the leads in which a wave has begun, or still lasts, at its clinical boundaries. Chosen on 40 records with GE
# 12SL's values. P waves are low, so that their ends are seen in fewer leads; T waves end at different times in
# different leads.
CLINICAL_SHARE = {"p": 0.25, "qrs": 1 / 3, "t": 0.25}
LEVEL = 0.5
# The T's end fades out in every lead at once: at one half, the common end lies behind the readers'.
T_OFFSET_LEVEL = 0.55
# In noise every lead's edges are unsure, so that two leads of twelve may be inside a QRS long before it: then the
# common boundary lies as far outside that of the third lead as it does in a clean recording (median of 25 of PTB-XL),
# and no further.
QRS_LEAD, QRS_REACH_MS = 0.2, (5.0, 6.5)
# Readers follow a QRS as far as they see a lead move: the boundary moves outward by 3 ms for each factor of e by which
# the second-steepest lead, 10 ms outside it, is steeper than 2 mV/s, noise added, and inward where it is less steep.
# Chosen on odd LUDB records held out of the network's training; any lead of the first four and 8 to 16 ms do as well.
SEEN_MV_S, SEEN_MS, SEEN_AT_MS, SEEN_AT_MOST_MS = 2.0, 3.0, 10.0, 6.0
QUIET_SHARE, QUIET_PLACES = 0.3, 499  # of the record is taken for quiet, looked at in so many places
# Share of a beat's leads that must show a P wave. The record has a say: where P waves are the rule, or the rhythm is
# regular and some leads show them, a faint one counts; where the rhythm is irregular and most leads show none, as
# between fibrillatory waves, only a clear one does, unless the beats have the same shape before them: P waves come at
# one distance, fibrillatory waves at any.
# Chosen on CinC Challenge records and odd LUDB records.
P_SHARE, P_SHARE_RULE, P_SHARE_EXCEPTION = 1 / 3, 0.25, 0.8
IRREGULAR_CV = 0.08
MOST_COMPARED = 200  # beats, each with each other
# of 39 irregular records labelled atrial fibrillation (CinC Challenge, LUDB, PTB-XL) three reach it, and only one of
# them seems to show P waves
SAME_BEFORE = 0.38
_ATRIAL_BAND = butter(2, (1.0, 30.0), btype="bandpass", fs=FS_HZ, output="sos")


def clinical(found: Boundaries, extents: dict[str, Array]) -> dict[str, Array]:
    """Boundaries of every beat by the clinical definition, in samples at 250 Hz: where the wave begins and ends in the usual lead.

    A QRS has begun when it has in a third of the leads, and has ended when it lasts in no more than a third; of P and T
    waves it takes a quarter. Criteria ("QRS of 120 ms or more") stem from measurements of this kind: the earliest and
    latest of twelve leads, each with its own scatter, lie 13 ms further apart (docs/measurement.md).

    Args:
        found: boundaries per lead, from ``agree``.
        extents: from ``fuse``; where a wave has none there, it has none here.
    """
    out = {}
    for name, table in (("p", found.p), ("qrs", found.qrs), ("t", found.t)):
        out[f"{name}_onset"] = _quantile(table[:, :, 0], CLINICAL_SHARE[name])
        out[f"{name}_offset"] = -_quantile(-table[:, :, 2], CLINICAL_SHARE[name])
    return {edge: np.where(np.isfinite(extents[edge]), values, np.nan) for edge, values in out.items()}


def _quantile(values: Array, share: float) -> Array:
    """(n,) from (leads, n): the value that a share of the leads lies below, between two leads by a straight line; over what is finite."""
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
    """The extent of every wave over the leads, in samples at 250 Hz, NaN where too few leads show the wave.

    The earliest onset and the latest offset over the leads, forgiving one stray lead where there are eight or more:
    what a reader does who lays the leads over each other.

    Args:
        found: boundaries per lead.
        signal: (usable leads, samples) at 250 Hz, mV; tells how far a QRS can be seen, and, where the rhythm is
            irregular, P waves from fibrillatory waves.
        rr: (beats - 1,) samples from beat to beat, NaN where something between them is missing.
        n_leads: (beats,) leads that are there.
        noisy: most leads have muscle or converter noise.

    Returns:
        ``p_onset p_offset qrs_onset qrs_offset t_onset t_offset``, each (beats,).
    """
    seen = np.maximum(np.isfinite(found.qrs[:, :, 0]).sum(axis=0), n_leads / 2)
    out: dict[str, Array] = {}
    p_seen = np.isfinite(found.p[:, :, 0]).sum(axis=0) / seen
    usual, rr = float(np.median(p_seen)) if p_seen.size else 0.0, rr[np.isfinite(rr)]
    irregular = len(rr) > 2 and float(rr.std() / rr.mean()) > IRREGULAR_CV
    p_share = P_SHARE
    if irregular and (usual < 0.2 or alike_before(signal, _stray_forgiven(found.qrs[:, :, 0])) < SAME_BEFORE):
        p_share = P_SHARE_EXCEPTION
    elif usual >= (0.7 if irregular else 0.2):
        p_share = P_SHARE_RULE
    for name, table, share in (("p", found.p, p_share), ("qrs", found.qrs, 0.0), ("t", found.t, 0.3)):
        enough = np.isfinite(table[:, :, 0]).sum(axis=0) >= np.maximum(1, share * seen)
        out[f"{name}_onset"] = np.where(enough, _stray_forgiven(table[:, :, 0]), np.nan)
        out[f"{name}_offset"] = np.where(enough, -_stray_forgiven(-table[:, :, 2]), np.nan)
    if found.inside is not None:
        for row, name in enumerate(("p", "qrs", "t")):
            both = np.isfinite(out[f"{name}_onset"]) & np.isfinite(out[f"{name}_offset"])
            end, level = found.inside.shape[1] - 1, T_OFFSET_LEVEL if name == "t" else LEVEL
            first, last = out[f"{name}_onset"][both], out[f"{name}_offset"][both]
            out[f"{name}_onset"][both] = end + 0.5 - _outward(found.inside[row, ::-1], end - first, LEVEL)
            out[f"{name}_offset"][both] = _outward(found.inside[row], last, level) - 0.5
    rank = 2 if len(signal) >= 8 else 1
    quiet = float(np.quantile(steepest(signal, np.linspace(0, signal.shape[1], QUIET_PLACES), rank), QUIET_SHARE))
    for name, sign in (("qrs_onset", -1), ("qrs_offset", 1)):
        steep = steepest(signal, out[name] + sign * SEEN_AT_MS / MS, rank)
        further_ms = SEEN_MS * np.log(np.maximum(steep, 1e-9) / math.hypot(SEEN_MV_S, quiet))
        out[name] = out[name] + sign * np.clip(further_ms, -SEEN_AT_MOST_MS, SEEN_AT_MOST_MS) / MS
    if noisy:
        for name, sign, column, reach_ms in (
            ("qrs_onset", 1, 0, QRS_REACH_MS[0]),
            ("qrs_offset", -1, 2, QRS_REACH_MS[1]),
        ):
            nearest = sign * _ordered(sign * found.qrs[:, :, column], QRS_LEAD) - sign * reach_ms / MS
            out[name] = sign * np.maximum(sign * out[name], sign * nearest)
    return out


def steepest(signal: NDArray[np.floating[Any]], at: Array, rank: int) -> Array:
    """How steep the ``rank``-th steepest of the leads (leads, samples at 250 Hz) is at places (n,) between samples, mV/s."""
    inside = np.clip(np.nan_to_num(at), 1, max(1, signal.shape[1] - 3))
    low = inside.astype(np.intp)
    left, right = (np.abs(signal[:, i + 1] - signal[:, i - 1]) * (FS_HZ / 2) for i in (low, low + 1))
    slope = left + (right - left) * (inside - low)
    return np.asarray(np.sort(slope, axis=0)[-min(rank, len(slope))], np.float64)


def _outward(inside: NDArray[np.floating[Any]], start: Array, level: float) -> Array:
    """The first fall below a level to the right of places (n,) inside waves, at most 80 ms on."""
    begin = np.maximum(start.astype(np.intp) - 2, 0)
    at = begin[:, None] + np.arange(int(0.1 * FS_HZ))
    part = np.where(at < len(inside), inside[np.minimum(at, len(inside) - 1)], 1.0).astype(np.float64)
    k = (part < level).argmax(axis=1)  # 0 where it falls nowhere, or was never inside
    rows, before = np.arange(len(part)), np.maximum(k - 1, 0)
    drop = np.where(k > 0, part[rows, before] - part[rows, k], 1.0)
    return np.where(k > 0, begin + k - 1 + (part[rows, before] - level) / drop, start + 0.5)


def _ordered(values: Array, share: float) -> Array:
    """Per beat the value below which a share of the leads' values lies."""
    if values.shape[1] == 0:
        return np.empty(0)
    count = np.isfinite(values).sum(axis=0)
    place = (share * np.maximum(count - 1, 0)).astype(int)
    return np.asarray(np.sort(values, axis=0)[place, np.arange(values.shape[1])])


def _stray_forgiven(values: Array) -> Array:
    """Per beat the smallest value, or the second smallest of eight or more."""
    if values.shape[1] == 0:
        return np.empty(0)
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    index = np.where(count >= 8, 1, 0)
    return ordered[np.minimum(index, len(values) - 1), np.arange(values.shape[1])]


def agree(found: Boundaries, edges: dict[str, Array]) -> Boundaries:
    """Drop P and T waves of beats that the leads together say have none, and waves far from the common ones."""
    p, qrs, t = (table.copy() for table in (found.p, found.qrs, found.t))
    p[:, ~np.isfinite(edges["p_onset"])] = np.nan
    t[:, ~np.isfinite(edges["t_offset"])] = np.nan
    for table, reach in ((p, 0.1), (qrs, 0.1), (t, 0.2)):
        middle = (table[:, :, 0] + table[:, :, 2]) / 2
        table[np.abs(middle - row_medians(middle.T)) > reach * FS_HZ] = np.nan
    return found._replace(p=p, qrs=qrs, t=t)


def row_medians(values: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Median of each row (rows,) over its finite values, NaN where there are none; for small tables far quicker than NumPy's own."""
    if values.shape[1] == 0:
        return np.full(len(values), np.nan)
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    return np.asarray((ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2]) / 2)


def middle_mean(values: Array) -> float:
    """Mean of the middle half (interquartile mean): as deaf to stray beats as the median, but it does not jump between two sorts of beat.

    Example:
        >>> middle_mean(np.array([400.0, 401.0, 415.0, 900.0])), middle_mean(np.array([400.0]))
        (408.0, 400.0)
    """
    share = 0.25 * len(values)
    weight = np.clip(np.arange(1, len(values) + 1) - share, 0, 1)
    weight = np.minimum(weight, weight[::-1])
    return float(np.sort(values) @ weight / weight.sum())


def beat_shapes(
    signal: NDArray[np.float32], beats: NDArray[np.intp], there: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """(beats, leads x samples): 160 ms around each R in all leads, each lead less its mean there; NaN in a lead that is not ``there``."""
    reach = int(0.08 * FS_HZ)
    at = np.clip(beats[:, None] + np.arange(-reach, reach + 1), 0, signal.shape[1] - 1)
    windows = np.stack([lead[at] for lead in signal], axis=1)  # beats, leads, samples
    windows /= max(float(np.abs(windows).max()), np.finfo(np.float32).tiny)  # only shapes count, whatever the unit
    windows -= windows.mean(axis=2, keepdims=True)
    if there is not None:
        for row, lead in enumerate(there):
            windows[~lead[at].all(axis=1), row] = np.nan
    return windows.reshape(len(beats), -1)


def alike(shapes: NDArray[np.floating[Any]]) -> float:
    """Mean correlation of each beat with each other: 0 +- 0.07 where noise was taken for beats, at least 0.11 in real recordings.

    Of 663 recordings of LUDB, CinC Challenge and PTB-XL, the least alike are atrial fibrillation with noise and
    ventricular fibrillation. Beats that have no lead in common say nothing.
    """
    if not np.isfinite(shapes).all():
        few = shapes[:: max(1, len(shapes) // MOST_COMPARED)]
        known, values = np.isfinite(few).astype(np.float64), np.nan_to_num(few).astype(np.float64)
        size = np.sqrt((values**2 @ known.T) * (known @ (values**2).T))
        pairs = (known @ known.T > 0) & ~np.eye(len(few), dtype=bool)
        return float(np.mean((values @ values.T / np.maximum(size, 1e-12))[pairs])) if pairs.any() else 1.0
    count = len(shapes)
    unit = shapes / np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-12)
    return float((np.sum(unit.sum(axis=0) ** 2) - count) / (count * (count - 1)))


def steepness(signal: NDArray[np.floating[Any]], beats: NDArray[np.intp]) -> float:
    """How steep the leads are within 80 ms of the beats, over how steep they are: about 1 (0.9-1.26) where noise was taken for a beat.

    In 1 to 3 s of single leads of LUDB, CinC Challenge and PTB-XL it is 1.32 or more, of twelve leads 1.5 or more.

    Args:
        signal: (leads, samples) at 250 Hz.
        beats: (n,) samples, at least one.
    """
    slope = np.abs(np.diff(signal, axis=1)).mean(axis=0)
    reach = int(0.08 * FS_HZ)
    at = (beats[:, None] + np.arange(-reach, reach)).ravel()
    usual = float(slope.mean())
    return float(slope[at[(at >= 0) & (at < len(slope))]].mean()) / usual if usual > 0 else 0.0


def alike_before(signal: NDArray[np.floating[Any]], onsets: Array) -> float:
    """``alike`` of the 200 ms before each QRS onset, where P waves are: all leads, each scaled to its usual size there.

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
    for row, lead in enumerate(signal):  # one at a time: a filtered copy of a long recording is large
        shapes[:, row] = sosfiltfilt(_ATRIAL_BAND, lead, padlen=min(250, len(lead) - 1))[at]
    shapes -= shapes.mean(axis=2, keepdims=True)
    shapes /= np.maximum(np.median(np.abs(shapes).max(axis=2), axis=0), 1e-9)[None, :, None]
    return alike(shapes.reshape(len(shapes), -1))


def corrected_qt(qt_ms: float | None, rr_ms: float | None) -> dict[str, float | None]:
    """QTc by Bazett (1920), Fridericia (1920), Framingham (Sagie 1992) and Hodges (1983), ms.

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
    """Degrees from the net areas in I and aVF; aVF is scaled by 2/sqrt(3), as the leads' lengths ask.

    Example:
        >>> round(frontal_axis(1.0, 0.0)), round(frontal_axis(0.0, 1.0))
        (0, 90)
    """
    return math.degrees(math.atan2(net_avf * 2.0 / math.sqrt(3.0), net_i))
