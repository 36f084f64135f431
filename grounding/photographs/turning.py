"""Which way up a page is: rows run along the traces, time goes to the right and voltage upwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from ..record import ECGRecord
from .ink import PX_PER_PERIOD
from .rectifying import PaperMap

Array = NDArray[np.float64]
ROW_PERIODS = 0.6  # height of the band in which a row's line runs nearly everywhere
# of how well rows are seen across, seen down: then the page is looked at again, turned. Edges of the paper are seen
# down on upright pages too (up to 1.08 on 25 photographs), but not in the middle half (up to 0.53)
MAYBE_SIDEWAYS, PROBABLY_SIDEWAYS = 0.8, 1.25
# a network that learned from pages that are upright sees strokes less well on those that aren't
CLEARLY_SIDEWAYS = 1.1
LEVEL_S, SMOOTH_S, BEAT_S = 0.6, 0.006, 0.02
MIN_RR_S, MIN_STEEPNESS, MIN_BEATS = 0.3, 0.4, 3
NEAR_S, FAR_S, FAR_RR = 0.10, 0.42, 0.5  # from the QRS complex, where T is behind it and P before it
LEVEL_STEP = 5
UP_LEADS = ("I", "II", "V5", "V6")  # their R waves are mostly up
PEAK_PERCENT = 0.7
# what marks count beside ``upright_score``, and how many names must agree
PULSE_COUNTS, NAMES_COUNT, MIN_NAMES = 1.0, 2.0, 3
SURE_UPRIGHT = 1.0  # then the page is not looked at upside down
# a page that is turned by more needs this, and one of its marks, or sums of limb leads that fit so well together
MAX_USUAL_DEGREES, MIN_UPRIGHT_TURNED, SURE_SUMS = 45.0, 0.5, 1.5


def seen_rows(trace: NDArray[np.bool_]) -> float:
    """How far traces run across a flat page in rows: 0.3 to 0.5 of its width on upright pages, 0.1 to 0.3 on others.

    Args:
        trace: (rows, columns), where trace is seen.
    """
    near = ndimage.maximum_filter1d(trace.astype(np.uint8), int(ROW_PERIODS * PX_PER_PERIOD), axis=0)
    share = ndimage.gaussian_filter1d(near.mean(1), PX_PER_PERIOD / 5)
    return float((share**2).sum() / max(1e-9, float(share.sum())))


def may_be_sideways(trace: NDArray[np.bool_]) -> bool:
    """Whether rows of a flat page may run down, so that it is worth the time to look for traces on the turned page.

    Args:
        trace: (rows, columns), where trace is seen.
    """
    down, across = (n // 4 for n in trace.shape)
    middle = trace[down : len(trace) - down, across : trace.shape[1] - across]
    whole, inner = (seen_rows(part.T) / max(1e-9, seen_rows(part)) for part in (trace, middle))
    return whole > PROBABLY_SIDEWAYS or min(whole, inner) > MAYBE_SIDEWAYS


def turned_degrees(page: PaperMap) -> float:
    """By how much a page is turned clockwise in its picture, -180 to 180."""
    seen = page.seen[:, 1:] & page.seen[:, :-1]
    right, down = (float(np.median(np.diff(part, axis=1)[seen])) for part in (page.x, page.y))
    return float(np.degrees(np.arctan2(down, right)))


def upright_score(record: ECGRecord) -> float:
    """Whether waves tell that time goes to the right and voltage upwards: negative if both are reversed.

    It is the logarithm of how much more is behind QRS complexes, where T is, than before them, plus how much farther
    the line goes up than down in leads whose R waves are mostly up (-1 to 1).

    Args:
        record: what was read; NaN where nothing is printed.
    """
    return _after_against_before(record) + _upwards(record)


def _after_against_before(record: ECGRecord) -> float:
    fs, n = record.fs, record.signal.shape[1]
    steep, height, rows = np.zeros(n), np.zeros(n), np.zeros(n)
    for row in np.asarray(record.signal, np.float64):
        known = np.flatnonzero(np.isfinite(row))
        if len(known) < fs:
            continue
        part = slice(known[0], known[-1] + 1)
        line = np.interp(np.arange(part.start, part.stop), known, row[known])
        level = ndimage.median_filter(line[::LEVEL_STEP], int(LEVEL_S * fs / LEVEL_STEP) | 1, mode="nearest")
        line -= level.repeat(LEVEL_STEP)[: len(line)]
        slope = np.abs(np.gradient(ndimage.gaussian_filter1d(line, SMOOTH_S * fs)))
        steep[part] += np.minimum(slope / max(1e-9, float(np.percentile(slope, 98))), 1.0)
        height[part] += ndimage.gaussian_filter1d(line, BEAT_S * fs) ** 2
        rows[part] += 1
    steep = ndimage.gaussian_filter1d(steep / np.maximum(rows, 1), BEAT_S * fs)
    height /= np.maximum(rows, 1)
    beats, _ = signal.find_peaks(steep, height=MIN_STEEPNESS * np.percentile(steep, 99), distance=int(MIN_RR_S * fs))
    if len(beats) < MIN_BEATS:
        return 0.0
    near, far = int(NEAR_S * fs), int(min(FAR_S * fs, FAR_RR * float(np.median(np.diff(beats)))))
    whole = beats[(beats >= far) & (beats + far < n)]
    if not len(whole) or far <= near:
        return 0.0
    behind, before = (
        float(np.median([height[beat + a : beat + b].mean() for beat in whole]))
        for a, b in ((near, far), (-far, -near))
    )
    return float(np.log(max(behind, 1e-12) / max(before, 1e-12)))


def _upwards(record: ECGRecord) -> float:
    out = []
    for lead in UP_LEADS:
        if lead in record.leads:
            line = record.lead(lead)
            line = line[np.isfinite(line)] - np.nanmedian(line)
            low, high = np.percentile(line, [PEAK_PERCENT, 100 - PEAK_PERCENT])
            out.append(float((high + low) / max(1e-9, high - low)))
    return float(np.mean(out)) if out else 0.0


@dataclass(frozen=True)
class PageReading:
    """A recording as one way of looking at its page gives it, and what speaks for that way.

    Attributes:
        record: the recording.
        sums: the correlations of limb leads' sums together; 0 where the layout was given.
        has_pulse: whether calibration pulses are seen, which go up.
        names: how many lead names are read where their leads are.
    """

    record: ECGRecord
    sums: float
    has_pulse: bool
    names: int

    @property
    def _is_named(self) -> bool:
        """Whether enough names are read: all of one or two leads."""
        return self.names >= min(MIN_NAMES, len(self.record.leads))

    @property
    def upright(self) -> float:
        """Whether it is the right way up: positive if so."""
        return upright_score(self.record) + PULSE_COUNTS * self.has_pulse + NAMES_COUNT * self._is_named

    def may_be_upright(self, degrees: float) -> bool:
        """Whether enough tells that it is an ECG and the right way up.

        Args:
            degrees: by which the page is turned in its picture. The more ways it is looked at, the more must be seen.
        """
        if abs(degrees) < MAX_USUAL_DEGREES:
            return self.upright > 0
        sure = self.has_pulse or self._is_named or self.sums >= SURE_SUMS
        return sure and self.upright > MIN_UPRIGHT_TURNED
