"""Recordings to make instructions from: one ``Source`` per recording in files and folders, with its report if any."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grounding.errors import EcgError
from grounding.readers.listing import find_recordings
from grounding.record import ECGRecord

from ..patients import PatientRow, patients_of


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
        table: name of that table.
        options: of ``read_record``, e.g. ``(("fs", 500.0),)``, for what is missing or wrong in the file.
    """

    id: str
    path: str
    ecg: str = ""
    report: str = ""
    age: float | None = None
    sex: str | None = None
    table: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    def read(self) -> ECGRecord:
        """The recording, with this source's name, and with its age and sex where the file tells none.

        Raises:
            EcgError: it can't be read.
        """
        from grounding.readers import read_record

        record = replace(read_record(self.path, **dict(self.options)), record_id=self.id)
        return PatientRow(self.report, self.age, self.sex, self.table).on(record)


def find_sources(
    paths: Iterable[str | Path], reports: str | Path | None = None, *, out: str | Path | None = None, **options: Any
) -> list[Source]:
    """The recordings in files and folders, each once, ordered by name.

    Args:
        paths: recordings (WFDB names with or without ``.hea``) and folders, which are searched recursively.
        reports: a CSV with a column ``report`` and one that names the recording (``filename_hr``, ``path``, ``record``,
            ``ecg_id``, ...); when ``None``, a ``labels.csv`` or ``ptbxl_database.csv`` in a recording's folder or
            above it, as far as the folder above the given one. See ``gem.patients``.
        out: the folder that is written, in which nothing is looked for.
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
    table = None if reports is None else Path(reports).expanduser().resolve()
    named = [Path(os.path.abspath(file)) for file in find_recordings(given, out=out) if file.resolve() != table]
    if not named:
        raise EcgError(
            "no recording was found",
            where=", ".join(map(str, given)) or "the sources",
            remedy="name files or folders that hold some",
        )
    patients = patients_of(named, given, table)
    files = {file.resolve(): patients.get(file, PatientRow()) for file in named}
    common = Path(os.path.commonpath([str(file.parent) for file in files]))
    sources: dict[str, Source] = {}
    for file in sorted(files):
        shown = file.relative_to(common)
        name = shown.with_suffix("") if file.suffix.lower() == ".hea" else shown
        key = re.sub(r"[^\w.-]+", "-", "-".join(name.parts))
        while key in sources:  # two names that differ only in characters that were replaced
            key += "_"
        row = files[file]
        where = str(file.with_suffix("")) if file.suffix.lower() == ".hea" else str(file)
        # for names that are not UTF-8; the file is opened by its real name
        ecg = name.as_posix().encode(errors="replace").decode()
        told = (row.report, row.age, row.sex, row.table)
        sources[key] = Source(key, where, ecg, *told, tuple(sorted(options.items())))
    return list(sources.values())
