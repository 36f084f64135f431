"""From a recording to evidence. Research software, not a medical device.

``read_record`` -> ``measure`` -> ``find`` -> ``check``, and ``render`` for the picture on paper. Never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import EcgError, EcgFormatError, EcgRegistryError, EcgSignalError
from .evidence import Claim, Evidence, Finding

if TYPE_CHECKING:
    from .criteria import find
    from .measurement import Edit, Measurement, MedianBeat, hrv, measure, measure_many, measure_parts, median_beat
    from .paper import render
    from .readers import read_record, sample_path
    from .record import STANDARD_LEADS, ECGRecord
    from .statements import check
    from .synthetic import synthesize

# modules are imported on first use, so that `import grounding` does not import NumPy, pandas, SciPy or Pillow
_ROOMS = {
    "ECGRecord": "record",
    "STANDARD_LEADS": "record",
    "measure": "measurement",
    "measure_many": "measurement",
    "measure_parts": "measurement",
    "Measurement": "measurement",
    "Edit": "measurement",
    "MedianBeat": "measurement",
    "median_beat": "measurement",
    "hrv": "measurement",
    "read_record": "readers",
    "sample_path": "readers",
    "render": "paper",
    "find": "criteria",
    "check": "statements",
    "synthesize": "synthetic",
}
_SUBPACKAGES = {
    "criteria",
    "delineation",
    "facts",
    "measurement",
    "paper",
    "readers",
    "signal",
    "statements",
    "synthetic",
}

__all__ = [
    "STANDARD_LEADS",
    "Claim",
    "ECGRecord",
    "EcgError",
    "EcgFormatError",
    "EcgRegistryError",
    "EcgSignalError",
    "Edit",
    "Evidence",
    "Finding",
    "Measurement",
    "MedianBeat",
    "__version__",
    "check",
    "find",
    "hrv",
    "measure",
    "measure_many",
    "measure_parts",
    "median_beat",
    "read_record",
    "render",
    "sample_path",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        value = getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _SUBPACKAGES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
