"""The page of a photographed ECG, flat and at a fixed resolution, and the map back to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator

from .lattice import Lattice
from .threads import in_threads

Array = NDArray[np.float64]
NODES_PER_PERIOD = 2  # of the map between paper and picture
DARKER_THAN_GRID = 1.6
ROUND_PX = 16  # per period, of the page that is refined
# of each round: standard deviations of the windows in periods, across a line, along it, of means of windows; and the
# doubt. Wide windows average what the printer did to each line, narrow ones follow crumpled paper
ROUNDS = ((2.0, 2.0, 1.5, 0.0), (1.0, 1.3, 0.7, 0.04), (1.0, 1.3, 0.7, 0.04))
NEIGHBOURS = 60  # nodes that a point of the first map depends on
BEYOND_PERIODS = 2  # the page goes on beyond the outermost windows, in which a row may run along the picture's edge
BLUR_PX = 0.4  # of the picture, in pixels of the page, before it is resampled
SMOOTHING = 3.0  # of the first map, see SciPy's RBFInterpolator


@dataclass(frozen=True)
class PaperMap:
    """Where each point of the paper lies in the picture.

    Attributes:
        x: (rows, columns) pixels of the picture, at ``NODES_PER_PERIOD`` nodes per grid period.
        y: the same, downwards.
        seen: (rows, columns) whether grid is seen there.
    """

    x: Array
    y: Array
    seen: NDArray[np.bool_]

    @property
    def periods(self) -> tuple[int, int]:
        """Height and width of the paper in grid periods."""
        return (self.x.shape[0] - 1) // NODES_PER_PERIOD, (self.x.shape[1] - 1) // NODES_PER_PERIOD

    @property
    def picture_px_per_period(self) -> float:
        """Pixels of the picture in a grid period across the paper, the median of where grid is seen."""
        steps = np.hypot(np.diff(self.x), np.diff(self.y))
        seen = self.seen[:, 1:]
        return NODES_PER_PERIOD * float(np.median(steps[seen] if seen.any() else steps))

    def pixels(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Pixels of the picture for points of the paper, both in grid periods from the top left corner."""
        at = [np.asarray(v) * NODES_PER_PERIOD, np.asarray(u) * NODES_PER_PERIOD]
        x, y = (ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in (self.x, self.y))
        return x, y

    def flat(self, picture: NDArray[np.float32], px_per_period: int) -> NDArray[np.float32]:
        """The flat page of a (height, width) picture.

        Args:
            picture: (height, width).
            px_per_period: resolution.

        Returns:
            (rows, columns), at whole pixels of the page's periods.
        """
        rows, columns = (n * px_per_period for n in self.periods)
        at_v, at_u = np.arange(rows) / px_per_period, np.arange(columns) / px_per_period
        x, y = (resampled(part, at_v * NODES_PER_PERIOD, at_u * NODES_PER_PERIOD) for part in (self.x, self.y))
        return np.asarray(ndimage.map_coordinates(picture, [y, x], order=1, mode="nearest"))

    def flat_picture(self, picture: NDArray[np.uint8], px_per_period: int) -> NDArray[np.uint8]:
        """The same in colours.

        Args:
            picture: (height, width, 3) bytes.
            px_per_period: resolution, a multiple of ``NODES_PER_PERIOD``.

        Returns:
            (rows, columns, 3) bytes; white beyond the picture's edges.
        """
        rows, columns = (n * px_per_period for n in self.periods)
        step = px_per_period // NODES_PER_PERIOD
        # Pillow counts from the corners of pixels, and we from their middles
        at = [np.arange(n // step + 1, dtype=np.float64) - 0.5 / step for n in (rows, columns)]
        padded = (np.pad(part, 1, mode="reflect", reflect_type="odd") for part in (self.x, self.y))
        x, y = (
            resampled(part, np.asarray(at[0] + 1, np.float64), np.asarray(at[1] + 1, np.float64)) + 0.5
            for part in padded
        )
        corners = np.stack(
            [x[:-1, :-1], y[:-1, :-1], x[1:, :-1], y[1:, :-1], x[1:, 1:], y[1:, 1:], x[:-1, 1:], y[:-1, 1:]]
        )
        quads = corners.transpose(1, 2, 0).tolist()
        mesh = [
            ((c * step, r * step, (c + 1) * step, (r + 1) * step), tuple(quad))
            for r, row in enumerate(quads)
            for c, quad in enumerate(row)
        ]
        flat = Image.fromarray(picture).transform(
            (columns, rows), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor="white"
        )
        return np.asarray(flat)

    def turned(self, quarters: int) -> PaperMap:
        """The map of the page turned by quarters of a turn, anticlockwise."""
        return PaperMap(np.rot90(self.x, quarters), np.rot90(self.y, quarters), np.rot90(self.seen, quarters))

    def enlarged(self, factor: int) -> PaperMap:
        """The same map to a picture that has ``factor`` times as many pixels to each side."""
        return PaperMap((self.x + 0.5) * factor - 0.5, (self.y + 0.5) * factor - 0.5, self.seen)


def resampled(grid: Array, rows: Array, columns: Array) -> Array:
    """Bilinear values of a grid at the product of row and column positions, by one axis after the other."""

    def along(values: Array, at: Array) -> Array:
        low = np.clip(np.floor(at).astype(int), 0, len(values) - 2)
        part = (at - low)[:, None]
        mixed: Array = values[low] * (1 - part) + values[low + 1] * part
        return mixed

    return along(along(grid, rows).T, columns).T


def paper_map(lattice: Lattice, lines: NDArray[np.float32]) -> PaperMap:
    """The map from paper to picture, first from the lattice's nodes, then refined line by line.

    Args:
        lattice: of the picture.
        lines: (height, width), larger where there is ink.
    """
    seen = np.isfinite(lattice.u)
    u, v = lattice.u[seen], lattice.v[seen]
    u, v = (part - np.floor(part.min()) + BEYOND_PERIODS for part in (u, v))
    width, height = (int(np.ceil(part.max())) + BEYOND_PERIODS for part in (u, v))
    points = np.stack([u, v], 1)
    at_u, at_v = np.meshgrid(
        np.arange(width * NODES_PER_PERIOD + 1) / NODES_PER_PERIOD,
        np.arange(height * NODES_PER_PERIOD + 1) / NODES_PER_PERIOD,
    )
    targets = np.stack([lattice.x[seen], lattice.y[seen]], 1)
    smooth = RBFInterpolator(points, targets, neighbors=NEIGHBOURS, smoothing=SMOOTHING, kernel="thin_plate_spline")
    # at whole periods, and between them by splines: its windows are two periods apart
    whole = [part[::NODES_PER_PERIOD, ::NODES_PER_PERIOD] for part in (at_u, at_v)]
    coarse = smooth(np.stack([part.ravel() for part in whole], 1)).T.reshape(2, *whole[0].shape)
    parts = [ndimage.map_coordinates(part, [at_v, at_u], order=3, mode="mirror") for part in coarse]
    inside = np.isfinite(LinearNDInterpolator(points, u)(at_u, at_v))
    found = PaperMap(parts[0], parts[1], inside)
    # thin lines would fall between the pixels of the page, or on them
    blurred = ndimage.gaussian_filter(lines, BLUR_PX * found.picture_px_per_period / ROUND_PX)
    for settings in ROUNDS:
        found = _refined(found, blurred, ROUND_PX, *settings)
    return found


def _refined(
    page: PaperMap, lines: NDArray[np.float32], px: int, across: float, along: float, joint: float, doubt: float
) -> PaperMap:
    """Shift the map so that the lines fall on whole periods.

    Args:
        page: the map.
        lines: see ``paper_map``.
        px: pixels per period.
        across: standard deviation of the window across a line, periods.
        along: the same along the line.
        joint: standard deviation of the mean over neighbouring windows, periods.
        doubt: shifts up to this are left alone, and larger ones are reduced by it, periods: printed lines are not
            exactly where they should be.
    """
    flat = page.flat(lines, px).astype(np.float32)
    # what is much darker than the grid is trace, text or a separator, whose strokes would pull the lines to them
    phase = np.minimum(np.arange(px), px - np.arange(px)) <= 1
    on_line = np.resize(phase, flat.shape[0])[:, None] ^ np.resize(phase, flat.shape[1])[None, :]
    dark = flat > DARKER_THAN_GRID * np.median(flat[on_line])
    around = flat
    for _ in range(3):  # as good as a Gaussian mean
        around = ndimage.uniform_filter(around, 2 * px)
    flat = flat - around
    flat[ndimage.binary_dilation(dark, iterations=2)] = 0
    limit = np.percentile(np.abs(flat), 97)
    flat = np.clip(flat, -limit, limit)

    def shift(axis: int, sigma: tuple[float, float]) -> Array:
        wave = np.exp(-2j * np.pi * np.arange(flat.shape[axis]) / px).astype(np.complex64)
        product = flat * (wave[None, :] if axis == 1 else wave[:, None])
        total = _at_nodes(product.real, sigma, px) + 1j * _at_nodes(product.imag, sigma, px)
        power = np.sqrt(np.maximum(_at_nodes(flat**2, sigma, px), 0)) + 1e-9
        weight = np.abs(total) / power
        weight = np.where(weight > 0.05, weight, 0.0) ** 2 + 1e-6
        # the mean of neighbouring phases, as complex numbers, so that a window without grid does not speak
        unit = total / (np.abs(total) + 1e-9) * weight
        near = joint * NODES_PER_PERIOD
        unit = ndimage.gaussian_filter(unit.real, near) + 1j * ndimage.gaussian_filter(unit.imag, near)
        there = (np.abs(unit) > 1e-4) * np.angle(unit) / (2 * np.pi)
        return np.asarray(np.sign(there) * np.maximum(np.abs(there) - doubt, 0))

    du, dv = in_threads(shift, (1, 0), ((along, across), (across, along)))
    u, v = np.meshgrid(np.arange(page.x.shape[1]), np.arange(page.x.shape[0]))
    at = [v - dv * NODES_PER_PERIOD, u - du * NODES_PER_PERIOD]
    # cubic outside too: "nearest" would flatten the margin
    x, y = (_sampled(part, at) for part in (page.x, page.y))
    return PaperMap(x, y, page.seen)


def _at_nodes(values: NDArray[np.float32], sigma: tuple[float, float], px: int) -> Array:
    """Gaussian means of a flat page at the nodes of its map, by way of means over whole periods.

    Args:
        values: (rows, columns).
        sigma: standard deviations down and across, periods.
        px: pixels per period.
    """
    out = values
    for axis in (0, 1):
        means = ndimage.uniform_filter1d(out, px, axis=axis)
        last = means.shape[axis] - 1
        nodes = np.minimum(np.arange(0, last + 2, px // NODES_PER_PERIOD), last)
        # a mean over a period has a variance of 1/12 already
        rest = np.sqrt(sigma[axis] ** 2 - 1 / 12) * NODES_PER_PERIOD
        out = ndimage.gaussian_filter1d(means.take(nodes, axis), rest, axis=axis)
    return np.asarray(out, np.float64)


def _sampled(part: Array, at: list[Array]) -> Array:
    """Values of the map at shifted nodes, continued linearly beyond its edges."""
    padded = np.pad(part, 2, mode="reflect", reflect_type="odd")
    return np.asarray(ndimage.map_coordinates(padded, [axis + 2 for axis in at], order=1, mode="nearest"))
