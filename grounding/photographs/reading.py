"""A photograph or scan of an ECG in, a recording in millivolts out, with the map back to the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import EcgSignalError
from ..record import STANDARD_LEADS, ECGRecord
from .arrangement import MM_PER_PERIOD, Cell, arrange, find_pulses
from .ink import PX_PER_PERIOD, absorbance, as_dark_as_trace, trace_probability
from .lattice import find_lattice
from .lines import straightened
from .picture import grid_lines, load_picture
from .rectifying import NODES_PER_PERIOD, PaperMap, paper_map
from .traces import Trace, find_rows, follow_rows

Array = NDArray[np.float64]
FS_HZ = 500.0
GOOD, DOUBTFUL, NOT_READ = "good", "doubtful", "not read"
MIN_LINE_SHARE = 0.5  # of a cell's columns
GOOD_LINE_SHARE = 0.85
FAINT_INK = 0.3  # probability that counts where it touches sure ink
WEAK_INK = 0.2  # probability that counts where the shape is known
MAX_BAR_PX, BAR_PERIODS = 12, 0.7  # from the border between two leads, and the least height of an upright bar there
MIN_GAP_PX = 5
EDGE_PX = 5  # half the width of a pulse's falling edge
MAX_JUMP_PERIODS, END_PERIODS = 1.0, 6.0  # from the row's usual height, of a piece of at most this length
MARGIN_PERIODS = 2  # beyond the outermost windows in which grid is seen
FRAME_PERIODS, STRAIGHT_PERIODS = 1.0, 0.1  # longer than the rows, and its line bends less
MIN_ROW_PERIODS = 10  # length of the shortest row


@dataclass(frozen=True)
class PicturePlaces:
    """Where the samples of a recording lie in its picture.

    Attributes:
        page: the map from paper to picture.
        cells: the stretches of leads, in columns of the flat page.
        lines: (columns,) of each row: height of its line on the flat page, pixels.
        zero: height of each lead's zero on the flat page, pixels.
        mm_per_s: paper speed.
        mm_per_mv: gain.
    """

    page: PaperMap
    cells: tuple[Cell, ...]
    lines: tuple[Array, ...]
    zero: dict[str, float]
    mm_per_s: float
    mm_per_mv: float

    def pixels(self, lead: str, seconds: Any) -> Array:
        """(n, 2) pixels (x, y) of the picture where a lead is drawn at some times; NaN where it is not.

        Args:
            lead: its name.
            seconds: (n,) from the beginning of the recording.
        """
        seconds = np.atleast_1d(np.asarray(seconds, np.float64))
        out = np.full((len(seconds), 2), np.nan)
        per_s = self.mm_per_s / MM_PER_PERIOD * PX_PER_PERIOD
        for cell in self.cells:
            if cell.lead != lead:
                continue
            column = cell.start + (seconds - cell.start_s) * per_s
            inside = (column >= cell.start) & (column < cell.end)
            line = self.lines[cell.row]
            y = np.interp(column, np.arange(len(line)), line, left=np.nan, right=np.nan)
            x, y = self.page.pixels(column / PX_PER_PERIOD, y / PX_PER_PERIOD)
            out[inside] = np.stack([x, y], 1)[inside]
        return out


def read_photograph(
    path: str | Path,
    layout: str | None = None,
    speed_mm_s: float | None = None,
    gain_mm_mv: float | None = None,
) -> ECGRecord:
    """Read the traces of a photographed, scanned or drawn ECG.

    Args:
        path: of the picture.
        layout: ``"3x4"``, ``"6x2"`` or ``"12x1"``, with ``+n`` for n rhythm strips; inferred when None.
        speed_mm_s: paper speed; 25 mm/s when None.
        gain_mm_mv: gain; from the calibration pulses when None, and 10 mm/mV if there are none.

    Returns:
        A recording in mV at 500 Hz, each lead at its printed time, NaN elsewhere. ``meta["picture"]`` has the places
        (``PicturePlaces``), the quality of each lead, and how the page was understood.

    Raises:
        EcgFormatError: no picture.
        EcgSignalError: no grid, no traces, or rows that fit no layout.
    """
    path = Path(path)
    picture = load_picture(path)
    try:
        return _read(flat_page(picture), path.stem, layout, speed_mm_s, gain_mm_mv)
    except EcgSignalError as error:
        raise EcgSignalError(error.what, where=str(path), remedy=error.remedy) from None


@dataclass(frozen=True)
class FlatPage:
    """A page without its bends, at ``PX_PER_PERIOD``.

    Attributes:
        page: the map to the picture.
        trace: (rows, columns), probability of trace.
        shapes: (rows, columns), trace and whatever else is as dark, in which calibration pulses are looked for.
    """

    page: PaperMap
    trace: NDArray[np.float32]
    shapes: NDArray[np.bool_]


def flat_page(picture: NDArray[np.float32]) -> FlatPage:
    """Find the grid of a picture, flatten the page by it, and find the traces.

    Args:
        picture: (height, width, 3), 0-1.

    Raises:
        EcgSignalError: no grid.
    """
    lines = grid_lines(picture)
    page = paper_map(find_lattice(lines.astype(np.float64)), lines)
    absorbed = absorbance(page.flat(picture, PX_PER_PERIOD))
    trace = trace_probability(absorbed)
    shapes = (trace > WEAK_INK) | as_dark_as_trace(absorbed, trace)
    page, former = straightened(page, absorbed.max(-1), trace, PX_PER_PERIOD)
    trace = ndimage.map_coordinates(trace, former, order=1, mode="nearest")
    shapes = ndimage.map_coordinates(shapes, former.round(), order=0, mode="nearest")
    return FlatPage(page, _within_page(trace, page), shapes)


def _read(
    flat: FlatPage, name: str, layout: str | None, speed_mm_s: float | None, gain_mm_mv: float | None
) -> ECGRecord:
    mask = _connected(flat.trace)
    baselines, (first, last) = find_rows(flat.trace > 0.5, PX_PER_PERIOD)
    mask[:first], mask[last:] = False, False
    if not baselines:
        raise EcgSignalError("no traces of an ECG are seen on the page", remedy="photograph the whole page, sharp")
    spacing = float(np.median(np.diff(baselines))) if len(baselines) > 1 else 4.0 * PX_PER_PERIOD
    traces = follow_rows(flat.trace, mask, baselines, 1.1 * spacing, PX_PER_PERIOD)
    rows = _without_frame([_without_ends(trace) for trace in traces])
    if not rows:
        raise EcgSignalError("no traces of an ECG are seen on the page", remedy="photograph the whole page, sharp")
    pulses = find_pulses(flat.shapes, [row.baseline for row in rows], _ends(rows), PX_PER_PERIOD)
    start, end = _extent(rows, pulses)
    mm_per_s, warnings = speed_mm_s or 25.0, []
    mm_per_mv = gain_mm_mv
    if mm_per_mv is None and pulses is not None:
        mm_per_mv = pulses.height / PX_PER_PERIOD * MM_PER_PERIOD
    if mm_per_mv is None:
        mm_per_mv = 10.0
        warnings.append("no calibration pulse is seen: 10 mm/mV is assumed")
    per_mv = mm_per_mv / MM_PER_PERIOD * PX_PER_PERIOD
    heights = [-trace.y / per_mv for trace in rows]
    cells = arrange(heights, start, end, PX_PER_PERIOD, layout)
    after_pulse = pulses is not None and start == pulses.end
    return _record(name, rows, heights, cells, flat.page, mm_per_s, mm_per_mv, after_pulse, warnings)


def _connected(trace: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What is trace, and what is perhaps trace and touches it: strokes are faint where they run along the grid."""
    labels, n = ndimage.label(trace > FAINT_INK, np.ones((3, 3)))
    sure = np.zeros(n + 1, bool)
    sure[labels[trace > 0.5]] = True
    sure[0] = False
    return np.asarray(sure[labels])


