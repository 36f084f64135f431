"""Output of the command line: texts may come from files, and must not control the terminal.

Control characters (C0, C1), line and paragraph separators, marks that change the writing direction, lone surrogates,
and characters that the terminal's encoding lacks are printed as escapes. Line breaks are only those between the lines
that are passed.
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
# lone surrogates
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def without_controls(text: object) -> str:
    r"""One line of text without control characters.

    Args:
        text: anything.

    Example:
        >>> without_controls("red\x1b[31m\n\u202ename"), without_controls("PR 160 ms, µ")
        ('red\\x1b[31m\\x0a\\u202ename', 'PR 160 ms, µ')
    """
    return _CONTROLS.sub(lambda found: _escape(ord(found[0])), str(text))


def print_lines(*lines: object, to: IO[str] | None = None) -> None:
    """Print lines, each without control characters.

    Args:
        lines: at least one.
        to: the standard output when None.
    """
    stream = sys.stdout if to is None else to
    text = "".join(f"{without_controls(line)}\n" for line in lines)
    stream.write(_encodable(text, stream))


def print_error(line: object) -> None:
    """Print the last line of a command that fails, on the standard error.

    Args:
        line: what is wrong.
    """
    print_lines(f"gem: error: {line}", to=sys.stderr)


def print_json(value: Any) -> None:
    """Print JSON: unchanged values for programs, without control characters for terminals.

    Args:
        value: anything that JSON can hold.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    # in JSON strings an escape stands for the same character; outside them there are only line breaks
    text = _CONTROLS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)
    if _encodable(text, sys.stdout) != text:
        text = json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False)
    sys.stdout.write(text + "\n")


def print_traceback() -> None:
    """Print the traceback of the current exception, on the standard error."""
    print_lines(*traceback.format_exc().splitlines(), to=sys.stderr)


def redirect_warnings() -> None:
    """Print warnings, of libraries too, by ``print_lines`` on the standard error from now on."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        print_lines(f"gem: warning: {message}", to=sys.stderr if file is None else file)

    warnings.showwarning = show


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that prints by ``print_lines``, because its messages quote the user's words."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            print_lines(*message.removesuffix("\n").split("\n"), to=sys.stderr if file is None else file)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _encodable(text: str, stream: IO[str]) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
