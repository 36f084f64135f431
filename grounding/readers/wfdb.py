"""WFDB: a text header (.hea) and binary signals (.dat; .mat of the PhysioNet Challenges), one segment or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..lead_algebra import einthoven_error
from ..leads import canonical_leads
from ..units import millivolts_per, text_of
from .bounds import MAX_SAMPLES, add_warnings, check_expansion
from .channels import Channels
from .foreign import content_name
from .matlab import is_matlab_5, read_matrix
from .registry import SNIFF_BYTES, register_reader
from .stored import FORMATS, Ints, read_channel, unpack_file
from .wfdb_header import Header, Signal, file_of_header, patient_meta, read_header

LUDB_MV_PER_UNIT = 0.001  # not documented by LUDB; inferred from the amplitudes
KEPT_SAMPLES = 1 << 21  # of a signal file, which is then read once and not once per channel


@register_reader((".hea", ".dat", ".mat"))
def wfdb(path: Path) -> Channels:
    """WFDB record: header and signal files (.dat or .mat), one or several segments.

    Each signal has its own unit; a signal without a gain is not calibrated. Header comments give ``age``, ``sex`` and
    ``dx``.

    In some records (all of LUDB) the gains of the header scale every lead to 1.0 mV peak to peak, while the stored
    integers obey I + III = II. They are read from the integers at 1 uV per unit, which preserves the ratio of the leads
    and so the axis, with a warning.

    Args:
        path: the header, or a signal file with a header beside it.
    """
    base = path.with_suffix("") if path.suffix.lower() in (".hea", ".dat", ".mat") else path
    header_file = Path(f"{base}.hea")
    if not header_file.is_file():
        with path.open("rb") as file:
            kind = content_name(file.read(SNIFF_BYTES))
        raise EcgFormatError(
            f"there is no header file for this record{f'; this is {kind}' if kind else ''}",
            where=str(base),
            remedy=f"put {header_file.name} beside {path.name}",
        )
    header = read_header(header_file)
    meta = patient_meta(header.comments)
    add_warnings(meta, *header.warnings)
    if header.segments:
        return _segmented(header, meta)
    files = _Segment(header)
    rates = [header.fs * signal.frame for signal in header.signals]
    signals: list[Any] = [partial(files.physical, row) for row in range(len(header.signals))]
    if _normalised(files):
        signals = [partial(files.read, row, 1 / LUDB_MV_PER_UNIT) for row in range(len(header.signals))]
        add_warnings(
            meta,
            "the header's gains scale every lead to 1.0 mV peak to peak, which breaks lead algebra; "
            "amplitudes were taken from the stored integers at 1 uV per unit (inferred)",
        )
    return Channels([s.name for s in header.signals], signals, rates, _units(header.signals), meta, word="signal")


class _Segment:
    """A header with its signal files, whose sizes are checked; its signals can be read one by one."""

    def __init__(self, header: Header, length: int | None = None) -> None:
        self.header = header
        self.alone = length is None  # not one of several segments
        self.unpacked: dict[str, Ints | None] = {}
        where = str(header.path)
        names = dict.fromkeys(s.file for s in header.signals if s.file is not None)
        self.files = {name: file_of_header(header.path, name) for name in names}
        self.groups: dict[str, list[int]] = {name: [] for name in self.files}
        for row, signal in enumerate(header.signals):
            if signal.file is not None:
                self.groups[signal.file].append(row)
        self.matrices = {name: read_matrix(file) for name, file in self.files.items() if is_matlab_5(file)}
        lengths = [self._frames(name, header.length or length) for name in self.files]
        self.length = min(lengths, default=header.length or length or 0)
        if self.length <= 0:
            raise EcgFormatError("it has no samples", where=where, remedy="fetch it again")
        for signal in header.signals:
            if signal.skew and signal.skew >= self.length:
                raise EcgFormatError(
                    f"the header shifts {signal.name or 'a signal'} by {signal.skew} samples, it has {self.length}",
                    where=where,
                    remedy="check the skew (after the colon)",
                )

    def _frames(self, name: str, claimed: int | None) -> int:
        """Number of frames in a signal file, from the header or else from its size."""
        where, file = str(self.header.path), self.files[name]
        signals = [self.header.signals[row] for row in self.groups[name]]
        per_frame, first, size = sum(signal.frame for signal in signals), signals[0], file.stat().st_size
        if any(signal.storage != first.storage or signal.offset not in (0, first.offset) for signal in signals):
            raise EcgFormatError(
                f"the signals of {file.name} have several storage formats", where=where, remedy="check the header"
            )
        if (claimed or 1) * per_frame > MAX_SAMPLES:
            raise EcgFormatError(
                f"the header claims {claimed} x {per_frame} samples", where=where, remedy="check its first line"
            )
        if name in self.matrices:
            return claimed or self.matrices[name].shape[1]
        how = FORMATS[first.storage]
        if how.unpack is None:
            check_expansion(4 * (claimed or 0) * per_frame, file)
            return claimed or _flac_frames(file, first.offset) // first.frame
        if size <= first.offset:
            raise EcgFormatError("the signal file is empty", where=str(file), remedy="fetch it again")
        available = _frames_in(size - first.offset, how.bytes_of, per_frame)
        if claimed is None and available * per_frame <= MAX_SAMPLES:
            return available
        if claimed is None or available < claimed:
            raise EcgFormatError(
                f"the file is truncated: {available} of {claimed} samples", where=str(file), remedy="fetch it again"
            )
        return claimed

    def read(self, row: int, gain: float = 1.0, baseline: float = 0.0) -> NDArray[np.float32]:
        """Read one signal.

        Args:
            row: number of the signal.
            gain: steps per unit.
            baseline: step at zero.

        Returns:
            (samples,), NaN where a sample is missing or this segment lacks the signal.
        """
        signal = self.header.signals[row]
        if signal.file is None:
            return np.full(self.length * signal.frame, np.nan, np.float32)
        group = self.groups[signal.file]
        first = self.header.signals[group[0]]
        if signal.file in self.matrices:
            out = (self._matrix_row(signal.file, group.index(row)) - np.float32(baseline)) / np.float32(gain)
        else:
            out = read_channel(
                self.files[signal.file],
                signal.storage,
                [self.header.signals[k].frame for k in group],
                group.index(row),
                self.length,
                offset=first.offset,
                first=signal.first,
                gain=gain,
                baseline=baseline,
                unpacked=self._unpacked(signal.file),
            )
        if signal.skew:
            late = signal.skew * signal.frame
            out[:-late] = out[late:]
            out[-late:] = np.nan
        return out

    def _unpacked(self, name: str) -> Ints | None:
        """The samples of a small file, read once for all channels; of segments there are too many to be kept."""
        if name not in self.unpacked:
            signals = [self.header.signals[row] for row in self.groups[name]]
            storage, per_frame = signals[0].storage, sum(signal.frame for signal in signals)
            small = self.alone and self.length * per_frame <= KEPT_SAMPLES and FORMATS[storage].unpack is not None
            file = self.files[name]
            self.unpacked[name] = (
                unpack_file(file, storage, per_frame, self.length, signals[0].offset) if small else None
            )
        return self.unpacked[name]

    def physical(self, row: int) -> NDArray[np.float32]:
        """Read one signal in its unit, or in steps of the converter where it is not calibrated.

        Args:
            row: number of the signal.

        Returns:
            (samples,).
        """
        signal = self.header.signals[row]
        return self.read(row) if signal.gain is None else self.read(row, signal.gain, signal.baseline)

    def _matrix_row(self, name: str, k: int) -> NDArray[np.float32]:
        matrix = self.matrices[name]
        if matrix.shape[0] != len(self.groups[name]) or matrix.shape[1] < self.length:
            raise EcgFormatError(
                f"it holds {matrix.shape[0]} x {matrix.shape[1]} samples, "
                f"the header describes {len(self.groups[name])} x {self.length}",
                where=str(self.files[name]),
                remedy="fetch both again",
            )
        out = matrix[k, : self.length].astype(np.float32)
        out[out == FORMATS["16"].missing] = np.nan
        return out


def _segmented(header: Header, meta: dict[str, Any]) -> Channels:
    """The segments of a record in sequence; NaN in gaps, and where a segment lacks a signal.

    A first segment without samples is the layout: it lists all signals, of which each segment has some.
    """
    where = str(header.path)
    parts: list[tuple[int, _Segment]] = []
    layout, at, gaps = None, 0, 0
    for number, (name, length) in enumerate(header.segments):
        if name == "~":
            gaps += length
        else:
            part = read_header(file_of_header(header.path, f"{name}.hea"))
            if part.segments:
                raise EcgFormatError(f"its segment {name} has segments itself", where=where, remedy="name one of them")
            if abs(part.fs - header.fs) > 1e-6 * header.fs:
                raise EcgFormatError(
                    f"its segment {name} is at {part.fs:g} Hz, not {header.fs:g}",
                    where=where,
                    remedy="name one of them",
                )
            if number == 0 and length == 0:
                layout = part
            elif length:
                segment = _Segment(part, length)
                if segment.length < length:
                    raise EcgFormatError(
                        f"its segment {name} has {segment.length} of {length} samples",
                        where=where,
                        remedy="fetch it again",
                    )
                parts.append((at, segment))
        at += length
    if not parts:
        raise EcgFormatError("none of its segments has samples", where=where, remedy="check the header")
    signals = (layout or parts[0][1].header).signals
    per_frame = sum(signal.frame for signal in signals)
    if at * per_frame > MAX_SAMPLES:
        raise EcgFormatError(f"the header claims {at} x {per_frame} samples", where=where, remedy="check its segments")
    check_expansion(4 * at * per_frame, header.path, sum(f.stat().st_size for _, p in parts for f in p.files.values()))
    if gaps:
        add_warnings(
            meta, f"{gaps / header.fs:g} of {at / header.fs:g} s lie between its segments and are missing samples"
        )
    columns = [_columns(segment, signals, layout is not None, where) for _, segment in parts]
    units = _units(signals)
    read = [partial(_joined, row, signals[row], units[row], parts, columns, at) for row in range(len(signals))]
    rates = [header.fs * signal.frame for signal in signals]
    return Channels([s.name for s in signals], read, rates, units, meta, word="signal")


def _columns(segment: _Segment, signals: Sequence[Signal], by_name: bool, where: str) -> list[int | None]:
    """For each signal of the record, its number in a segment, or None."""
    available = segment.header.signals
    if not by_name:
        if len(available) != len(signals):
            raise EcgFormatError(
                f"its segment {segment.header.path.name} has {len(available)} signals, not {len(signals)}",
                where=where,
                remedy="check the header",
            )
        return list(range(len(signals)))
    names = [signal.name for signal in available]
    return [names.index(signal.name) if signal.name in names else None for signal in signals]


def _joined(
    row: int,
    signal: Signal,
    unit: str,
    parts: Sequence[tuple[int, _Segment]],
    columns: Sequence[Sequence[int | None]],
    length: int,
) -> NDArray[np.float32]:
    """One signal of all segments, in the record's unit; NaN where the unit of a segment can't be converted."""
    out = np.full(length * signal.frame, np.nan, np.float32)
    for (at, segment), column in zip(parts, columns, strict=True):
        k = column[row]
        if k is None or segment.header.signals[k].frame != signal.frame:
            continue
        own = _units(segment.header.signals)[k]
        of_record, of_segment = millivolts_per(unit), millivolts_per(own)
        if of_record is None or of_segment is None:
            if text_of(own) != text_of(unit):
                continue
            factor = 1.0
        else:
            factor = of_segment / of_record
        values = segment.physical(k)
        if factor != 1.0:
            values *= np.float32(factor)
        out[at * signal.frame : at * signal.frame + len(values)] = values
    return out


def _units(signals: Sequence[Signal]) -> list[str]:
    """Units, ``"adu"`` where there is no gain: WFDB's default of 200 per mV is arbitrary."""
    return [signal.unit if signal.gain is not None else "adu" for signal in signals]


