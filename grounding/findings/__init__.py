"""Findings: criteria kept as data, evaluated to true, false or not measurable, each with its evidence."""

from __future__ import annotations

from .engine import find, lead_states
from .knowledge import Entry, load_knowledge

__all__ = ["Entry", "find", "lead_states", "load_knowledge"]
