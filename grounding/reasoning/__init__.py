"""Multiple-choice questions about an ECG, answered step by step from measurement and diagnostic protocols."""

from __future__ import annotations

from .answering import Reasoner, Step
from .reading import Sign, read_sign
from .scale import estimate_millivolts

__all__ = ["Reasoner", "Sign", "Step", "estimate_millivolts", "read_sign"]
