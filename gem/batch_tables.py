"""Tables and lines that a run over many recordings writes, and goes on with after it was stopped or killed.

A row tells the options that it was made with, so that rows of others are never mixed in.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from grounding.measurement.columns import INTERVALS
from grounding.measurement.columns import RHYTHM as BEATS_RHYTHM

from .errors import GemInputError

AXES = {"axis_deg": "qrs", "axis_p_deg": "p", "axis_t_deg": "t"}
RHYTHM = (*BEATS_RHYTHM, "atrial_rate_bpm")
DEVICE = ("heart_rate", "pr", "qrs", "qt")  # what the device measured itself
NUMBERS = (
    "duration_s",
    "fs_hz",
    "beats",
    "age",
    "heart_rate_bpm",
    *(f"{name}_ms" for name in INTERVALS),
    *AXES,
    *RHYTHM,
    *(f"device_{name}_{'bpm' if name == 'heart_rate' else 'ms'}" for name in DEVICE),
)
_NAMES = ("file", "record_id")
_TEXTS = ("sex", "leads", "unusable_leads", "findings", "issues", "missing", "warnings", "options", "error")
COLUMNS = (*_NAMES, *NUMBERS, *_TEXTS)
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
ROWS_PER_PART = 500  # of a Parquet table: a killed run measures at most so many again


class Resume(NamedTuple):
    """How a run goes on with the rows of an earlier one.

    Attributes:
        options: what this run's rows are made with, as they tell it.
        retry: make the rows with an error again.
    """

    options: str = ""
    retry: bool = False


class EarlierRow(NamedTuple):
    """What is told by a row that is there: the file, the options it was made with, whether it is an error."""

    file: str
    options: str
    failed: bool


class RowTable(Protocol):
    """Takes rows, and knows the files that have one."""

    done: set[str]

    def add(self, row: dict[str, Any]) -> None:
        """Add a row.

        Args:
            row: its columns.
        """


class RowSink(NamedTuple):
    """Where rows go: the files that have one already, and a function that takes the next."""

    done: set[str]
    add: Callable[[dict[str, Any]], Any]


def shown_name(path: str | os.PathLike[str]) -> str:
    r"""A file's name in a row, in one line; line breaks, and bytes that are not UTF-8, are shown as escapes.

    Args:
        path: of the file.

    Example:
        >>> shown_name("a\nb.csv")
        'a\\nb.csv'
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return _BREAKS.sub(lambda found: ascii(found[0])[1:-1], text)


def file_key(name: str | os.PathLike[str]) -> str:
    """By what a recording is known again, however its path was written.

    Args:
        name: of its file.
    """
    return shown_name(os.path.realpath(name))


def is_our_table(path: Path) -> bool:
    """Whether a file in a folder of recordings is a table of an earlier run, or part of one.

    Args:
        path: of the file.
    """
    if path.suffix.lower() == ".parquet":
        return path.name.startswith("part-") and path.parent.suffix.lower() == ".parquet"
    if path.suffix.lower() != ".csv":
        return False
    try:
        with path.open("rb") as file:
            return file.read(64).startswith(",".join(COLUMNS[:3]).encode())
    except OSError:
        return False


def _kept(rows: Iterable[EarlierRow], where: Path, resume: Resume) -> set[str]:
    """The files that need no row any more.

    Raises:
        GemInputError: rows that are kept were made with other options.
    """
    kept = [row for row in rows if not (resume.retry and row.failed)]
    other = [row for row in kept if row.options != resume.options]
    if other:
        raise GemInputError(
            f"{len(other)} of its rows were made with other options ({other[0].options or 'none'})",
            where=str(where),
            remedy="--retry makes those with an error again"
            if all(row.failed for row in other)
            else "repeat that run's options, or name another file",
        )
    if failed := sum(row.failed for row in kept):
        warnings.warn(
            f"{where}: {failed} of its rows are errors of an earlier run; --retry makes them again", stacklevel=3
        )
    return {file_key(row.file) for row in kept}


