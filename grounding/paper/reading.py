"""A flat page whose layout is known, read back from its pixels; photographs are read by ``grounding.photographs``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import EcgSignalError
from ..record import ECGRecord
from .layout import Box, PageLayout, Panel

Array = NDArray[np.floating[Any]]
FS_HZ = 500.0  # of what is read; a pixel of the default page is 7 ms
INKED = 0.35  # darkness, as a share of full ink, from which a pixel belongs to a stroke
REACH = 0.6  # of a row's height, above and below its zero line, in which its trace is looked for
TEXT_PX = 3  # around letters
MAX_GAP_S = 0.03  # that is bridged: two of the default page's pixels and a little
LEAST_SHARE = 0.5  # of a panel's columns that must show a trace


def read_page(image: Image.Image, layout: PageLayout, letters: Iterable[Box], trace_mm: float) -> ECGRecord:
    """The traces of a page, from its pixels, its layout and the places of its letters.

    Each column of pixels has the stretch of ink that continues the one before; what a pen of this thickness drew there
    begins and ends at its edges, upwards or downwards as the neighbours say. Letters are left out, with
    what they hide. 50 ms for a page of 1650 x 1275 pixels.

    Args:
        image: flat and upright, dark traces on a brighter grid, as ``draw`` makes it.
        layout: of the page.
        letters: where something is written.
        trace_mm: thickness of the traces.

    Returns:
        A record at 500 Hz from the page's first second to its last: mV (no voltages where the page has none), NaN where
        a lead is not printed or not seen. Each stretch has its median at 0.

    Raises:
        EcgSignalError: no trace is seen.
    """
    shown = [panel for panel in layout.panels if not panel.missing]
    if not shown:
        raise EcgSignalError("the page has no lead", remedy="draw a recording that has one of the layout's leads")
    ink = _darkness(image, letters)
    first_s, last_s = min(panel.start_s for panel in shown), max(panel.end_s for panel in shown)
    leads = tuple(dict.fromkeys(panel.lead for panel in shown))
    signal = np.full((len(leads), round((last_s - first_s) * FS_HZ)), np.nan)
    for panel in sorted(shown, key=lambda one: one.end_s - one.start_s):  # the rhythm strip is the better reading
        times_s, values = _trace(ink, panel, layout, trace_mm)
        if not len(times_s):
            continue
        grid = np.arange(round((panel.start_s - first_s) * FS_HZ), round((panel.end_s - first_s) * FS_HZ))
        at_s = grid / FS_HZ + first_s
        read = np.interp(at_s, times_s, values)
        after = np.searchsorted(times_s, at_s).clip(1, len(times_s) - 1)
        read[times_s[after] - times_s[after - 1] > MAX_GAP_S] = np.nan
        read -= np.nanmedian(read)
        signal[leads.index(panel.lead), grid] = -read if panel.inverted else read
    if not np.isfinite(signal).any():
        raise EcgSignalError("no trace is seen on the page", remedy="dark traces on a brighter grid can be read")
    return ECGRecord.from_array(
        signal / layout.mv_per_unit, FS_HZ, leads, "mV" if layout.calibrated else "adu", meta={"start_s": first_s}
    )


def _darkness(image: Image.Image, letters: Iterable[Box]) -> Array:
    """(height, width): share of full ink, 0-1; letters are blank. A coloured grid is bright in one of its colours."""
    bright = np.asarray(image.convert("RGB")).max(axis=2).astype(np.float32)
    for box in letters:
        x0, y0, x1, y1 = (round(value) for value in box)
        bright[max(0, y0 - TEXT_PX) : y1 + TEXT_PX, max(0, x0 - TEXT_PX) : x1 + TEXT_PX] = np.nan
    paper, trace = np.nanmax(bright), np.nanmin(bright)
    dark: Array = np.clip((paper - bright) / max(paper - trace, 1), 0, 1)
    return dark


def _trace(ink: Array, panel: Panel, layout: PageLayout, trace_mm: float) -> tuple[Array, Array]:
    """Seconds and values (drawn mV) of one panel, one for each column of pixels in which a trace is seen."""
    scale = layout.px_per_mm
    zero, reach = panel.y_mm * scale, REACH * panel.height_mm * scale
    top = max(0, round(zero - reach))
    left, right = panel.x_mm * scale, (panel.x_mm + (panel.end_s - panel.start_s) * layout.mm_per_s) * scale
    # the separators of neighbouring columns stand on the ends
    columns = np.arange(int(np.ceil(left)) + 2, int(right) - 2)
    part = ink[top : round(zero + reach), columns]
    ends = _continued(np.nan_to_num(part), zero - top)
    seen = np.isfinite(ends[:, 0])
    if seen.mean() < LEAST_SHARE:
        return np.empty(0), np.empty(0)
    columns, ends = columns[seen], ends[seen]
    high, low = ((zero - top - ends) / (layout.mm_per_mv * scale)).T
    times_s = (columns + 0.5 - left) / (scale * layout.mm_per_s) + panel.start_s
    return times_s, _pen(high, low, trace_mm / layout.mm_per_mv)


def _pen(high: Array, low: Array, thickness: float) -> Array:
    """Where a pen must have been that left ink between two edges, (columns,).

    Half its thickness from either edge is its place where that edge is level; on a slope both are as far off. Before
    and after a slope one edge is level and the other one is not yet or no longer.

    Args:
        high: (columns,) upper edge, drawn mV.
        low: (columns,) lower edge.
        thickness: of the pen, drawn mV.
    """
    middle = (high + low) / 2
    under, over = high - thickness / 2, low + thickness / 2
    steps = [np.abs(np.diff(edge, prepend=edge[0], append=edge[-1])) for edge in (high, low)]
    rise_high, rise_low = (np.minimum(step[1:], step[:-1]) + 0.1 * thickness for step in steps)
    pen = (under / rise_high + over / rise_low) / (1 / rise_high + 1 / rise_low)
    last, following = np.r_[middle[:1], middle[:-1]], np.r_[middle[1:], middle[-1:]]
    thick = high - low > thickness
    pen = np.where(thick & (middle >= last) & (middle >= following), under, pen)
    return np.where(thick & (middle < last) & (middle < following), over, np.where(thick, pen, middle))


def _continued(part: Array, zero: float) -> Array:
    """Upper and lower edge of the trace in each column, (columns, 2) in rows; NaN where there is no ink.

    Args:
        part: (rows, columns) share of ink.
        zero: row of the zero line, from which a trace that does not continue another one is looked for.
    """
    out = np.full((part.shape[1], 2), np.nan)
    inked = np.pad(part > INKED, ((1, 1), (0, 0)))
    column, row = np.nonzero((inked[1:] != inked[:-1]).T)
    edges = np.searchsorted(column, np.arange(part.shape[1] + 1))
    last = (zero, zero)
    for at, (begin, end) in enumerate(pairwise(edges.tolist())):
        runs = row[begin:end].reshape(-1, 2).tolist()  # first row of ink, first row without
        if not runs:
            continue
        # the gap to the stroke before, and among strokes that touch it the longest
        start, stop = min(runs, key=lambda run: (max(last[0] - run[1], run[0] - last[1], 0), run[0] - run[1]))
        last = (start, stop)
        # the rim's pixels are covered in part
        above = part[start - 1, at] if start else 0.0
        below = part[stop, at] if stop < len(part) else 0.0
        out[at] = (
            start - above if above > 0 else start + 1 - part[start, at],
            stop + below if below > 0 else stop - 1 + part[stop - 1, at],
        )
    return out
