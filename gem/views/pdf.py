"""The explanation as a PDF, typeset by typst."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GemError
from .typeset import source

if TYPE_CHECKING:
    from .subject import Shown


def document(explanation: Shown) -> bytes:
    """The bytes of a PDF.

    Args:
        explanation: what to show.

    Raises:
        GemError: the ``report`` extra is not installed.
    """
    try:
        import typst
    except ImportError:
        raise GemError("a PDF needs the package typst", remedy='pip install "gem-ecg[report]"') from None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "main.typ"
        path.write_bytes(source(explanation))
        return bytes(typst.compile(str(path), root=folder))
