"""The page of a photograph, flat by its grid, with its traces running across, and what of it is trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ..errors import EcgSignalError
from .ink import PX_PER_PERIOD, absorbance, as_dark_as_trace, trace_probability
from .lattice import find_lattice
from .lines import straightened
from .picture import brightest_channel, coloured_lines, grid_lines, reduction
from .places import VIEW_PX_PER_PERIOD
from .rectifying import NODES_PER_PERIOD, PaperMap, paper_map
from .threads import in_threads
from .turning import CLEARLY_SIDEWAYS, may_be_sideways, seen_rows

Array = NDArray[np.float64]
CLEAR_GRID = 0.3  # coherence at which the grid's colour is not looked at
LITTLE_TORN = 0.005  # share of a grid by colour that may jump
WEAK_INK = 0.2  # probability that counts where the shape is known
NO_INK, MOVED_PX = 0.01, 12  # probability of trace, and how far it is moved at most
MARGIN_PERIODS = 2  # beyond the outermost windows in which grid is seen


@dataclass(frozen=True)
class FlatPage:
    """A page without its bends, at ``PX_PER_PERIOD``.

    Attributes:
        page: the map to the picture.
        view: (rows, columns, 3) bytes, the flat page in colours, at ``VIEW_PX_PER_PERIOD``.
        trace: (rows, columns), probability of trace.
        shapes: (rows, columns), trace and whatever else is as dark, in which calibration pulses are looked for.
        has_dark_grid: whether the grid is as dark as the traces.
    """

    page: PaperMap
    view: NDArray[np.uint8]
    trace: NDArray[np.float32]
    shapes: NDArray[np.bool_]
    has_dark_grid: bool


def map_by_grid(picture: NDArray[np.uint8]) -> PaperMap:
    """The map from paper to picture by the grid's ink, or by its colour where the grid is seen better by that."""
    factor = reduction(picture)
    picture = np.asarray(Image.fromarray(picture).reduce(factor))
    lines = grid_lines(picture)
    error = lattice = None
    try:
        lattice = find_lattice(lines.astype(np.float64))
    except EcgSignalError as why:
        error = why
    if lattice is None or lattice.clearness < CLEAR_GRID:
        colour = coloured_lines(picture).astype(np.float64)
        try:
            by_colour = find_lattice(colour, (0.0,))
        except EcgSignalError as why:
            error = error or why
        else:
            # fringes of a screen or of glare have colours too, in which periods are lost
            whole = lattice is None or by_colour.torn <= max(lattice.torn, LITTLE_TORN)
            if lattice is None or (by_colour.clearness > lattice.clearness and whole):
                lattice = by_colour
    if lattice is None:
        raise error or EcgSignalError("no grid of ECG paper is seen")
    return paper_map(lattice, lines).enlarged(factor)


def flat_page(picture: NDArray[np.uint8]) -> FlatPage:
    """Find the grid of a picture, flatten the page by it so that its traces run across, and find the traces.

    Args:
        picture: (height, width, 3) bytes.

    Raises:
        EcgSignalError: no grid.
    """
    page = map_by_grid(picture)
    inked = _inked_page(picture, page)
    if may_be_sideways(inked.trace > 0.5):
        other = _inked_page(picture, page.turned(1))
        if seen_rows(other.trace > 0.5) > CLEARLY_SIDEWAYS * seen_rows(inked.trace > 0.5):
            page, inked = page.turned(1), other
    return flattened(picture, page, inked)


class InkedPage(NamedTuple):
    """What the network sees on a flat page.

    Attributes:
        absorbed: (rows, columns, 3), how much light is absorbed.
        trace: (rows, columns), probability of trace.
    """

    absorbed: NDArray[np.float32]
    trace: NDArray[np.float32]


def _inked_page(picture: NDArray[np.uint8], page: PaperMap) -> InkedPage:
    absorbed = absorbance(page.flat_picture(picture, PX_PER_PERIOD))
    return InkedPage(absorbed, trace_probability(absorbed))


def flattened(picture: NDArray[np.uint8], page: PaperMap, inked: InkedPage | None = None) -> FlatPage:
    """The flat page of a map from paper to picture, whose lines are put where they are seen to run."""
    absorbed, trace = inked or _inked_page(picture, page)
    dark = as_dark_as_trace(absorbed, trace)
    shapes = trace > WEAK_INK if dark is None else (trace > WEAK_INK) | dark
    page, former = straightened(page, brightest_channel(absorbed), trace, PX_PER_PERIOD)
    trace = _moved(trace, former)
    rows, columns = (axis.round().astype(int).clip(0, n - 1) for axis, n in zip(former, shapes.shape, strict=True))
    view = page.flat_picture(picture, VIEW_PX_PER_PERIOD)
    return FlatPage(page, view, _within_page(trace, page), shapes[rows, columns], dark is None)


def _moved(trace: NDArray[np.float32], former: Array) -> NDArray[np.float32]:
    """(rows, columns) trace from where it was; cubic where there is any, since half a pixel would blur strokes."""
    near = ndimage.maximum_filter(trace > NO_INK, 2 * MOVED_PX + 1)
    rows, columns = np.nonzero(near)
    half = len(rows) // 2
    smooth = ndimage.spline_filter(trace, order=3, mode="nearest")
    parts = [np.s_[:half], np.s_[half:]]
    out = np.zeros_like(trace)

    def fill(part: slice) -> None:
        at = former[:, rows[part], columns[part]]
        values = ndimage.map_coordinates(smooth, at, order=3, mode="nearest", prefilter=False)
        out[rows[part], columns[part]] = values.clip(0, 1)

    in_threads(fill, parts)
    return out


def _within_page(probability: NDArray[np.float32], page: PaperMap) -> NDArray[np.float32]:
    """No trace where no grid is seen, such as on the table beside the paper."""
    near = ndimage.binary_dilation(page.seen, iterations=MARGIN_PERIODS * NODES_PER_PERIOD)
    seen = np.kron(near, np.ones((PX_PER_PERIOD // NODES_PER_PERIOD,) * 2, np.float32))
    out = np.zeros_like(probability)
    rows, columns = min(seen.shape[0], out.shape[0]), min(seen.shape[1], out.shape[1])
    out[:rows, :columns] = probability[:rows, :columns] * (seen[:rows, :columns] > 0.5)
    return out
