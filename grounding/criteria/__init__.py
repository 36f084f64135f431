"""Findings: criteria as data, evaluated to true, false or not measurable, each with its evidence."""

from __future__ import annotations

from .assessment import Assessment, assess, find, lead_states
from .findings import Findings
from .knowledge import FindingEntry, add_findings, load_knowledge
from .limits import category, load_limits, rounded, shown

__all__ = [
    "Assessment",
    "FindingEntry",
    "Findings",
    "add_findings",
    "assess",
    "category",
    "find",
    "lead_states",
    "load_knowledge",
    "load_limits",
    "rounded",
    "shown",
]
