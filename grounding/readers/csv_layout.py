"""Layout of a delimited text: encoding, delimiter, header, units, and where the rows of numbers begin."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import EcgFormatError
from ..leads import recognise
from ..units import millivolts_per, unit_kind
from .columns import is_index, is_time, time_unit_s

HEAD_BYTES = 1 << 18  # examined at the start of the file
HEAD_LINES, HEAD_ROWS = 2000, 50
HEADER_LINES = 200  # lines above the numbers that are examined
MAX_COLUMNS = 1000
MAX_LINE_BYTES = 64 << 20
_BOMS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_DELIMITERS = (";", "\t", ",", "|", None)  # None: blanks
_LINE_ENDS = re.compile(r"\r\n|\n|\r")
MISSING = {"", "nan", "-nan", "na", "n/a", "null", "none", "-", "--", "?", "inf", "-inf"}
_NUMBER = re.compile(r"[-+\u2212]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[-+\u2212]?\d+(?:[.,]0*)?")
_DECIMAL_COMMA = re.compile(r"[-+\u2212]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
CLOCK = r"(?:(?P<h>\d+):)?(?P<m>\d{1,2}):(?P<s>\d{1,2}(?:[.,]\d*)?)(?:\s+\d{1,2}/\d{1,2}/\d{2,4})?"
DATE = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:Z|[+-]\d{2}:?\d{2})?"
_STAMP = re.compile(f"{CLOCK}|{DATE}")
# with bounded repetitions, so that the time is linear in the length of a line of digits
_HERTZ = re.compile(
    r"(\d{1,7}(?:[.,]\d{1,7})?)\s?(k?)(?:hz|hertz|herz|hercios?|герц|гц|ヘルツ|赫兹|赫茲)", re.IGNORECASE
)
_RATE = re.compile(
    r"(?:sampl\w{0,5}[ _-]{0,3}(?:rate|freq\w{0,8})|(?:abtast|mess)(?:rate|frequenz)|\bfs|\bsps)(?:[ _]?\(?hz\)?)?"
    r"[\"'\s:=,;\[\]({]{0,12}(\d{1,7}(?:[.,]\d{1,7})?)\s?(k?)",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"interval\W{1,12}(\d{1,7}(?:[.,]\d{1,12})?)\s?(s|sec|ms|msec)\b|"
    r"(\d{1,7}(?:[.,]\d{1,12})?)\s?(s|sec|ms|msec)\s?/\s?sample",
    re.IGNORECASE,
)
_STEP_UNIT = re.compile(r"(\d{1,7}(?:[.,]\d{1,12})?) ?(s|secs?|ms|msecs?)", re.IGNORECASE)
_UNIT = re.compile(
    r"\b(?:units?|einheit(?:en)?|unidad(?:es)?|unit[eé]s?)\b[\"'\s:=,;\[\](]{1,12}([^\W\d_]{2,12})", re.IGNORECASE
)
# how large a step of the converter is: "4.88 uV/LSB", "200 adu/mV"
_STEPS = re.compile(
    r"\d+(?:[.,]\d+)?\s?(?:[munµμ]v\s?(?:/|per)\s?(?:lsb|bit|adu|step|count|unit|digit)s?\b|"
    r"(?:lsb|bit|adu|step|count|unit|digit)s?\s?(?:/|per)\s?[munµμ]?v\b)",
    re.IGNORECASE,
)
_OTHER_HERTZ = re.compile(r"filt|pass|notch|cut|band|mains|line|power|netz|heart|puls|cardi|herzf|resp", re.IGNORECASE)


@dataclass
class TextLayout:
    """The layout of a delimited text.

    Attributes:
        encoding: Python's name of it.
        delimiter: one character, or None for blanks.
        columns: fields in a row of numbers.
        skip: lines above the first row of numbers.
        names: column names from a header; None without a header.
        units: from a row of units below the header, one per column; empty without one.
        rate_hz: sampling rate from the lines above the numbers.
        unit: of all columns, from these lines; ``"adu"`` where there are whole numbers and ``steps``.
        steps: how large a step of the converter is, as these lines have it, where the numbers may be such steps.
        numbered: the header has the numbers of the columns.
        decimal: ``"."`` or ``","``.
        stamps: the columns whose cells are times of day or dates.
        texts: the columns without a number in the examined rows.
        quoted: there are cells in double quotes.
        comments: lines that begin with ``#`` are comments.
    """

    encoding: str
    delimiter: str | None
    columns: int
    skip: int
    names: list[str] | None = None
    units: list[str] = field(default_factory=list)
    rate_hz: float | None = None
    unit: str | None = None
    steps: str = ""
    numbered: bool = False
    decimal: str = "."
    stamps: set[int] = field(default_factory=set)
    texts: set[int] = field(default_factory=set)
    quoted: bool = False
    comments: bool = True


def find_layout(path: Path, n_leads: int | None) -> TextLayout:
    """Determine the layout from the first lines of a text (256 kB at most).

    Args:
        path: the file.
        n_leads: number of leads that the user named; it decides whether a comma is a delimiter or a decimal comma if
            nothing else does.

    Raises:
        EcgFormatError: there is no row of numbers.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    encoding = _encoding(head)
    lines = _LINE_ENDS.split(head.decode(encoding, errors="replace"))
    if len(head) == HEAD_BYTES and len(lines) > 1:
        lines.pop()  # incomplete
    best: tuple[tuple[float, bool, int, int], TextLayout] | None = None
    for order, delimiter in enumerate(_DELIMITERS):
        found = _rows(lines, delimiter)
        if found is None:
            continue
        share, layout = found[0], TextLayout(encoding, delimiter, found[2], found[1])
        _read_preamble(lines[max(0, layout.skip - HEADER_LINES) : layout.skip], layout)
        fits = layout.names is not None or layout.columns == n_leads
        rank = (round(share, 2), fits, layout.columns, -order)
        if best is None or rank > best[0]:
            best = rank, layout
    if best is None:
        raise EcgFormatError("there is no row of numbers", where=str(path), remedy="check the file")
    layout = best[1]
    above = lines[: layout.skip]
    above = above[:HEADER_LINES] + above[HEADER_LINES:][-HEADER_LINES:]
    layout.rate_hz = layout.rate_hz or _rate_hz(above)
    whole = _inspect_cells(lines[layout.skip :], layout)
    named = {match[1] for line in above for match in _UNIT.finditer(line[:2000]) if _is_amplitude(match[1])}
    steps = [match[0] for line in above if (match := _STEPS.search(line[:2000]))]
    if len(named) == 1:
        layout.unit = named.pop()
    elif steps and whole and not layout.units:  # steps, or values in an unknown unit that were rounded
        layout.unit, layout.steps = "adu", steps[0]
    return layout


