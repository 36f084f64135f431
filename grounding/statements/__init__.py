"""Check of texts: the statements of any text about an ECG, each compared with the measurement."""

from __future__ import annotations

from .tolerances import TOLERANCES
from .verification import check

__all__ = ["TOLERANCES", "check"]
