"""The line that a pen of known thickness drew, from the upper and lower edge of its ink.

In a steep stroke a column's ink is much higher than the pen is thick, and two strokes beside each other run into one.
Taking the pen's disc away from both edges leaves the range of heights that the line passes in each column. Of all lines
through these ranges the one is taken that covers them best with the fewest turns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVELS = np.linspace(0.0, 1.0, 5)  # of each column's range, at which the line may be
TURN, BEND = 0.4, 0.1  # price of a turn and of a bend, against a pixel of ink that the line does not cover
SIDE_PX = 0.25  # added to the radius sideways, since strokes are photographed with blurred sides
OVER = 0.25  # price of a pixel of line without ink
MIN_PIECE = 3  # columns; in shorter ones the line is in the middle
FLAT_PERCENTILE = 15  # of the heights of ink: columns in which the line is flat


def sharp_edges(ink: NDArray[np.float32], top: Array, bottom: Array) -> tuple[Array, Array]:
    """Edges between pixels: where the probability passes one half.

    Args:
        ink: (rows, columns), probability of trace.
        top: (columns,) first row of the ink; NaN where there is none.
        bottom: (columns,) its last row.
    """
    known = np.flatnonzero(np.isfinite(top))
    out = []
    for edge, step, limit in ((top, -1, 0), (bottom, 1, ink.shape[0] - 1)):
        rows = edge[known].astype(int)
        beyond = np.clip(rows + step, 0, ink.shape[0] - 1)
        inner, outer = ink[rows, known].astype(np.float64), ink[beyond, known].astype(np.float64)
        part = np.clip((inner - 0.5) / np.maximum(inner - outer, 1e-3), 0, 1)
        values = np.full(len(edge), np.nan)
        values[known] = rows + step * np.where(rows == limit, 0.0, part)
        out.append(values)
    return out[0], out[1]


def pen_thickness(top: Array, bottom: Array) -> float:
    """Thickness of the line in pixels, from the columns in which it is flat."""
    return float(np.nanpercentile(bottom - top, FLAT_PERCENTILE))


def pen_line(top: Array, bottom: Array, thickness: float) -> Array:
    """Height of the line at every column; NaN where there is no ink.

    Args:
        top: (columns,) upper edge of the ink, pixels; NaN where there is none.
        bottom: (columns,) lower edge.
        thickness: of the pen, pixels.
    """
    low, high = np.full(len(top), -np.inf), np.full(len(top), np.inf)
    radius = thickness / 2
    side = int(radius + SIDE_PX)
    for shift in range(-side, side + 1):
        reach = float(np.sqrt(max(0.0, radius**2 - shift**2)))
        low, high = np.fmax(low, _shifted(top, shift) + reach), np.fmin(high, _shifted(bottom, shift) - reach)
    known = np.flatnonzero(np.isfinite(top))
    crossed = known[low[known] > high[known]]
    low[crossed] = high[crossed] = 0.5 * (low[crossed] + high[crossed])
    ends = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    short = np.concatenate([piece for piece in ends if len(piece) < MIN_PIECE] or [known[:0]])
    low[short] = high[short] = 0.5 * (low[short] + high[short])
    return np.where(np.isfinite(top), _through(np.where(np.isfinite(top), low, 0), high, np.isfinite(top)), np.nan)


def _shifted(values: Array, shift: int) -> Array:
    """Values of the column ``shift`` to the right, NaN beyond the ends."""
    out = np.full(len(values), np.nan)
    if shift >= 0:
        out[: len(values) - shift] = values[shift:]
    else:
        out[-shift:] = values[:shift]
    return out


def _through(low: Array, high: Array, known: NDArray[np.bool_]) -> Array:
    """The best line through ranges of heights, by dynamic programming over two columns' heights.

    Pieces between columns without ink don't depend on each other: what is beside such a column costs nothing.

    Args:
        low: (columns,) upper end of each range.
        high: (columns,) lower end.
        known: (columns,) where there is ink.
    """
    n, size = len(low), len(LEVELS)
    if n < MIN_PIECE:
        return 0.5 * (low + high)
    y = low[:, None] + np.where(known, high - low, 0.0)[:, None] * LEVELS
    prices = _prices(y, low, high, known[:-2] & known[1:-1] & known[2:])
    cost, origins = np.zeros((size, size)), np.zeros((n, size, size), np.int8)
    for c in range(1, n - 1):
        total = cost[:, :, None] + prices[c - 1]
        origins[c + 1] = total.argmin(0)
        cost = total.min(0)
    j, k = np.unravel_index(int(cost.argmin()), cost.shape)
    out = np.empty(n)
    out[n - 1], out[n - 2] = y[n - 1, k], y[n - 2, j]
    for c in range(n - 1, 1, -1):
        j, k = origins[c, j, k], j
        out[c - 2] = y[c - 2, j]
    return out


def _prices(y: Array, low: Array, high: Array, inside: NDArray[np.bool_]) -> Array:
    """(columns - 2, levels, levels, levels): what three neighbouring heights cost at the one in the middle."""
    left, here, right = y[:-2, :, None, None], y[1:-1, None, :, None], y[2:, None, None, :]
    before, after = 0.5 * (left + here), 0.5 * (here + right)
    upper = np.minimum(np.minimum(before, after), here)
    lower = np.maximum(np.maximum(before, after), here)
    above, below = upper - low[1:-1, None, None, None], high[1:-1, None, None, None] - lower
    missed = np.where(above > 0, above, -OVER * above) + np.where(below > 0, below, -OVER * below)
    came, goes = here - left, right - here
    turn = np.where(came * goes < 0, np.minimum(np.abs(came), np.abs(goes)), 0.0)
    prices = missed + TURN * turn + BEND * np.abs(goes - came)
    return np.where(inside[:, None, None, None], prices, 0.0)
