"""The formats that an explanation is written in, by the end of a file's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..errors import GemInputError
from .files import json_file

if TYPE_CHECKING:
    from .subject import Shown

# the end of a name -> media type; the longer ends first
FORMATS = {
    ".fhir.json": "application/fhir+json",
    ".sr.json": "application/dicom+json",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".pdf": "application/pdf",
    ".typ": "text/plain; charset=utf-8",
}


class _Told(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


def format_of(name: str) -> str:
    """The format of a file's name, a key of ``FORMATS``.

    Args:
        name: of a file.

    Raises:
        GemInputError: no view writes such a file.
    """
    found = next((end for end in FORMATS if name.lower().endswith(end)), None)
    if found is None:
        end = f".{name.rpartition('.')[2]}" if "." in name else "a file without suffix"
        raise GemInputError(
            f"no view writes {end!r}", where=name, remedy="use .html, .pdf, .typ, .json, .fhir.json or .sr.json"
        )
    return found


def content(explanation: Any, ending: str) -> bytes:
    """An explanation in a format.

    Args:
        explanation: what to write.
        ending: a key of ``FORMATS``.

    Raises:
        GemError: ``.pdf`` without the ``report`` extra.
    """
    shown: Shown = explanation
    if ending == ".json":
        told: _Told = explanation
        return json_file(told.to_dict())
    if ending == ".fhir.json":
        from .fhir import bundle

        return json_file(bundle(shown))
    if ending == ".sr.json":
        from .structured_report import report

        return json_file(report(shown))
    if ending == ".pdf":
        from .pdf import document

        return document(shown)
    if ending == ".typ":
        from .typeset import source

        return source(shown)
    from .html import page

    return page(shown).encode(errors="replace")
