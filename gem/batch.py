"""Many recordings, measured to a table or explained to JSON lines: in processes, resumed after a kill, a row each.

A long recording becomes a table with a row for each beat.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grounding
from grounding import EcgError
from grounding.measurement.columns import INTERVALS
from grounding.measurement.parts import POSITIONS
from grounding.processes import results_in_order, uncollected

from .batch_tables import (
    AXES,
    DEVICE,
    RHYTHM,
    Resume,
    RowSink,
    RowTable,
    appended,
    file_key,
    is_our_table,
    open_table,
    shown_name,
    told_by_json,
)
from .errors import GemInputError
from .extensions import load_extensions, loaded
from .patients import PatientRow, patients_of

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement
    from grounding.measurement import Part

    from .explanation import Explanation

RECORDS_AT_ONCE = 16  # texts that are decoded together


class BatchOptions(NamedTuple):
    """How recordings are read and measured; for worker processes.

    Attributes:
        reading: options of ``grounding.read_record``.
        delineator: as in ``grounding.measure``.
        model: as in ``gem.explain``.
        extensions: files that workers import first.
        patients: age and sex from tables beside the recordings, by the name of the file.
    """

    reading: Mapping[str, Any] = {}
    delineator: str = "auto"
    model: str = "gem-nano"
    extensions: tuple[str, ...] = ()
    patients: Mapping[str, PatientRow] = {}

    def read(self, path: Path) -> ECGRecord:
        """Read a recording, with age and sex from a table where its file tells none."""
        record = grounding.read_record(path, **self.reading)
        told = self.patients.get(str(path))
        return record if told is None else told.on(record)

    @property
    def text(self) -> str:
        """What rows tell of them: reading, delineator and model, where they are not the usual ones."""
        usual = {"delineator": "auto", "model": "gem-nano"}
        given = {**self.reading, "delineator": self.delineator, "model": self.model}
        told = {name: value for name, value in given.items() if value is not None and usual.get(name) != value}
        return " ".join(
            f"{name}={value if isinstance(value, (str, int, float)) else ','.join(value)}"
            for name, value in told.items()
        )


DEFAULTS = BatchOptions()


class Counts(NamedTuple):
    """What a run did: recordings in all, of these done by an earlier run, and failed in this one."""

    records: int
    kept: int
    failed: int


def measure_to_table(
    paths: Iterable[str | Path],
    out: str | Path | None,
    options: BatchOptions = DEFAULTS,
    jobs: int | None = None,
    retry: bool = False,
) -> Counts:
    """Measure recordings to a table with a row for each, in their order.

    A recording that can't be read or measured has a row with the reason under ``error``. Called again after it was
    stopped or killed, it goes on after the rows that are there. Age and sex that a file does not tell come from a
    ``labels.csv`` or ``ptbxl_database.csv`` beside it (``gem.patients``).

    Args:
        paths: as in ``grounding.readers.find_recordings``.
        out: a ``.csv`` file; a ``.parquet`` folder of part files, which pandas, pyarrow and Dask read as one table; or
            ``None`` for CSV on the standard output.
        options: how to read and measure.
        jobs: processes, -1 for all cores; ``None`` for the setting of ``joblib.parallel_config``.
        retry: measure again where there is an error; these rows move to the end.

    Raises:
        EcgError: a path does not exist, or ``out`` holds another table, or rows that were made with other options.
    """
    files, options = _found(paths, out, options)
    with open_table(out, Resume(options.text, retry)) as table:
        return _run(files, table, measured_rows, options, jobs, 1)


def beats_to_parquet(
    path: str | Path, out: str | Path, options: BatchOptions = DEFAULTS, jobs: int | None = None
) -> Iterator[Part]:
    """Measure a long recording in parts of ten minutes, to a table with a row for each beat.

    The table is written part by part, and has its name when it is complete.

    Args:
        path: of the recording.
        out: a ``.parquet`` file, with the columns of ``Measurement.beats``, counted and placed in the whole recording,
            with what a reader cut off its beginning (``meta["cut_from_start_s"]``).
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
    record = _read_aloud(Path(path), options)
    kinds = {"beat": pa.int64(), "type": pa.string(), "p_present": pa.bool_(), "p_known": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in BEAT_COLUMNS])
    partial = out.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(partial, schema) as writer:
        for measured in grounding.measure_parts(record, delineator=options.delineator, n_jobs=jobs):
            part = _moved(measured, record.meta.get("cut_from_start_s", 0.0))
            writer.write_table(pa.Table.from_pandas(part.beats, schema, preserve_index=False))
            yield part
    os.replace(partial, out)


