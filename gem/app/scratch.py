"""One private folder for the files of a run of ``gem app``; it is gone when the run ends, however it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_EVERY_S = 0.25


class Scratch:
    """A private folder; temporary files of this process go there, too, until it is closed.

    Attributes:
        path: of the folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gem-app-"))  # only its owner may look into it
        self._before = tempfile.tempdir
        tempfile.tempdir = str(self.path)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder in it, which is removed with all that it holds."""
        path = Path(tempfile.mkdtemp(dir=self.path))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder."""
        tempfile.tempdir = self._before
        shutil.rmtree(self.path, ignore_errors=True)


def end_with_server(server: int, scratch: str) -> None:
    """In a worker process: once the server is gone, even if it was killed, remove its folder and end.

    Args:
        server: its process id.
        scratch: the folder.
    """

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(_LOOK_EVERY_S)
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="end with server", daemon=True).start()
