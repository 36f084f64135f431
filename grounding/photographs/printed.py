"""What devices print beside an ECG: rate, intervals, axes, paper speed and gain. Nothing about the patient is kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..paper.style import HeaderValues
from .lettering import PrintedLine, text_is_read
from .names import LeadName, lead_names

Array = NDArray[np.float64]
MIN_CONFIDENCE = 0.6
NOT_READ = 'not read: pip install "gem-ecg[ocr]"'
SAME_HEIGHT = 0.35  # of the lines' height: the middles of lines that are read as one
MAX_GAP_PERIODS = 9  # between a quantity and its number
PR, QRS, QT = r"P-?[RQ](?![-/\s]*(?:QRS|T\b))", r"QRS", r"[QO0]T"
RATE = r"(?:(?:vent(?:r(?:icular)?)?[.,]?\s*|heart\s*|pulse\s*)?rate|HR|VR|HF|FC|herzfrequenz)"
LONG = r"(?:\s*[-.]?\s*(?:interval|int\b|duration|dur\b|time)\.?)?"
IS = r"\s*[:=]?\s*"
NUMBER, SIGNED = r"(\d{2,3})(?![\d.,/:-])", r"(-?\s?\d{1,3}|\*+|-{2,})"
BETWEEN = r"(?:\s*[/,\xb0]\s*|\s+)"
# name -> the wordings of it, the surest first, each with a group for the number of each name
WORDINGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("qt", "qtc"), rf"\b{QT}\s*[/]?\s*{QT}[cC]\w{{0,3}}{LONG}{IS}(\d{{3}})\s*[/|l ]\s*(\d{{3}})\b"),
    (
        ("axis_p", "axis", "axis_t"),
        rf"\bP\s*[-/ ]\s*(?:R|QRS)\s*[-/ ]\s*T\b(?:\s*ax[ei]s)?{IS}" + BETWEEN.join([SIGNED] * 3),
    ),
    (("axis",), rf"(?:\b(?:QRS|R|electrical|heart)[\s-]*(?:axis|achse)|^\s*axis){IS}(-?\s?\d{{1,3}})(?!\d)"),
    (("rate",), rf"\b{RATE}{IS}{NUMBER}"),
    (("rate",), r"(?<![\d./:-])(\d{2,3})\s*(?:bpm|beats?\s*/\s*min|/\s*min)\b"),
    (("pr",), rf"\b{PR}{LONG}{IS}{NUMBER}"),
    (("qrs",), rf"\b{QRS}[Dd]?{LONG}{IS}{NUMBER}\s*m?s?\b(?!\s*\xb0)"),
    (("qt",), rf"\b{QT}{LONG}{IS}(\d{{3}})(?!\d|\s*/)"),
    (("qtc",), rf"\b{QT}[cC]\s*[-(]?\s*(?:[BFH]|Bazett|Bazet|Fridericia)?\)?{LONG}{IS}(\d{{3}})(?!\d)"),
    (("rr",), rf"\bRR{LONG}{IS}(\d{{3,4}})(?!\d)"),
    (("p",), rf"\bP(?:\s*[-.]?\s*(?:duration|dur\b)\.?|d\b){IS}{NUMBER}"),
    # what stands behind a unit is often read without the space between them
    (("speed",), r"(?<![\d.,])(\d{1,3}(?:[.,]5)?)\s*mm\s*/\s*(?:s|sec)(?![a-z])"),
    (("gain",), r"(?<![\d.,])(\d{1,2}(?:[.,][05])?)\s*mm\s*/\s*m?V(?![a-z])"),
)
UNITS = {"rate": "bpm", "axis": "degrees", "axis_p": "degrees", "axis_t": "degrees", "speed": "mm/s", "gain": "mm/mV"}
POSSIBLE = {
    "rate": (15, 350),
    "pr": (50, 500),
    "qrs": (30, 300),
    "qt": (180, 800),
    "qtc": (200, 800),
    "rr": (170, 4000),
    "p": (30, 250),
    "axis": (-180, 270),
    "axis_p": (-180, 270),
    "axis_t": (-180, 270),
}
SPEEDS, GAINS = (5.0, 10.0, 12.5, 25.0, 50.0, 100.0), (2.5, 5.0, 10.0, 20.0, 40.0)
LABELS = {
    "rate": "rate",
    "pr": "PR",
    "qrs": "QRS",
    "qt": "QT",
    "qtc": "QTc",
    "rr": "RR",
    "p": "P duration",
    "axis": "QRS axis",
}


@dataclass(frozen=True)
class PrintedValue:
    """A quantity that is printed on a page.

    Attributes:
        name: ``rate``, ``pr``, ``qrs``, ``qt``, ``qtc``, ``rr``, ``p``, ``axis``, ``axis_p``, ``axis_t``, ``speed`` or
            ``gain``.
        value: in ``unit``.
        unit: ``bpm``, ``ms``, ``degrees``, ``mm/s`` or ``mm/mV``.
        words: as read, this quantity alone.
        box: (4, 2) corners (x, y) in pixels of the photograph, from the top left, clockwise.
        confidence: of the reading, 0-1; the lowest of the lines that it was read from.
    """

    name: str
    value: float
    unit: str
    words: str
    box: Array
    confidence: float


@dataclass(frozen=True)
class PrintedComparison:
    """A printed quantity against the same as measured.

    Attributes:
        name: of the quantity, as ``PrintedValue.name``.
        unit: of both.
        printed: value on the page.
        measured: value that was measured, or None.
    """

    name: str
    unit: str
    printed: float
    measured: float | None

    @property
    def difference(self) -> float | None:
        """Measured minus printed; axes by the shorter way round."""
        if self.measured is None:
            return None
        difference = self.measured - self.printed
        return (difference + 180) % 360 - 180 if self.unit == "degrees" else difference

    def __str__(self) -> str:
        """Such as ``PR: printed 162 ms, measured 158 ms, difference -4``."""
        label = LABELS[self.name]
        if self.measured is None or self.difference is None:
            return f"{label}: printed {self.printed:.0f} {self.unit}, not measured"
        return (
            f"{label}: printed {self.printed:.0f} {self.unit}, measured {self.measured:.0f} {self.unit}, "
            f"difference {round(self.difference):+d}"
        )


@dataclass(frozen=True)
class PageText:
    """What is printed on a page.

    Attributes:
        is_read: False where the package that reads text is not installed.
        values: quantities.
        names: of leads.
    """

    is_read: bool
    values: tuple[PrintedValue, ...]
    names: tuple[LeadName, ...]

    @classmethod
    def of(cls, lines: Sequence[PrintedLine]) -> PageText:
        """What is kept of lines of text.

        Args:
            lines: from ``read_lines``.
        """
        return cls(text_is_read(), printed_values(lines), tuple(lead_names(lines)))

    def about(self) -> dict[str, Any]:
        """Entries for ``meta["picture"]``: ``text`` (whether it was read, or why not) and ``printed``, the values."""
        return {"text": "read" if self.is_read else NOT_READ, "printed": self.values}

    def scales(
        self, given_mm_s: float | None, given_mm_mv: float | None, seen_mm_mv: float | None
    ) -> tuple[float, float, list[str]]:
        """Paper speed and gain, and warnings: as given, else as printed, else as seen, else 25 mm/s and 10 mm/mV.

        Args:
            given_mm_s: by the user.
            given_mm_mv: by the user.
            seen_mm_mv: by the calibration pulses.
        """
        printed = {one.name: one.value for one in self.values}
        warnings: list[str] = []
        mm_per_mv = given_mm_mv or printed.get("gain") or seen_mm_mv
        if mm_per_mv is None:
            mm_per_mv = 10.0
            warnings.append("no calibration pulse is seen: 10 mm/mV is assumed")
        elif given_mm_mv is None and seen_mm_mv is not None and seen_mm_mv != mm_per_mv:
            warnings.append(
                f"{mm_per_mv:g} mm/mV is printed and used, but calibration pulses are {seen_mm_mv:g} mm high"
            )
        for name, given, unit in (("speed", given_mm_s, "mm/s"), ("gain", given_mm_mv, "mm/mV")):
            if given is not None and printed.get(name, given) != given:
                warnings.append(f"{printed[name]:g} {unit} is printed, and {given:g} {unit} was given and is used")
        mm_per_s = given_mm_s or printed.get("speed")
        if mm_per_s is None:
            mm_per_s = 25.0
            warnings.append("no paper speed is read: 25 mm/s is assumed")
        return mm_per_s, mm_per_mv, warnings


def printed_values(lines: Sequence[PrintedLine]) -> tuple[PrintedValue, ...]:
    """The quantities among lines of text, each at most once.

    Args:
        lines: from ``read_lines``.

    Example:
        >>> import numpy as np
        >>> box = np.array([(0, 0), (8, 0), (8, 1), (0, 1)], float)
        >>> [(one.name, one.value, one.unit) for one in printed_values([PrintedLine("QRS 88 ms", 0.9, box, box)])]
        [('qrs', 88.0, 'ms')]
    """
    found: dict[str, tuple[int, PrintedValue]] = {}
    for row in _rows([line for line in lines if line.confidence >= MIN_CONFIDENCE]):
        text, owner = "", list[PrintedLine]()
        for line in row:
            owner += [line] * (len(line.text) + 1)
            text += line.text.replace("\u2212", "-").replace("\u2013", "-") + " "
        for rank, (names, wording) in enumerate(WORDINGS):
            for match in re.finditer(wording, text, re.IGNORECASE):
                for number, name in enumerate(names, 1):
                    value = _number(match[number], name)
                    if value is None:
                        continue
                    parts = list(dict.fromkeys(map(id, owner[match.start() : match.end() - 1])))
                    used = [line for line in row if id(line) in parts]
                    one = PrintedValue(
                        name,
                        value,
                        UNITS.get(name, "ms"),
                        match[0].strip(),
                        _around(used),
                        min(line.confidence for line in used),
                    )
                    before = found.get(name)
                    if before is None or (rank, -one.confidence) < (before[0], -before[1].confidence):
                        found[name] = rank, one
    order = dict.fromkeys(name for names, _ in WORDINGS for name in names)
    return tuple(found[name][1] for name in order if name in found)


def _rows(lines: Sequence[PrintedLine]) -> list[list[PrintedLine]]:
    """Lines beside each other, which are one row of a table, from left to right."""
    out: list[list[PrintedLine]] = []
    for line in sorted(lines, key=lambda line: line.left):
        fits = [
            row
            for row in out
            if abs(row[-1].middle - line.middle) < SAME_HEIGHT * min(row[-1].height, line.height)
            and -0.5 < line.left - row[-1].right < MAX_GAP_PERIODS
        ]
        if fits:
            min(fits, key=lambda row: abs(row[-1].middle - line.middle)).append(line)
        else:
            out.append([line])
    return out


def _number(text: str, name: str) -> float | None:
    try:
        value = float(text.replace(" ", "").replace(",", "."))
    except ValueError:  # devices print * where they found no value
        return None
    if name in ("speed", "gain"):
        return value if value in (SPEEDS if name == "speed" else GAINS) else None
    low, high = POSSIBLE[name]
    return value if low <= value <= high else None


def _around(lines: Sequence[PrintedLine]) -> Array:
    """(4, 2) corners of the first and the last of some lines beside each other, as one box."""
    first, last = lines[0].box, lines[-1].box
    return np.stack([first[0], last[1], last[2], first[3]])


def compare_printed(values: Sequence[PrintedValue], measurement: HeaderValues) -> list[PrintedComparison]:
    """Printed quantities against measured ones: rate, PR, QRS, QT, QTc (Bazett), RR, P duration and QRS axis.

    Args:
        values: as ``record.meta["picture"]["printed"]``.
        measurement: of the recording that was read from the same page.
    """
    measured = {
        **{name: measurement.intervals.get(name) for name in ("pr", "qrs", "qt", "rr", "p")},
        "qtc": measurement.intervals.get("qtc_bazett"),
        "rate": measurement.heart_rate,
        "axis": measurement.axis,
    }
    return [
        PrintedComparison(one.name, one.unit, one.value, measured[one.name]) for one in values if one.name in measured
    ]
