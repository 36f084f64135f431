"""Where pages go when only a folder is named: a page for each recording, and no page over another recording's."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .subject import Shown

LONGEST = 150  # bytes of a name; systems take 255
MOST_BYTES = 64 << 20  # of a file that may be one of our pages


def mark(explanation: Shown) -> str:
    """What a page carries to tell whose it is: a digest of the recording, equal whenever it is explained again."""
    digest = hashlib.sha256(explanation.record_id.encode(errors="surrogatepass"))
    if explanation.record is not None:
        digest.update(f"{explanation.record.fs!r} {explanation.record.leads!r}".encode(errors="surrogatepass"))
        digest.update(explanation.record.signal.tobytes())
    return f"gem-recording-{digest.hexdigest()[:32]}"


class PageFiles:
    """Writes the pages of one run.

    A page is named after its recording. Where that name is taken, by another recording of this run or by a file that
    is not this recording's page of an earlier run, the page gets the next free number: ``rec.html``, ``rec-2.html``.
    """

    def __init__(self) -> None:
        self._written: set[str] = set()

    def save(self, explanation: Shown, folder: str | Path, suffix: str) -> Path:
        """Write a page into a folder, which is made where it is not there; returns the file.

        Args:
            explanation: what to write.
            folder: where.
            suffix: ``".html"`` or ``".pdf"``, see ``gem.Explanation.save``.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        stem = _stem(explanation.record_id)
        for number in itertools.count(1):
            path = Path(folder) / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            key = str(path.absolute()).casefold()  # some systems see no difference between A and a
            if key in self._written or not _claim(path, mark(explanation)):
                continue
            self._written.add(key)
            try:
                return explanation.save(path)
            finally:
                if path.is_file() and not path.stat().st_size:  # the name was claimed, and then it failed
                    path.unlink()
        raise AssertionError  # for mypy: the numbers don't end


def _stem(record_id: str) -> str:
    """A file name from a recording's, whatever signs are in it."""
    safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in record_id).strip(".")
    return safe.encode()[:LONGEST].decode(errors="ignore") or "recording"


def _claim(path: Path, own: str) -> bool:
    """Whether the page may be written there; a name that was free is taken at once, so that no run beside this one takes it too."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return path.is_file() and path.stat().st_size <= MOST_BYTES and own.encode() in path.read_bytes()
    return True