def _within_page(probability: NDArray[np.float32], page: PaperMap) -> NDArray[np.float32]:
    """No trace where no grid is seen, such as on the table beside the paper."""
    near = ndimage.binary_dilation(page.seen, iterations=MARGIN_PERIODS * NODES_PER_PERIOD)
    seen = np.kron(near, np.ones((PX_PER_PERIOD // NODES_PER_PERIOD,) * 2, np.float32))
    out = np.zeros_like(probability)
    rows, columns = min(seen.shape[0], out.shape[0]), min(seen.shape[1], out.shape[1])
    out[:rows, :columns] = probability[:rows, :columns] * (seen[:rows, :columns] > 0.5)
    return out


def _extent(rows: list[Trace], pulses: Any) -> tuple[float, float]:
    """The columns at which the rows begin and end."""
    first, last = _ends(rows)
    if pulses is not None:
        if pulses.end < 0.5 * (first + last):
            first = _behind(pulses.end, rows)
        else:
            last = min(last, pulses.start)
    if last - first < MIN_ROW_PERIODS * PX_PER_PERIOD:
        raise EcgSignalError("no traces of an ECG are seen on the page", remedy="photograph the whole page, sharp")
    # ten seconds is what pages show; a line that ends a little earlier or later was read short or long
    ten = 10.0 * 25.0 / MM_PER_PERIOD * PX_PER_PERIOD
    if abs(last - first - ten) < 0.06 * ten:
        last = first + ten
    return first, last


def _ends(rows: list[Trace]) -> tuple[float, float]:
    """The columns at which most rows' lines begin and end, calibration pulses included."""
    spans = np.array([_unbroken(np.isfinite(row.y)) for row in rows], float)
    first, last = np.median(spans, axis=0)
    return float(first), float(last)


def _without_frame(rows: list[Trace]) -> list[Trace]:
    """The rows without a printed frame or edge of the paper above or below them: straight, and longer than a row."""
    while len(rows) > 2:
        for side, others in ((0, rows[1:]), (-1, rows[:-1])):
            first, last = _ends(others)
            start, stop = _unbroken(np.isfinite(rows[side].y))
            longer = (first - start) + (stop - last) > FRAME_PERIODS * PX_PER_PERIOD
            at = np.flatnonzero(np.isfinite(rows[side].y))
            line = rows[side].y[at]
            bend = line - ndimage.median_filter(line, 2 * PX_PER_PERIOD, mode="nearest")
            straight = np.percentile(np.abs(bend), 98) < STRAIGHT_PERIODS * PX_PER_PERIOD
            if longer and straight:
                rows = others
                break
        else:
            break
    return rows


def _behind(pulse_end: float, rows: list[Trace]) -> float:
    """Where the leads begin behind their pulses: at once, or after a gap on the paper."""
    starts = []
    for row in rows:
        near = np.isfinite(row.y[int(pulse_end) : int(pulse_end + 2 * PX_PER_PERIOD)])
        gaps = np.flatnonzero(~near)
        behind = np.flatnonzero(near[gaps[0] :]) if len(gaps) else []
        starts.append(gaps[0] + behind[0] if len(gaps) and len(behind) and behind[0] >= MIN_GAP_PX else 0)
    gap = float(np.median(starts))
    return pulse_end + gap


def _unbroken(known: NDArray[np.bool_]) -> tuple[int, int]:
    """The longest stretch of columns without a gap of one period, beyond which there may be a printed frame."""
    at = np.flatnonzero(known)
    breaks = np.flatnonzero(np.diff(at) > PX_PER_PERIOD)
    starts, ends = np.r_[at[0], at[breaks + 1]], np.r_[at[breaks], at[-1]] + 1
    longest = int((ends - starts).argmax())
    return int(starts[longest]), int(ends[longest])


def _without_ends(row: Trace) -> Trace:
    """A row without pieces at its ends that are not at its height: a frame or text behind a gap."""
    at = np.flatnonzero(np.isfinite(row.y))
    breaks = np.flatnonzero(np.diff(at) > 1) + 1
    pieces = np.split(at, breaks)
    level = float(np.median(row.y[at]))
    while len(pieces) > 1 and _is_elsewhere(row.y[pieces[-1]], level):
        pieces.pop()
    while len(pieces) > 1 and _is_elsewhere(row.y[pieces[0]], level):
        pieces.pop(0)
    kept = np.concatenate(pieces)
    y = np.full(len(row.y), np.nan)
    y[kept] = row.y[kept]
    return replace(row, y=y)


def _is_elsewhere(heights: Array, level: float) -> bool:
    short = len(heights) < END_PERIODS * PX_PER_PERIOD
    return short and abs(float(np.median(heights)) - level) > MAX_JUMP_PERIODS * PX_PER_PERIOD


def _record(
    name: str,
    rows: list[Trace],
    heights: list[Array],
    cells: list[Cell],
    page: PaperMap,
    mm_per_s: float,
    mm_per_mv: float,
    after_pulse: bool,
    warnings: list[str],
) -> ECGRecord:
    per_s = mm_per_s / MM_PER_PERIOD * PX_PER_PERIOD
    seconds = max(cell.start_s + (cell.end - cell.start) / per_s for cell in cells)
    signal = np.full((len(STANDARD_LEADS), round(seconds * FS_HZ)), np.nan)
    quality: dict[str, dict[str, Any]] = {}
    zero: dict[str, float] = {}
    bars = _bars(rows, cells)
    for cell in cells:
        line = heights[cell.row]
        n = round((cell.end - cell.start) / per_s * FS_HZ)
        columns = cell.start + np.arange(n) / FS_HZ * per_s
        known = np.isfinite(line)
        share = float(known[max(0, int(cell.start)) : int(cell.end)].mean())
        lead = STANDARD_LEADS.index(cell.lead)
        begin = round(cell.start_s * FS_HZ)
        if share < MIN_LINE_SHARE:
            quality.setdefault(
                cell.lead, {"quality": NOT_READ, "reason": f"its line is seen in {share:.0%} of its place"}
            )
            continue
        values = np.interp(columns, np.flatnonzero(known), line[known], left=np.nan, right=np.nan)
        if cell.start_s == 0 and after_pulse:
            values[columns < cell.start + EDGE_PX] = np.nan  # the pulse's falling edge
        if bars is not None:
            values[(columns <= cell.start + bars[1]) & (cell.start_s > 0)] = np.nan
            values[(columns >= cell.end + bars[0]) & (cell.end < max(c.end for c in cells))] = np.nan
        level = float(np.nanmedian(values))
        stop = min(signal.shape[1], begin + n)
        signal[lead, begin:stop] = values[: stop - begin] - level
        zero[cell.lead] = -level * mm_per_mv / MM_PER_PERIOD * PX_PER_PERIOD
        word = GOOD if share >= GOOD_LINE_SHARE else DOUBTFUL
        reason = "" if word == GOOD else f"its line is seen in {share:.0%} of its place"
        quality[cell.lead] = {"quality": word, "reason": reason}
    there = [i for i, lead in enumerate(STANDARD_LEADS) if np.isfinite(signal[i]).any()]
    if not there:
        raise EcgSignalError("no lead of the page could be read", remedy="photograph the whole page, sharp")
    places = PicturePlaces(page, tuple(cells), tuple(row.y for row in rows), zero, mm_per_s, mm_per_mv)
    meta = {
        "picture": {"places": places, "quality": quality, "mm_per_s": mm_per_s, "mm_per_mv": mm_per_mv},
        "warnings": warnings,
    }
    return ECGRecord.from_array(
        signal[there], FS_HZ, [STANDARD_LEADS[i] for i in there], units="mV", record_id=name, meta=meta
    )


def _bars(rows: list[Trace], cells: list[Cell]) -> tuple[int, int] | None:
    """First and last column of the upright bars between two leads, from the border; None where there are none."""
    around = np.arange(-MAX_BAR_PX, MAX_BAR_PX + 1)
    heights = []
    for cell in cells:
        if cell.start_s > 0:
            at = np.clip(round(cell.start) + around, 0, len(rows[cell.row].y) - 1)
            heights.append(np.nan_to_num(rows[cell.row].bottom[at] - rows[cell.row].top[at]))
    if not heights:
        return None
    tall = np.flatnonzero(np.median(heights, axis=0) > BAR_PERIODS * PX_PER_PERIOD)
    return (int(around[tall[0]]) - 1, int(around[tall[-1]]) + 1) if len(tall) else None
