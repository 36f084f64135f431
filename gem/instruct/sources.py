"""Recordings to make instructions from: one ``Source`` per recording in files and folders, with its report if any."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grounding.errors import EcgError, EcgFormatError
from grounding.readers.listing import find_recordings
from grounding.record import ECGRecord

TABLE_NAMES = ("labels.csv", "ptbxl_database.csv")
KEY_COLUMNS = ("record", "record_id", "id", "name", "filename_hr", "filename_lr", "filename", "file", "path", "ecg_id")
_PTBXL_NAME = re.compile(r"^0*(\d+)_(?:hr|lr)$")


@dataclass(frozen=True)
class Source:
    """One recording to make instructions from, which is opened by ``read``.

    Attributes:
        id: its name in the output, unique among the sources.
        path: the file (a WFDB header without ``.hea``).
        ecg: its path in the output, relative to the common folder of all sources.
        report: by a clinician or a machine, or ``""``.
        age: years, from the table of reports.
        sex: ``"female"`` or ``"male"``, from the table of reports.
        options: of ``read_record``, e.g. ``(("fs", 500.0),)``, for what is missing or wrong in the file.
    """

    id: str
    path: str
    ecg: str = ""
    report: str = ""
    age: float | None = None
    sex: str | None = None
    options: tuple[tuple[str, Any], ...] = ()

    def read(self) -> ECGRecord:
        """The recording, with this source's name, age and sex.

        Raises:
            EcgError: it can't be read.
        """
        from grounding.readers import read_record

        record = read_record(self.path, **dict(self.options))
        patient = {"age": self.age, "sex": self.sex}
        known = {name: value for name, value in patient.items() if value is not None}
        return replace(record, record_id=self.id, meta={**record.meta, **known})


@dataclass(frozen=True)
class ReportRow:
    """A row of a table of reports."""

    report: str
    age: float | None
    sex: str | None


def find_sources(paths: Iterable[str | Path], reports: str | Path | None = None, **options: Any) -> list[Source]:
    """The recordings in files and folders, each once, ordered by name.

    Args:
        paths: recordings (WFDB names with or without ``.hea``) and folders, which are searched recursively.
        reports: a CSV with a column ``report`` and one that names the recording (``record``, ``filename_hr``,
            ``ecg_id``, ...); when ``None``, a ``labels.csv`` or ``ptbxl_database.csv`` in one of the folders, or in its
            parent, is used.
        **options: of ``read_record``, for every recording: ``fs``, ``leads``, ``units``, ``format``.

    Raises:
        EcgError: a path does not exist, nothing was found, or the table can't be used.

    Example:
        >>> from grounding import sample_path
        >>> found = find_sources([sample_path().parent])
        >>> found[0].id, len(found)
        ('ludb_13', 10)
    """
    given = [Path(path).expanduser() for path in paths]
    files = [file.resolve() for file in find_recordings(given)]
    if not files:
        raise EcgError(
            "no recording was found",
            where=", ".join(map(str, given)) or "the sources",
            remedy="name files or folders that hold some",
        )
    common = Path(os.path.commonpath([str(file.parent) for file in files]))
    tables = [Path(reports).expanduser()] if reports is not None else _tables(given)
    rows: dict[str, ReportRow] = {}
    for table in tables:
        rows |= read_reports(table)
    sources: dict[str, Source] = {}
    for file in sorted(files):
        shown = file.relative_to(common)
        name = shown.with_suffix("") if file.suffix.lower() == ".hea" else shown
        key = re.sub(r"[^\w.-]+", "-", "-".join(name.parts))
        while key in sources:  # two names that differ only in characters that were replaced
            key += "_"
        row = rows.get(_key(file.name))
        where = str(file.with_suffix("")) if file.suffix.lower() == ".hea" else str(file)
        # for names that are not UTF-8; the file is opened by its real name
        ecg = name.as_posix().encode(errors="replace").decode()
        known = ("", None, None) if row is None else (row.report, row.age, row.sex)
        sources[key] = Source(key, where, ecg, *known, tuple(sorted(options.items())))
    return list(sources.values())


def read_reports(table: str | Path) -> dict[str, ReportRow]:
    """Report, age and sex by the name of the recording (its file name without extension, or its number in PTB-XL).

    Args:
        table: of the CSV file.

    Raises:
        EcgFormatError: the file is not a CSV with a ``report`` column and one that names the recording.
    """
    path = Path(table)
    out: dict[str, ReportRow] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = tuple(rows.fieldnames or ())
            keys = [name for name in KEY_COLUMNS if name in columns]
            if "report" not in columns or not keys:
                raise EcgFormatError(
                    "not a table of reports",
                    where=str(path),
                    remedy=f"it needs a column 'report' and one of {', '.join(KEY_COLUMNS)}",
                )
            for row in rows:
                known = ReportRow((row["report"] or "").strip(), _number(row.get("age")), _sex(row.get("sex")))
                out |= {_key(row[name]): known for name in keys if row[name]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgFormatError(f"can't be read ({error})", where=str(path), remedy="name a CSV file in UTF-8") from error
    return out


def _tables(given: Sequence[Path]) -> list[Path]:
    folders = [folder for path in given for folder in (path.resolve(), path.resolve().parent)]
    found = [folder / name for folder in folders for name in TABLE_NAMES if (folder / name).is_file()]
    return list(dict.fromkeys(found))


def _key(name: str) -> str:
    """The name by which a file is found in a table: without folder and extension; for PTB-XL its number."""
    stem = re.sub(r"\.(hea|dat|mat)$", "", name.strip().replace("\\", "/").split("/")[-1], flags=re.IGNORECASE)
    match = _PTBXL_NAME.match(stem)
    return match.group(1) if match else stem


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _sex(text: str | None) -> str | None:
    """PTB-XL codes 0 male, 1 female; others write words."""
    word = (text or "").strip().lower().removesuffix(".0")
    return {"0": "male", "1": "female", "m": "male", "f": "female", "male": "male", "female": "female"}.get(word)
