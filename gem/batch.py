"""Many recordings, measured to a table or explained to JSON lines: in processes, resumed after a kill, a row each.

A long recording becomes a table with a row for each beat.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import grounding
from grounding import EcgError
from grounding.measurement.columns import INTERVALS
from grounding.processes import results_in_order, uncollected

from .errors import GemInputError
from .extensions import load_extensions, loaded

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement
    from grounding.measurement import Part

    from .explanation import Explanation

AXES = {"axis_deg": "qrs", "axis_p_deg": "p", "axis_t_deg": "t"}
RHYTHM = (
    "rr_min_ms",
    "rr_max_ms",
    "rr_sd_ms",
    "rr_cv",
    "rmssd_ms",
    "p_share",
    "pr_sd_ms",
    "af_probability",
    "flutter_probability",
    "atrial_rate_bpm",
)
NUMBERS = (
    "duration_s",
    "fs_hz",
    "beats",
    "age",
    "heart_rate_bpm",
    *(f"{name}_ms" for name in INTERVALS),
    *AXES,
    *RHYTHM,
)
TEXTS = ("file", "record_id", "sex", "leads", "unusable_leads", "findings", "issues", "missing", "warnings", "error")
COLUMNS = (*TEXTS[:2], *NUMBERS, *TEXTS[2:])
ROWS_PER_PART = 500  # of a Parquet table: a killed run measures at most so many again
RECORDS_AT_ONCE = 16  # texts that are decoded together


class BatchOptions(NamedTuple):
    """How recordings are read and measured; for worker processes.

    Attributes:
        reading: options of ``grounding.read_record``.
        delineator: as in ``grounding.measure``.
        model: as in ``gem.explain``.
        extensions: files that workers import first.
    """

    reading: Mapping[str, Any] = {}
    delineator: str = "auto"
    model: str = "gem-nano"
    extensions: tuple[str, ...] = ()

    def read(self, path: Path) -> ECGRecord:
        """Read a recording."""
        return grounding.read_record(path, **self.reading)


DEFAULTS = BatchOptions()


class Counts(NamedTuple):
    """What a run did: recordings in all, of these done by an earlier run, and failed in this one."""

    records: int
    kept: int
    failed: int


def measure_to_table(
    paths: Iterable[str | Path], out: str | Path | None, options: BatchOptions = DEFAULTS, jobs: int | None = None
) -> Counts:
    """Measure recordings to a table with a row for each, in their order.

    A recording that can't be read or measured has a row with the reason under ``error``. Called again after it was
    stopped or killed, it goes on after the rows that are there.

    Args:
        paths: as in ``grounding.readers.find_recordings``.
        out: a ``.csv`` file; a ``.parquet`` folder of part files, which pandas, pyarrow and Dask read as one table; or
            ``None`` for CSV on the standard output.
        options: how to read and measure.
        jobs: processes, -1 for all cores; ``None`` for the setting of ``joblib.parallel_config``.

    Raises:
        EcgError: a path does not exist, or ``out`` holds another table.
    """
    files = grounding.readers.find_recordings(paths, missing=True)
    with _table(out) as table:
        return _run(files, table, measured_rows, options, jobs, 1)


def beats_to_parquet(
    path: str | Path, out: str | Path, options: BatchOptions = DEFAULTS, jobs: int | None = None
) -> Iterator[Part]:
    """Measure a long recording in parts of ten minutes, to a table with a row for each beat.

    The table is written part by part, and has its name when it is complete.

    Args:
        path: of the recording.
        out: a ``.parquet`` file, with the columns of ``Measurement.beats``, counted and placed in the whole recording.
        options: how to read and measure.
        jobs: as in ``measure_to_table``.

    Yields:
        Each part, once it is written.

    Raises:
        EcgError: the recording can't be read, or ``out`` is not ``.parquet``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from grounding.measurement.columns import BEAT_COLUMNS

    out = Path(out)
    if out.suffix.lower() != ".parquet":
        raise GemInputError("the table of beats is .parquet", where=str(out), remedy="end its name with it")
    record = options.read(Path(path))
    kinds = {"beat": pa.int64(), "type": pa.string(), "p_present": pa.bool_(), "p_known": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in BEAT_COLUMNS])
    partial = out.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(partial, schema) as writer:
        for part in grounding.measure_parts(record, delineator=options.delineator, n_jobs=jobs):
            writer.write_table(pa.Table.from_pandas(part.beats, schema, preserve_index=False))
            yield part
    os.replace(partial, out)


