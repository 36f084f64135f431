"""Tables beside recordings that tell report, age and sex, joined to the recordings whose files they name."""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grounding.errors import EcgFormatError
from grounding.readers.device import age_of_text, sex_of_text
from grounding.record import ECGRecord

TABLE_NAMES = ("labels.csv", "ptbxl_database.csv")
# what names a recording, the surest first: a path is used before a name, and a name before a number, which may count
# the rows alone
PATH_COLUMNS = ("filename_hr", "filename_lr", "filename", "file", "path")
NAME_COLUMNS = ("record", "record_id", "name", "ecg_id", "id")
_PTBXL_NAME = re.compile(r"0*(\d+)_(?:hr|lr)")
_PTBXL_SEX = {"0": "male", "1": "female"}
_SIGNAL_FILE = re.compile(r"\.(hea|dat|mat)$", re.IGNORECASE)
_EXACT = 1 << 20  # more trailing parts of a path than any two have in common


@dataclass(frozen=True)
class PatientRow:
    """What a table tells of a recording.

    Attributes:
        report: by a clinician or a machine, or ``""``.
        age: years.
        sex: ``"female"`` or ``"male"``.
        table: name of the table, for messages.
    """

    report: str = ""
    age: float | None = None
    sex: str | None = None
    table: str = ""

    def on(self, record: ECGRecord) -> ECGRecord:
        """A recording with age and sex where its own file tells none; a difference between the two is a warning.

        Args:
            record: as read from its file, which is right where the table differs: it can't be another patient's.
        """
        meta = dict(record.meta)
        said = meta.get("warnings", ())
        for name, value in (("age", self.age), ("sex", self.sex)):
            own = meta.get(name)
            if value is None or own == value:
                continue
            if own is None:
                meta[name] = value
            elif name == "sex" or abs(own - value) > 1:  # ages are rounded
                shown = [f"{one:g}" if isinstance(one, float) else one for one in (value, own)]
                said = (*said, f"{self.table} gives the {name} {shown[0]}, the recording {shown[1]}, which is used")
        return replace(record, meta={**meta, "warnings": said})


@dataclass
class PatientTable:
    """A table of patients.

    Attributes:
        path: its file.
        rows: one per row of the file.
        names: for each row, the names of its recording, each in parts: ``("records500", "00001_hr")``.
        column: the columns that name recordings.
        notes: what in it can't be used.
    """

    path: Path
    rows: list[PatientRow]
    names: list[list[tuple[str, ...]]]
    column: str
    notes: list[str] = field(default_factory=list)

    def join(self, files: Sequence[Path]) -> dict[Path, PatientRow]:
        """The row of each recording that it names, by as much of the path as both have.

        A name that fits several rows, or several recordings equally well, fits none of them.

        Args:
            files: recordings, absolute.
        """
        rows_of: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        for row, names in enumerate(self.names):
            for parts in names:
                rows_of.setdefault(parts[-1], []).append((row, parts))
        folder = self.path.absolute().parent
        claims: dict[int, list[tuple[int, Path]]] = {}
        unclear: set[Path] = set()
        for file in files:
            found: dict[int, int] = {}
            for own in _names_of(file, self.column):
                for row, parts in rows_of.get(own[-1], ()):
                    common = _common(own, parts)
                    if self.column == "ecg_id" or folder.joinpath(*parts) == Path(*own):
                        common = _EXACT
                    elif common < len(parts) and _is_there(folder.joinpath(*parts)):
                        continue  # the row is that of another recording of this name
                    found[row] = max(found.get(row, 0), common)
            best = [row for row in found if found[row] == max(found.values())]
            if len({self.rows[row] for row in best}) > 1:
                unclear.add(file)
            elif best:
                claims.setdefault(best[0], []).append((found[best[0]], file))
        joined: dict[Path, PatientRow] = {}
        for row, claimed in claims.items():
            most = max(score for score, _ in claimed)
            nearest = [file for score, file in claimed if score == most]
            if len(nearest) > 1 and most != _EXACT:
                unclear |= set(nearest)
            else:
                joined |= dict.fromkeys(nearest, self.rows[row])
        if unclear:
            some = ", ".join(sorted(file.name for file in unclear)[:3])
            self.notes.append(
                f"{len(unclear)} recordings have a name that fits several of its rows, or several recordings ({some}); "
                "nothing is taken for them: write paths from the table's folder"
            )
        first = next(("/".join(names[0]) for names in self.names if names), "nothing")
        if files and not joined and not unclear:
            self.notes.append(
                f"it names none of {len(files)} recordings: {first} is its first, by {self.column}, "
                f"and {files[0].name} that of the recordings"
            )
        elif len(joined) + len(unclear) < len(files):
            self.notes.append(f"it names {len(joined)} of {len(files)} recordings")
        return joined


