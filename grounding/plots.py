"""Recordings, measurements and median beats as matplotlib figures: for papers, as vectors and true to scale."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import EcgError
from .evidence import Evidence
from .paper.layout import LEFT_MM, MM_PER_INCH, MM_PER_MV, MM_PER_S, PageLayout, Recording, plan, pulse_mm, trace_mm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# colours that stay apart for the colour-blind (Okabe and Ito 2008)
WAVE_COLOURS = {"P": "#0072b2", "QRS": "#d55e00", "T": "#009e73"}
EVIDENCE_COLOUR, INK, FAINT = "#e69f00", "#16161d", "#6e5a5f"
SMALL_GRID, LARGE_GRID = "#f6d5d5", "#eaa9a9"
TRACE_POINTS = 0.9
# the stretch of the median beat that each colour stands for
STRETCHES = (("P", "p_onset", "p_offset"), ("QRS", "qrs_onset", "qrs_offset"), ("T", "qrs_offset", "t_offset"))
BRACKETS = (("PR", "p_onset", "qrs_onset"), ("QRS", "qrs_onset", "qrs_offset"), ("QT", "qrs_onset", "t_offset"))


def matplotlib_part(name: str) -> Any:
    """A module of matplotlib, which is only needed for plots.

    Args:
        name: such as ``"pyplot"``.

    Raises:
        EcgError: matplotlib is not installed.
    """
    try:
        return importlib.import_module(f"matplotlib.{name}")
    except ImportError as error:
        raise EcgError(
            f"plots need matplotlib ({error})", remedy="install it with: pip install 'gem-ecg[notebook]'"
        ) from None


def plot_paper(
    record: Recording,
    ax: Axes | None = None,
    layout: str = "3x4",
    *,
    leads: Sequence[str] | None = None,
    rhythm: str | Sequence[str] | None = "auto",
    start_s: float = 0.0,
    evidence: Evidence | Iterable[Evidence] = (),
) -> tuple[Axes, PageLayout]:
    """Draw a recording on ECG paper: 25 mm/s and 10 mm/mV, as in ``grounding.render``, but as lines.

    Args:
        record: the recording.
        ax: where to draw, in mm of paper; a new figure of the paper's size where ``None``.
        layout: rows x columns: ``"3x4"``, ``"6x2"``, ``"12x1"``, ``"1x1"``, ...
        leads: which leads, in order; the twelve standard ones where ``None``.
        rhythm: lead(s) of the rhythm strip, ``"auto"``, or ``None``.
        start_s: where the page begins, s.
        evidence: its leads and stretches are shaded.

    Returns:
        The axes, and the place of leads, seconds and millivolts on it, 1 pixel being 1 mm.

    Raises:
        EcgError: matplotlib is not installed, or layout, leads or evidence can't be used.
        EcgSignalError: nothing was recorded after ``start_s``.
    """
    plane = plan(record, layout, leads=leads, rhythm=rhythm, start_s=start_s, px_per_mm=1)
    several = isinstance(evidence, Iterable) and not isinstance(evidence, str)
    parts: tuple[Any, ...] = tuple(evidence) if several else (evidence,)  # type: ignore[arg-type]
    wrong = next((part for part in parts if not isinstance(part, Evidence)), None)
    if wrong is not None:
        raise EcgError(
            f"the evidence is {wrong!r}", where=record.record_id, remedy="pass measurement.evidence('pr') or a list"
        )
    other = next((part.record_id for part in parts if part.record_id != record.record_id), None)
    if other is not None:
        raise EcgError(f"the evidence is of {other}", where=record.record_id, remedy="pass evidence of this recording")
    axes = _new_axes(plane.width_mm / MM_PER_INCH, plane.height_mm / MM_PER_INCH) if ax is None else ax
    axes.set(xlim=(0, plane.width_mm), ylim=(plane.height_mm, 0), aspect="equal")
    axes.set_axis_off()
    _grid(axes, plane)
    boxes = dict.fromkeys(box for part in parts for box in plane.evidence_boxes(part))
    _boxes(axes, list(boxes), EVIDENCE_COLOUR, "evidence")
    for index, panel in enumerate(plane.panels):
        x, top = panel.x_mm + 1.2, panel.y_mm - min(15.0, panel.height_mm / 2)
        if panel.missing:
            _text(axes, x, panel.y_mm, f"{panel.lead} {panel.missing}", color=FAINT, fontsize=7)
        else:
            line = axes.plot(*trace_mm(record, plane, panel), color=INK, linewidth=TRACE_POINTS, gid=f"trace-{index}")
            line[0].set_label("_trace")  # not in a legend
        _text(axes, x, top, panel.lead, color=INK, fontsize=9, fontweight="bold", va="top")
        if panel.x_mm > LEFT_MM:
            axes.plot([panel.x_mm] * 2, [panel.y_mm - 3, panel.y_mm + 3], color=INK, linewidth=TRACE_POINTS)
    for y_mm in sorted({panel.y_mm for panel in plane.panels}) if plane.calibrated else ():
        axes.plot(*pulse_mm(y_mm), color=INK, linewidth=TRACE_POINTS)
    gain = f"{MM_PER_MV:g} mm/mV" if plane.calibrated else "amplitude not calibrated"
    about = f"{record.record_id}   {MM_PER_S:g} mm/s   {gain}   {record.fs:g} Hz"
    _text(axes, 8, plane.height_mm - 3.5, about, color=FAINT, fontsize=7)
    return axes, plane


def mark_waves(axes: Axes, plane: PageLayout, waves: Any, fs: float) -> None:
    """Shade the waves of every lead and beat between their boundaries, on paper.

    Args:
        axes: of ``plot_paper``.
        plane: likewise.
        waves: the table ``Measurement.waves``.
        fs: sampling rate, Hz.
    """
    shown = {panel.lead for panel in plane.panels if not panel.missing}
    for wave, colour in WAVE_COLOURS.items():
        rows = waves[(waves["wave"] == wave) & waves["lead"].isin(shown)].dropna(subset=["onset", "offset"])
        boxes = []
        for lead, onset, offset in zip(*(rows[name].tolist() for name in ("lead", "onset", "offset")), strict=True):
            for box in plane.boxes(lead, onset / fs, offset / fs):
                middle = (box.y0 + box.y1) / 2
                boxes.append((box.x0, middle - MM_PER_MV / 2, box.x1, middle + MM_PER_MV / 2))
        _boxes(axes, boxes, colour, wave)
    # the trace stays above the shades
    axes.legend(loc="lower right", ncols=4, fontsize=7, frameon=False, bbox_to_anchor=(0.99, 0.0))


def plot_beat(
    time_ms: NDArray[np.float64],
    signal: NDArray[np.float32],
    leads: Sequence[str],
    boundaries: Mapping[str, float | None],
    measured: Mapping[str, float | None],
    *,
    shown: Sequence[str] | None,
    unit: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw a median beat with its boundaries and intervals.

    Args:
        time_ms: (samples,) ms after R.
        signal: (leads, samples).
        leads: their names.
        boundaries: name -> ms after R.
        measured: the same before a person moved any.
        shown: the leads to draw and to name; all, thin and unnamed, where ``None``.
        unit: of the signal.
        ax: where to draw; a new figure where ``None``.

    Raises:
        EcgError: matplotlib is not installed.
    """
    axes = _new_axes(5.5, 4.0, margins=True) if ax is None else ax
    for stretch, first, last in STRETCHES:
        begin, end = boundaries[first], boundaries[last]
        if begin is not None and end is not None:
            axes.axvspan(begin, end, color=WAVE_COLOURS[stretch], alpha=0.13, linewidth=0, gid=f"stretch-{stretch}")
    for lead, row in zip(leads, signal, strict=True):
        if shown is None and np.isfinite(row).any():
            axes.plot(time_ms, row, color=INK, linewidth=0.7, alpha=0.6, gid=f"lead-{lead}")
        elif shown is not None and lead in shown:
            axes.plot(time_ms, row, linewidth=1.2, gid=f"lead-{lead}", label=_plain_label(lead))
    for name, at in boundaries.items():
        was = measured[name]
        if at is not None:
            axes.axvline(at, color=INK, linewidth=0.8, linestyle="-", gid=f"boundary-{name}")
        if was is not None and was != at:
            axes.axvline(was, color=FAINT, linewidth=0.8, linestyle=":", gid=f"measured-{name}")
    _brackets(axes, boundaries, measured)
    axes.set(xlabel="ms after R", ylabel=unit, xlim=(float(time_ms[0]), float(time_ms[-1])))
    axes.spines[["top", "right"]].set_visible(False)
    if shown is not None:
        axes.legend(fontsize=8, frameon=False)
    return axes


