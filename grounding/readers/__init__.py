"""Files in, ECGRecord out: one format per module, one registry. Nothing is filtered here."""

from __future__ import annotations

from . import (  # noqa: F401  (each registers itself)
    aecg,
    cardiosoft,
    csv,
    dicom,
    edf,
    healforce,
    ishne,
    matlab,
    mortara,
    muse,
    numpy,
    parquet,
    philips,
    picture,
    schiller,
    scp,
    wfdb,
)
from .channels import Channels
from .listing import find_recordings
from .reading import read_record
from .registry import Reader, readers, register_reader
from .samples import sample_names, sample_path

__all__ = [
    "Channels",
    "Reader",
    "find_recordings",
    "read_record",
    "readers",
    "register_reader",
    "sample_names",
    "sample_path",
]