@contextlib.contextmanager
def appended(path: Path, told: Callable[[str], EarlierRow | None], resume: Resume) -> Iterator[tuple[Any, set[str]]]:
    """A text file to append lines to, without the line that a killed run left unfinished, and the files it has.

    Args:
        path: of the file.
        told: what a line tells; None of a header. Raises where it is not of such a run.
        resume: how to go on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[EarlierRow] = []
    whole = 0
    failed = set[int]()
    if path.exists():
        with path.open("rb") as old:
            for number, line in enumerate(old):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    row = told(line.decode("utf-8"))
                except (ValueError, KeyError, TypeError, IndexError):
                    raise GemInputError(
                        f"line {number + 1} is not of such a run", where=str(path), remedy="name another file"
                    ) from None
                if row is not None:
                    rows.append(row)
                    failed |= {number} if row.failed else set()
    done = _kept(rows, path, resume)
    if path.exists():
        os.truncate(path, whole)
    if resume.retry and failed:
        part = path.with_name(f"{path.name}.partial")
        with path.open("rb") as old, part.open("wb") as new:
            new.writelines(line for number, line in enumerate(old) if number not in failed)
        os.replace(part, path)
    with path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1, newline="") as file:
        yield file, done


def told_by_json(line: str) -> EarlierRow:
    """What a line of JSON tells.

    Args:
        line: of the file.
    """
    row = json.loads(line)
    return EarlierRow(str(row["file"]), str(row.get("options", "")), "error" in row)


def _told_by_csv(line: str) -> EarlierRow | None:
    cells = next(csv.reader([line]))
    if len(cells) != len(COLUMNS):
        raise ValueError(line)
    row = dict(zip(COLUMNS, cells, strict=True))
    return None if cells == list(COLUMNS) else EarlierRow(row["file"], row["options"], bool(row["error"]))


@contextlib.contextmanager
def open_table(out: str | Path | None, resume: Resume) -> Iterator[RowTable | RowSink]:
    """The table that a run writes.

    Args:
        out: as in ``gem.batch.measure_to_table``.
        resume: how to go on with one that is there.

    Raises:
        GemInputError: something else is there, or rows of other options.
    """
    if out is None:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        yield RowSink(set(), writer.writerow)
    elif Path(out).suffix.lower() == ".parquet":
        parts = ParquetParts(Path(out), resume)
        try:
            yield parts
        finally:
            parts.close()
    elif Path(out).suffix.lower() == ".csv":
        with appended(Path(out), _told_by_csv, resume) as (file, done):
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if not Path(out).stat().st_size:
                writer.writeheader()
            yield RowSink(done, writer.writerow)
    else:
        raise GemInputError("the table is .csv or .parquet", where=str(out), remedy="end its name with one of them")


class ParquetParts:
    """A folder of Parquet files that are one table; each is written whole, so that a kill leaves no half of one.

    Args:
        folder: new, or of an earlier run.
        resume: how to go on with that.

    Raises:
        GemInputError: something else is there, or rows of other options.
    """

    def __init__(self, folder: Path, resume: Resume) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder, self.rows = folder, list[dict[str, Any]]()
        self.schema = pa.schema([(name, pa.float64() if name in NUMBERS else pa.string()) for name in COLUMNS])
        if folder.is_file():
            raise GemInputError("a file is there, and the table is a folder", where=str(folder), remedy="name another")
        folder.mkdir(parents=True, exist_ok=True)
        parts = sorted(folder.glob("part-*.parquet"))
        self.number = len(parts)
        rows: list[EarlierRow] = []
        failed: list[Path] = []
        for part in parts:
            try:
                columns = pq.read_table(part, columns=["file", "options", "error"]).to_pydict()
            except (pa.ArrowException, KeyError, ValueError) as error:
                raise GemInputError(
                    f"not a part of such a table ({error})", where=str(part), remedy="name another folder"
                ) from error
            errors = [bool(error) for error in columns["error"]]
            rows += map(EarlierRow, columns["file"], [told or "" for told in columns["options"]], errors)
            failed += [part] if any(errors) else []
        self.done = _kept(rows, folder, resume)
        for part in failed if resume.retry else ():
            table = pq.read_table(part)
            self._write(part, table.filter([not error for error in table["error"].to_pylist()]))

    def add(self, row: dict[str, Any]) -> None:
        """Add a row.

        Args:
            row: of ``COLUMNS``.
        """
        self.rows.append({name: row.get(name) for name in COLUMNS})
        if len(self.rows) >= ROWS_PER_PART:
            self.close()

    def close(self) -> None:
        """Write the rows that are still in memory."""
        import pyarrow as pa

        if not self.rows:
            return
        self._write(self.folder / f"part-{self.number:06d}.parquet", pa.Table.from_pylist(self.rows, self.schema))
        self.number, self.rows = self.number + 1, []

    def _write(self, path: Path, table: Any) -> None:
        import pyarrow.parquet as pq

        partial = path.with_suffix(".partial")
        pq.write_table(table, partial)
        os.replace(partial, path)