def _frames_in(n_bytes: int, bytes_of: Callable[[int], int], per_frame: int) -> int:
    """Number of whole frames in ``n_bytes``."""
    frames = int(n_bytes / (bytes_of(6 * per_frame) / 6))
    return frames + int(bytes_of((frames + 1) * per_frame) <= n_bytes)


def _flac_frames(file: Path, offset: int) -> int:
    import soundfile

    with soundfile.SoundFile(file) as sound:
        frames = max(0, int(sound.frames) - offset)
        check_expansion(4 * frames * sound.channels, file)
        return frames


def _normalised(files: _Segment) -> bool:
    """Whether different gains scale every lead to 1.0 mV peak to peak, while the integers obey Einthoven's law."""
    signals = files.header.signals
    leads = canonical_leads([signal.name for signal in signals])
    if not {"I", "II", "III"} <= set(leads) or len({signal.frame for signal in signals}) != 1:
        return False
    if any(millivolts_per(signal.unit) != 1.0 or signal.gain is None for signal in signals):
        return False
    raw_spans = []
    stored: dict[str, NDArray[np.float32]] = {}
    for row, (lead, signal) in enumerate(zip(leads, signals, strict=True)):
        digital = files.read(row)
        if not np.isfinite(digital).any():
            return False
        raw_spans.append(float(np.nanmax(digital) - np.nanmin(digital)))
        if (
            abs(raw_spans[-1] / abs(signal.gain or 1.0) - 1.0) >= 0.02
        ):  # in most records this ends the test at the first lead
            return False
        if lead in ("I", "II", "III"):
            stored[lead] = digital
    error, span = einthoven_error(stored["I"], stored["II"], stored["III"])
    return bool(np.ptp(raw_spans) > 0.05 * np.mean(raw_spans)) and error <= max(2.0, 0.01 * span)
