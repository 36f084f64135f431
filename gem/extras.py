"""Which extra of this package brings a library that is not there."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

# where a library is not imported by the name it is installed by
_INSTALLED_AS = {"sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow", "google": "protobuf"}
_UMBRELLAS = ("test", "docs", "dev")


def how_to_install(module: str) -> str:
    """The line to type for a library that could not be imported.

    Args:
        module: the name it is imported by, e.g. ``"typst"``.

    Example:
        >>> how_to_install("typst")
        'pip install "gem-ecg[report]"'
        >>> how_to_install("nowhere_else")
        'pip install nowhere_else'
    """
    name = _INSTALLED_AS.get(module.split(".")[0], module.split(".")[0])
    try:
        lines = requires("gem-ecg") or []
    except PackageNotFoundError:  # from a folder that was not installed
        lines = []
    for line in lines:
        found = re.match(r"([\w.-]+).*extra == [\"'](\w+)", line)
        if found and found[2] not in _UMBRELLAS and _same(found[1], name):
            return f'pip install "gem-ecg[{found[2]}]"'
    return f"pip install {name}"


def _same(one: str, other: str) -> bool:
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()
