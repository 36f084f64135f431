"""What the atria do: P waves that no QRS follows, how P and QRS go together, and the rate of flutter waves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch

from .delineators import Array
from .features import FS_HZ
from .gaps import Spans, crosses

Signal = NDArray[np.floating[Any]]
LONE_P = 0.5  # mean probability over the leads; half of them must see it
P_BEFORE_S, LONGEST_PR_S = 0.2, 0.4  # how long before a QRS a P wave usually begins at most, and how long it may
SHORTEST_P = 10  # samples: 40 ms
FLUTTER_BAND_HZ = (3.3, 6.0)  # 200-360 waves a minute
WHOLE_BAND_HZ = (2.5, 14.0)
SPECTRUM = 8192  # samples: 33 s; longer recordings are the mean of such stretches
# Share of the band's power that the rate and its first overtone must hold: in CinC Challenge, LUDB and PTB-XL records without P waves,
# 4 of 10 with flutter reach it, and 1 of 42 with fibrillation; flutter with fewer leads or a varying rate stays below.
CLEAR_PEAK = 0.33
ATRIAL_LEADS = ("II", "III", "aVF", "V1")
ATRIAL_KEYS = ("atrial_rate_bpm", "p_per_qrs", "dropped_beats", "pr_trend_ms")


def p_known(edges: dict[str, Array], dark: Spans) -> NDArray[np.bool_]:
    """Of which beats (beats,) the recording tells whether a P wave comes before: it may begin after that of the first.

    Args:
        edges: from ``fuse``.
        dark: stretches without any lead, samples at 250 Hz.
    """
    begin = edges["qrs_onset"] - P_BEFORE_S * FS_HZ
    return np.isfinite(edges["p_onset"]) | ((begin >= 0) & ~crosses(begin, edges["qrs_onset"], dark))


def lone_p_waves(p_odds: Signal, edges: dict[str, Array]) -> Array:
    """P waves that belong to no beat: (n, 2) onsets and offsets, samples at 250 Hz.

    Args:
        p_odds: (samples,) mean probability over the leads that a sample lies in a P wave.
        edges: from ``fuse``.
    """
    mask = np.concatenate([[False], p_odds > LONE_P, [False]])
    borders = np.flatnonzero(mask[1:] != mask[:-1])
    spans = borders.reshape(-1, 2).astype(np.float64)
    spans = spans[(spans[:, 1] - spans[:, 0] >= SHORTEST_P) & (spans[:, 0] > 0) & (spans[:, 1] < len(p_odds))]
    middle = spans.mean(axis=1)
    free = np.ones(len(spans), bool)
    for wave in ("p", "qrs"):
        begins, ends = edges[f"{wave}_onset"] - 8, edges[f"{wave}_offset"] + 8
        known = np.isfinite(begins) & np.isfinite(ends)
        begins, ends = np.sort(begins[known]), np.sort(ends[known])
        # inside a wave: more have begun than have ended
        free &= np.searchsorted(begins, middle, side="right") <= np.searchsorted(ends, middle, side="left")
    return spans[free]


def atrial_rhythm(
    atrial: Signal, edges: dict[str, Array], p_mean: Signal | None, dark: Spans
) -> tuple[dict[str, float | None], dict[str, str]]:
    """How the atria beat, and how P and QRS go together.

    Args:
        atrial: (leads, samples) at 250 Hz, the usable leads among II, III, aVF and V1.
        edges: from ``fuse``.
        p_mean: from the delineator; ``None`` where it looks for P waves before a QRS only.
        dark: stretches without any lead, samples at 250 Hz.

    Returns:
        ``atrial_rate_bpm`` (from the usual PP interval, or of flutter waves), ``p_per_qrs`` (P waves per QRS), ``dropped_beats`` (P waves
        that no QRS follows), ``pr_trend_ms`` (usual growth of PR from one beat to the next), ``None`` where not measurable; and the reasons.
    """
    out: dict[str, float | None] = dict.fromkeys(ATRIAL_KEYS)
    with_p = np.isfinite(edges["p_onset"])
    lone = lone_p_waves(p_mean, edges) if p_mean is not None else np.empty((0, 2))
    if with_p.sum() + len(lone) < 0.5 * len(with_p):
        why = f"a P wave was found before {with_p.mean():.0%} of the beats only"
        reasons = dict.fromkeys(ATRIAL_KEYS, why)
        out["atrial_rate_bpm"] = flutter_rate(atrial, edges) if len(atrial) else None
        if out["atrial_rate_bpm"] is not None:
            del reasons["atrial_rate_bpm"]
        else:
            reasons["atrial_rate_bpm"] += ", and no regular flutter waves stand out"
        return out, reasons
    reasons = {}
    onsets = edges["p_onset"][with_p]
    pr = edges["qrs_onset"] - edges["p_onset"]
    growth = np.diff(pr)[np.isfinite(np.diff(pr))]
    if len(growth) >= 3:
        out["pr_trend_ms"] = float(np.median(growth)) * 1000.0 / FS_HZ
    else:
        reasons["pr_trend_ms"] = "too few beats"
    if p_mean is None:
        return out, reasons | dict.fromkeys(ATRIAL_KEYS[:3], "this delineator looks for P waves before a QRS only")
    all_onsets = np.sort(np.concatenate([onsets, lone[:, 0]]))
    gaps = np.diff(all_onsets)[~crosses(all_onsets[:-1], all_onsets[1:], dark)]
    # the QRS of the last P wave may come after the recording, and the P wave of the first QRS before it
    followed = lone[:, 0] < len(p_mean) - LONGEST_PR_S * FS_HZ
    followed &= ~crosses(lone[:, 1], lone[:, 1] + LONGEST_PR_S * FS_HZ, dark)
    told = p_known(edges, dark)
    out["dropped_beats"] = float(followed.sum())
    out["p_per_qrs"] = float((with_p.sum() + followed.sum()) / told.sum()) if told.any() else None
    if out["p_per_qrs"] is None:
        reasons["p_per_qrs"] = "too few beats"
    if len(gaps) >= 2:
        out["atrial_rate_bpm"] = 60.0 * FS_HZ / float(np.median(gaps))
    else:
        reasons["atrial_rate_bpm"] = "too few P waves"
    return out, reasons


def flutter_rate(signal: Signal, edges: dict[str, Array]) -> float | None:
    """Rate of regular atrial waves between 200 and 360 per minute, or ``None`` where no rate stands out.

    The usual QRS-T of each lead is taken off every beat; what is left is flutter where a third of its power lies at one rate
    and its first overtone, and fibrillation or noise where it does not.

    Args:
        signal: (leads, samples) at 250 Hz: leads in which atrial waves show best.
        edges: from ``fuse``.

    Returns:
        Waves per minute.
    """
    onsets = edges["qrs_onset"][np.isfinite(edges["qrs_onset"])].round().astype(int)
    if len(onsets) < 4 or signal.shape[1] < 5 * FS_HZ:
        return None
    rest = _without_beats(signal, onsets)
    length = min(rest.shape[1], SPECTRUM)
    frequency, power = welch(rest, FS_HZ, "hann", nperseg=length, noverlap=0, nfft=SPECTRUM, axis=1)
    whole = (frequency >= WHOLE_BAND_HZ[0]) & (frequency <= WHOLE_BAND_HZ[1])
    total = (power / np.maximum(power[:, whole].sum(axis=1, keepdims=True), 1e-12)).mean(axis=0)
    band = (frequency >= FLUTTER_BAND_HZ[0]) & (frequency <= FLUTTER_BAND_HZ[1])
    rate = float(frequency[band][total[band].argmax()])
    near = np.abs(frequency - rate) < 0.25
    near |= np.abs(frequency - 2 * rate) < 0.35
    return 60.0 * rate if total[near & whole].sum() >= CLEAR_PEAK else None


def _without_beats(signal: Signal, onsets: NDArray[np.intp]) -> Signal:
    """The signal less each lead's median beat, aligned at the QRS onset."""
    before, length = 10, int(min(np.median(np.diff(onsets)), 0.5 * FS_HZ))
    inside = onsets[(onsets >= before) & (onsets + length <= signal.shape[1])]
    if len(inside) < 4:
        return signal
    rest = signal - np.median(signal, axis=1, keepdims=True)
    windows = inside[:, None] + np.arange(-before, length)
    usual = np.median(rest[:, windows], axis=1)
    for row in windows:
        rest[:, row] -= usual
    return rest