def _brackets(axes: Axes, boundaries: Mapping[str, float | None], measured: Mapping[str, float | None]) -> None:
    """The intervals below the beat, with their values; a moved one says so."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.08
    for row, (name, first, last) in enumerate(BRACKETS, 1):
        begin, end = boundaries[first], boundaries[last]
        if begin is None or end is None:
            continue
        moved = (measured[first], measured[last]) != (begin, end)
        y = low - step * row
        arrow = {"arrowstyle": "|-|", "mutation_scale": 2.5, "color": INK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (end, y), (begin, y), arrowprops=arrow)
        words = f"{name} {end - begin:.0f} ms{' (moved by hand)' if moved else ''}"
        axes.text(end + 8, y, words, fontsize=8, va="center", color=INK)
    axes.set_ylim(low - step * (len(BRACKETS) + 1), high)


def _new_axes(width_in: float, height_in: float, margins: bool = False) -> Axes:
    figure = matplotlib_part("pyplot").figure(figsize=(width_in, height_in), layout="constrained" if margins else None)
    axes: Axes = figure.add_subplot() if margins else figure.add_axes((0, 0, 1, 1))
    return axes


def _grid(axes: Axes, plane: PageLayout) -> None:
    lines = matplotlib_part("collections").LineCollection
    for colour, width, large in ((SMALL_GRID, 0.25, False), (LARGE_GRID, 0.5, True)):
        steps = [
            [mm for mm in range(int(size) + 1) if (mm % 5 == 0) == large] for size in (plane.width_mm, plane.height_mm)
        ]
        across = [[(mm, 0), (mm, plane.height_mm)] for mm in steps[0]]
        down = [[(0, mm), (plane.width_mm, mm)] for mm in steps[1]]
        axes.add_collection(lines(across + down, colors=colour, linewidths=width, zorder=0))


def _boxes(axes: Axes, boxes: Sequence[tuple[float, float, float, float]], colour: str, label: str) -> None:
    if boxes:
        corners = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in boxes]
        polygons = matplotlib_part("collections").PolyCollection
        shade = {"facecolors": [(colour, 0.28)], "edgecolors": [(colour, 0.9)], "linewidths": 0.4, "zorder": 1}
        axes.add_collection(polygons(corners, label=label, gid=f"shade-{label}", **shade))


def _text(axes: Axes, x: float, y: float, words: str, **style: Any) -> None:
    # names of leads and records may hold $, which would begin a formula
    axes.text(x, y, words, parse_math=False, **style)


def _plain_label(words: str) -> str:
    return words.replace("$", r"\$").lstrip("_") or words
