"""Statements on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
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
        print_lines(f"  {statement.text}")
        lines = list(dict.fromkeys(source_line(part) for part in statement.evidence))
        for line in lines[:6]:
            print_lines(f"      {line}")
        if len(lines) > 6:
            print_lines(f"      and {len(lines) - 6} more")
        for claim in statement.claims:
            if claim.verdict != "supported":
                print_lines(f"      ! {claim.verdict.replace('_', ' ')}: {claim.text!r}: {claim.reason}")
