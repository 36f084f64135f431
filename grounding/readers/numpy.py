"""NumPy files: .npy has one array, .npz an array with its rate and lead names."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..units import text_of
from .arrays import from_array
from .bounds import MAX_FILE_BYTES, add_warnings, check_expansion
from .channels import Channels
from .columns import Column, from_table
from .registry import register_reader

_KEYS = {  # in lower case
    "signal": ("signal", "signals", "ecg", "data", "x", "p_signal", "val"),
    "fs": ("fs", "sr", "sampling_rate", "samplingrate", "sample_rate", "sampling_frequency", "frequency"),
    "leads": ("leads", "lead", "lead_names", "sig_name", "channels"),
    "units": ("units", "unit"),
}
_GAINS = {"gain", "gains", "adc_gain", "resolution"}
_MAX_HEADER_BYTES = 1 << 16
_MAX_MEMBERS = 1000
_AT_ONCE = 1 << 20


@register_reader((".npy",), sniff=lambda head: head[:6] == b"\x93NUMPY")
def npy(path: Path, fs: float | None = None, leads: Sequence[str] | None = None, units: str | None = None) -> Channels:
    """NumPy array of (leads, samples) or (samples, leads), or a structured array with a field per lead.

    Args:
        path: the file.
        fs: sampling rate, Hz.
        leads: one name per lead.
        units: mV by default.
    """
    where = str(path)
    with path.open("rb") as file:
        _header(file, where)
    # np.memmap rejects a header that claims more than the file has, before anything is allocated
    return _channels(np.load(path, mmap_mode="r", allow_pickle=False), where, fs, leads, units)


@register_reader((".npz",), sniff=lambda head: head[:4] == b"PK\x03\x04" and b".npy" in head[:300])
def npz(path: Path, fs: float | None = None, leads: Sequence[str] | None = None, units: str | None = None) -> Channels:
    """NumPy archive with ``signal`` (or an array per lead) and, unless given here, ``fs``, ``leads`` and ``units``.

    Args:
        path: the file.
        fs: sampling rate, Hz; overrides that of the archive.
        leads: the leads to take, or a name for each; required where the archive has no names.
        units: override those of the archive; mV by default.
    """
    where = str(path)
    members = _members(path)
    with np.load(path, allow_pickle=False) as archive:
        spelled = {key.lower(): key for key in reversed(archive.files)}
        found = {what: next((spelled[key] for key in keys if key in spelled), None) for what, keys in _KEYS.items()}
        if found["signal"] is None and found["leads"] == spelled.get("lead"):
            found["leads"] = None  # an array per lead, one of them called "lead"
        rate = _one(archive, found["fs"], where)
        own_units = None if found["units"] is None else [text_of(unit) for unit in np.ravel(archive[found["units"]])]
        own_leads = None if found["leads"] is None else [text_of(name) for name in np.ravel(archive[found["leads"]])]
        others = [key for key in archive.files if key not in found.values()]
    file_fs = fs if fs is not None else None if rate is None else float(rate)
    if found["signal"] is not None:
        signal = _array(path, found["signal"])
        fits = own_leads is not None and len(own_leads) in signal.shape
        leads = own_leads if fits or leads is None else leads
        channels = _channels(signal, where, file_fs, leads, units or _only(own_units))
        gain = next((spelled[key] for key in spelled if key in _GAINS), None)
        if units is None and own_units and len(set(own_units)) > 1:
            if len(own_units) != len(channels.names):
                raise EcgFormatError(
                    f"{found['units']} holds {len(own_units)} values for {len(channels.names)} leads",
                    where=where,
                    remedy="store one, or one per lead",
                )
            channels.units = own_units
        elif units is None and not own_units and gain and members[found["signal"]][1].kind in "iu":
            channels.units = "adu"
            add_warnings(
                channels.meta, f"whole numbers beside {gain!r}, which is not applied: store millivolts, or units"
            )
        return channels
    units = units if units is not None else _only(own_units)
    lines = [key for key in others if members[key][1].kind in "iufb" and len(members[key][0]) == 1]
    rows = {key: _array(path, key) for key in lines}
    if len({len(row) for row in rows.values()}) != 1:
        raise EcgFormatError(
            f"there is no array 'signal', only {', '.join([*filter(None, found.values()), *others])[:100]}",
            where=where,
            remedy="np.savez(..., signal=, fs=, leads=)",
        )
    return from_table([Column(key, partial(np.asarray, row)) for key, row in rows.items()], where, file_fs, units)


def _channels(
    values: NDArray[Any], where: str, fs: float | None, leads: Sequence[str] | None, units: str | None
) -> Channels:
    if values.dtype.names:
        rows = np.ravel(values)
        columns = [
            Column(
                name,
                partial(rows.__getitem__, name),
                is_text=values.dtype[name].kind not in "iufb" or values.dtype[name].ndim > 0,
            )
            for name in values.dtype.names
        ]
        return from_table(columns, where, fs, units)
    channels = from_array(values, where, leads, units)
    channels.rates = fs
    return channels


def _members(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of every array; unpacked sizes are checked against the file, headers against the archive."""
    where = str(path)
    found = {}
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        total = sum(part.file_size for part in parts)
        if total > MAX_FILE_BYTES or len(parts) > _MAX_MEMBERS:
            raise EcgFormatError(f"the archive unpacks to {total} bytes", where=where, remedy="cut it")
        check_expansion(total, path)
        for part in parts:
            with archive.open(part) as file:
                shape, _, dtype = _header(file, where)
            if math.prod(shape) * dtype.itemsize > part.file_size:
                raise EcgFormatError(
                    f"{part.filename} promises {math.prod(shape) * dtype.itemsize} bytes and holds {part.file_size}",
                    where=where,
                    remedy="save it again",
                )
            found[part.filename.removesuffix(".npy")] = shape, dtype
    return found


