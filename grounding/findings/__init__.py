"""Findings: criteria kept as data, evaluated to true, false or not measurable, each with its evidence."""

from __future__ import annotations

from .engine import Assessment, assess, find, lead_states
from .knowledge import Entry, load_knowledge
from .limits import category, load_limits, rounded, shown

__all__ = [
    "Assessment",
    "Entry",
    "assess",
    "category",
    "find",
    "lead_states",
    "load_knowledge",
    "load_limits",
    "rounded",
    "shown",
]
