"""Atrial rhythm: P waves that no QRS follows, atrial rate, and the relation of P to QRS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..delineation.features import FS_HZ
from ..delineation.types import Array
from ..signal.gaps import Spans, crosses
from ..small_arrays import median

Signal = NDArray[np.floating[Any]]
LONE_P = 0.5  # mean probability over the leads, from which a P wave without a QRS counts
P_BEFORE_S, LONGEST_PR_S = 0.2, 0.4  # usual upper limit of the PR interval, and the longest one
SHORTEST_P = 10  # samples: 40 ms
ATRIAL_KEYS = ("atrial_rate_bpm", "p_per_qrs", "dropped_beats", "pr_trend_ms")


def p_known(edges: dict[str, Array], no_lead_spans: Spans) -> NDArray[np.bool_]:
    """Whether the recording shows if there is a P wave before the beat; it may begin after the first P wave.

    Args:
        edges: boundaries of every beat, from ``fuse``.
        no_lead_spans: stretches without any lead, samples at 250 Hz.

    Returns:
        (beats,).
    """
    begin = edges["qrs_onset"] - P_BEFORE_S * FS_HZ
    return np.isfinite(edges["p_onset"]) | ((begin >= 0) & ~crosses(begin, edges["qrs_onset"], no_lead_spans))


def lone_p_waves(p_odds: Signal, edges: dict[str, Array]) -> Array:
    """P waves that belong to no beat.

    Args:
        p_odds: (samples,) at 250 Hz, mean probability of P over the leads.
        edges: boundaries of every beat, from ``fuse``.

    Returns:
        (n, 2) onsets and offsets, samples at 250 Hz.
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
    edges: dict[str, Array], p_mean: Signal | None, no_lead_spans: Spans, flutter_bpm: float | None = None
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Atrial rate, and the relation of P to QRS.

    Args:
        edges: boundaries of every beat, from ``fuse``.
        p_mean: (samples,) from the delineator; ``None`` where it searches P waves only before a QRS.
        no_lead_spans: stretches without any lead, samples at 250 Hz.
        flutter_bpm: the rate of flutter waves, if there are any.

    Returns:
        ``atrial_rate_bpm`` (from the median PP interval, or of flutter waves), ``p_per_qrs`` (P waves per QRS),
        ``dropped_beats`` (P waves that no QRS follows), ``pr_trend_ms`` (median change of PR from one beat to the
        next), ``None`` where not measurable; and the reasons.
    """
    out: dict[str, float | None] = dict.fromkeys(ATRIAL_KEYS)
    if flutter_bpm is not None:
        reasons = dict.fromkeys(ATRIAL_KEYS[1:], "in atrial flutter there are no P waves")
        return out | {"atrial_rate_bpm": flutter_bpm}, reasons
    with_p = np.isfinite(edges["p_onset"])
    lone = lone_p_waves(p_mean, edges) if p_mean is not None else np.empty((0, 2))
    if with_p.sum() + len(lone) < 0.5 * len(with_p):
        why = f"a P wave was found before {with_p.mean():.0%} of the beats only"
        return out, dict.fromkeys(ATRIAL_KEYS, why) | {
            "atrial_rate_bpm": why + ", and no regular flutter waves stand out"
        }
    reasons = {}
    onsets = edges["p_onset"][with_p]
    pr = edges["qrs_onset"] - edges["p_onset"]
    growth = np.diff(pr)[np.isfinite(np.diff(pr))]
    if len(growth) >= 3:
        out["pr_trend_ms"] = median(growth) * 1000.0 / FS_HZ
    else:
        reasons["pr_trend_ms"] = "too few beats"
    if p_mean is None:
        return out, reasons | dict.fromkeys(ATRIAL_KEYS[:3], "this delineator looks for P waves before a QRS only")
    all_onsets = np.sort(np.concatenate([onsets, lone[:, 0]]))
    gaps = np.diff(all_onsets)[~crosses(all_onsets[:-1], all_onsets[1:], no_lead_spans)]
    # the QRS of the last P wave may lie after the end of the recording
    followed = lone[:, 0] < len(p_mean) - LONGEST_PR_S * FS_HZ
    followed &= ~crosses(lone[:, 1], lone[:, 1] + LONGEST_PR_S * FS_HZ, no_lead_spans)
    with_known_p = p_known(edges, no_lead_spans)
    out["dropped_beats"] = float(followed.sum())
    out["p_per_qrs"] = float((with_p.sum() + followed.sum()) / with_known_p.sum()) if with_known_p.any() else None
    if out["p_per_qrs"] is None:
        reasons["p_per_qrs"] = "too few beats"
    if len(gaps) >= 2:
        out["atrial_rate_bpm"] = 60.0 * FS_HZ / median(gaps)
    else:
        reasons["atrial_rate_bpm"] = "too few P waves"
    return out, reasons
