"""A photograph or scan of an ECG in, a recording in millivolts out, with the map back to the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import EcgSignalError
from ..record import STANDARD_LEADS, ECGRecord
from .arrangement import (
    MM_PER_PERIOD,
    CalibrationPulse,
    best_fit,
    find_pulses,
    other_layouts,
    parse_layout,
    steepness,
)
from .borders import hiding_bars, pulse_end
from .corners import Corners, PageCorners
from .flattening import FlatPage, flat_page, flattened, map_by_grid
from .ink import PX_PER_PERIOD
from .lettering import read_lines
from .limb_leads import SURE_SUM, check_limb_leads
from .names import USUAL, LeadName, NamesFit, arrange_by_names
from .picture import load_picture
from .places import PicturePlaces
from .printed import PageText
from .rectifying import BEYOND_PERIODS
from .stretches import at_own_height
from .traces import Trace, find_rows, follow_rows
from .turning import SURE_UPRIGHT, PageReading, turned_degrees

Array = NDArray[np.float64]
FS_HZ = 500.0
GOOD, DOUBTFUL, NOT_READ = "good", "doubtful", "not read"
MIN_LINE_SHARE = 0.5  # of a cell's columns
GOOD_LINE_SHARE = 0.85
FAINT_INK = 0.3  # probability that counts where it touches sure ink
# correlation of where a row is steep with the other rows, at the rim of the page: 0.54 or more on rows, 0.48 on an edge
# that a line had jumped to, near 0 on others
MIN_SHARED_BEATS = 0.52
EDGE_PERIODS = 0.5  # beside an edge of the paper nothing counts as trace
MIN_GAP_PX = 5
MAX_JUMP_PERIODS, END_PERIODS = 1.0, 6.0  # from the row's usual height, of a piece of at most this length
FRAME_PERIODS, STRAIGHT_PERIODS = 1.0, 0.1  # longer than the rows, and its line bends less
LINE_PX = 3  # to each side of the middle of a frame's line
SURE_PULSE = 0.85  # of its outline
# a page is tried without its first or last row if the sums hardly fit: both sums that it needs then, and how much more
# that must be; without an edge of the paper it was 0.7, without a true rhythm strip 0.2 (two pages)
MIN_ROWS, SURE_TOGETHER, MUCH_BETTER = 3, 1.5, 0.3
MIN_ROW_PERIODS = 10  # length of the shortest row


def read_photograph(
    path: str | Path,
    layout: str | None = None,
    speed_mm_s: float | None = None,
    gain_mm_mv: float | None = None,
    corners: Corners | None = None,
) -> ECGRecord:
    """Read the traces of a photographed, scanned or drawn ECG.

    Args:
        path: of the picture.
        layout: ``"3x4"``, ``"6x2"`` or ``"12x1"``, with ``+n`` for n rhythm strips; inferred when None.
        speed_mm_s: paper speed; 25 mm/s when None.
        gain_mm_mv: gain; from the calibration pulses when None, and 10 mm/mV if there are none.
        corners: (x, y) pixels of the page's top left, top right, bottom right and bottom left corner in the upright
            picture; only what lies between them is read, turned so that the first is at the top left.

    Returns:
        A recording in mV at 500 Hz, each lead at its printed time, NaN elsewhere. ``meta["picture"]`` has the places
        (``PicturePlaces``), the quality of each lead, and how the page was understood.

    Raises:
        EcgFormatError: no picture.
        EcgSignalError: no grid, no traces, or rows that fit no layout.
        EcgError: the corners are those of no page.
    """
    path = Path(path)
    try:
        if layout is not None:
            parse_layout(layout)
        picture = load_picture(path)
        between = None if corners is None else PageCorners(corners)

        def read(flat: FlatPage) -> PageReading:
            alone = picture if between is None else between.alone(picture)
            return _read(flat, alone, path.stem, layout, speed_mm_s, gain_mm_mv)

        if between is None:
            return _right_way_up(flat_page(picture), picture, read).record
        cut = between.cut(picture)
        flat = flattened(cut, map_by_grid(cut))
        return read(replace(flat, page=between.in_picture(flat.page))).record
    except EcgSignalError as error:
        raise EcgSignalError(error.what, where=str(path), remedy=error.remedy) from None


def _right_way_up(flat: FlatPage, picture: NDArray[np.uint8], read: Callable[[FlatPage], PageReading]) -> PageReading:
    """The reading of a page by the one of two ways up that its marks and waves tell.

    Raises:
        EcgSignalError: it is read neither way, or nothing tells which one is right.
    """
    best = error = None
    for half_turns in (0, 1):
        page = flattened(picture, flat.page.turned(2)) if half_turns else flat
        try:
            found = read(page)
        except EcgSignalError as why:
            if page.has_dark_grid:
                raise EcgSignalError(
                    f"the grid is as dark as the traces, as on faxes, so that they are not told apart ({why.what})",
                    remedy="scan or photograph the paper in grey or colours",
                ) from None
            error = error or why
            continue
        degrees = turned_degrees(page.page)
        found.record.meta["picture"]["turned_degrees"] = round(degrees, 1)
        if not found.may_be_upright(degrees):
            error = error or EcgSignalError(
                "nothing tells which side of the page is up", remedy="turn the picture, or name the page's corners"
            )
        elif best is None or found.upright > best.upright:
            best = found
        if best is not None and best.upright > SURE_UPRIGHT:
            break
    if best is None:
        raise error or EcgSignalError("no traces of an ECG are seen on the page")
    return best


def _read(
    flat: FlatPage,
    picture: NDArray[np.uint8],
    name: str,
    layout: str | None,
    speed_mm_s: float | None,
    gain_mm_mv: float | None,
) -> PageReading:
    mask = _connected(flat.trace)
    baselines, (first, last), beside = find_rows(flat.trace > 0.5, PX_PER_PERIOD)
    if not baselines:
        raise EcgSignalError("no traces of an ECG are seen on the page", remedy="photograph the whole page, sharp")
    inner = mask.copy()
    inner[:first], inner[last:] = False, False
    rows, pulses = _rows_and_pulses(flat, inner, baselines)
    # a row nearer than the others is one if it has a calibration pulse as they have; else it is an edge of the paper
    more = [height for height in beside if pulses is not None and _has_pulse(flat.shapes, rows, height)]
    if more:
        rows, pulses = _rows_and_pulses(flat, mask, sorted([row.baseline for row in rows] + more))
    baselines = [row.baseline for row in rows]
    ends = baselines[0] / PX_PER_PERIOD, baselines[-1] / PX_PER_PERIOD
    text = PageText.of(read_lines(picture, flat.page, flat.trace, ends))
    best = error = None
    try:
        best = _arranged(flat, mask, rows, pulses, text, name, layout, speed_mm_s, gain_mm_mv)
    except EcgSignalError as why:
        error = why
    # a line of the header or an edge of the paper may look like a row
    for part in (baselines[1:], baselines[:-1]) if layout is None and len(baselines) > MIN_ROWS else ():
        fit = best.sums if best is not None else 0.0
        if fit < SURE_TOGETHER:
            rows, pulses = _rows_and_pulses(flat, mask, part)
            try:
                other = _arranged(flat, mask, rows, pulses, text, name, layout, speed_mm_s, gain_mm_mv)
            except EcgSignalError:
                continue
            if other.sums >= max(SURE_TOGETHER, fit + MUCH_BETTER):
                best = other
    if best is None:
        raise error or EcgSignalError("no traces of an ECG are seen on the page")
    return best


def _arranged(
    flat: FlatPage,
    mask: NDArray[np.bool_],
    rows: list[Trace],
    pulses: CalibrationPulse | None,
    text: PageText,
    name: str,
    layout: str | None,
    speed_mm_s: float | None,
    gain_mm_mv: float | None,
) -> PageReading:
    """The recording on rows whose leads are told by layout, names and sums."""
    start, end = _extent(rows, pulses, flat.trace)
    baselines = [row.baseline for row in rows]
    seen_mm_mv = None if pulses is None else pulses.height / PX_PER_PERIOD * MM_PER_PERIOD
    mm_per_s, mm_per_mv, warnings = text.scales(speed_mm_s, gain_mm_mv, seen_mm_mv)
    per_mv = mm_per_mv / MM_PER_PERIOD * PX_PER_PERIOD
    heights = [-trace.y / per_mv for trace in rows]

    def arranged(names: Sequence[LeadName], layout: str | None) -> tuple[ECGRecord, NamesFit]:
        cells, fit = arrange_by_names(heights, baselines, (start, end), PX_PER_PERIOD, layout, names, mm_per_s)
        said = [*warnings, *fit.warnings]
        if len({cell.start for cell in cells}) > len({cell.start_s for cell in cells}):
            said.append("all columns show the same seconds: their beats are where the rhythm strip's first ones are")
        own = at_own_height(flat.trace, mask, rows, cells, PX_PER_PERIOD)
        places = PicturePlaces(flat.page, tuple(cells), tuple(row.y for row in own), flat.view, mm_per_s, mm_per_mv)
        record = _record(name, own, flat.shapes, places, said)
        record.meta["picture"].update(text.about(), lead_names=fit.to_dict())
        return record, fit

    record, fit = arranged(text.names, layout)
    if layout is not None:
        return PageReading(record, 0.0, pulses is not None, fit.agree)
    try:
        sums = check_limb_leads(record)
    except EcgSignalError:
        # sums of limb leads decide whether an order that was read is right, and whether another layout is
        others = [(text.names, other) for other in other_layouts(len(rows))]
        for names, other in [((), None)] * (fit.order != USUAL) + others:
            record, fit = arranged(names, other)
            with suppress(EcgSignalError):
                sums = check_limb_leads(record)
                if other is None or sum(sums) > (SURE_TOGETHER if len(sums) > 1 else SURE_SUM):
                    break
        else:
            raise
    if not sums and pulses is None and not fit.agree:
        raise EcgSignalError(
            "nothing tells that these lines are an ECG: no calibration pulse, lead name or sum of limb leads is seen",
            remedy='for an ECG, name its layout, e.g. layout="3x4"',
        )
    return PageReading(record, sum(sums), pulses is not None, fit.agree)


def _rows_and_pulses(
    flat: FlatPage, mask: NDArray[np.bool_], baselines: list[float]
) -> tuple[list[Trace], CalibrationPulse | None]:
    """The rows' lines and their calibration pulses, without frames and edges of the paper that look like a row.

    Args:
        flat: the page.
        mask: where there is trace; changed beyond the frames and edges that are found.
        baselines: heights of the rows.

    Raises:
        EcgSignalError: no row.
    """
    while True:
        spacing = float(np.median(np.diff(baselines))) if len(baselines) > 1 else 4.0 * PX_PER_PERIOD
        traces = follow_rows(flat.trace, mask, baselines, 1.1 * spacing, PX_PER_PERIOD)
        followed = [_without_ends(trace) for trace in traces]
        rows = _without_frame(followed)
        if not rows:
            raise EcgSignalError("no traces of an ECG are seen on the page", remedy="photograph the whole page, sharp")
        baselines = [row.baseline for row in rows]
        strange = [row.baseline for row in followed if not baselines[0] <= row.baseline <= baselines[-1]]
        between = [row for row in followed if row.baseline not in (*baselines, *strange)]
        for row in between:
            _take_out(mask, row)
        if not strange and not between:
            pulses = find_pulses(flat.shapes, baselines, _ends(rows), PX_PER_PERIOD)
            side = pulses.stranger if pulses is not None else None
            if side is None or not _is_straight(rows[side]):
                side = _without_beats(rows, len(flat.trace))
            if side is None:
                return rows, pulses
            strange = [baselines.pop(side)]
        # followed again without it, since a row's line may have jumped to it
        for beyond in strange:
            if beyond < baselines[0]:
                mask[: int(beyond + EDGE_PERIODS * PX_PER_PERIOD)] = False
            else:
                mask[int(beyond - EDGE_PERIODS * PX_PER_PERIOD) :] = False


def _take_out(mask: NDArray[np.bool_], row: Trace) -> None:
    """No trace along a line."""
    columns = np.flatnonzero(np.isfinite(row.y))
    middle = np.round(row.y[columns]).astype(int)
    for by in range(-LINE_PX, LINE_PX + 1):
        mask[np.clip(middle + by, 0, len(mask) - 1), columns] = False


def _without_beats(rows: list[Trace], height: int) -> int | None:
    """0 or -1 where the first or last row, at the rim of the page, has no beats where the others have: an edge."""
    rim = (BEYOND_PERIODS + 1) * PX_PER_PERIOD
    first, last = _ends(rows)
    for side, others in ((0, rows[1:]), (-1, rows[:-1])):
        if len(others) > 1 and not rim < rows[side].baseline < height - rim:
            usual = np.mean([steepness(row.y, first, last) for row in others], axis=0)
            if best_fit(steepness(rows[side].y, first, last), usual, 0) < MIN_SHARED_BEATS:
                return side
    return None


def _has_pulse(shapes: NDArray[np.bool_], rows: list[Trace], height: float) -> bool:
    pulses = find_pulses(shapes, [*(row.baseline for row in rows), height], _ends(rows), PX_PER_PERIOD)
    return pulses is not None and pulses.by_row[-1] > SURE_PULSE


def _connected(trace: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What is trace, and what is perhaps trace and touches it: strokes are faint where they run along the grid."""
    labels, n = ndimage.label(trace > FAINT_INK, np.ones((3, 3)))
    sure = np.zeros(n + 1, bool)
    sure[labels[trace > 0.5]] = True
    sure[0] = False
    return np.asarray(sure[labels])


