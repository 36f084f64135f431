"""The errors that this package raises. Each says what is wrong, where, and what to do."""

from __future__ import annotations


class EcgError(Exception):
    """Base of every error this library raises about a recording or a request.

    Args:
        what: what is wrong, in one line.
        where: the file, lead, row or argument in which it is.
        remedy: what the user can do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        parts = [f"{where}: {what}" if where else what]
        if remedy:
            parts.append(remedy)
        line = ". ".join(part.rstrip(".") for part in parts) + "."
        # a file name need not be valid UTF-8, but a message must be, or it can't be printed
        super().__init__(line.encode("utf-8", "backslashreplace").decode("utf-8"))


class EcgFormatError(EcgError):
    """A file that can't be read as the format it claims to be."""


class EcgSignalError(EcgError):
    """A recording whose samples, leads, units or sampling rate can't be used."""


class EcgRegistryError(EcgError, KeyError):
    """A name that no registry entry has."""

    def __str__(self) -> str:
        return Exception.__str__(self)