def explain_to_jsonl(
    paths: Iterable[str | Path], out: str | Path, options: BatchOptions = DEFAULTS, jobs: int | None = None
) -> Counts:
    """Explain recordings, a line of JSON for each, in their order: ``file``, and a shorter ``Explanation.to_dict``.

    It has the findings that are present, claims in their statements alone, and no tables with a row per beat.

    A recording that can't be read or explained has a line with ``file`` and ``error``. Resumes like
    ``measure_to_table``.

    Args:
        paths: as in ``grounding.readers.find_recordings``.
        out: a file.
        options: how to read, and the model.
        jobs: as in ``measure_to_table``.

    Raises:
        EcgError: a path does not exist, or ``out`` holds something else.
    """
    files = grounding.readers.find_recordings(paths, missing=True)
    with _lines(Path(out), _file_of_line) as (file, done):
        sink = _Sink(done, lambda row: file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"))
        return _run(files, sink, explained_rows, options, jobs, RECORDS_AT_ONCE)


def measured_rows(paths: Sequence[Path], options: BatchOptions) -> list[dict[str, Any]]:
    """A row of ``COLUMNS`` for each recording, whatever happens.

    Args:
        paths: of the recordings.
        options: how to read and measure them.
    """
    load_extensions(options.extensions)
    return [_guarded(path, lambda file: _values(file, options)) for path in paths]


def _values(path: Path, options: BatchOptions) -> dict[str, Any]:
    with uncollected():
        measurement = grounding.measure(options.read(path), options.delineator)
        row = measured_row(measurement)
        measurement.derived.clear()  # its assessment refers to it: only a collection would free both
    return row


def measured_row(m: Measurement) -> dict[str, Any]:
    """What a row of ``COLUMNS`` tells of a measurement.

    Args:
        m: of a recording.
    """
    quality = zip(m.column("quality", "lead"), m.column("quality", "usable"), strict=True)
    return {
        "record_id": m.record_id,
        "duration_s": m.duration_s,
        "fs_hz": m.fs,
        "beats": m.n_beats,
        "age": m.age,
        "heart_rate_bpm": m.heart_rate,
        **{f"{name}_ms": m.intervals[name] for name in INTERVALS},
        **{column: m.axes[wave] for column, wave in AXES.items()},
        **{name: m.rhythm[name] for name in RHYTHM},
        "sex": m.sex,
        "leads": " ".join(m.leads),
        "unusable_leads": " ".join(lead for lead, usable in quality if not usable),
        "findings": "; ".join(finding.name for finding in grounding.find(m) if finding.present),
        "issues": "; ".join(m.issues),
        "missing": "; ".join(f"{name}: {why}" for name, why in m.reasons.items() if name in INTERVALS),
    }


def explained_rows(paths: Sequence[Path], options: BatchOptions) -> list[dict[str, Any]]:
    """A dictionary for each recording, whatever happens.

    Args:
        paths: of the recordings, whose texts are decoded together.
        options: how to read them, and the model.
    """
    load_extensions(options.extensions)
    found = dict(explained(paths, options.read, options.model, Exception))
    return [
        {"file": _name(path), "error": _reason(found[path])}
        if isinstance(found[path], Exception)
        else {"file": _name(path), **_short(found[path])}
        for path in paths
    ]


def _short(explanation: Explanation) -> dict[str, Any]:
    """What a line holds: claims in their statements alone, the findings that are present, no tables of beats."""
    line = explanation.to_dict(tables=False)
    del line["claims"]
    line["findings"] = [finding.to_dict() for finding in explanation.findings if finding.present]
    return line


def explained(
    paths: Sequence[Path],
    read: Callable[[Path], ECGRecord],
    model: Any,
    caught: type[Exception] = EcgError,
    prompt: str | None = None,
) -> Iterator[tuple[Path, Any]]:
    """Explain recordings together.

    Args:
        paths: of the recordings.
        read: reads one.
        model: as in ``gem.explain``.
        caught: errors that belong to a recording; others end the run.
        prompt: as in ``gem.explain``.

    Yields:
        Each path with its explanation or its error.
    """
    from .explaining import explain

    found: dict[Path, Any] = {}
    for path in paths:
        try:
            found[path] = read(path)
        except caught as error:
            found[path] = error
    records = {path: record for path, record in found.items() if not isinstance(record, Exception)}
    try:
        found |= dict(zip(records, explain(list(records.values()), model=model, prompt=prompt), strict=True))
    except caught:  # one by one, to find the recording with the error
        for path, record in records.items():
            try:
                found[path] = explain(record, model=model, prompt=prompt)
            except caught as error:
                found[path] = error
    yield from found.items()


def _guarded(path: Path, values: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """A row with the values of a recording, or with the error; with the warnings of both."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        try:
            row = values(path)
        except Exception as error:
            row = {"error": _reason(error)}
    said = "; ".join(dict.fromkeys(str(warning.message) for warning in given))
    return {"file": _name(path), **row, "warnings": " ".join(said.split())}


def _name(path: Path) -> str:
    """A file's name in a row; bytes that are not UTF-8 are shown as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, EcgError) else f"{type(error).__name__}: {text}"


class _Table(Protocol):
    done: set[str]

    def add(self, row: dict[str, Any]) -> None: ...


class _Sink(NamedTuple):
    """Where rows go: the files that have one already, and a function that takes the next."""

    done: set[str]
    add: Callable[[dict[str, Any]], Any]


def _run(
    files: Sequence[Path],
    table: _Table | _Sink,
    work: Callable[[Sequence[Path], BatchOptions], list[dict[str, Any]]],
    options: BatchOptions,
    jobs: int | None,
    at_once: int,
) -> Counts:
    from tqdm import tqdm

    todo = [file for file in files if _name(file) not in table.done]
    options = options._replace(extensions=tuple(loaded))
    parts = (todo[first : first + at_once] for first in range(0, len(todo), at_once))
    failed, kept = 0, len(files) - len(todo)
    with tqdm(total=len(files), initial=kept, unit=" records", disable=not sys.stderr.isatty()) as progress:
        try:
            for rows in results_in_order(work, ((part, options) for part in parts), jobs):
                for row in rows:
                    table.add(row)
                    failed += "error" in row
                progress.update(len(rows))
        except BrokenProcessPool:
            raise GemInputError(
                "a worker process was killed",
                remedy="run again, which goes on from here; with fewer --jobs if memory ran out",
            ) from None
    return Counts(len(files), kept, failed)


@contextlib.contextmanager
def _lines(path: Path, file_of: Callable[[str], str]) -> Iterator[tuple[Any, set[str]]]:
    """A text file to append lines to, without the line that a killed run left unfinished, and the files it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done: set[str] = set()
    whole = 0
    if path.exists():
        with path.open("rb") as old:
            for number, line in enumerate(old):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    done.add(file_of(line.decode("utf-8")))
                except (ValueError, KeyError, TypeError, IndexError):
                    raise GemInputError(
                        f"line {number + 1} is not of such a run", where=str(path), remedy="name another file"
                    ) from None
        os.truncate(path, whole)
    with path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1, newline="") as file:
        yield file, done


def _file_of_line(line: str) -> str:
    return str(json.loads(line)["file"])


def _file_of_csv(line: str) -> str:
    cells = next(csv.reader([line]))
    if len(cells) != len(COLUMNS):
        raise ValueError(line)
    return cells[0]


@contextlib.contextmanager
def _table(out: str | Path | None) -> Iterator[_Table | _Sink]:
    if out is None:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        yield _Sink(set(), writer.writerow)
    elif Path(out).suffix.lower() == ".parquet":
        parts = ParquetParts(Path(out))
        try:
            yield parts
        finally:
            parts.close()
    elif Path(out).suffix.lower() == ".csv":
        with _lines(Path(out), _file_of_csv) as (file, done):
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if not done:
                writer.writeheader()
            elif "file" not in done:
                raise GemInputError("there is a table without our header", where=str(out), remedy="name another file")
            yield _Sink(done, writer.writerow)
    else:
        raise GemInputError("the table is .csv or .parquet", where=str(out), remedy="end its name with one of them")


class ParquetParts:
    """A folder of Parquet files that are one table; each is written whole, so that a kill leaves no half of one.

    Args:
        folder: new, or of an earlier run.

    Raises:
        GemInputError: something else is there.
    """

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder, self.rows = folder, list[dict[str, Any]]()
        self.schema = pa.schema([(name, pa.float64() if name in NUMBERS else pa.string()) for name in COLUMNS])
        self.done: set[str] = set()
        if folder.is_file():
            raise GemInputError("a file is there, and the table is a folder", where=str(folder), remedy="name another")
        folder.mkdir(parents=True, exist_ok=True)
        parts = sorted(folder.glob("part-*.parquet"))
        self.number = len(parts)
        for part in parts:
            try:
                self.done |= set(pq.read_table(part, columns=["file"])["file"].to_pylist())
            except (pa.ArrowException, KeyError) as error:
                raise GemInputError(
                    f"not a part of such a table ({error})", where=str(part), remedy="name another folder"
                ) from error

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
        import pyarrow.parquet as pq

        if not self.rows:
            return
        path = self.folder / f"part-{self.number:06d}.parquet"
        partial = path.with_suffix(".partial")
        pq.write_table(pa.Table.from_pylist(self.rows, self.schema), partial)
        os.replace(partial, path)
        self.number, self.rows = self.number + 1, []