def _extent(rows: list[Trace], pulses: CalibrationPulse | None, trace: NDArray[np.float32]) -> tuple[float, float]:
    """The columns at which the rows begin and end."""
    first, last = _ends(rows)
    if pulses is not None:
        if pulses.end < 0.5 * (first + last):
            first = _behind(pulse_end(trace, [row.baseline for row in rows], pulses, PX_PER_PERIOD), rows)
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
    """The rows without frames, edges of the paper and lines of a scanner: straight, and longer than a row."""
    while len(rows) > 2:
        for side in range(len(rows)):
            others = rows[:side] + rows[side + 1 :]
            first, last = _ends(others)
            start, stop = _unbroken(np.isfinite(rows[side].y))
            longer = (first - start) + (stop - last) > FRAME_PERIODS * PX_PER_PERIOD
            if longer and _is_straight(rows[side]):
                rows = others
                break
        else:
            break
    return rows


def _is_straight(row: Trace) -> bool:
    """Whether a line has no beats: a frame or an edge of the paper."""
    line = row.y[np.isfinite(row.y)]
    bend = line - ndimage.median_filter(line, 2 * PX_PER_PERIOD, mode="nearest")
    return bool(np.percentile(np.abs(bend), 98) < STRAIGHT_PERIODS * PX_PER_PERIOD)


