"""The grid of a photographed ECG as a smooth map: which point of the paper (in grid periods) lies at which pixel.

Printed lines at equal distances are a two-dimensional carrier wave. In each window of the picture two frequencies and
two phases say how the grid runs there; neighbouring windows are joined by continuity, so that perspective, folds and
crumpled paper all become one displacement field, without a model of any of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ..errors import EcgSignalError
from .threads import in_threads

Array = NDArray[np.float64]
PERIOD_PX = 16.0  # the picture is scaled so that the grid has about this period
BLUR_PX = 1.8  # of the scaled picture: lines of 1 mm and noise go, those of 5 mm stay
MIN_BLUR_STEPS = 2.5  # pixels of a reduced picture in the standard deviation of that blur
STRONGEST = 2.5  # times the 80th percentile, so that traces and text do not outweigh the grid
CLOSE = 0.01  # of the longest step: the last one
WINDOW = 7.0  # periods
MIN_COHERENCE = 0.08
MAX_INK = (0.5, 0.2)  # so that traces and text do not outweigh the grid; the second for grids that are hardly seen
CLEAR_COHERENCE, MUCH_BETTER = 0.2, 2.0  # median of the windows, and its ratio to the first try's
# the lines of drawn pages are so sharp that their strongest frequency may be a high multiple: then they are blurred
SEED_BLURS_PX = (0.0, 1.5)
SEED_PX = 256  # side of the windows in which the grid is first looked for
MIN_PERIOD_PX, MAX_PERIOD_PX = 2.2, 80.0
BOLD_SHARE = 0.12  # of the fine lines' power, in the lines of 5 mm
MAX_PERIODS = 110  # of a page; more are lines of 1 mm
MIN_SHARP = 8.0  # of a peak of the spectrum, against its surroundings
MIN_COMB, CLEAR_COMB = 5.0, 0.8  # geometric mean of a comb's peaks, and the share of the best comb's logarithm
# of the grid's frequency, that may be the strongest: every half of a millimetre; and every third where that leads to
# lines of 1 mm alone, as sharp lines of drawn pages do
MAX_MULTIPLE, FINER_MULTIPLE = 10, 15
ALIKE = 0.2  # natural logarithm of the ratio of two windows' distances of lines
MIN_NODES = 40
JUMP_PERIODS = 0.5  # between neighbours: paper is bent less than that
MIN_NEIGHBOURS, MAX_DEVIATION = 6, 0.3  # of the 24 around a node, and periods from where they say


@dataclass(frozen=True)
class Lattice:
    """Where the grid lies in a picture.

    Attributes:
        x: (rows, columns) pixels of the nodes.
        y: the same, downwards.
        u: (rows, columns) grid periods across the page at each node; lines are at whole numbers. NaN where no grid is
            seen.
        v: the same, down the page.
        period_px: median distance of two lines.
        coherence: (rows, columns), 0-1, how much of what is dark there is grid.
    """

    x: Array
    y: Array
    u: Array
    v: Array
    period_px: float
    coherence: Array

    @property
    def clearness(self) -> float:
        """The median coherence of where grid is seen."""
        return float(np.median(self.coherence[np.isfinite(self.u)]))

    @property
    def torn(self) -> float:
        """The share of nodes between two others where the grid jumps, as it does where periods were lost, 0-1."""
        jumps = []
        for axis in (0, 1):
            bends = np.abs(np.stack([np.diff(part, 2, axis=axis) for part in (self.u, self.v)])).max(0)
            jumps.append(bends[np.isfinite(bends)] > JUMP_PERIODS)
        return float(np.concatenate(jumps).mean())


def find_lattice(lines: Array, blurs_px: Sequence[float] = SEED_BLURS_PX) -> Lattice:
    """Find the grid of a picture.

    Args:
        lines: (height, width), larger where there is ink; paper is 0.
        blurs_px: how much the picture is blurred, in each try until a grid is seen.

    Raises:
        EcgSignalError: there is no regular grid.
    """
    error = None
    for blur in blurs_px:
        seen = ndimage.gaussian_filter(lines, blur) if blur else lines
        found: list[Lattice] = []
        for most in MAX_INK:
            try:
                found.append(_lattice(np.minimum(seen, most)))
            except EcgSignalError as why:
                error = error or why
                continue
            if found[-1].clearness > CLEAR_COHERENCE:
                break
        if found:
            # the first, unless another is seen much better
            return found[-1] if found[-1].clearness > MUCH_BETTER * found[0].clearness else found[0]
    raise error or EcgSignalError("no grid of ECG paper is seen")


def _lattice(lines: Array) -> Lattice:
    """The grid of a picture whose ink is bounded, see ``find_lattice``."""
    for most in (MAX_MULTIPLE, FINER_MULTIPLE):
        first, second, period = _seed_frequencies(lines, most)
        if max(lines.shape) <= MAX_PERIODS * period:
            break
    zoom = PERIOD_PX / period
    if max(lines.shape) > MAX_PERIODS * period:
        raise EcgSignalError(
            "only lines of 1 mm or finer are seen, and none of 5 mm", remedy="use a sharper picture of the page"
        )
    # means of so many pixels first: they change nothing in a picture that is blurred by so much more
    step = max(1, int(BLUR_PX / zoom / MIN_BLUR_STEPS))
    height, width = (n // step * step for n in lines.shape)
    means = lines[:height, :width].reshape(height // step, step, width // step, step).mean((1, 3))
    scaled = ndimage.zoom(ndimage.gaussian_filter(means, BLUR_PX / zoom / step), zoom * step, order=1)
    scaled -= ndimage.gaussian_filter(scaled, PERIOD_PX)
    limit = STRONGEST * np.percentile(np.abs(scaled), 80)
    scaled = np.clip(scaled, -limit, limit)
    found = _grow(scaled, np.array([first, second]) / zoom)
    ratio_y, ratio_x = height / scaled.shape[0], width / scaled.shape[1]
    return Lattice(found.x * ratio_x, found.y * ratio_y, found.u, found.v, found.period_px / zoom, found.coherence)


def _seed_frequencies(lines: Array, most: int = MAX_MULTIPLE) -> tuple[Array, Array, float]:
    """The grid's two frequencies (cycles per pixel, x and y) where it is seen best, and its period in pixels.

    Args:
        lines: (height, width), larger where there is ink.
        most: multiple of the grid's frequency that may be the strongest.
    """
    height, width = lines.shape
    size = min(SEED_PX, height, width)
    window = np.hanning(size)[:, None] * np.hanning(size)[None, :]

    def look(top: int, left: int) -> tuple[float, Array, Array] | None:
        patch = lines[top : top + size, left : left + size]
        return _peaks((patch - patch.mean()) * window, most)

    tops, lefts = (np.linspace(0, n - size, k).astype(int) for n, k in ((height, 5), (width, 6)))
    found = [
        peaks for peaks in in_threads(look, tops.repeat(len(lefts)), np.tile(lefts, len(tops))) if peaks is not None
    ]
    if not found:
        raise EcgSignalError("no grid of ECG paper is seen", remedy="photograph the whole page, sharp and evenly lit")
    logs = np.log([2 / (np.hypot(*first) + np.hypot(*second)) for _, first, second in found])
    scores = np.array([score for score, _, _ in found])
    # windows must agree: perspective changes the distance of lines a little, multiples of it differ much
    alike = (np.abs(logs[:, None] - logs) < ALIKE) @ scores
    best = int(np.argmax(scores * alike))
    _, first, second = found[best]
    return first, second, float(np.exp(logs[best]))


@lru_cache(maxsize=2)
def _spectrum_places(size: int) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.intp], Array]:
    """Of a window's spectrum: frequencies in x and y, which a grid may have, their rings, and the rings' sizes."""
    freq = fft.fftshift(fft.fftfreq(2 * size))
    fx, fy = np.meshgrid(freq, freq)
    radius = np.hypot(fx, fy)
    usable = (radius > 1 / MAX_PERIOD_PX) & (radius < 1 / MIN_PERIOD_PX)
    ring = (radius * 2 * size).astype(int)
    return fx, fy, usable, ring, np.maximum(np.bincount(ring.ravel()), 1).astype(np.float64)


def _peaks(patch: Array, most: int) -> tuple[float, Array, Array] | None:
    """The two frequencies of a grid in a window, with a score: the share of the window's power in the two combs."""
    size = len(patch)
    spectrum = np.abs(fft.fftshift(fft.fft2(patch.astype(np.float32), (2 * size, 2 * size), workers=1)))
    fx, fy, usable, ring, in_ring = _spectrum_places(size)
    # against what is usual at that distance: traces and text are strong at low frequencies, without sharp peaks
    log = np.log(spectrum + 1e-9)
    usual = np.exp(np.bincount(ring.ravel(), log.ravel()) / in_ring)
    sharp = spectrum / usual[ring]
    axes = []
    for across in (True, False):
        there = usable & ((np.abs(fx) > np.abs(fy)) & (fx > 0) if across else (np.abs(fy) >= np.abs(fx)) & (fy > 0))
        values = np.where(there, sharp, 0.0)
        peak = np.unravel_index(int(values.argmax()), values.shape)
        if sharp[peak] <= MIN_SHARP:  # also where nothing is there
            return None
        at = np.array([fx[peak], fy[peak]])
        axes.append((_fundamental(spectrum, sharp, at, spectrum[peak], size, most), float(sharp[peak])))
    (one, score_one), (two, score_two) = axes
    ratio = np.hypot(*one) / np.hypot(*two)
    if not 0.6 < ratio < 1.67:
        # one of the two is a multiple of the grid's frequency
        for factor in (2, 3, 4, 5):
            for a, b in ((one / factor, two), (one, two / factor)):
                if 0.7 < np.hypot(*a) / np.hypot(*b) < 1.43:
                    return min(score_one, score_two) / 2, a, b
        return None
    cosine = abs(float(one @ two)) / (np.hypot(*one) * np.hypot(*two))
    return (float(min(score_one, score_two)), one, two) if cosine < 0.5 else None


