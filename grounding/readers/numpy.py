"""NumPy files: .npy holds one array, .npz an array with its rate and lead names."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EcgFormatError
from .arrays import from_array
from .channels import Channels
from .registry import MAX_FILE_BYTES, register_reader

_KEYS = {
    "signal": ("signal", "ecg", "data", "x", "p_signal", "val"),
    "fs": ("fs", "sampling_rate", "sample_rate", "sampling_frequency", "frequency"),
    "leads": ("leads", "lead_names", "sig_name", "channels"),
    "units": ("units", "unit"),
}


@register_reader((".npy",), sniff=lambda head: head[:6] == b"\x93NUMPY")
def npy(path: Path, leads: Sequence[str] | None = None, units: str | None = None) -> Channels:
    """NumPy array of (leads, samples) or (samples, leads).

    Args:
        path: the file.
        leads: one name per lead.
        units: mV by default.
    """
    # a memory map refuses a header that promises more than the file holds, before anything is allocated
    return from_array(np.load(path, mmap_mode="r", allow_pickle=False), str(path), leads, units)


@register_reader((".npz",))
def npz(path: Path, leads: Sequence[str] | None = None, units: str | None = None) -> Channels:
    """NumPy archive with ``signal`` and, unless given here, ``fs``, ``leads`` and ``units``.

    Args:
        path: the file.
        leads: one name per lead; wins over the archive's.
        units: wins over the archive's; mV by default.
    """
    where = str(path)
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
        if size > MAX_FILE_BYTES:
            raise EcgFormatError(f"the archive unpacks to {size} bytes", where=where, remedy="cut it")
    with np.load(path, allow_pickle=False) as archive:

        def get(what: str) -> Any:
            return next((archive[key] for key in _KEYS[what] if key in archive), None)

        signal = get("signal")
        if signal is None:
            raise EcgFormatError(
                f"there is no array 'signal', only {', '.join(archive.files)[:100]}",
                where=where,
                remedy="np.savez(..., signal=, fs=, leads=)",
            )
        rate = get("fs")
        leads = [str(name) for name in get("leads")] if leads is None and get("leads") is not None else leads
        units = str(get("units")) if units is None and get("units") is not None else units
    channels = from_array(signal, where, leads, units)
    channels.rates = None if rate is None else float(rate)
    return channels