def _behind(pulse_end: float, rows: list[Trace]) -> float:
    """Where the leads begin behind their pulses: at once, or after a gap on the paper."""
    starts = []
    for row in rows:
        near = np.isfinite(row.y[int(pulse_end) : int(pulse_end + 2 * PX_PER_PERIOD)])
        near &= ndimage.binary_opening(np.r_[near[:1].repeat(MIN_GAP_PX), near], np.ones(MIN_GAP_PX))[MIN_GAP_PX:]
        gaps = np.flatnonzero(~near)
        behind = np.flatnonzero(near[gaps[0] :]) if len(gaps) else gaps
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
    shapes: NDArray[np.bool_],
    places: PicturePlaces,
    warnings: list[str],
) -> ECGRecord:
    cells, mm_per_s, mm_per_mv = places.cells, places.mm_per_s, places.mm_per_mv
    per_s = mm_per_s / MM_PER_PERIOD * PX_PER_PERIOD
    seconds = max(cell.start_s + (cell.end - cell.start) / per_s for cell in cells)
    leads = [*STANDARD_LEADS, *dict.fromkeys(cell.lead for cell in cells if cell.lead not in STANDARD_LEADS)]
    signal = np.full((len(leads), round(seconds * FS_HZ)), np.nan)
    quality: dict[str, dict[str, Any]] = {}
    bars = hiding_bars(shapes, rows, cells, PX_PER_PERIOD)
    for cell in cells:
        line = -rows[cell.row].y / (mm_per_mv / MM_PER_PERIOD * PX_PER_PERIOD)
        n = round((cell.end - cell.start) / per_s * FS_HZ)
        columns = cell.start + np.arange(n) / FS_HZ * per_s
        known = np.isfinite(line)
        share = float(known[max(0, int(cell.start)) : int(cell.end)].mean())
        lead = leads.index(cell.lead)
        begin = round(cell.start_s * FS_HZ)
        if share < MIN_LINE_SHARE:
            quality.setdefault(
                cell.lead, {"quality": NOT_READ, "reason": f"its line is seen in {share:.0%} of its place"}
            )
            continue
        values = np.interp(columns, np.flatnonzero(known), line[known], left=np.nan, right=np.nan)
        above = values * mm_per_mv / MM_PER_PERIOD * PX_PER_PERIOD + rows[cell.row].baseline
        for border, is_end in ((cell.start, False), (cell.end, True)):
            if (border, is_end) in bars:
                values[bars[border, is_end].hides(columns, above, is_end)] = np.nan
        level = float(np.nanmedian(values))
        stop = min(signal.shape[1], begin + n)
        signal[lead, begin:stop] = cell.sign * (values[: stop - begin] - level)
        word = GOOD if share >= GOOD_LINE_SHARE else DOUBTFUL
        reason = "" if word == GOOD else f"its line is seen in {share:.0%} of its place"
        quality[cell.lead] = {"quality": word, "reason": reason}
    there = [i for i in range(len(leads)) if np.isfinite(signal[i]).any()]
    if not there:
        raise EcgSignalError("no lead of the page could be read", remedy="photograph the whole page, sharp")
    meta = {
        "picture": {"places": places, "quality": quality, "mm_per_s": mm_per_s, "mm_per_mv": mm_per_mv},
        "warnings": warnings,
    }
    return ECGRecord.from_array(signal[there], FS_HZ, [leads[i] for i in there], units="mV", record_id=name, meta=meta)
