"""From a recording to values: beats, boundaries, intervals, axis, amplitudes, rhythm; each a value or a reason."""

from __future__ import annotations

from ..delineation import delineators
from ..signal.quality import assess
from .edits import Edit
from .hrv import hrv
from .measuring import measure, measure_many
from .median_beat import MedianBeat, median_beat
from .parts import Part, measure_parts
from .result import Measurement

__all__ = [
    "Edit",
    "Measurement",
    "MedianBeat",
    "Part",
    "assess",
    "delineators",
    "hrv",
    "measure",
    "measure_many",
    "measure_parts",
    "median_beat",
]
