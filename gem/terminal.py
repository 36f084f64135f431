"""Everything that the command line prints goes through here: names come from files, and a terminal obeys what is in them.

Control characters (C0, C1), line and paragraph separators, marks that turn the direction of writing, and half
surrogate pairs are printed as their escapes; what the terminal's encoding lacks, too. Line breaks are only those
between the lines that are passed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import traceback
import warnings
from typing import IO, Any

# C0 and C1; Arabic letter mark, left-to-right and right-to-left marks, embeddings, overrides and isolates; separators;
# half pairs
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: object) -> str:
    r"""One line of text without anything that a terminal obeys.

    Example:
        >>> plain("red\x1b[31m\n\u202ename"), plain("PR 160 ms, µ")
        ('red\\x1b[31m\\x0a\\u202ename', 'PR 160 ms, µ')
    """
    return _OBEYED.sub(lambda found: _escape(ord(found[0])), str(text))


def say(*lines: object, to: IO[str] | None = None) -> None:
    """Print lines, each without control characters.

    Args:
        lines: at least one.
        to: the standard output when None.
    """
    stream = sys.stdout if to is None else to
    text = "".join(f"{plain(line)}\n" for line in lines)
    stream.write(_encodable(text, stream))


def say_error(line: object) -> None:
    """One line on the standard error, as every command of ours ends that can't go on."""
    say(f"gem: error: {line}", to=sys.stderr)


def say_json(value: Any) -> None:
    """Print JSON: the same values for a program, and no control character for a terminal."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    # within JSON's strings an escape is the same character; outside them there are only line breaks
    text = _OBEYED.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)
    if _encodable(text, sys.stdout) != text:
        text = json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False)
    sys.stdout.write(text + "\n")


def say_traceback() -> None:
    """The traceback of the exception that is being handled, on the standard error."""
    say(*traceback.format_exc().splitlines(), to=sys.stderr)


def take_warnings() -> None:
    """Warnings of the libraries below are printed by ``say`` from now on, on the standard error."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        say(f"gem: warning: {message}", to=sys.stderr if file is None else file)

    warnings.showwarning = show


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that prints a stranger's words as ``say`` does; used for its subcommands too."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            say(*message.removesuffix("\n").split("\n"), to=sys.stderr if file is None else file)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _encodable(text: str, stream: IO[str]) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