def _is_amplitude(unit: str) -> bool:
    return unit_kind(unit) in ("voltage", "no voltage") and unit.lower() not in ("none", "nd", "na")


def cells_of(line: str, delimiter: str | None) -> list[str]:
    r"""The fields of a line, without surrounding blanks and quotes.

    Args:
        line: without its end.
        delimiter: one character, or None for blanks.

    Example:
        >>> cells_of("'Elapsed time', \"a, b\",3,", ",")
        ['Elapsed time', 'a, b', '3', '']
    """
    if delimiter is None:
        return [cell.strip("\"'") for cell in line.split()]
    if '"' in line:
        try:
            fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
            return [cell.strip(" '\"\t") for cell in fields]
        except (csv.Error, StopIteration):
            pass
    return [cell.strip(" '\"\t") for cell in line.split(delimiter)]


def _encoding(head: bytes) -> str:
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    even, odd = head[0:1000:2].count(0), head[1:1000:2].count(0)
    if even + odd > len(head[:1000]) // 4:  # UTF-16 without a byte order mark: every second byte of ASCII text is zero
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _numeric_share(cells: Sequence[str]) -> float:
    """Share of numbers and times among the non-empty fields of a line."""
    filled = [cell for cell in cells[:MAX_COLUMNS] if cell.lower() not in MISSING]
    numbers = [cell for cell in filled if _NUMBER.fullmatch(cell) or _STAMP.fullmatch(cell.strip("[]"))]
    return len(numbers) / len(filled) if filled else 0.0


