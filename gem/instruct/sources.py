"""Recordings to make instructions from: files and folders in, one ``Source`` per recording out, with its report where there is one."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grounding.errors import EcgError, EcgFormatError
from grounding.record import ECGRecord

TABLE_NAMES = ("labels.csv", "ptbxl_database.csv")
KEY_COLUMNS = ("record", "record_id", "id", "name", "filename_hr", "filename_lr", "filename", "file", "path", "ecg_id")
_PTBXL_NAME = re.compile(r"^0*(\d+)_(?:hr|lr)$")


@dataclass(frozen=True)
class Source:
    """One recording to make instructions from; ``read`` opens it when its turn comes.

    Attributes:
        id: its name in the output, unlike that of any other source.
        path: the file (a WFDB header without ``.hea``).
        ecg: how the output refers to the recording: a path relative to what all sources have in common.
        report: what a clinician or a machine wrote about it, or ``""``.
        age: years, where the table of reports says it.
        sex: ``"female"`` or ``"male"``, where the table says it.
        options: of ``read_record``, e.g. ``(("fs", 500.0),)``: what the file does not tell, or tells wrongly.
    """

    id: str
    path: str
    ecg: str = ""
    report: str = ""
    age: float | None = None
    sex: str | None = None
    options: tuple[tuple[str, Any], ...] = ()

    def read(self) -> ECGRecord:
        """The recording, under this source's name.

        Raises:
            EcgError: it can't be read.
        """
        from grounding.readers import read_record

        record = read_record(self.path, **dict(self.options))
        told = {"age": self.age, "sex": self.sex}
        return replace(
            record, record_id=self.id, meta={**record.meta, **{k: v for k, v in told.items() if v is not None}}
        )


@dataclass(frozen=True)
class Told:
    """A row of a table of reports."""

    report: str
    age: float | None
    sex: str | None


def find_sources(paths: Iterable[str | Path], reports: str | Path | None = None, **options: Any) -> list[Source]:
    """The recordings in files and folders, each once, in the order of their names.

    Args:
        paths: recordings (WFDB names with or without ``.hea``) and folders, which are searched to their depth.
        reports: a CSV with a column ``report`` and one that names the recording (``record``, ``filename_hr``,
            ``ecg_id``, ...); where it is ``None`` a ``labels.csv`` or ``ptbxl_database.csv`` in a named folder, or in
            the one above it, is taken.
        options: of ``read_record``, for every recording: ``fs``, ``leads``, ``units``, ``format``.

    Raises:
        EcgError: a path does not exist, nothing was found, or the table can't be used.

    Example:
        >>> from grounding import sample_path
        >>> found = find_sources([sample_path().parent])
        >>> found[0].id, len(found)
        ('ludb_13', 10)
    """
    given = [Path(path).expanduser() for path in paths]
    files: dict[Path, None] = {}
    for path in given:
        for file in _files(path):
            files.setdefault(file, None)
    if not files:
        raise EcgError(
            "no recording was found",
            where=", ".join(map(str, given)) or "the sources",
            remedy="name files or folders that hold some",
        )
    common = Path(os.path.commonpath([str(file.parent) for file in files]))
    tables = [Path(reports).expanduser()] if reports is not None else _tables(given)
    told: dict[str, Told] = {}
    for table in tables:
        told |= read_reports(table)
    sources: dict[str, Source] = {}
    for file in sorted(files):
        shown = file.relative_to(common)
        name = shown.with_suffix("") if file.suffix.lower() == ".hea" else shown
        key = re.sub(r"[^\w.-]+", "-", "-".join(name.parts))
        while key in sources:  # two names that only differ in a sign that a file name can't hold
            key += "_"
        row = _row(told, file)
        where = str(file.with_suffix("")) if file.suffix.lower() == ".hea" else str(file)
        # what a name that is not UTF-8 leaves of it; the file is opened by its own
        ecg = name.as_posix().encode(errors="replace").decode()
        known = ("", None, None) if row is None else (row.report, row.age, row.sex)
        sources[key] = Source(key, where, ecg, *known, tuple(sorted(options.items())))
    return list(sources.values())


def read_reports(table: str | Path) -> dict[str, Told]:
    """Report, age and sex by the name of the recording (its file name without extension, or the number of PTB-XL).

    Raises:
        EcgFormatError: the file is not a CSV with a ``report`` column and one that names the recording.
    """
    path = Path(table)
    out: dict[str, Told] = {}
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
                told = Told((row["report"] or "").strip(), _number(row.get("age")), _sex(row.get("sex")))
                out |= {_key(row[name]): told for name in keys if row[name]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgFormatError(f"can't be read ({error})", where=str(path), remedy="name a CSV file in UTF-8") from error
    return out


def _files(path: Path) -> list[Path]:
    from grounding.readers import readers

    if path.is_dir():
        known = {extension for name in readers for extension in readers[name].extensions} - {".dat", ".mat"}
        return [
            file.resolve()
            for file in path.rglob("*")
            if file.suffix.lower() in known
            and file.name not in TABLE_NAMES
            and file.is_file()
            and not (file.suffix.lower() == ".csv" and file.parent.joinpath(file.stem + ".hea").is_file())
        ]
    header = path.with_name(path.name + ".hea")
    if not path.is_file() and header.is_file():
        return [header.resolve()]
    beside = path.with_suffix(".hea")
    if path.suffix.lower() in {".dat", ".mat"} and beside.is_file():
        return [beside.resolve()]
    if path.is_file():
        return [path.resolve()]
    raise EcgError("there is no such file or folder", where=str(path), remedy="check the path")


def _tables(given: Sequence[Path]) -> list[Path]:
    folders = [folder for path in given for folder in (path.resolve(), path.resolve().parent)]
    found = [folder / name for folder in folders for name in TABLE_NAMES if (folder / name).is_file()]
    return list(dict.fromkeys(found))


def _row(told: dict[str, Told], file: Path) -> Told | None:
    return told.get(_key(file.name))


def _key(name: str) -> str:
    """What a file and a table's row agree on: the bare name; for PTB-XL its number."""
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
