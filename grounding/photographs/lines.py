"""Where each printed grid line really runs on the flat page, and the page shifted so that it runs straight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .rectifying import NODES_PER_PERIOD, PaperMap, resampled

Array = NDArray[np.float64]
REACH = 0.25  # of a period, to each side of where a line should be
ALONG_PERIODS = 1.0  # standard deviation of the mean along a line
MIN_SEEN = 0.3  # share of a line's neighbourhood that is not trace
MIN_CONTRAST = 0.35  # of the median line's
MAX_TRACE = 0.3  # probability of trace that hides the grid around it
SMOOTH = (1.0, 0.35)  # standard deviations, along the line in nodes and across in lines


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
    du, dv = line_shifts(darkness, free, period), line_shifts(darkness.T, free.T, period)
    nodes_v, nodes_u = (np.arange(n) / NODES_PER_PERIOD for n in page.x.shape)
    v, u = np.meshgrid(nodes_v, nodes_u, indexing="ij")
    u, v = u + _at(du, nodes_v, nodes_u), v + _at(dv, nodes_u, nodes_v).T
    x, y = page.pixels(u, v)
    # beyond the last node there is nothing to interpolate, and the map stays as it was
    inside = (u >= 0) & (u <= nodes_u[-1]) & (v >= 0) & (v <= nodes_v[-1])
    moved = PaperMap(np.where(inside, x, page.x), np.where(inside, y, page.y), page.seen)
    at_v, at_u = (np.arange(n) / period for n in trace.shape)
    former = np.stack([at_v[:, None] + _at(dv, at_u, at_v).T, at_u[None, :] + _at(du, at_v, at_u)])
    return moved, former * period


def line_shifts(darkness: NDArray[np.float32], free: NDArray[np.bool_], period: int) -> Array:
    """How far right of its place each upright line runs, in periods.

    Args:
        darkness: (rows, columns).
        free: where nothing is drawn over the grid.
        period: of the grid, pixels.

    Returns:
        (nodes down, lines across): at ``NODES_PER_PERIOD`` nodes per period, and at whole periods.
    """
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
    profile = np.stack([mean[:, lines + shift] for shift in range(-reach, reach + 1)], -1)
    profile = profile - np.percentile(profile, 40, axis=-1, keepdims=True)
    contrast = profile.max(-1)
    peak = np.where(profile > 0.5 * contrast[..., None], profile, 0.0)
    place = (peak * np.arange(-reach, reach + 1)).sum(-1) / np.maximum(peak.sum(-1), 1e-6) / period
    sure = (contrast > MIN_CONTRAST * np.median(contrast)) & (seen[:, lines] > MIN_SEEN)
    out = np.zeros((n, darkness.shape[1] // period + 1))
    known = np.zeros_like(out)
    out[:, lines // period], known[:, lines // period] = np.where(sure, place, 0.0), sure
    out = ndimage.median_filter(out, (5, 1), mode="nearest")
    share = ndimage.gaussian_filter(known, SMOOTH)
    return np.where(share > 0.2, ndimage.gaussian_filter(out * known, SMOOTH) / np.maximum(share, 1e-6), 0.0)


def _at(shifts: Array, along: Array, across: Array) -> Array:
    """Bilinear values of (nodes, lines) shifts at the product of two sets of positions, both in periods."""
    rows = np.clip(along * NODES_PER_PERIOD - 0.5, 0, shifts.shape[0] - 1)
    return resampled(shifts, rows, np.clip(across, 0, shifts.shape[1] - 1))