def _rows(lines: Sequence[str], delimiter: str | None) -> tuple[float, int, int] | None:
    """Find the rows of numbers, given a delimiter.

    The first row of numbers is followed by rows of which most have the same number of fields; up to half of the fields
    may be text (labels, dates).

    Returns:
        Share of numeric fields, first line, fields in a row; None without such rows.
    """
    seen: list[tuple[int, float, int]] = []  # line, numeric share, fields
    for number, line in enumerate(lines[:HEAD_LINES]):
        if line.strip() and not line.startswith("#"):
            cells = cells_of(line, delimiter)
            seen.append((number, _numeric_share(cells), len(cells)))
        if len(seen) >= 2 * HEAD_ROWS and sum(share >= 0.5 for _, share, _ in seen[-HEAD_ROWS:]) >= HEAD_ROWS:
            break
    for position, (number, share, fields) in enumerate(seen):
        if share < 0.5:
            continue
        following = seen[position : position + HEAD_ROWS]
        shares = [s for _, s, n in following if n == fields and s >= 0.5]
        usual = Counter(n for _, s, n in following if s >= 0.5).most_common(1)[0][0]
        few = len(following) <= 4 and len(lines) < HEAD_LINES  # a very short file
        if usual == fields and (len(shares) >= 0.8 * len(following) or few):
            return sum(shares) / len(shares), number, fields
    return None


def _read_preamble(lines: Sequence[str], layout: TextLayout) -> None:
    """Read names and units from the lines above the numbers."""
    known = 0
    pairs: dict[str, str] = {}  # lead and unit from lines of the form "key,value", in a file of one lead
    for line in lines:
        comment = line.lstrip().startswith(("#", "%"))
        text = line.lstrip("#% ") if comment else line
        cells = cells_of(text, layout.delimiter)
        pair = cells_of(text, ",")
        if layout.columns <= 2 and len(pair) == 2 and _is_pair(pair, layout.columns):
            pairs |= _pair(pair)
        elif layout.names is not None and len(cells) == len(layout.names) and _are_units(cells):
            layout.units = cells
            layout.rate_hz = next(
                (_rate_of_step(match) for cell in cells if (match := _STEP_UNIT.fullmatch(cell))), None
            )
        elif _is_header(cells, layout.columns, comment) and _n_recognised(cells) >= known:
            layout.names, layout.units, known = cells, [], _n_recognised(cells)
    if layout.columns == 1 and layout.names is None and pairs:
        layout.names = [pairs.get("lead", "ECG")]
    if layout.columns == 1 and not layout.units and "unit" in pairs:
        layout.units = [pairs["unit"]]


def _is_pair(pair: Sequence[str], columns: int) -> bool:
    """Whether two fields are a key and its value ("Unit,µV"), and not a header of two columns ("time,II")."""
    key = recognise([pair[0]])[0].kind
    return columns == 1 or (key == "unknown" and bool(_pair(pair)) and not is_time(pair[0]) and not is_index(pair[0]))


def _pair(pair: Sequence[str]) -> dict[str, str]:
    """The lead or the unit in a key and its value, recognised by the value, in any language of the key."""
    key, value = pair
    if recognise([key])[0].kind == "lead" and millivolts_per(value) is not None:
        return {"lead": key, "unit": value}
    if millivolts_per(value) is not None and len(value) > 1:
        return {"unit": value}
    return {"lead": value} if recognise([value])[0].kind == "lead" and len(value) < 40 and value.lower() != "v" else {}


def _is_header(cells: Sequence[str], columns: int, comment: bool) -> bool:
    """Whether a line is a header: it has a field for each column (but one), or its fields are names of leads."""
    filled = [cell for cell in cells if cell]
    if not filled or len(filled) > MAX_COLUMNS or _numeric_share(cells) > 0.5:
        return False
    kinds = [channel.kind for channel in recognise(filled)]
    leads = kinds.count("lead")
    if leads >= 2 and 2 * leads >= len(filled):
        return True
    if columns == 1 and comment:
        return kinds[0] in ("lead", "ecg") and len(cells) == 1
    return len(cells) == columns or (abs(len(cells) - columns) == 1 and columns > 2 and bool(leads))


