"""How a page looks: grid, pen, font, pulses, separators, places of labels, and what its header says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import EcgError
from .ink import GRIDS, INK
from .layout import CABRERA_LEADS

CHOICES = {
    "grid": tuple(GRIDS),
    "grid_lines": ("solid", "printed", "dotted", "coarse", "even"),
    "pulse": ("left", "first", "right", "none"),
    "separators": ("short", "bar", "none"),
    "label_place": ("above", "below", "beside"),
}
HEADER_PLACES = ("left", "right", "line")
NOT_MEASURED = "--"


@dataclass(frozen=True)
class PageStyle:
    """The look of a page; the default is that of ``draw``.

    Attributes:
        grid: ``"pink"``, ``"red"``, ``"blue"``, ``"green"``, ``"brown"``, ``"grey"``, or ``"none"`` for white paper.
        grid_lines: ``"solid"``, on whole pixels, up to half of one beside their place; ``"printed"`` as thick as on
            paper, just where they belong; ``"dotted"`` has dots where lines of 1 mm cross; ``"coarse"`` has lines of
            5 mm alone; ``"even"`` draws those of 5 mm like those of 1 mm.
        pulse: where calibration pulses are: ``"left"`` of each row, left of the ``"first"``, ``"right"``, ``"none"``.
        separators: between the columns: a ``"short"`` stroke, a ``"bar"`` as high as the row, or ``"none"``.
        label_place: lead names ``"above"`` the trace, ``"below"`` it, or ``"beside"`` its beginning.
        trace_mm: thickness of the traces.
        trace_colour: RGB of traces and lead names.
        font: ``""`` for Pillow's own, ``"dots"`` for letters of a dot-matrix printer, or a TrueType file.

    Raises:
        EcgError: an attribute has another value.

    Example:
        >>> PageStyle(grid="blue", grid_lines="dotted").pulse
        'left'
    """

    grid: str = "pink"
    grid_lines: str = "solid"
    pulse: str = "left"
    separators: str = "short"
    label_place: str = "above"
    trace_mm: float = 0.32
    trace_colour: tuple[int, int, int] = INK
    font: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            known, given = CHOICES.get(field.name), getattr(self, field.name)
            if known and given not in known:
                raise EcgError(f"{field.name} of a page is {given!r}", remedy=f"use one of {', '.join(known)}")
        if not 0.05 <= self.trace_mm <= 2:
            raise EcgError(f"traces {self.trace_mm!r} mm thick can't be drawn", remedy="use 0.05 to 2")


class HeaderValues(Protocol):
    """What a header prints: see ``grounding.Measurement``."""

    @property
    def heart_rate(self) -> float | None:
        """Beats per minute."""

    @property
    def axis(self) -> float | None:
        """Degrees."""

    @property
    def intervals(self) -> Mapping[str, float | None]:
        """ms, by name."""


class HeaderRow(NamedTuple):
    """A row of printed values: its name, the quantities in it, and their unit."""

    label: str
    quantities: tuple[str, ...]
    unit: str


WORDINGS: dict[str, tuple[HeaderRow, ...]] = {
    "long": (
        HeaderRow("Vent. rate", ("heart_rate",), "BPM"),
        HeaderRow("PR interval", ("pr",), "ms"),
        HeaderRow("QRS duration", ("qrs",), "ms"),
        HeaderRow("QT/QTc", ("qt", "qtc_bazett"), "ms"),
        HeaderRow("QRS axis", ("axis",), ""),
    ),
    "short": (
        HeaderRow("Rate", ("heart_rate",), ""),
        HeaderRow("PR", ("pr",), ""),
        HeaderRow("QRSD", ("qrs",), ""),
        HeaderRow("QT", ("qt",), ""),
        HeaderRow("QTc", ("qtc_bazett",), ""),
    ),
    "german": (
        HeaderRow("HF", ("heart_rate",), "/min"),
        HeaderRow("PQ", ("pr",), "ms"),
        HeaderRow("QRS", ("qrs",), "ms"),
        HeaderRow("QT", ("qt",), "ms"),
        HeaderRow("QTc", ("qtc_bazett",), "ms"),
        HeaderRow("QRS-Achse", ("axis",), "°"),
    ),
}


@dataclass(frozen=True, eq=False)
class PageHeader:
    """What is printed above the traces, beside the record's name. Nothing is made up: all values are the caller's.

    Attributes:
        measurement: rate, PR, QRS, QT, QTc (Bazett) and axis are printed from it, rounded; what is not measured, as
            ``--``.
        lines: patient data or anything else, a line each.
        wording: names and units of the values: ``"long"``, ``"short"`` or ``"german"``.
        place: the values in a column at the ``"left"`` or ``"right"``, or in one ``"line"``.

    Raises:
        EcgError: there is no such wording or place.
    """

    measurement: HeaderValues | None = None
    lines: Sequence[str] = ()
    wording: str = "long"
    place: str = "left"

    def __post_init__(self) -> None:
        for given, known in ((self.wording, tuple(WORDINGS)), (self.place, HEADER_PLACES)):
            if given not in known:
                raise EcgError(f"no header is {given!r}", remedy=f"use one of {', '.join(known)}")

    def rows(self) -> list[tuple[str, str, dict[str, float]]]:
        """Name, words and values of each printed row; none without a measurement."""
        if self.measurement is None:
            return []
        found = {"heart_rate": self.measurement.heart_rate, "axis": self.measurement.axis}
        out = []
        for row in WORDINGS[self.wording]:
            values = {name: found.get(name, self.measurement.intervals.get(name)) for name in row.quantities}
            words = "/".join(NOT_MEASURED if value is None else str(round(value)) for value in values.values())
            known = {name: float(round(value)) for name, value in values.items() if value is not None}
            out.append((row.label, f"{words} {row.unit}".rstrip(), known))
        return out


def varied_page(seed: int, *, all_leads: bool = False) -> dict[str, Any]:
    """Options of ``draw``, as different as pages in use are: layout, strips, speed, gain, order and look.

    Args:
        seed: of the choice.
        all_leads: True leaves out pages of a single lead.

    Returns:
        ``layout``, ``rhythm``, ``leads``, ``mm_per_s``, ``mm_per_mv``, ``simultaneous`` and ``style``. Most pages have
        25 mm/s, 10 mm/mV, and three rows and four columns.

    Example:
        >>> sorted(varied_page(0))
        ['layout', 'leads', 'mm_per_mv', 'mm_per_s', 'rhythm', 'simultaneous', 'style']
    """
    pick = np.random.default_rng([seed, 0x9A6E])

    def one(options: Sequence[Any], shares: Sequence[float]) -> Any:
        return options[int(pick.choice(len(options), p=np.asarray(shares) / sum(shares)))]

    layout = one(("3x4", "6x2", "12x1", "4x3", "1x1"), (6, 2, 1.5, 1, 0 if all_leads else 0.5))
    strips: tuple[str, ...] = one(((), ("II",), ("V1", "II", "V5")), (1, 3, 1))
    cabrera = layout in ("6x2", "12x1", "3x4") and pick.random() < 0.1
    leads: tuple[str, ...] | None = CABRERA_LEADS if cabrera else None
    if layout == "1x1":
        leads = (one(("II", "I", "V1", "V5"), (4, 1, 1, 1)),)
    blue, black, brown = (30, 40, 110), (15, 15, 18), (70, 50, 40)
    return {
        "layout": layout,
        "rhythm": None if layout in ("12x1", "1x1") else strips,
        "leads": leads,
        "mm_per_s": one((25.0, 50.0), (8, 2)),
        "mm_per_mv": one((10.0, 5.0, 20.0), (8, 1.5, 0.5)),
        "simultaneous": bool(pick.random() < 0.15),
        "style": PageStyle(
            grid=one(tuple(GRIDS), [4 if name == "pink" else 0.5 if name == "none" else 1 for name in GRIDS]),
            grid_lines=one(CHOICES["grid_lines"], (2, 4, 1, 1, 1)),
            pulse=one(CHOICES["pulse"], (6, 1, 1, 1)),
            separators=one(CHOICES["separators"], (5, 2, 2)),
            label_place=one(CHOICES["label_place"], (5, 1, 2)),
            trace_mm=float(pick.uniform(0.2, 0.5)),
            trace_colour=one((INK, black, blue, brown), (3, 3, 1, 1)),
            font=one(("", "dots"), (4, 1)),
        ),
    }