def _fundamental(spectrum: Array, sharp: Array, at: Array, top: float, size: int, most: int) -> Array:
    """The lowest frequency of the comb that a peak belongs to."""
    middle = len(spectrum) // 2

    def around(f: Array) -> tuple[slice, slice]:
        column, row = np.round(middle + f * len(spectrum)).astype(int)
        return slice(row - 2, row + 3), slice(column - 2, column + 3)

    combs: dict[int, float] = {}
    for factor in (5, 4, 3, 2):
        lower = at / factor
        if factor > most or np.hypot(*lower) < max(1.5 / size, 1 / MAX_PERIOD_PX):
            continue
        near = spectrum[around(lower)]
        # lines of 1 mm are drawn fainter than those of 5 mm, but there are five times as many
        share = BOLD_SHARE if factor == 5 else 0.35
        # a comb has its other multiples too
        comb = np.array([sharp[around(lower * multiple)].max(initial=1e-9) for multiple in range(1, factor)])
        if near.size and near.max() > share * top and comb.min() > MIN_SHARP / 4:
            mean = float(np.log(comb).mean())
            if mean > np.log(MIN_COMB):
                combs[factor] = mean
    if not combs:
        return at
    clear = max(combs.values())
    factor = max(number for number, mean in combs.items() if mean > CLEAR_COMB * clear)
    rows, columns = around(at / factor)
    near = spectrum[rows, columns]
    place = np.unravel_index(int(near.argmax()), near.shape)
    lowest = (np.array([columns.start + place[1], rows.start + place[0]]) - middle) / len(spectrum)
    # a multiple of the lines of 1 mm leads to these, and these to those of 5 mm
    return _fundamental(spectrum, sharp, lowest, float(near.max()), size, most // factor)


class _Windows:
    """Local Fourier sums of a picture in a Gaussian window, and the frequency where they are largest."""

    def __init__(self, image: Array, sigma: float) -> None:
        self.half = int(np.ceil(2.2 * sigma))
        self.image = np.pad(image, self.half, mode="reflect")
        self.t = np.arange(-self.half, self.half + 1, dtype=np.float64)
        self.weight = np.exp(-0.5 * (self.t / sigma) ** 2)
        self.sigma = sigma
        self.outer = self.weight[:, None] * self.weight[None, :]
        self.total = float(self.outer.sum())

    def patch(self, x: int, y: int) -> tuple[Array, float]:
        """The weighted window around a pixel without its mean, and its energy."""
        part = self.image[y : y + 2 * self.half + 1, x : x + 2 * self.half + 1]
        mean = float(self.weight @ part @ self.weight) / self.total
        patch = (part - mean) * self.outer
        energy = float(np.sqrt(np.vdot(part - mean, patch) * self.total))
        return patch, energy

    def sums(self, patch: Array, f: Array) -> tuple[complex, Array]:
        """The Fourier sum at a frequency, and its first moments in x and y."""
        waves = np.exp(np.multiply.outer(-2j * np.pi * f, self.t))
        # with their moments, and as real numbers: NumPy would make the whole patch complex
        both = np.empty((len(self.t), 2), np.complex128)
        both[:, 0] = waves[0]
        both[:, 1] = self.t * waves[0]
        zero, first_x = waves[1] @ (across := (patch @ both.view(np.float64)).view(np.complex128))
        return complex(zero), np.array([first_x, (self.t * waves[1]) @ across[:, 0]])

    def climb(self, patch: Array, f: Array, steps: int = 4) -> tuple[Array, complex]:
        """The frequency near ``f`` of the largest sum, and that sum.

        Within a Gaussian window the moment of the sum is proportional to the distance from the peak.
        """
        start = f
        for _ in range(steps):
            zero, first = self.sums(patch, f)
            if abs(zero) < 1e-9:
                break
            most = 0.12 * np.hypot(*start)
            step = np.clip(np.imag(first / zero) / (2 * np.pi * self.sigma**2), -most, most)
            f = f + step
            if np.abs(step).max() < CLOSE * most:
                break
        zero, _ = self.sums(patch, f)
        return f, zero


def _grow(image: Array, seeds: Array) -> Lattice:
    """Follow the grid from where it is seen best to the edges of the paper."""
    windows = _Windows(image, WINDOW * PERIOD_PX / 4.4)
    step = PERIOD_PX * 2
    xs, ys = (np.round(np.arange(step / 2, image.shape[axis], step)) for axis in (1, 0))
    rows, columns = len(ys), len(xs)
    u, v = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
    coherence = np.zeros((rows, columns))
    freq = np.full((rows, columns, 2, 2), np.nan)

    def look(row: int, column: int, guess: Array) -> tuple[Array, Array, float] | None:
        patch, energy = windows.patch(int(xs[column]), int(ys[row]))
        if energy <= 0:
            return None
        found = [windows.climb(patch, guess[axis]) for axis in (0, 1)]
        f = np.array([one for one, _ in found])
        if any(np.hypot(*(f[axis] - guess[axis])) > 0.2 * np.hypot(*guess[axis]) for axis in (0, 1)):
            return None
        strength = min(abs(total) for _, total in found) / energy
        phase = np.array([np.angle(total) / (2 * np.pi) for _, total in found])
        return f, phase, float(strength)

    best, start = 0.0, None
    for row in range(0, rows, 2):
        for column in range(0, columns, 2):
            found = look(row, column, seeds)
            if found is not None and found[2] > best:
                best, start = found[2], (row, column, found)
    if start is None or best < MIN_COHERENCE:
        raise EcgSignalError("no grid of ECG paper is seen", remedy="photograph the whole page, sharp and evenly lit")
    row, column, (f, phase, strength) = start
    u[row, column], v[row, column], freq[row, column], coherence[row, column] = phase[0], phase[1], f, strength
    queue = [(-strength, row, column)]
    while queue:
        _, row, column = heapq.heappop(queue)
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            r, c = row + down, column + right
            if not (0 <= r < rows and 0 <= c < columns) or np.isfinite(u[r, c]):
                continue
            found = look(r, c, freq[row, column])
            if found is None or found[2] < MIN_COHERENCE:
                continue
            f, phase, strength = found
            move = np.array([xs[c] - xs[column], ys[r] - ys[row]])
            expected = np.array([u[row, column], v[row, column]]) + 0.5 * (f + freq[row, column]) @ move
            place = phase + np.round(expected - phase)
            if np.abs(place - expected).max() > 0.25:
                continue
            u[r, c], v[r, c] = place
            freq[r, c], coherence[r, c] = f, strength
            heapq.heappush(queue, (-strength, r, c))
    _drop_outliers(u, v, freq, xs, ys)
    seen = np.isfinite(u)
    if seen.sum() < MIN_NODES:
        raise EcgSignalError("no grid of ECG paper is seen", remedy="photograph the whole page, sharp and evenly lit")
    lengths = np.hypot(freq[seen][..., 0], freq[seen][..., 1])
    x, y = np.meshgrid(xs, ys)
    return Lattice(x, y, u, v, float(1 / np.median(lengths)), coherence)


def _drop_outliers(u: Array, v: Array, freq: Array, xs: Array, ys: Array, rounds: int = 3) -> None:
    """Remove nodes that are not where their neighbours say, such as those one period off."""
    reach = range(-2, 3)
    shifts = [(down, right) for down in reach for right in reach if (down, right) != (0, 0)]
    for _ in range(rounds):
        said = np.full((len(shifts), 2, *u.shape), np.nan)
        for number, (down, right) in enumerate(shifts):
            to = np.s_[max(0, down) : len(ys) + min(0, down), max(0, right) : len(xs) + min(0, right)]
            of = np.s_[max(0, -down) : len(ys) + min(0, -down), max(0, -right) : len(xs) + min(0, -right)]
            move = np.stack(np.meshgrid(xs[to[1]] - xs[of[1]], ys[to[0]] - ys[of[0]]), -1)
            mean = 0.5 * (freq[to] + freq[of])
            for axis, values in enumerate((u, v)):
                said[number, axis][to] = values[of] + (mean[:, :, axis] * move).sum(-1)
        enough = np.isfinite(said[:, 0]).sum(0) >= MIN_NEIGHBOURS
        with np.errstate(all="ignore"):
            middle = np.nanmedian(np.where(enough, said, 0.0), axis=0)
        wrong = ~enough | (np.abs(np.stack([u, v]) - middle).max(0) > MAX_DEVIATION)
        wrong &= np.isfinite(u)
        if not wrong.any():
            return
        u[wrong], v[wrong] = np.nan, np.nan