def _n_recognised(cells: Sequence[str]) -> int:
    """Number of fields with the name of a channel or of the time; of two possible headers, that with more is taken."""
    return sum(channel.kind != "unknown" or is_time(channel.name) for channel in recognise(cells))


def _are_units(cells: Sequence[str]) -> bool:
    """Whether a line below the header is a row of units, at least one of them of voltage or of time."""
    filled = [cell.strip("()[] ")[:40] for cell in cells if cell.strip("()[] ")]
    known = [unit_kind(cell) == "voltage" or time_unit_s(cell) is not None for cell in filled]
    others = [
        unit_kind(cell) in ("no voltage", "quantity") or is_index(cell) or _STEP_UNIT.fullmatch(cell) for cell in filled
    ]
    return any(known) and all(one or bool(other) for one, other in zip(known, others, strict=True))


def _rate_hz(lines: Sequence[str]) -> float | None:
    """The sampling rate, Hz, in the lines above the numbers; None where there is none, or several frequencies."""
    plain = [line[:2000] for line in lines if not _OTHER_HERTZ.search(line[:2000])]
    for line in plain:
        if match := _RATE.search(line):
            return _hertz(match)
        if match := _STEP.search(line):
            return _rate_of_step(match)
    named = {_hertz(match) for line in plain for match in _HERTZ.finditer(line)}
    return named.pop() if len(named) == 1 else None


def _rate_of_step(match: re.Match[str]) -> float | None:
    """Sampling rate, Hz, from a sampling interval, which may be rounded: 0.002778 s is 360 Hz."""
    step, unit = (text for text in match.groups() if text)
    seconds = float(step.replace(",", ".")) * (1e-3 if unit.lower().startswith("m") else 1)
    rate = 1 / seconds if seconds > 0 else None
    return float(round(rate)) if rate is not None and abs(rate - round(rate)) < 5e-4 * rate else rate


def _hertz(match: re.Match[str]) -> float:
    value = float(match[1].replace(",", "."))
    thousands = value < 20 and re.fullmatch(r"\d+[.,]\d{3}", match[1])  # "1,000 Hz"
    return value * (1000 if thousands or match[2] else 1)


def _inspect_cells(lines: Sequence[str], layout: TextLayout) -> bool:
    """Determine decimal mark, quotes and kinds of columns from the first rows; a row of column numbers is a header.

    Returns:
        Whether all numbers are whole, but for times.
    """
    raw = [line for line in lines if line.strip() and not line.startswith("#")][: 2 * HEAD_ROWS]
    layout.quoted = any('"' in line for line in raw)
    layout.comments = not any("#" in line for line in raw)
    rows = [cells for line in raw if len(cells := cells_of(line, layout.delimiter)) == layout.columns]
    if any(_DECIMAL_COMMA.fullmatch(cell) for cells in rows for cell in cells):
        layout.decimal = ","
    first = [cell for cell in rows[0] if cell]
    first = first[1:] if first and not first[0].isdecimal() else first  # "lead,0,1,2"
    if (
        layout.names is None
        and len(first) > 2
        and first in ([str(k + start) for k in range(len(first))] for start in (0, 1))
    ):
        layout.names, layout.numbered = rows[0], True
        layout.skip = layout.skip + 1 + next(k for k, line in enumerate(lines) if line == raw[0])
    for column in range(layout.columns if layout.columns <= MAX_COLUMNS else 0):
        filled = [cells[column].strip("[]") for cells in rows if cells[column].lower() not in MISSING]
        if filled and all(_STAMP.fullmatch(cell) for cell in filled):
            layout.stamps.add(column)
        elif filled and not any(_NUMBER.fullmatch(cell) for cell in filled):
            layout.texts.add(column)
    names = layout.names or ()
    return all(
        cell.lower() in MISSING or _WHOLE.fullmatch(cell)
        for cells in rows[1:]
        for k, cell in enumerate(cells[:MAX_COLUMNS])
        if k not in layout.texts | layout.stamps and not (k < len(names) and is_time(names[k]))
    )
