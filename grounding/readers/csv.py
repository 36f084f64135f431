"""CSV and other delimited text: a row per sample, a column per lead."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..leads import MAX_NAME
from .arrays import from_array
from .bounds import MAX_SAMPLES, add_warnings
from .channels import Channels
from .columns import Column, from_table, is_time
from .csv_layout import CLOCK, DATE, MAX_COLUMNS, MAX_LINE_BYTES, MISSING, TextLayout, cells_of, find_layout
from .registry import register_reader

if TYPE_CHECKING:
    import pandas as pd

_CELLS_AT_ONCE = 1 << 20
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
_MARGIN = 64  # characters of a block that are looked at again with the next
_MAX_LEADS = 64  # different texts of a column that may name leads
_BLOCK_BYTES = 1 << 22


@register_reader((".csv", ".tsv", ".txt"))
def csv(path: Path, fs: float | None = None, leads: Sequence[str] | None = None, units: str | None = None) -> Channels:
    """Delimited text (comma, semicolon, tab or blanks; decimal point or comma), a row per sample.

    A header has the lead names (``I, II, V1 (uV)``); a row of units may follow it, and anything may precede it; lines
    that start with ``#`` are skipped. A column ``time`` (s) or ``time_ms``, or a line such as ``Sample Rate,512
    hertz``, gives the sampling rate; a line such as ``Units: uV`` the unit of columns without one.

    Args:
        path: the file.
        fs: sampling rate, Hz, where no time column gives it.
        leads: names of the columns where there is no header; with one, the columns to take.
        units: unit of the columns whose name gives none; mV by default.
    """
    where = str(path)
    layout = find_layout(path, len(leads) if leads else None)
    lines = _count_lines(path)
    if lines * layout.columns > MAX_SAMPLES:
        raise EcgFormatError(f"the table has {lines} x {layout.columns} cells", where=where, remedy="cut it")
    unnamed = layout.names is None or layout.numbered
    if layout.columns > MAX_COLUMNS or (unnamed and layout.columns > lines and 0 in layout.texts):
        channels = _wide(path, layout, lines, leads, fs, units or layout.unit)
        return _with_unit_warning(channels, layout, units)
    body = _Body(path, layout)
    names = _names(layout, body, where)
    if names is None:
        channels = _without_header(body, leads, units or layout.unit, where)
        channels.rates = fs if fs is not None else layout.rate_hz
        return _with_unit_warning(channels, layout, units)
    row_units = layout.units if len(layout.units) == len(names) else [""] * len(names)
    table = [
        Column(name, partial(body.column, k), unit, k in layout.stamps, k in layout.texts, partial(body.text, k))
        for k, (name, unit) in enumerate(zip(names, row_units, strict=True))
    ]
    channels = from_table(table, where, fs, units or layout.unit, layout.rate_hz)
    if body.blank:
        add_warnings(channels.meta, f"{body.blank} empty lines between the rows, taken as missing samples")
    return _with_unit_warning(channels, layout, units)


def _with_unit_warning(channels: Channels, layout: TextLayout, units: str | None) -> Channels:
    if layout.steps and units is None:
        add_warnings(channels.meta, f"whole numbers, below a line that tells their steps ({layout.steps}): not scaled")
    return channels


class _Body:
    """The rows of numbers, column by column; a cell that is not a number is an error only if its column is used."""

    def __init__(self, path: Path, layout: TextLayout) -> None:
        self.path, self.layout = path, layout
        self.invalid: dict[
            int, tuple[int, str]
        ] = {}  # column -> row in the file and text of its first cell that is no number
        self._texts: dict[int, list[Any] | None] = {k: [] for k in layout.texts}
        parts: list[list[NDArray[Any]]] = [[] for _ in range(layout.columns)]
        self.rows = 0
        # times stay float64, as nanoseconds need all digits; k + 1, since rows may begin with an unnamed row number
        self.times = {k + more for k, name in enumerate(layout.names or ()) if is_time(name) for more in (0, 1)}
        self.blank = _blank_rows(path, layout)
        for frame in _frames(path, layout, self.blank > 0):
            for k in range(layout.columns):
                parts[k].append(self._numbers(frame.iloc[:, k], k))
                self._keep_text(frame.iloc[:, k], k)
            self.rows += len(frame)
        self._columns = [np.concatenate(part) if part else np.empty(0, np.float32) for part in parts]
        self._check_last_column()

    def column(self, k: int) -> NDArray[Any]:
        """One column, (rows,).

        Args:
            k: its number, from 0.

        Raises:
            EcgFormatError: a cell is not a number.
        """
        if k in self.invalid:
            row, text = self.invalid[k]
            raise EcgFormatError(
                f"row {row} holds {text[:30]!r}, not a number", where=str(self.path), remedy="keep numbers only"
            )
        values = self._columns[k]
        past_midnight = k in self.layout.stamps and np.nanmax(values, initial=0) <= 86_400
        return np.unwrap(values, period=86_400) if past_midnight else values

    def is_empty(self, k: int) -> bool:
        """Whether all cells of a column are empty.

        Args:
            k: its number, from 0.
        """
        return k not in self.invalid and not np.isfinite(self._columns[k]).any()

    def text(self, k: int) -> NDArray[Any] | None:
        """One column of text, (rows,); None where it has numbers, or more different texts than leads have names.

        Args:
            k: its number, from 0.
        """
        parts = self._texts.get(k)
        return None if not parts else np.concatenate(parts)

    def _keep_text(self, cells: pd.Series[Any], k: int) -> None:
        parts = self._texts.get(k)
        if parts is None:
            return
        text = cells.astype("string").fillna("").str.strip(" '\"\t").str.slice(0, MAX_NAME + 1)
        self._texts[k] = [*parts, text.to_numpy(str)] if text.nunique() <= _MAX_LEADS else None

    def _numbers(self, cells: pd.Series[Any], k: int) -> NDArray[Any]:
        """A column of a chunk: float64 seconds of time stamps, float64 of columns named as times, else float32."""
        import pandas as pd

        if k in self.layout.stamps:
            return _seconds(cells)
        values = _float64(pd.to_numeric(cells, errors="coerce"))
        if not pd.api.types.is_numeric_dtype(cells.dtype):
            text = cells.astype("string").fillna("").str.strip(" '\"\t")
            invalid = np.isnan(values) & ~text.str.lower().isin(MISSING).to_numpy(bool)
            if invalid.any():  # a comma or another minus sign in some cells
                again = text[invalid].str.replace("\u2212", "-").str.replace(self.layout.decimal, ".", regex=False)
                values[invalid] = _float64(pd.to_numeric(again, errors="coerce"))
                invalid &= np.isnan(values)
            if invalid.any() and k not in self.invalid:
                row = int(np.argmax(invalid))
                self.invalid[k] = self.layout.skip + self.rows + row + 1, str(cells.iloc[row])
        with np.errstate(over="ignore"):
            return values if k in self.times else values.astype(np.float32)

    def _check_last_column(self) -> None:
        """Find rows with too few fields, which pandas fills with missing values in the last column."""
        layout, last = self.layout, self._columns[-1]
        if np.isfinite(last).all() or not np.isfinite(last).any() or layout.texts & {layout.columns - 1}:
            return
        for number, line in _lines(self.path, layout):
            found = len(cells_of(line, layout.delimiter))
            if found < layout.columns:
                raise EcgFormatError(
                    f"row {number} has {found} fields, the others {layout.columns}",
                    where=str(self.path),
                    remedy="complete it; where it is the last one, the file may have been cut off",
                )


def _blank_rows(path: Path, layout: TextLayout) -> int:
    """The number of empty lines between rows of numbers, each of which is a missing sample.

    An empty line after nearly every row is a fault of line ends, and one beside a remark is a part of it; where rows
    have their time, that tells what is missing.
    """
    if layout.stamps or any(map(is_time, layout.names or ())):
        return 0
    with path.open(encoding=layout.encoding, errors="replace") as file:
        last = ""
        while block := file.read(_BLOCK_BYTES):
            if _EMPTY_LINE.search(last + block):
                break
            last = block[-_MARGIN:]
        else:
            return 0
    rows = blank = 0
    for is_blank, _ in _with_blanks(path, layout):
        rows, blank = rows + (not is_blank), blank + is_blank
    return blank if blank < 0.8 * rows else 0


def _with_blanks(path: Path, layout: TextLayout) -> Iterator[tuple[bool, str]]:
    """The lines of the rows of numbers, without remarks, and the empty lines between them (True)."""
    waiting: list[str] = []
    after_remark = True
    with path.open(encoding=layout.encoding, errors="replace") as file:
        for number, line in enumerate(file):
            if number < layout.skip:
                continue
            if not line.strip() and not (layout.delimiter == "\t" and "\t" in line):
                waiting += [] if after_remark else [line]
            elif layout.comments and line.startswith("#"):
                waiting, after_remark = [], True
            else:
                yield from ((True, blank) for blank in waiting)
                yield False, line
                waiting, after_remark = [], False


class _FilledLines(io.TextIOBase):
    """The rows of numbers for pandas, with a row of missing samples for each empty line between them."""

    def __init__(self, path: Path, layout: TextLayout) -> None:
        self._lines = _with_blanks(path, layout)
        self._empty = (layout.delimiter or " ").join(["nan"] * layout.columns) + "\n"
        self._rest = ""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> str:
        parts, length = [self._rest], len(self._rest)
        for is_blank, line in self._lines:
            parts.append(self._empty if is_blank else line)
            length += len(parts[-1])
            if size is not None and 0 <= size <= length:
                break
        text = "".join(parts)
        cut = len(text) if size is None or size < 0 else size
        self._rest = text[cut:]
        return text[:cut]


def _frames(path: Path, layout: TextLayout, with_blanks: bool) -> Iterator[pd.DataFrame]:
    """The rows of numbers, a chunk at a time."""
    import pandas as pd

    with contextlib.ExitStack() as stack:
        file: Any = _FilledLines(path, layout)
        if not with_blanks:
            file = stack.enter_context(path.open(encoding=layout.encoding, errors="replace"))
            for _ in range(layout.skip):
                file.readline()
        options: dict[str, Any] = {} if layout.quoted else {"quoting": 3}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of columns with mixed types, which are handled later
                yield from pd.read_csv(
                    file,
                    sep=layout.delimiter or r"\s+",
                    header=None,
                    comment="#" if layout.comments else None,
                    decimal=layout.decimal,
                    skipinitialspace=True,
                    na_values=["-", "--", "?"],
                    chunksize=max(1, _CELLS_AT_ONCE // layout.columns),
                    **options,
                )
        except pd.errors.ParserError as error:
            match = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
            if not match:
                raise
            raise EcgFormatError(
                f"row {int(match[2]) + layout.skip} has {match[3]} fields, the others {match[1]}",
                where=str(path),
                remedy="mend it; rows and header need the same number of fields",
            ) from None


def _lines(path: Path, layout: TextLayout) -> Iterator[tuple[int, str]]:
    """The rows of numbers as text, with their line numbers."""
    with path.open(encoding=layout.encoding, errors="replace") as file:
        for number, line in enumerate(file, 1):
            if number > layout.skip and line.strip() and not line.startswith("#"):
                yield number, line.rstrip("\r\n")


def _count_lines(path: Path) -> int:
    lines = run = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            ends = max(block.count(b"\n"), block.count(b"\r"))
            lines += ends
            run = 0 if ends else run + len(block)
            if run > MAX_LINE_BYTES:
                raise EcgFormatError(
                    f"line {lines + 1} is over {MAX_LINE_BYTES >> 20} MB",
                    where=str(path),
                    remedy="write a row per sample",
                )
    return lines + 1


def _names(layout: TextLayout, body: _Body, where: str) -> list[str] | None:
    """A name for every column that is not empty; None where there is no header.

    Rows may have one field more than the header: an empty one after a final delimiter, or a row number at the start.
    """
    columns, names = layout.columns, layout.names
    fields = len(names) if names is not None else 1
    while columns > fields and body.is_empty(columns - 1):
        columns -= 1
    if names is None:
        return None
    while len(names) > columns and not names[-1]:
        names = names[:-1]
    if len(names) == columns - 1 and 0 not in body.invalid and (np.diff(body.column(0)) == 1).all():
        names = ["", *names]
        layout.units = ["", *layout.units]
    if len(names) != columns:
        raise EcgFormatError(
            f"the header names {len(names)} columns ({', '.join(names[:3])}, ...) and the rows hold {columns} fields",
            where=where,
            remedy="give every column one name",
        )
    while len(names) > 1 and not names[-1] and body.is_empty(len(names) - 1):
        names = names[:-1]
    layout.units = layout.units[: len(names)]
    return names


def _without_header(body: _Body, leads: Sequence[str] | None, units: str | None, where: str) -> Channels:
    """A table without a header: ``leads=`` names its columns, or its rows if their number fits."""
    columns = body.layout.columns
    while columns > 1 and body.is_empty(columns - 1):
        columns -= 1
    if leads is not None and len(leads) != columns and len(leads) == body.rows:
        return from_array(np.stack([body.column(k) for k in range(columns)]).T, where, leads, units)
    if leads is None or len(leads) != columns:
        return from_array(
            np.empty((body.rows, columns), np.float32), where, leads, units
        )  # raises the appropriate error
    return Channels(leads, [partial(body.column, k) for k in range(columns)], None, units or "mV", word="column")


def _wide(
    path: Path, layout: TextLayout, lines: int, leads: Sequence[str] | None, fs: float | None, units: str | None
) -> Channels:
    """A table with a row per lead and a column per sample; rows may begin with the lead's name."""
    where = str(path)
    if (layout.names is not None and not layout.numbered) or lines > MAX_COLUMNS:
        raise EcgFormatError(f"the table has {layout.columns} columns", where=where, remedy="write a column per lead")
    rows, names = [], []
    for number, line in _lines(path, layout):
        cells = [cell.replace(layout.decimal, ".").replace("\u2212", "-") for cell in cells_of(line, layout.delimiter)]
        try:
            names.append("" if _is_number(cells[0]) else cells.pop(0))
            rows.append(np.array([np.nan if cell.lower() in MISSING else float(cell) for cell in cells], np.float32))
        except ValueError as error:
            raise EcgFormatError(f"row {number}: {error}", where=where, remedy="keep numbers only") from None
        if len(rows[-1]) != len(rows[0]):
            raise EcgFormatError(
                f"row {number} has {len(rows[-1])} samples, the first {len(rows[0])}", where=where, remedy="mend it"
            )
    channels = (
        Channels(names, rows, None, units or "mV", word="row")
        if any(names)
        else from_array(np.stack(rows), where, leads, units)
    )
    channels.rates = fs if fs is not None else layout.rate_hz
    return channels


