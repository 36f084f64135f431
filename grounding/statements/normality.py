"""What a text names itself before it calls the rest of an ECG normal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..evidence import Finding
from .parsed import ParsedStatement
from .tolerances import IMPLIED

_OF_QUANTITY = {
    "pr": ("first_degree_av_block", "short_pr"),
    "qt": ("prolonged_qtc", "short_qtc"),
    "qtc": ("prolonged_qtc", "short_qtc"),
    "axis": ("left_axis_deviation", "right_axis_deviation"),
}


def named_by(statements: Sequence[ParsedStatement], findings: Mapping[str, Finding]) -> set[str]:
    """The findings that a text names, and those that are implied by them or by a value that it states.

    Args:
        statements: all of the text.
        findings: of the recording, by name.
    """
    named = {name for one in statements if not one.negated for group in one.findings for name in group}
    groups = {findings[name].group for name in named if name in findings}
    stated = named.union(*(IMPLIED.get(group, frozenset()) for group in groups))
    for one in statements:
        if one.kind in ("category", "number"):
            stated.update(_OF_QUANTITY.get(one.subject[0], ()))
    ischaemia = {"infarction", "ischaemia"}
    if groups & ischaemia:
        stated |= {finding.name for finding in findings.values() if finding.group in ischaemia}
    return stated
