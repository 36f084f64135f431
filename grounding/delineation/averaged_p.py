"""P waves in the average beat, for recordings in which those of single beats are too small to be sure of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..small_arrays import median
from .features import FS_HZ
from .fusion import row_medians
from .types import Array, Boundaries

# Relative amplitude of a sinus P wave in each lead (frontal axis of 60 degrees, to the left and slightly forward)
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
TOP, FLANK = 8, 19  # half-widths of the top and of the whole of a P wave, samples
LONGEST = int(0.44 * FS_HZ)  # samples before the QRS that are searched
MIN_BEFORE = 10  # samples from the top of P to the QRS onset, at least
AFTER_QRS = 25  # samples from the previous QRS to the start of the window
AFTER_T = 12  # samples from the middle of T to the start of the window
MIN_BEATS = 4
SHARE_OF_TOP = 0.3  # of the average height, that a single beat must have
MIN_ERROR_MV = 1e-4
# Thresholds for a P wave: 3 of 200 recordings with fibrillation pass them, and 90 % of 2,335 with P waves do, 0.5 % of
# these at a wrong place.
MIN_CLEARNESS, MIN_HEIGHT_MV, LONGEST_PR = 8.0, 0.015, int(0.3 * FS_HZ)
# samples: onset and offset from the top where the delineator also found the P wave (onset 61 +- 8 ms before the top),
# and how much further the extent over all leads reaches on either side
BEGINS_BEFORE, ENDS_AFTER, WIDER = 15.3, 13.0, 2.5
FASTEST_WIDE_BPM, WIDE_MS = 130.0, 120.0


class AveragedP(NamedTuple):
    """The highest deflection in the direction of a sinus P wave before the QRS onset of the average beat.

    Attributes:
        clearness: its height over the standard error of the height.
        height_mv: its height over its flanks, weighted mean over the leads.
        before: samples at 250 Hz from its top to the QRS onset.
        stands_alone: it is a local maximum, not the slope of the T wave before.
        beats: (n,) indices of the beats that were averaged.
        tops: (n,) samples at 250 Hz, its top in each of these beats; NaN in a beat without it.
    """

    clearness: float
    height_mv: float
    before: int
    stands_alone: bool
    beats: NDArray[np.intp]
    tops: Array

    def is_clear(self, rate_bpm: float, width_ms: float) -> bool:
        """Whether it is a P wave; never in a fast rhythm with wide QRS complexes, which may be ventricular.

        Args:
            rate_bpm: heart rate.
            width_ms: usual QRS duration.
        """
        clear = self.clearness >= MIN_CLEARNESS and self.height_mv >= MIN_HEIGHT_MV and self.before <= LONGEST_PR
        return clear and self.stands_alone and not (rate_bpm > FASTEST_WIDE_BPM and width_ms >= WIDE_MS)


def averaged_p(
    signal: NDArray[np.floating[Any]],
    names: tuple[str, ...],
    edges: dict[str, Array],
    rr: Array,
    usual: NDArray[np.bool_],
) -> AveragedP | None:
    """Look for P waves in the average of the usual beats, aligned at the QRS onset.

    Fibrillatory waves are not synchronous with the QRS and average out; a P wave is, even where the delineator misses
    it beside a T wave or a wide QRS.

    Args:
        signal: (leads, samples) at 250 Hz, mV.
        names: of the leads; other than standard leads are not used.
        edges: boundaries of every beat, from ``fuse``.
        rr: (beats,) samples since the previous beat, NaN where that is not known.
        usual: (beats,) whether the beat has the usual QRS.

    Returns:
        ``None`` with fewer than four beats, or where there is no room between T and QRS.
    """
    onsets, offsets = edges["qrs_onset"], edges["qrs_offset"]
    rows = [row for row, name in enumerate(names) if name in DIRECTION]
    known = rr[usual & np.isfinite(rr)]
    if not rows or not len(known):
        return None
    usual_rr = median(known)
    width = float(_median(offsets - onsets))
    length = int(min(LONGEST, usual_rr - width - AFTER_QRS)) if np.isfinite(width) else 0
    ends = np.concatenate([[-np.inf], offsets[:-1]])
    chosen = np.flatnonzero(usual & (onsets >= length + FLANK) & ~(ends > onsets - length + 5))
    t_middle = float(_median((edges["t_onset"] + edges["t_offset"]) / 2 - onsets))
    first = int(max(0.0, length - (usual_rr - t_middle) + AFTER_T)) if np.isfinite(t_middle) else 0
    last = length - MIN_BEFORE
    if len(chosen) < MIN_BEATS or last - first < 8:
        return None
    weights = np.array([DIRECTION[names[row]] for row in rows])
    height = _bump(weights @ signal[rows] / np.abs(weights).sum())
    each = height[onsets[chosen].round().astype(np.intp)[:, None] + np.arange(-length, 0)]  # beats, samples
    usual_height = row_medians(each.T)
    top = first + int(usual_height[first:last].argmax())
    error = max(float(_error(each[None, :, top])[0]), MIN_ERROR_MV)
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
    """Add the average beat's P wave to the beats that show it and in which the delineator found none.

    Args:
        seen: the P wave of the average beat.
        found: boundaries per lead; changed in place, in the leads in which the average beat shows the P wave.
        edges: boundaries of every beat, from ``fuse``; changed in place.
        signal: (leads, samples) at 250 Hz.
        usable: (leads,) whether the lead can be used.
    """
    has = np.isfinite(seen.tops) & np.isnan(edges["p_onset"][seen.beats])
    beats, tops = seen.beats[has], seen.tops[has]
    if not len(beats):
        return
    rows = np.flatnonzero(usable)
    heights = np.stack([_bump(signal[row].astype(np.float64))[tops.astype(np.intp)] for row in rows])  # leads, beats
    middle = np.abs(row_medians(heights))
    shows = middle >= np.maximum(MIN_HEIGHT_MV / 2, 3 * _error(heights))
    shows[middle.argmax()] = True
    onset, offset = tops - BEGINS_BEFORE, tops + ENDS_AFTER
    for row in rows[shows]:
        found.p[row, beats, 0], found.p[row, beats, 2] = onset, offset
    edges["p_onset"][beats], edges["p_offset"][beats] = onset - WIDER, offset + WIDER


def _error(values: Array) -> Array:
    """Standard error of the median of each row (rows, n), from the median absolute deviation."""
    middle = row_medians(values)[:, None]
    return np.asarray(1.2533 * 1.4826 * row_medians(np.abs(values - middle)) / np.sqrt(values.shape[1]))


def _bump(lead: Array) -> Array:
    """Mean of the 68 ms around each sample less the mean of the 44 ms on both sides of these."""
    padded = np.zeros(len(lead) + 2 * FLANK + 1)
    padded[FLANK + 1 : FLANK + 1 + len(lead)] = lead
    sums = np.cumsum(padded)

    def total(first: int, last: int) -> Array:
        begin, end = FLANK + first, FLANK + last + 1
        return np.asarray(sums[end : end + len(lead)] - sums[begin : begin + len(lead)])

    inner, whole = total(-TOP, TOP), total(-FLANK, FLANK)
    return np.asarray(inner / (2 * TOP + 1) - (whole - inner) / (2 * (FLANK - TOP)))


def _median(values: Array) -> float:
    return float(row_medians(values[None])[0])
