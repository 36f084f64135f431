"""Options of the commands that read a recording or a text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grounding
from grounding import EcgError, ECGRecord

from ..errors import GemInputError

READING = ("fs", "leads", "units", "age", "sex", "format")  # options of read_record


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``grounding.read_record``.

    Args:
        parser: of a command.
    """
    group = parser.add_argument_group("what a file does not tell, or tells wrongly")
    group.add_argument("--fs", type=float, help="sampling rate, Hz")
    group.add_argument("--leads", help="channels to take, or names for all of them, e.g. I,II,V1")
    group.add_argument("--units", help="what the samples are in: mV, uV, V, zscore, adu")
    group.add_argument("--age", type=float, help="the patient's age, years")
    group.add_argument("--sex", help="female or male")
    group.add_argument("--format", help="name of a reader, where the file does not tell")


def read(path: str | Path, args: argparse.Namespace) -> ECGRecord:
    """Read a recording with the options that were given.

    Args:
        path: of the recording.
        args: of the command.
    """
    return grounding.read_record(path, **{name: getattr(args, name) for name in READING})


def refuse_standard_input(record: str) -> None:
    """Of a command whose standard input is a text or questions.

    Args:
        record: as named on the command line.

    Raises:
        GemInputError: it is ``-``.
    """
    if record == "-":
        raise GemInputError("the recording can't come from the standard input", where="-", remedy="name its file")


def read_text(path: str | Path) -> str:
    """A text from a file, or from the standard input.

    Args:
        path: of a file in UTF-8, or in UTF-16 with its mark; ``-`` for the standard input.

    Raises:
        EcgError: it can't be read, or is not text in one of these encodings.
    """
    if str(path) == "-":
        try:
            return sys.stdin.read()
        except UnicodeDecodeError:
            raise EcgError("the standard input is not UTF-8 text", remedy="convert it to UTF-8") from None
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise EcgError("the file is not UTF-8 text", where=str(path), remedy="save it as UTF-8") from None
    if "\0" in text:
        raise EcgError("the file is not a text file", where=str(path), remedy="save the report as plain text")
    return text
