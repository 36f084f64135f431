"""Read the statements of any text about an ECG and hold each against the measurement."""

from __future__ import annotations

from .tolerances import TOLERANCES
from .verification import check

__all__ = ["TOLERANCES", "check"]
