"""File names for pages in a folder: one page per recording, and none overwrites another recording's page."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GemError

if TYPE_CHECKING:
    from .subject import Shown

MAX_NAME_BYTES = 150  # of a file name; file systems allow 255
MAX_PAGE_BYTES = 64 << 20  # larger files are not searched for the mark of a page


def mark(explanation: Shown) -> str:
    """A digest of the recording, by which a page shows which recording it is about; the same at every run.

    Args:
        explanation: of the recording.
    """
    digest = hashlib.sha256(explanation.record_id.encode(errors="surrogatepass"))
    if explanation.record is not None:
        digest.update(f"{explanation.record.fs!r} {explanation.record.leads!r}".encode(errors="surrogatepass"))
        digest.update(explanation.record.signal.tobytes())
    return f"gem-recording-{digest.hexdigest()[:32]}"


def json_file(data: Any) -> bytes:
    """JSON as it is saved: a lone surrogate, from a file name that is not UTF-8, becomes its JSON escape.

    Args:
        data: JSON-ready.
    """
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def write_view(path: Path, content: bytes) -> Path:
    """Write a file that a user named.

    Args:
        path: of the file.
        content: of it.

    Returns:
        The path.

    Raises:
        GemError: it can't be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise GemError(f"can't be written ({error.strerror})", where=str(path), remedy="check the folder") from None
    return path


class PageFiles:
    """Writes the pages of one run.

    A page is named after its recording. If that name is taken, by another recording of this run or by a file other than
    this recording's page of an earlier run, the page gets the next free number: ``rec.html``, ``rec-2.html``.
    """

    def __init__(self) -> None:
        self._written: set[str] = set()

    def save(self, explanation: Shown, folder: str | Path, suffix: str) -> Path:
        """Write a page.

        Args:
            explanation: what to write.
            folder: created if it does not exist.
            suffix: ``".html"`` or ``".pdf"``, see ``gem.Explanation.save``.

        Returns:
            The file.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        stem = _stem(explanation.record_id)
        for number in itertools.count(1):
            path = Path(folder) / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            key = str(path.absolute()).casefold()  # some file systems ignore case
            if key in self._written or not _reserve(path, mark(explanation)):
                continue
            self._written.add(key)
            try:
                return explanation.save(path)
            finally:
                if path.is_file() and not path.stat().st_size:  # the name was reserved, but writing failed
                    path.unlink()
        raise AssertionError  # for mypy: count() does not end


def _stem(record_id: str) -> str:
    """A valid file name from a recording's name."""
    safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in record_id).strip(".")
    return safe.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "recording"


def _reserve(path: Path, page_mark: str) -> bool:
    """Whether the page may be written there; a free name is created at once, so that no parallel run takes it."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return path.is_file() and path.stat().st_size <= MAX_PAGE_BYTES and page_mark.encode() in path.read_bytes()
    return True
