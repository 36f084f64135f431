"""The recordings in folders and lists of names, each once: a WFDB record is its header, whatever other files it has."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import EcgError
from .foreign import content_name, is_annotations
from .registry import SNIFF_BYTES, readers
from .wfdb_header import MAX_HEADER_BYTES

# tables and texts that data sets keep beside their recordings
NOT_RECORDINGS = {"labels.csv", "ptbxl_database.csv", "scp_statements.csv"}
NOT_RECORDINGS |= {f"{name}.txt" for name in ("license", "readme", "sha256sums", "changelog")}
# files of which a user hears that they were left: they may hold a recording
_MAY_HOLD = ("archive", "recording", "HDF5", "MATLAB", "BrainVision", "FLAC", "pickle", "Excel")


def find_recordings(paths: Iterable[str | Path], missing: bool = False, out: str | Path | None = None) -> list[Path]:
    """The recordings in files and folders, each once; a warning tells what else there may hold one.

    Args:
        paths: recordings (WFDB names with or without ``.hea``; a ``.dat`` beside a header is that header's), folders,
            which are searched recursively, and lists: text files whose first line names a recording, beside the list
            or from here.
        missing: list names that do not exist too, so that reading them tells what is wrong.
        out: a file or folder that is written, which holds no recordings.

    Returns:
        Files in the order given, those of a folder by name; the header of a WFDB record, and not those of its segments;
        of one recording in several forms beside each other (``a.hea``, ``a.csv``, ``a.png``) its header, or else what
        is no picture. Files without an extension are told by their first bytes.

    Raises:
        EcgError: a path does not exist, without ``missing``.

    Example:
        >>> from grounding import sample_path
        >>> found = find_recordings([sample_path().parent])
        >>> found[0].name, len(found)
        ('ludb_13.hea', 10)
    """
    found: dict[Path, Path] = {}
    skipped: dict[Path, str] = {}
    for path in map(Path, paths):
        for file in _in_folder(path, out, skipped) if path.is_dir() else _of_name(path, missing):
            found.setdefault(file.resolve(), file)
    if skipped:
        some = "; ".join(f"{file} ({why})" for file, why in list(skipped.items())[:3])
        warnings.warn(f"skipped: {len(skipped)} files: {some}{'; ...' * (len(skipped) > 3)}", stacklevel=2)
    return list(found.values())


def _in_folder(folder: Path, out: str | Path | None, skipped: dict[Path, str]) -> list[Path]:
    extensions = {extension for name in readers for extension in readers[name].extensions} - {".dat", ".mat"}
    pictures = {*readers["picture"].extensions}
    written = None if out is None else Path(out).resolve()
    files = sorted(file for file in _files(folder) if file.is_file() and file.name.lower() not in NOT_RECORDINGS)
    if written is not None:
        files = [file for file in files if file.resolve() != written and written not in file.resolve().parents]
    headers = {file.with_suffix("") for file in files if file.suffix.lower() == ".hea"}
    parts, signal_files = _named_in(headers)
    recorded = {file.with_suffix("") for file in files if file.suffix.lower() in extensions - pictures}
    found: list[Path] = []
    for file in files:
        extension, stem = file.suffix.lower(), file.with_suffix("")
        if extension == ".hea":
            found += [file] if stem not in parts else []
        elif stem in headers or (extension in pictures and stem in recorded):
            continue  # the signals, annotations, exports and plots of another file
        elif extension in extensions:
            found.append(file)
        elif extension in (".dat", ".mat"):
            if file not in signal_files:
                skipped[file] = "no header (.hea) names it"
        elif not is_annotations(file.name):
            head = _start(file)
            # the names of DICOM files are often numbers, with dots
            named_by_number = not extension or extension[1:].isdecimal()
            if named_by_number and any((sniff := readers[name].sniff) is not None and sniff(head) for name in readers):
                found.append(file)
            elif any(word in (kind := content_name(head) or "") for word in _MAY_HOLD):
                skipped[file] = f"this is {kind}"
    return found


def _start(file: Path, n_bytes: int = SNIFF_BYTES) -> bytes:
    """The first bytes of a file; none where it can't be opened."""
    try:
        with file.open("rb") as handle:
            return handle.read(n_bytes)
    except OSError:
        return b""


def _named_in(headers: Iterable[Path]) -> tuple[set[Path], set[Path]]:
    """The parts of other records (segments, and values by the minute), and the signal files, that WFDB headers name."""
    parts, files = set[Path](), set[Path]()
    for record in headers:
        text = _start(record.with_name(record.name + ".hea"), MAX_HEADER_BYTES).decode("latin-1")
        first, *others = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"] or [[""]]
        named = {record.parent / words[0] for words in others}
        if re.fullmatch(r"[^/]*/\d+", first[0]):
            parts |= named
        else:
            files |= named
        if len(first) > 2 and re.match(r"0*\.\d", first[2]):  # less than a value per second is no signal
            parts.add(record)
    return parts, files


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