def _is_number(cell: str) -> bool:
    try:
        return cell.lower() in MISSING or float(cell) is not None
    except ValueError:
        return False


def _seconds(cells: pd.Series[Any]) -> NDArray[np.float64]:
    """Times of day (``10:00:00.004``, ``0:00.004``) or dates as seconds; NaN where a cell is neither."""
    import pandas as pd

    text = cells.astype("string").str.strip(" '\"[]")
    if text.dropna().head(1).str.fullmatch(DATE).any():
        stamps = pd.to_datetime(text.str.replace(",", "."), format="ISO8601", errors="coerce", utc=True)
        return _float64((stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds())
    fields = text.iloc[0].count(":") + 1 if len(text) and not text.isna().any() else 0
    try:  # if all have the same form: numbers separated by colons, which pandas reads fast
        lines = "\n".join(text.str.replace(",", ".")) if fields else ""
        parts = pd.read_csv(io.StringIO(lines), sep=":", header=None, skip_blank_lines=False).to_numpy(np.float64)
    except ValueError:
        found = text.str.extract(f"^{CLOCK}$")
        parts = np.stack(
            [_float64(pd.to_numeric(found[n].str.replace(",", "."), errors="coerce")) for n in "hms"], axis=1
        )
        parts[:, 0] = np.nan_to_num(parts[:, 0])
    return np.asarray(parts @ np.array([3600.0, 60.0, 1.0])[-parts.shape[1] :], dtype=np.float64)


def _float64(numbers: pd.Series[Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
    return values
