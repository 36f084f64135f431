"""Whether one statement is true of a recording; questions are answered by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..evidence import Evidence
from .parsed import ParsedStatement
from .verification import Checker

if TYPE_CHECKING:
    from ..measurement.result import Measurement


def holds(statement: ParsedStatement, measurement: Measurement) -> tuple[bool | None, str, tuple[Evidence, ...]]:
    """Whether one statement is true of a recording, as ``check`` decides it; doubt in its words does not count.

    Numbers are exact: the tolerance of ``check`` is for how readers differ. "The intervals are prolonged" holds if one
    of them is, "the intervals are normal" if all are.

    Args:
        statement: without exclusion; a finding without a criterion can't be told.
        measurement: of the recording.

    Returns:
        True, False, or None where it can't be told; the reason, for a reader; the measured values behind it.
    """
    if statement.kind == "finding" and not statement.findings:
        return None, statement.exclusion, ()
    plain = replace(statement, uncertain=False, exclusion="")
    checker = Checker(measurement, exact=True)
    names = ("pr", "qrs", "qtc") if plain.subject == ("intervals",) else plain.subject[:1]
    results = [checker.verify(plain, name) for name in (names if plain.kind in ("category", "missing") else ("",))]
    truths = [{"supported": True, "not_checkable": None}.get(verdict, False) for verdict, _, _ in results]
    decides = plain.kind == "category" and (plain.word not in ("normal", "narrow")) != plain.negated
    truth = decides if decides in truths else None if None in truths else not decides
    reasons = [reason for (_, reason, _), one in zip(results, truths, strict=True) if one is truth]
    return truth, "; ".join(reasons), tuple(dict.fromkeys(part for _, _, parts in results for part in parts))
