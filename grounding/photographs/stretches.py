"""Stretches of leads that stand higher or lower than the rest of their row, as on pages whose leads aren't levelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .arrangement import Cell
from .traces import WANDER_PERIODS, Trace, follow_rows

Array = NDArray[np.float64]
SEEN_SHARE = 0.85  # of a stretch's columns; where less is seen, its line is looked for at another height
CLEARLY_MORE = 0.15  # of its columns
MIN_INK_SHARE = 0.5  # of its columns, near one height
BESIDE_LINE_PX = 4  # of a neighbouring row's line


def at_own_height(
    ink: NDArray[np.float32], mask: NDArray[np.bool_], rows: Sequence[Trace], cells: Sequence[Cell], period: int
) -> list[Trace]:
    """The rows, with stretches that were hardly seen followed again between the neighbouring rows' lines.

    Args:
        ink: (rows, columns), probability of trace.
        mask: where there is trace.
        rows: of the page, from the top.
        cells: the stretches of leads.
        period: of the grid, pixels.
    """
    lines = [row.y.copy() for row in rows]
    for cell in cells:
        first, last = max(0, round(cell.start)), min(mask.shape[1], round(cell.end))
        old = lines[cell.row][first:last]
        seen = float(np.isfinite(old).mean()) if len(old) else 1.0
        if seen >= SEEN_SHARE:
            continue
        free = mask[:, first:last] & _between(lines, cell.row, len(mask), first, last)
        near = ndimage.maximum_filter1d(free.astype(np.uint8), int(WANDER_PERIODS * period), axis=0).mean(1)
        height = float(np.flatnonzero(near >= near.max()).mean())
        if near.max() < MIN_INK_SHARE:
            continue
        spacing = float(np.diff([row.baseline for row in rows]).min()) if len(rows) > 1 else 4.0 * period
        found = follow_rows(ink[:, first:last], free, [height], spacing, period)
        if found and float(np.isfinite(found[0].y).mean()) > seen + CLEARLY_MORE:
            lines[cell.row][first:last] = found[0].y
    return [replace(row, y=line) for row, line in zip(rows, lines, strict=True)]


def _between(lines: Sequence[Array], row: int, height: int, first: int, last: int) -> NDArray[np.bool_]:
    """(height, last - first): what is below the line of the row above, and above the line of the row below."""
    at = np.arange(height)[:, None]
    out = np.ones((height, last - first), bool)
    for other, sign in ((row - 1, 1), (row + 1, -1)):
        if 0 <= other < len(lines):
            line = lines[other][first:last]
            known = np.flatnonzero(np.isfinite(line))
            if len(known):
                out &= sign * (at - np.interp(np.arange(last - first), known, line[known])) > BESIDE_LINE_PX
    return out
