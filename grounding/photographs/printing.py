"""What a printer did to each line of the grid: lines are drawn on whole pixels of the printed page, traces are not.

A period of 39.37 printed pixels puts its lines at 0, 39, 79, 118 ...: each is off by up to half a pixel along its whole
length, in a pattern that two numbers describe, the part of a pixel in a period and where the pattern begins. Paper
never bends so. On pages of 200 dots to the inch it is up to 2.5 ms.

Programs that draw so (Matplotlib, and ``grounding.paper``) fill the pixel that begins at the rounded place, so that all
upright lines are half a pixel right of the signal as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
NEIGHBOUR_LINES = 1.0  # standard deviation of the mean over lines that the paper bends alike
MIN_LINE_SEEN = 0.2  # share of a line's nodes
MIN_LINES = 12
PARTS, PHASES = np.arange(0.1, 0.901, 0.002), np.arange(16) / 16  # slower patterns may be bends of the paper
FINE_PARTS, FINE_PHASES = np.arange(-0.003, 0.0031, 0.0002), np.arange(-0.08, 0.081, 0.008)
OUTLIER = 3.0  # times the median of the absolute values
# sum of the correlations of both directions: 1.25 or more on 25 photographs of pages drawn so; lines that are off by
# chance reach 1.1 in half of all cases and 1.3 in a twentieth, and are then moved by as little as they are off
MIN_FIT = 1.2


@dataclass(frozen=True)
class PrintedLines:
    """How far each line of one direction was printed from its place.

    Attributes:
        off: (lines,) periods, to the right or down; zeros where no pattern of whole pixels is seen.
        pixel: size of a printed pixel, periods; 0 where none is seen.
    """

    off: Array
    pixel: float


@dataclass(frozen=True)
class _Measured:
    """Medians of lines against their neighbours, (lines,) periods, and which lines are seen, 0 or 1."""

    off: Array
    seen: Array

    def fits(self, parts: Array, phases: Array) -> tuple[Array, Array, Array]:
        """Correlations with (n,) patterns, the sizes of their pixels in periods, and the (n, lines) patterns."""
        places = parts[:, None] * np.arange(len(self.off)) + phases[:, None]
        patterns = np.round(places) - places
        like = _against_neighbours(patterns, self.seen)
        power = (like**2).sum(1)
        product = like @ self.off
        fits = product / np.sqrt(np.maximum(power * (self.off**2).sum(), 1e-12))
        return fits, product / np.maximum(power, 1e-12), patterns

    def closest(self, part: float, phase: float) -> tuple[float, float, Array]:
        """The correlation, pixel and pattern of the best of all near two numbers."""
        middle = np.average(np.arange(len(self.off)), weights=self.seen)
        parts, phases = (grid.ravel() for grid in np.meshgrid(FINE_PARTS, FINE_PHASES))
        fits, pixels, patterns = self.fits(part + parts, phase + phases - parts * middle)
        best = int(fits.argmax())
        return float(fits[best]), float(pixels[best]), patterns[best]


def printed_lines(upright: tuple[Array, Array], level: tuple[Array, Array]) -> tuple[PrintedLines, PrintedLines]:
    """The pattern of whole pixels in the lines of both directions, and the half pixel of the upright ones.

    Both have the same part of a pixel in a period, counted from either end of the page. Of level lines the half pixel
    is left out: heights are taken from the line of the signal, and it may be counted from the page's top or bottom.

    Args:
        upright: (nodes, lines) shifts of upright lines in periods, and how much of each is seen.
        level: the same of level lines.
    """
    both = [_measured(*upright), _measured(*level)]
    nothing = tuple(PrintedLines(np.zeros(part[0].shape[1]), 0.0) for part in (upright, level))
    if any(one.seen.sum() < MIN_LINES or not one.off.any() for one in both):
        return nothing[0], nothing[1]
    parts, phases = (grid.ravel() for grid in np.meshgrid(PARTS, PHASES, indexing="ij"))
    tables = [one.fits(parts, phases)[0].reshape(len(PARTS), len(PHASES)) for one in both]
    across, down = (table.max(1) for table in tables)
    near = ndimage.maximum_filter1d(down, 3)
    sums = across + near, across + near[::-1]
    turned = sums[1].max() > sums[0].max()
    first = int(sums[int(turned)].argmax())
    middle = len(PARTS) - 1 - first if turned else first
    second = max(0, middle - 1) + int(down[max(0, middle - 1) : middle + 2].argmax())
    found = [
        one.closest(PARTS[at], PHASES[int(table[at].argmax())])
        for one, table, at in zip(both, tables, (first, second), strict=True)
    ]
    if found[0][0] + found[1][0] < MIN_FIT:
        return nothing[0], nothing[1]
    (_, one, across_page), (_, two, down_page) = found
    return PrintedLines(one * (across_page + 0.5), one), PrintedLines(two * down_page, two)


def _measured(shifts: Array, weights: Array) -> _Measured:
    known = (weights > 0).astype(np.float64)
    seen = (known.mean(0) > MIN_LINE_SEEN).astype(np.float64)
    apart = np.where(known > 0, _against_neighbours(shifts, known), np.nan)
    medians = np.zeros(len(seen))
    columns = np.flatnonzero(seen)
    if len(columns):
        medians[columns] = np.nanmedian(apart[:, columns], axis=0)
        medians = _against_neighbours(medians, seen)
        most = OUTLIER * float(np.median(np.abs(medians[columns])))
        medians = np.clip(medians, -most, most)
    return _Measured(medians, seen)


def _against_neighbours(values: Array, known: Array) -> Array:
    """(..., lines) values less the mean of those around each line, where they are known."""
    around = ndimage.gaussian_filter1d(known, NEIGHBOUR_LINES, axis=-1)
    mean = ndimage.gaussian_filter1d(values * known, NEIGHBOUR_LINES, axis=-1) / np.maximum(around, 1e-6)
    apart: Array = (values - mean) * known
    return apart
