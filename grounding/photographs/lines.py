"""Where each printed grid line really runs on the flat page, and the page shifted so that it runs straight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .printing import PrintedLines, printed_lines
from .rectifying import NODES_PER_PERIOD, PaperMap, resampled
from .threads import in_threads

Array = NDArray[np.float64]
REACH, NEAR_REACH = 0.25, 0.15  # of a period, to each side of where a line should be, and of where it was found first
ALONG_PERIODS = 1.0  # standard deviation of the mean along a line, where it is first looked for
MIN_SEEN, MIN_FREE = 0.3, 0.1  # share of a line's neighbourhood that is not trace; of its length, where it is measured
MIN_CONTRAST = 0.35  # of the median line's
MAX_TRACE = 0.3  # probability of trace that hides the grid around it
SMOOTH = (1.0, 0.35)  # standard deviations of what is found first, along the line in nodes and across in lines
# the same of what is measured: narrow where lines are seen, wider where few are
SCALES = ((0.7, 0.35), (1.5, 1.0), (4.0, 1.5))
FEW = 0.05  # share of seen lines in a scale's window that counts as much as the wider scale


@dataclass(frozen=True)
class LinePlaces:
    """How far right of its place each upright line runs, where it is seen.

    Attributes:
        shifts: (nodes down, lines across) periods, at ``NODES_PER_PERIOD`` nodes per period, and at whole periods.
        weights: (nodes, lines), 0-1: how much of the line is seen there.
    """

    shifts: Array
    weights: Array


def straightened(
    page: PaperMap, darkness: NDArray[np.float32], trace: NDArray[np.float32], period: int
) -> tuple[PaperMap, Array]:
    """The map with every line at a whole period.

    Args:
        page: the map, right to about a quarter of a period.
        darkness: (rows, columns) of the flat page, 0 for paper.
        trace: (rows, columns), probability of trace.
        period: of the grid, pixels.

    Returns:
        The better map, and (2, rows, columns) where its pixels were on the former flat page, down and across.
    """
    # the rim of a stroke is as wide as a pixel of the picture, which is larger than one of the page in small pictures
    beside = int(np.ceil(period / page.picture_px_per_period))
    free = ndimage.maximum_filter(trace, 2 * beside + 1) < MAX_TRACE
    upright, level = in_threads(line_places, (darkness, darkness.T), (free, free.T), (period, period))
    printed = printed_lines(*((part.shifts, part.weights) for part in (upright, level)))
    du, dv = (smooth_shifts(part, off) for part, off in zip((upright, level), printed, strict=True))
    nodes_v, nodes_u = (np.arange(n) / NODES_PER_PERIOD for n in page.x.shape)
    v, u = np.meshgrid(nodes_v, nodes_u, indexing="ij")
    u, v = u + _at(du, nodes_v, nodes_u), v + _at(dv, nodes_u, nodes_v).T
    x, y = page.pixels(u, v)
    # beyond the last node there is nothing to interpolate, and the map stays as it was
    inside = (u >= 0) & (u <= nodes_u[-1]) & (v >= 0) & (v <= nodes_v[-1])
    moved = PaperMap(np.where(inside, x, page.x), np.where(inside, y, page.y), page.seen)
    at_v, at_u = (np.arange(n) / period for n in trace.shape)
    down, across = in_threads(_at, (dv, du), (at_u, at_v), (at_v, at_u))
    former = np.empty((2, *trace.shape))
    np.multiply(at_v[:, None] + down.T, period, out=former[0])
    np.multiply(at_u[None, :] + across, period, out=former[1])
    return moved, former


def line_places(darkness: NDArray[np.float32], free: NDArray[np.bool_], period: int) -> LinePlaces:
    """Measure where each upright line runs, between what is drawn over the grid.

    A line is first looked for over some length, also beside strokes, whose rims pull it to them; then it is measured
    closely, and only where nothing is drawn near it.

    Args:
        darkness: (rows, columns).
        free: where nothing is drawn over the grid.
        period: of the grid, pixels.
    """
    step, width = period // NODES_PER_PERIOD, darkness.shape[1]
    n, reach = darkness.shape[0] // step, round(NEAR_REACH * period)
    columns = np.arange(period, width - int(REACH * period), period)
    first = columns + np.round(_first_shifts(darkness, free, period) * period).astype(int)
    first = np.clip(first, reach + 1, width - reach - 2)
    clear = ndimage.minimum_filter1d(free.astype(np.uint8), 2 * reach + 3, axis=1)
    rows, at = np.arange(n * step)[:, None], first.repeat(step, 0)
    usable = clear[rows, at].astype(np.float32)
    share = usable.reshape(n, step, -1).mean(1)
    around = range(-reach, reach + 1)
    profile = np.stack([(darkness[rows, at + by] * usable).reshape(n, step, -1).mean(1) for by in around], -1)
    place, contrast = _peak(profile / np.maximum(share, 1e-6)[..., None], 30)
    seen = share > MIN_FREE
    sure = seen & (contrast > MIN_CONTRAST * np.median(contrast[seen])) if seen.any() else seen
    shifts, weights = np.zeros((2, n, width // period + 1))
    number = columns // period
    shifts[:, number] = np.where(sure, (place + first - columns) / period, 0.0)
    weights[:, number] = sure * share
    return LinePlaces(shifts, weights)


def smooth_shifts(places: LinePlaces, printed: PrintedLines) -> Array:
    """(nodes, lines) shifts of the paper at every line, in periods, without what the printer did to each line.

    Args:
        places: of the lines.
        printed: how far each was printed from its place.
    """
    weights = places.weights
    shifts = (places.shifts - printed.off) * weights
    out: Array = np.zeros_like(shifts)
    for scale in SCALES[::-1]:
        share = ndimage.gaussian_filter(weights, scale)
        mean = ndimage.gaussian_filter(shifts, scale) / np.maximum(share, 1e-6)
        part = share / (share + FEW)
        out = part * mean + (1 - part) * out
    return out


def _first_shifts(darkness: NDArray[np.float32], free: NDArray[np.bool_], period: int) -> Array:
    """(nodes, lines) shifts of the lines but the first and last, in periods."""
    step = period // NODES_PER_PERIOD
    sigma = ALONG_PERIODS * NODES_PER_PERIOD
    n = darkness.shape[0] // step
    # means over one node's height, then over its neighbours
    shape = (n, step, darkness.shape[1])
    weight = free[: n * step].reshape(shape).mean(1)
    total = (darkness[: n * step] * free[: n * step]).reshape(shape).mean(1)
    seen = ndimage.gaussian_filter1d(weight, sigma, axis=0)
    mean = ndimage.gaussian_filter1d(total, sigma, axis=0) / np.maximum(seen, 1e-6)
    reach = int(REACH * period)
    lines = np.arange(period, darkness.shape[1] - reach, period)
    place, contrast = _peak(np.stack([mean[:, lines + shift] for shift in range(-reach, reach + 1)], -1), 40)
    sure = (contrast > MIN_CONTRAST * np.median(contrast)) & (seen[:, lines] > MIN_SEEN)
    out = ndimage.median_filter(np.where(sure, place / period, 0.0), (5, 1), mode="nearest")
    share = ndimage.gaussian_filter(sure.astype(np.float64), SMOOTH)
    return np.where(share > 0.2, ndimage.gaussian_filter(out * sure, SMOOTH) / np.maximum(share, 1e-6), 0.0)


def _peak(profile: Array, paper: float) -> tuple[Array, Array]:
    """Where a line is in (..., 2 n + 1) profiles, in pixels from their middle, and how dark it is against the paper.

    Args:
        profile: darkness across the line.
        paper: percentile of it that is paper.
    """
    profile = profile - np.percentile(profile, paper, axis=-1, keepdims=True)
    contrast = profile.max(-1)
    peak = np.where(profile > 0.5 * contrast[..., None], profile, 0.0)
    reach = profile.shape[-1] // 2
    return (peak * np.arange(-reach, reach + 1)).sum(-1) / np.maximum(peak.sum(-1), 1e-6), contrast


def _at(shifts: Array, along: Array, across: Array) -> Array:
    """Bilinear values of (nodes, lines) shifts at the product of two sets of positions, both in periods."""
    rows = np.clip(along * NODES_PER_PERIOD - 0.5, 0, shifts.shape[0] - 1)
    return resampled(shifts, rows, np.clip(across, 0, shifts.shape[1] - 1))