def patients_of(
    files: Sequence[Path], given: Iterable[Path], table: str | Path | None = None
) -> dict[Path, PatientRow]:
    """What tables tell of recordings; a warning says what of a table could not be joined.

    Args:
        files: recordings, absolute.
        given: the files and folders they were found in: tables are looked for from a recording's folder upwards, as far
            as the folder above the given one; the nearest that names it counts.
        table: the table of all recordings, instead.

    Returns:
        Those of which a table tells something.

    Raises:
        EcgFormatError: ``table`` can't be read, or has no column that names recordings.
    """
    if table is not None:
        tables = [read_table(table)]
        reach = {tables[0].path: list(files)}
    else:
        reach = _reach(files, {folder for path in given for folder in (_absolute(path), _absolute(path).parent)})
        tables = list(_usable(reach))
    joined: dict[Path, PatientRow] = {}
    for one in tables:
        joined |= one.join([file for file in reach[one.path] if file not in joined])
        for note in one.notes:
            warnings.warn(f"{one.path}: {note}", stacklevel=2)
    return joined


def read_table(table: str | Path) -> PatientTable:
    """Read a table of patients.

    Args:
        table: a CSV file with ``report``, ``age`` or ``sex``, and a column that names the recording: a path
            (``filename``, ``path``, ...), or else a name (``record``, ``id``, ...; the ``ecg_id`` of PTB-XL).

    Raises:
        EcgFormatError: it is no such file.
    """
    path = Path(table).expanduser()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            lines = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",")
            lines.fieldnames = [name.strip().lower() for name in lines.fieldnames or ()]
            columns = set(lines.fieldnames)
            keys = [name for name in PATH_COLUMNS if name in columns]
            keys = keys or [name for name in NAME_COLUMNS if name in columns][:1]
            if not keys or not columns & {"report", "age", "sex"}:
                raise EcgFormatError(
                    "not a table of reports, age or sex",
                    where=str(path),
                    remedy=f"it needs a column 'report', and one of {', '.join((*PATH_COLUMNS, *NAME_COLUMNS))}",
                )
            found = PatientTable(path, [], [], " and ".join(keys))
            is_ptbxl = {"ecg_id", "scp_codes"} <= columns or {"filename_hr", "filename_lr"} <= columns
            for line in lines:
                found.rows.append(_row(line, path.name, is_ptbxl, found.notes))
                found.names.append([parts for key in keys if (parts := _parts(line[key] or "", key))])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgFormatError(f"can't be read ({error})", where=str(path), remedy="name a CSV file in UTF-8") from error
    return found


def _row(line: Mapping[str, str | None], table: str, is_ptbxl: bool, notes: list[str]) -> PatientRow:
    sex = (line.get("sex") or "").strip()
    number = sex.removesuffix(".0")
    coded = number.isdecimal()
    if coded and not is_ptbxl and not notes:
        notes.append(f"its sex is a number ({sex}), of which only PTB-XL says what it means; write female or male")
    told = _PTBXL_SEX.get(number) if coded and is_ptbxl else sex_of_text(sex)
    return PatientRow((line.get("report") or "").strip(), age_of_text(line.get("age") or ""), told, table)


def _reach(files: Sequence[Path], given: set[Path]) -> dict[Path, list[Path]]:
    """The tables beside recordings, the nearest first, with the recordings in their folders and below."""
    top = {folder for folder in given if not any(parent in given for parent in folder.parents)}
    here: dict[Path, list[Path]] = {}
    reach: dict[Path, list[Path]] = {}
    for file in files:
        highest = next((folder for folder in file.parents if folder in top), file.parent)
        for folder in file.parents:
            if folder not in here:
                here[folder] = [folder / name for name in TABLE_NAMES if (folder / name).is_file()]
            for table in here[folder]:
                reach.setdefault(table, []).append(file)
            if folder == highest:
                break
    return dict(sorted(reach.items(), key=lambda item: -len(item[0].parts)))


def _usable(paths: Iterable[Path]) -> Iterator[PatientTable]:
    """The tables that can be used; one that nobody named and that can't be is left with a warning."""
    for path in paths:
        try:
            yield read_table(path)
        except EcgFormatError as error:
            warnings.warn(f"{error} It is not used.", stacklevel=4)


def _bare(name: str) -> str:
    return _SIGNAL_FILE.sub("", name)


def _parts(text: str, column: str) -> tuple[str, ...]:
    """A path as a table has it, in parts, without the extension of a WFDB file."""
    if column == "ecg_id":
        text = text.strip().removesuffix(".0").lstrip("0")
    parts = [part for part in re.split(r"[/\\]", text.strip()) if part not in ("", ".", "..")]
    return (*parts[:-1], _bare(parts[-1])) if parts and _bare(parts[-1]) else ()


def _names_of(file: Path, column: str) -> list[tuple[str, ...]]:
    """How a table may name a file: with or without its extension; PTB-XL by the number in its name."""
    if column == "ecg_id":
        match = _PTBXL_NAME.fullmatch(_bare(file.name))
        return [(match[1],)] if match else []
    return [(*file.parts[:-1], name) for name in dict.fromkeys((_bare(file.name), file.stem))]


def _is_there(path: Path) -> bool:
    return path.exists() or path.with_name(path.name + ".hea").exists()


def _absolute(path: Path) -> Path:
    """A path without ``.`` and ``..``; links are not followed, since a table beside links names the links."""
    return Path(os.path.abspath(path))


def _common(left: Sequence[Any], right: Sequence[Any]) -> int:
    """Number of equal parts at the ends of two paths."""
    count = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        count += 1
    return count
