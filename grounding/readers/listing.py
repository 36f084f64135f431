"""The recordings in folders and lists of names, each once: a WFDB record is its header, whatever other files it has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import EcgError
from .registry import readers

NOT_RECORDINGS = (
    "labels.csv",
    "ptbxl_database.csv",
    "scp_statements.csv",
)  # tables that data sets keep beside their recordings


def find_recordings(paths: Iterable[str | Path], missing: bool = False) -> list[Path]:
    """The recordings in files and folders, each once.

    Args:
        paths: recordings (WFDB names with or without ``.hea``; a ``.dat`` beside a header is that header's), folders,
            which are searched recursively, and lists: text files whose first line names a recording, beside the list
            or from here.
        missing: list names that do not exist too, so that reading them tells what is wrong.

    Returns:
        Files in the order given, those of a folder by name; the header of a WFDB record.

    Raises:
        EcgError: a path does not exist, without ``missing``.

    Example:
        >>> from grounding import sample_path
        >>> found = find_recordings([sample_path().parent])
        >>> found[0].name, len(found)
        ('ludb_13.hea', 10)
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        for file in _in_folder(path) if path.is_dir() else _of_name(path, missing):
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _in_folder(folder: Path) -> list[Path]:
    extensions = {extension for name in readers for extension in readers[name].extensions} - {".dat", ".mat"}
    return sorted(
        file
        for file in _files(folder)
        if file.suffix.lower() in extensions
        and file.name not in NOT_RECORDINGS
        and file.is_file()
        and not (file.suffix.lower() == ".csv" and file.parent.joinpath(file.stem + ".hea").is_file())
    )


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, those behind links to folders too, each folder once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(place) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        yield from (Path(place, name) for name in names)


def _of_name(path: Path, missing: bool) -> list[Path]:
    header = path.with_name(path.name + ".hea")
    if not path.is_file() and header.is_file():
        return [header]
    beside = path.with_suffix(".hea")
    if path.suffix.lower() in {".dat", ".mat"} and beside.is_file():
        return [beside]
    if not path.is_file() and missing:
        return [path]
    if not path.is_file():
        raise EcgError("there is no such file or folder", where=str(path), remedy="check the path")
    names = _listed(path)
    return [path] if names is None else [file for name in names for file in _of_name(name, missing)]


def _listed(path: Path) -> list[Path] | None:
    """The names in a list of recordings; None where the file is none."""
    if path.suffix.lower() not in ("", ".txt", ".lst"):
        return None
    try:
        with path.open(encoding="utf-8") as file:
            first = next((line.strip() for line in file if line.strip()), "")
            if (
                not first
                or len(first) > 4096
                or not any(_is_recording(name) for name in (Path(first), path.parent / first))
            ):
                return None
            file.seek(0)
            names = [line.strip() for line in file if line.strip()]
    except (OSError, ValueError):  # not text, or not a name
        return None
    return [Path(name) if _is_recording(Path(name)) else path.parent / name for name in names]


def _is_recording(path: Path) -> bool:
    return path.is_file() or path.with_name(path.name + ".hea").is_file()
