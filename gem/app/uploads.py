"""Files that were dropped on the page: their names are checked, and they are on disk only while they are read."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile

from ..errors import GemInputError
from .limits import MAX_FILES, MAX_NAME_BYTES, MAX_TEXT

_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)  # names that Windows reserves
NUMBERS = ("fs", "age")
WORDS = ("leads", "units", "sex", "format")


def checked_name(name: str | None) -> str:
    """The name of a file, if it is one.

    Args:
        name: as a browser sent it.

    Raises:
        GemInputError: it is a path, empty, hidden or too long.
    """
    given = name or ""
    if (
        not given
        or _UNSAFE.search(given)
        or given.startswith(".")
        or given.endswith((".", " "))
        or _DEVICES.fullmatch(given)
        or len(given.encode(errors="surrogatepass")) > MAX_NAME_BYTES
    ):
        raise GemInputError("a file's name is no plain name", where=given[:80] or "file", remedy="rename it")
    return given


def files_of(form: FormData) -> list[tuple[str, UploadFile]]:
    """The files of a drop with their names.

    Args:
        form: as it was read.

    Raises:
        GemInputError: there is none, too many, a name that is none, or one twice.
    """
    files = [one for one in form.getlist("files") if isinstance(one, UploadFile)]
    if not 1 <= len(files) <= MAX_FILES:
        raise GemInputError(f"{len(files)} files", where="drop", remedy=f"drop 1 to {MAX_FILES} files at once")
    named = [(checked_name(file.filename), file) for file in files]
    if len({name.casefold() for name, _ in named}) < len(named):
        raise GemInputError("two files have the same name", where="drop", remedy="drop them one by one")
    return named


def write_files(folder: Path, files: Sequence[tuple[str, UploadFile]]) -> None:
    """Write the files into a folder.

    Args:
        folder: empty.
        files: with their names.
    """
    for name, file in files:
        file.file.seek(0)
        with (folder / name).open("xb") as copy:
            shutil.copyfileobj(file.file, copy, 1 << 20)


def options_of(form: FormData) -> dict[str, Any]:
    """What a person says about a file that does not tell it: options of ``grounding.read_record``.

    Args:
        form: as it was read.

    Raises:
        GemInputError: a number that is none.
    """
    given = {name: str(form[name]).strip() for name in (*NUMBERS, *WORDS) if isinstance(form.get(name), str)}
    out: dict[str, Any] = {name: text for name, text in given.items() if text and name in WORDS}
    for name in NUMBERS:
        if given.get(name):
            try:
                out[name] = float(given[name])
            except ValueError:
                raise GemInputError(f"{given[name][:20]!r} is no number", where=name) from None
    return out


def checked_text(text: Any, most: int = MAX_TEXT) -> str:
    """A text of a request.

    Args:
        text: as it came.
        most: characters.

    Raises:
        GemInputError: it is no text, or too long.
    """
    if not isinstance(text, str):
        raise GemInputError("there is no text", where="text")
    if len(text) > most:
        raise GemInputError(f"{len(text)} characters", where="text", remedy=f"at most {most} are checked at once")
    return text.encode(errors="replace").decode()  # half of a character, which JSON allows, can't be sent back
