"""Where a recording comes from and the state of its files: what a cache of prepared recordings is kept by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from grounding import ECGRecord

# a WFDB record is named without the endings of its files
_ENDINGS = ("", ".hea", ".dat", ".mat")


def stamp(read: Callable[[], ECGRecord]) -> list[str]:
    """What tells a recording from others, also of the same name, and from an earlier state of its files.

    Args:
        read: reads the recording. With ``functools.partial``, its arguments name the file and what is read from it, and
            path, size and time of the file are taken; of any other function the recording is read and its samples are.

    Returns:
        Words, the same as long as the recording is.
    """
    words: list[str] = []
    found = False
    for value in read.args if isinstance(read, partial) else ():
        words.append(str(value))
        for ending in _ENDINGS if isinstance(value, str | Path) else ():
            path = Path(f"{value}{ending}").absolute()
            if path.is_file():
                found, state = True, path.stat()
                words.append(f"{path} {state.st_size} {state.st_mtime_ns}")
    return words if found else [hashlib.sha256(read().signal.tobytes()).hexdigest()]
