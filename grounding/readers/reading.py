"""``read_record``: one call for every format; a file that can't be read raises an EcgError and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import EcgError, EcgFormatError
from ..record import ECGRecord
from .bounds import MAX_FILE_BYTES
from .channels import OPTIONS, Channels, Options, to_record, with_options
from .foreign import content_name, is_annotations
from .not_signal import without_non_signal
from .plausibility import plausibility_warnings
from .registry import SNIFF_BYTES, Reader, readers


def read_record(
    path: str | Path,
    *,
    format: str | None = None,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    units: str | None = None,
    age: float | None = None,
    sex: str | None = None,
    **options: Any,
) -> ECGRecord:
    """Read a recording from a file.

    The format is determined by the extension and, where several formats share it, by the first bytes. A path without an
    extension is a WFDB record name (``REC`` for ``REC.hea`` + ``REC.dat``).

    Args:
        path: the file, or a WFDB record name.
        format: name of a reader (``grounding.readers.readers``), if it can't be determined.
        fs: sampling rate, Hz, if that of the file is missing or wrong.
        leads: the channels to take, in this order; or, where the file has other names or none, a name for every
            channel.
        units: unit of the samples, if that of the file is missing or wrong: ``"mV"``, ``"uV"``, ``"V"``, ``"nV"``,
            ``"zscore"``, ``"adu"``.
        age: the patient's age, years.
        sex: ``"female"`` or ``"male"``.
        **options: options of a single format, such as ``group`` of a DICOM file.

    Returns:
        ECGRecord with ``signal`` float32 (leads, samples) in mV; ``meta["format"]`` is the name of the reader,
        ``meta["channel_names"]`` maps our lead names to the file's where they differ, and ``meta["warnings"]`` lists
        what is unusual (channels that were left out, a unit that is no voltage, an implausible amplitude, limb leads
        that violate Einthoven's law).

    Raises:
        EcgFormatError: the file is missing, empty, truncated or not of its format.
        EcgSignalError: its samples, leads, units or rate can't be used.
        EcgRegistryError: no reader has the name ``format``.
        EcgError: the format has no such option, or needs a package that is not installed.

    Example:
        >>> from grounding import read_record, sample_path
        >>> record = read_record(sample_path())
        >>> record.n_leads, record.fs
        (12, 500.0)
    """
    file = _locate(_as_path(path))
    where = str(file)
    common = Options(fs, leads, units, age, sex).check(where)
    reader = readers[format] if format is not None else _select_reader(file)
    known = inspect.signature(reader.read).parameters
    for name in options:
        if name not in known or name == "path":
            takes = ", ".join(dict.fromkeys([*OPTIONS, *(n for n in known if n != "path")]))
            raise EcgError(f"the {reader.name} reader has no option {name!r}", where=where, remedy=f"options: {takes}")
    options |= {
        name: getattr(common, name) for name in OPTIONS if name in known
    }  # common options that the reader needs itself
    try:
        found = reader.read(file, **options)
        if isinstance(found, Channels):
            record = to_record(found, common, where, file.stem)
        else:
            record = with_options(found, common, where)
    except EcgError:
        raise
    except ImportError as error:
        raise EcgError(
            f"the {reader.name} reader needs the package {error.name}",
            where=where,
            remedy="install it with: pip install 'gem-ecg[formats]'",
        ) from error
    except Exception as error:  # parsers raise many kinds of errors on damaged files
        raise EcgFormatError(
            f"can't be read as {reader.name} ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            where=where,
            remedy="check that the file is complete, or name its format with format=",
        ) from error
    record = without_non_signal(record)
    warnings = (*record.meta.get("warnings", ()), *plausibility_warnings(record))
    return replace(record, meta={**record.meta, "format": reader.name, "path": where, "warnings": warnings})


def _as_path(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except (TypeError, RuntimeError) as error:  # not a path, or the home of an unknown user
        raise EcgFormatError(f"no path of a file ({error})", where=repr(path), remedy="pass a str or a Path") from None


def _locate(path: Path) -> Path:
    """The file that a path or a WFDB record name stands for."""
    where = str(path)
    try:
        if path.is_file():
            size = path.stat().st_size
            if size == 0:
                raise EcgFormatError("the file is empty", where=where, remedy="fetch or export it again")
            if size > MAX_FILE_BYTES:
                raise EcgFormatError(f"the file has {size} bytes, over {MAX_FILE_BYTES}", where=where, remedy="cut it")
            return path
        header = Path(f"{path}.hea")
        if header.is_file():
            return _locate(header)
        if path.is_dir():
            raise EcgFormatError("this is a folder, not a recording", where=where, remedy="name one file in it")
        near = sorted(p.name for p in path.parent.glob(f"{_glob_literal(path.name)}.*"))[:3] if path.name else []
    except (OSError, ValueError) as error:
        raise EcgFormatError(f"can't be opened ({error})", where=where, remedy="check the path") from error
    if near and not path.suffix:
        raise EcgFormatError(
            "there is no header file for this record",
            where=where,
            remedy=f"a WFDB record needs {path.name}.hea beside it; here is only {', '.join(near)}",
        )
    raise EcgFormatError("there is no such file", where=where, remedy="check the path")


def _glob_literal(name: str) -> str:
    """A file name with the special characters of glob escaped."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _select_reader(file: Path) -> Reader:
    """The reader for a file: one that fits both its extension and its first bytes, or else its first bytes."""
    extension = file.suffix.lower()
    named = [readers[name] for name in readers if extension in readers[name].extensions]
    if any(reader.name == "wfdb" for reader in named) and file.with_suffix(".hea").is_file():
        return readers["wfdb"]  # signal files have no signature
    with file.open("rb") as handle:
        head = handle.read(SNIFF_BYTES)
    matching = [readers[name] for name in readers if (sniff := readers[name].sniff) is not None and sniff(head)]
    for reader in [one for one in matching if one in named] or matching:
        return reader
    if readers.load_plugins():  # a plugin may have a reader for it
        return _select_reader(file)
    foreign = content_name(head)
    if foreign is not None and not (foreign == "a MATLAB file" and named):
        raise EcgFormatError(f"this is {foreign}", where=str(file), remedy=f"the formats read are {', '.join(readers)}")
    without_sniff = [reader for reader in named if reader.sniff is None]
    if without_sniff or len(named) == 1:  # take the reader of the extension, which raises an error on wrong content
        return (without_sniff or named)[0]
    if is_annotations(file.name):
        raise EcgFormatError(
            "this is a WFDB annotation file, without samples", where=str(file), remedy="name the record or its .hea"
        )
    raise EcgFormatError(
        f"no reader knows {'this content' if named else f'the extension {extension!r}' if extension else 'this file'}",
        where=str(file),
        remedy=f"name one with format=: {', '.join(readers.list())}",
    )