def _moved(part: Part, by_s: float) -> Part:
    """A part at its place in the file, of whose beginning a reader cut what is no ECG."""
    if not by_s:
        return part
    by = round(by_s * part.measurement.fs)
    beats = part.beats.assign(r_s=part.beats["r_s"] + by_s, **{name: part.beats[name] + by for name in POSITIONS})
    waves = part.waves.assign(**{name: part.waves[name] + by for name in ("onset", "peak", "offset")})
    start_s, end_s, offset_s = part.start_s + by_s, part.end_s + by_s, part.offset_s + by_s
    return part._replace(start_s=start_s, end_s=end_s, offset_s=offset_s, beats=beats, waves=waves)


def explain_to_jsonl(
    paths: Iterable[str | Path],
    out: str | Path,
    options: BatchOptions = DEFAULTS,
    jobs: int | None = None,
    retry: bool = False,
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
        retry: explain again where there is an error.

    Raises:
        EcgError: a path does not exist, or ``out`` holds something else, or lines that were made with other options.
    """
    files, options = _found(paths, out, options)
    with appended(Path(out), told_by_json, Resume(options.text, retry)) as (file, done):
        sink = RowSink(done, lambda row: file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"))
        return _run(files, sink, explained_rows, options, jobs, RECORDS_AT_ONCE)


def _found(
    paths: Iterable[str | Path], out: str | Path | None, options: BatchOptions
) -> tuple[list[Path], BatchOptions]:
    """The recordings, and the options with what tables beside them tell of their patients."""
    given = [Path(path) for path in paths]
    files = [file for file in grounding.readers.find_recordings(given, missing=True, out=out) if not is_our_table(file)]
    absolute = {file: Path(os.path.abspath(file)) for file in files}
    patients = patients_of(list(absolute.values()), given)
    told = {str(file): patients[place] for file, place in absolute.items() if place in patients}
    return files, options._replace(patients=told)


def measured_rows(paths: Sequence[Path], options: BatchOptions) -> list[dict[str, Any]]:
    """A row of ``COLUMNS`` for each recording, whatever happens.

    Args:
        paths: of the recordings.
        options: how to read and measure them.
    """
    load_extensions(options.extensions)
    return [{**_guarded(path, lambda file: _values(file, options)), "options": options.text} for path in paths]


def _read_aloud(path: Path, options: BatchOptions) -> ECGRecord:
    """Read a recording; what its reader warns of is a warning."""
    record = options.read(path)
    for text in record.meta.get("warnings", ()):
        warnings.warn(text, stacklevel=3)
    return record


def _values(path: Path, options: BatchOptions) -> dict[str, Any]:
    with uncollected():
        record = _read_aloud(path, options)
        measurement = grounding.measure(record, options.delineator)
        row = measured_row(measurement)
        measurement.derived.clear()  # its assessment refers to it: only a collection would free both
    device = record.meta.get("device", {})
    return row | {f"device_{name}_{'bpm' if name == 'heart_rate' else 'ms'}": device.get(name) for name in DEVICE}


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
    said: dict[Path, Sequence[str]] = {}

    def read(path: Path) -> ECGRecord:
        record = options.read(path)
        said[path] = record.meta.get("warnings", ())
        return record

    found = dict(explained(paths, read, options.model, Exception))
    rows = []
    for path in paths:
        is_error = isinstance(found[path], Exception)
        told = {"error": _reason(found[path])} if is_error else _short(found[path])
        more = {"warnings": list(said.get(path, ())), "options": options.text}
        rows.append({"file": shown_name(path), **told, **{name: value for name, value in more.items() if value}})
    return rows


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
    row = {name: shown_name(value) if isinstance(value, str) else value for name, value in row.items()}
    return {"file": shown_name(path), **row, "warnings": " ".join(said.split())}


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, EcgError) else f"{type(error).__name__}: {text}"


def _run(
    files: Sequence[Path],
    table: RowTable | RowSink,
    work: Callable[[Sequence[Path], BatchOptions], list[dict[str, Any]]],
    options: BatchOptions,
    jobs: int | None,
    at_once: int,
) -> Counts:
    from tqdm import tqdm

    todo = [file for file in files if file_key(file) not in table.done]
    patients, options = options.patients, options._replace(extensions=tuple(loaded), patients={})
    parts = (todo[first : first + at_once] for first in range(0, len(todo), at_once))
    calls = (
        (part, options._replace(patients={str(file): patients[str(file)] for file in part if str(file) in patients}))
        for part in parts
    )
    failed, kept = 0, len(files) - len(todo)
    with tqdm(total=len(files), initial=kept, unit=" records", disable=not sys.stderr.isatty()) as progress:
        try:
            for rows in results_in_order(work, calls, jobs):
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
