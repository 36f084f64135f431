"""Statements on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..terminal import print_lines


def print_explanation(explanation: Any) -> None:
    """Print each statement with its evidence, then the verdict.

    Args:
        explanation: from ``gem.explain``.
    """
    print_statements(explanation.statements)
    print_lines(f"  {explanation.verdict_line}")


def print_statements(statements: Sequence[Any]) -> None:
    """Print each statement with its evidence, and its claims that are not supported.

    Args:
        statements: of an explanation or answer.
    """
    from ..views.measured import source_line

    for statement in statements:
        print_lines(f"  {' '.join(statement.text.split())}")
        lines = list(dict.fromkeys(source_line(part) for part in statement.evidence))
        for line in lines[:6]:
            print_lines(f"      {line}")
        if len(lines) > 6:
            print_lines(f"      and {len(lines) - 6} more")
        for claim in statement.claims:
            if claim.verdict != "supported":
                print_lines(f"      ! {claim.verdict.replace('_', ' ')}: {claim.text!r}: {claim.reason}")


def save_pages(explanation: Any, html: Path | None, pdf: Path | None, page_wanted: bool, pages: Any = None) -> None:
    """Write an explanation's page, and its PDF if one is wanted.

    Args:
        explanation: from ``gem.explain``.
        html: a file or folder; the current folder when None.
        pdf: a file or folder; no PDF when None.
        page_wanted: whether a page is written where ``html`` is None.
        pages: ``PageFiles`` of a run with several pages.
    """
    from ..views.files import PageFiles

    pages = pages or PageFiles()
    outputs = [(html, ".html")] if html is not None or page_wanted else []
    outputs += [(pdf, ".pdf")] if pdf is not None else []
    for given, suffix in outputs:
        one_file = given is not None and given.suffix and not given.is_dir()
        written = explanation.save(given) if one_file else pages.save(explanation, given or Path(), suffix)
        print_lines(f"wrote {written}", to=sys.stderr)
