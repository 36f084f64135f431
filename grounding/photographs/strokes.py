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
    y = np.full(len(top), np.nan)
    known = np.flatnonzero(np.isfinite(top))
    crossed = known[low[known] > high[known]]
    low[crossed] = high[crossed] = 0.5 * (low[crossed] + high[crossed])
    for piece in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        y[piece] = _through(low[piece], high[piece])
    return y


def _shifted(values: Array, shift: int) -> Array:
    """Values of the column ``shift`` to the right, NaN beyond the ends."""
    out = np.full(len(values), np.nan)
    if shift >= 0:
        out[: len(values) - shift] = values[shift:]
    else:
        out[-shift:] = values[:shift]
    return out


def _through(low: Array, high: Array) -> Array:
    """The best line through ranges of heights, by dynamic programming over two columns' heights.

    Args:
        low: (columns,) upper end of each range.
        high: (columns,) lower end.
    """
    n = len(low)
    if n < 3:
        return 0.5 * (low + high)
    y = low[:, None] + (high - low)[:, None] * LEVELS
    size = len(LEVELS)
    cost, origins = np.zeros((size, size)), np.zeros((n, size, size), np.int8)
    for c in range(1, n - 1):
        left, here, right = y[c - 1][:, None, None], y[c][None, :, None], y[c + 1][None, None, :]
        before, after = 0.5 * (left + here), 0.5 * (here + right)
        upper, lower = (pick(pick(before, after), here) for pick in (np.minimum, np.maximum))
        above, below = upper - low[c], high[c] - lower
        missed = np.where(above > 0, above, -OVER * above) + np.where(below > 0, below, -OVER * below)
        came, goes = here - left, right - here
        turn = np.where(came * goes < 0, np.minimum(np.abs(came), np.abs(goes)), 0.0)
        total = cost[:, :, None] + missed + TURN * turn + BEND * np.abs(goes - came)
        origins[c + 1] = total.argmin(0)
        cost = total.min(0)
    j, k = np.unravel_index(int(cost.argmin()), cost.shape)
    out = np.empty(n)
    out[n - 1], out[n - 2] = y[n - 1, k], y[n - 2, j]
    for c in range(n - 1, 1, -1):
        j, k = origins[c, j, k], j
        out[c - 2] = y[c - 2, j]
    return out
