"""P waves in the average beat: what stands before every QRS at the same distance, where single beats leave it in doubt."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .features import FS_HZ
from .fusion import row_medians
from .types import Array, Boundaries

# How far a P wave from the sinus node lifts each lead (an axis of 60 degrees, to the left and a little to the front)
DIRECTION = {
    "I": 0.6,
    "II": 1.0,
    "III": 0.4,
    "aVR": -0.8,
    "aVL": 0.1,
    "aVF": 0.7,
    "V1": 0.2,
    "V2": 0.4,
    "V3": 0.5,
    "V4": 0.5,
    "V5": 0.5,
    "V6": 0.5,
}
TOP, FLANK = 8, 19  # samples on either side: the top of a P wave, and how far its feet reach
LONGEST = int(0.44 * FS_HZ)  # samples before the QRS that are looked at
LEAST_BEFORE, AFTER_QRS = (
    10,
    25,
)  # samples: the top of P lies so far before the QRS; the window begins so far behind the QRS before
AFTER_T = 12  # samples behind the middle of T
LEAST_BEATS = 4
SHARE_OF_TOP = 0.3  # of the average height: what a beat must have of its own
LEAST_ERROR_MV = 1e-4
# What counts as a P wave: of 200 recordings with fibrillation 3 have a bump as clear, of 2,335 with P waves 90 % a
# clear one of their own, 0.5 % of these at another place.
CLEAR, LEAST_HEIGHT_MV, LONGEST_PR = 8.0, 0.015, int(0.3 * FS_HZ)
# samples: where the delineator puts the ends of P waves that both see (61 +- 8 ms before the top), and how much further
# those of all leads together reach
BEGINS_BEFORE, ENDS_AFTER, WIDER = 15.3, 13.0, 2.5
FASTEST_WIDE_BPM, WIDE_MS = 130.0, 120.0


class AveragedP(NamedTuple):
    """A bump in the direction of a sinus P wave, before the usual beats' QRS onset.

    ``clearness``: its height over its standard error; ``height_mv``: how far its top stands out of its feet, mean over
    the leads; ``before``: samples from its top to the QRS onset; ``stands_alone``: it is a top of its own, not the
    slope of the T before; ``beats``: (n,) indices of the beats that were averaged; ``tops``: (n,) samples, where each
    has it, NaN where it has none.
    """

    clearness: float
    height_mv: float
    before: int
    stands_alone: bool
    beats: NDArray[np.intp]
    tops: Array

    def is_clear(self, rate_bpm: float, width_ms: float) -> bool:
        """Whether it is a P wave; not claimed in a fast rhythm of wide QRS, which may be ventricular."""
        told = self.clearness >= CLEAR and self.height_mv >= LEAST_HEIGHT_MV and self.before <= LONGEST_PR
        return told and self.stands_alone and not (rate_bpm > FASTEST_WIDE_BPM and width_ms >= WIDE_MS)


def averaged_p(
    signal: NDArray[np.floating[Any]],
    names: tuple[str, ...],
    edges: dict[str, Array],
    rr: Array,
    usual: NDArray[np.bool_],
) -> AveragedP | None:
    """Look for P waves in the average of the usual beats, aligned at the QRS onset.

    Fibrillatory waves come at any distance from the QRS and cancel out; a P wave that a T or a wide QRS hides from the
    delineator does not.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        names: of the leads; those that are not standard say nothing.
        edges: from ``fuse``.
        rr: (beats,) samples since the beat before, NaN where that is not known.
        usual: (beats,) those with the usual QRS.

    Returns:
        ``None`` with fewer than four beats, or where there is no room between T and QRS.
    """
    onsets, offsets = edges["qrs_onset"], edges["qrs_offset"]
    rows = [row for row, name in enumerate(names) if name in DIRECTION]
    if not rows or not usual.any() or not np.isfinite(rr[usual]).any():
        return None
    usual_rr = float(np.nanmedian(rr[usual]))
    width = float(_median(offsets - onsets))
    length = int(min(LONGEST, usual_rr - width - AFTER_QRS)) if np.isfinite(width) else 0
    ends = np.concatenate([[-np.inf], offsets[:-1]])
    chosen = np.flatnonzero(usual & (onsets >= length + FLANK) & ~(ends > onsets - length + 5))
    t_middle = float(_median((edges["t_onset"] + edges["t_offset"]) / 2 - onsets))
    first = int(max(0.0, length - (usual_rr - t_middle) + AFTER_T)) if np.isfinite(t_middle) else 0
    last = length - LEAST_BEFORE
    if len(chosen) < LEAST_BEATS or last - first < 8:
        return None
    weights = np.array([DIRECTION[names[row]] for row in rows])
    height = _bump(weights @ signal[rows] / np.abs(weights).sum())
    each = height[onsets[chosen].round().astype(np.intp)[:, None] + np.arange(-length, 0)]  # beats, samples
    usual_height = np.median(each, axis=0)
    top = first + int(usual_height[first:last].argmax())
    error = max(float(_error(each[None, :, top])[0]), LEAST_ERROR_MV)
    near = each[:, max(first, top - 6) : top + 7]
    tops = (onsets[chosen] - length + max(first, top - 6) + near.argmax(axis=1)).astype(np.float64)
    tops[near.max(axis=1) < SHARE_OF_TOP * usual_height[top]] = np.nan
    return AveragedP(
        float(usual_height[top]) / error, float(usual_height[top]), length - top, first < top < last - 1, chosen, tops
    )


def add_p_waves(
    seen: AveragedP,
    found: Boundaries,
    edges: dict[str, Array],
    signal: NDArray[np.floating[Any]],
    usable: NDArray[np.bool_],
) -> None:
    """Give the beats that show the P wave of the average beat, and have none of their own yet, one where they show it.

    Args:
        seen: the average beat's.
        found: boundaries per lead; changed in place, in the leads in which the average beat shows it.
        edges: from ``fuse``; changed in place.
        signal: (leads, samples) at 250 Hz.
        usable: (leads,) those that can be used.
    """
    has = np.isfinite(seen.tops) & np.isnan(edges["p_onset"][seen.beats])
    beats, tops = seen.beats[has], seen.tops[has]
    if not len(beats):
        return
    rows = np.flatnonzero(usable)
    heights = np.stack([_bump(signal[row].astype(np.float64))[tops.astype(np.intp)] for row in rows])  # leads, beats
    middle = np.abs(np.median(heights, axis=1))
    shows = middle >= np.maximum(LEAST_HEIGHT_MV / 2, 3 * _error(heights))
    shows[middle.argmax()] = True
    onset, offset = tops - BEGINS_BEFORE, tops + ENDS_AFTER
    for row in rows[shows]:
        found.p[row, beats, 0], found.p[row, beats, 2] = onset, offset
    edges["p_onset"][beats], edges["p_offset"][beats] = onset - WIDER, offset + WIDER


def _error(values: Array) -> Array:
    """Standard error of the median of each row (rows, n), from the median distance to it."""
    middle = np.median(values, axis=1, keepdims=True)
    return np.asarray(1.2533 * 1.4826 * np.median(np.abs(values - middle), axis=1) / np.sqrt(values.shape[1]))


def _bump(lead: Array) -> Array:
    """How far the mean of 68 ms around each sample stands out of that of the 44 ms on both sides of it."""
    sums = np.cumsum(np.pad(lead, (FLANK + 1, FLANK)))
    at = np.arange(len(lead)) + FLANK

    def total(first: int, last: int) -> Array:
        return np.asarray(sums[at + last + 1] - sums[at + first])

    inner, whole = total(-TOP, TOP), total(-FLANK, FLANK)
    return np.asarray(inner / (2 * TOP + 1) - (whole - inner) / (2 * (FLANK - TOP)))


def _median(values: Array) -> float:
    return float(row_medians(values[None])[0])