def _array(path: Path, key: str) -> NDArray[Any]:
    """An array of an archive; numbers are converted to float32 in parts, so that they are in memory only once."""
    with zipfile.ZipFile(path) as archive:
        name = f"{key}.npy" if f"{key}.npy" in archive.namelist() else key
        with archive.open(name) as file:
            shape, turned, dtype = _header(file, str(path))
            if dtype.kind not in "iufb":
                file.seek(0)
                return np.asarray(npy_format.read_array(file, allow_pickle=False))
            flat = np.empty(math.prod(shape), np.float32)
            with np.errstate(over="ignore"):
                for start in range(0, len(flat), _AT_ONCE):
                    part = flat[start : start + _AT_ONCE]
                    part[:] = np.frombuffer(file.read(len(part) * dtype.itemsize), dtype)
    return flat.reshape(shape, order="F" if turned else "C")


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type of an array; the length of its header is checked first."""
    head = file.read(12)
    length = int.from_bytes(head[8:10] if head[6:7] == b"\x01" else head[8:12], "little")
    if head[:6] != b"\x93NUMPY" or length > _MAX_HEADER_BYTES:
        raise EcgFormatError("this is no NumPy array", where=where, remedy="save it with np.save or np.savez")
    start = 10 if head[6:7] == b"\x01" else 12
    text = io.BytesIO(head + file.read(length + start - 12))
    version = npy_format.read_magic(text)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, turned, dtype = read(text)
    return shape, turned, dtype


def _only(units: Sequence[str] | None) -> str | None:
    """The unit of all leads; None where there is none, or several."""
    return units[0] if units and len(set(units)) == 1 else None


def _one(archive: Any, key: str | None, where: str) -> Any:
    """A value stored as an array of one element; None where the archive has none."""
    if key is None:
        return None
    values = np.ravel(archive[key])
    if values.size != 1:
        raise EcgFormatError(f"{key} holds {values.size} values", where=where, remedy="store one")
    return values[0]
