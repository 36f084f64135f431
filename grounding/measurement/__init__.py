"""From a recording to values: beats, boundaries, intervals, axis, amplitudes, rhythm; each a value or a reason."""

from __future__ import annotations

from ..delineation import delineators
from ..signal.quality import assess
from .hrv import hrv
from .measuring import measure, measure_many
from .parts import Part, measure_parts
from .result import Measurement

__all__ = ["Measurement", "Part", "assess", "delineators", "hrv", "measure", "measure_many", "measure_parts"]
