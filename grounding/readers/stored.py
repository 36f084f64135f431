"""Integers of interleaved channels, 8 to 32 bits, packed or not, as in the signal files of WFDB and ISHNE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError

Ints = NDArray[Any]
BLOCK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class Storage:
    """A storage format of integers.

    Attributes:
        samples: samples in a group of bytes.
        n_bytes: bytes in a group.
        missing: the stored value of a missing sample; None where there is none.
        unpack: from the bytes (uint8) of whole groups to their samples; None for FLAC, which has its own decoder.
        tail: bytes of an incomplete last group, by its number of samples.
    """

    samples: int
    n_bytes: int
    missing: int | None
    unpack: Callable[[NDArray[np.uint8]], Ints] | None
    tail: tuple[int, ...] = (0,)

    def bytes_of(self, n_samples: int) -> int:
        """Smallest size of stored samples, bytes.

        Args:
            n_samples: their number.
        """
        full, rest = divmod(n_samples, self.samples)
        return full * self.n_bytes + self.tail[rest]


def _whole(dtype: str, minus: int = 0) -> Callable[[NDArray[np.uint8]], Ints]:
    def unpack(raw: NDArray[np.uint8]) -> Ints:
        values = raw.view(dtype)
        return values.astype(np.int32) - minus if minus else values

    return unpack


def _signed(values: Ints, bits: int) -> Ints:
    """The lowest ``bits`` bits as a signed number."""
    half = 1 << (bits - 1)
    return ((values & (2 * half - 1)) ^ half) - half


def _format_24(raw: NDArray[np.uint8]) -> Ints:
    parts = raw.reshape(-1, 3).astype(np.int32)
    return _signed(parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16, 24)


def _format_212(raw: NDArray[np.uint8]) -> Ints:
    """Two samples of 12 bits in three bytes; the middle byte has the high bits of both."""
    low, middle, high = raw.reshape(-1, 3).astype(np.int16).T
    return _signed(np.stack([low | (middle & 15) << 8, high | (middle >> 4) << 8], axis=1).reshape(-1), 12)


def _format_310(raw: NDArray[np.uint8]) -> Ints:
    """Three samples of 10 bits in two words: two in bits 1 to 10, the third in the highest five bits of both."""
    one, two = raw.view("<u2").reshape(-1, 2).astype(np.int32).T
    return _signed(np.stack([one >> 1, two >> 1, one >> 11 | two >> 11 << 5], axis=1).reshape(-1), 10)


def _format_311(raw: NDArray[np.uint8]) -> Ints:
    """Three consecutive samples of 10 bits in four bytes."""
    word = raw.view("<u4").astype(np.int64)
    return _signed(np.stack([word, word >> 10, word >> 20], axis=1).reshape(-1), 10)


FORMATS = {
    "8": Storage(1, 1, None, _whole("i1")),
    "16": Storage(1, 2, -(1 << 15), _whole("<i2")),
    "24": Storage(1, 3, -(1 << 23), _format_24),
    "32": Storage(1, 4, -(1 << 31), _whole("<i4")),
    "61": Storage(1, 2, -(1 << 15), _whole(">i2")),
    "80": Storage(1, 1, -(1 << 7), _whole("u1", minus=1 << 7)),
    "160": Storage(1, 2, -(1 << 15), _whole("<u2", minus=1 << 15)),
    "212": Storage(2, 3, -(1 << 11), _format_212, (0, 2)),
    "310": Storage(3, 4, -(1 << 9), _format_310, (0, 2, 4)),
    "311": Storage(3, 4, -(1 << 9), _format_311, (0, 2, 3)),
    "508": Storage(1, 1, -(1 << 7), None),
    "516": Storage(1, 2, -(1 << 15), None),
    "524": Storage(1, 3, -(1 << 23), None),
}


def read_channel(
    file: Path,
    storage: str,
    frames: Sequence[int],
    channel: int,
    n_frames: int,
    *,
    offset: int = 0,
    first: int = 0,
    gain: float = 1.0,
    baseline: float = 0.0,
    unpacked: Ints | None = None,
) -> NDArray[np.float32]:
    """Read one channel of a file of interleaved channels, block by block.

    Args:
        file: the file, whose length has been checked.
        storage: a key of ``FORMATS``.
        frames: samples of each channel in a frame.
        channel: number of the channel.
        n_frames: number of frames.
        offset: bytes (samples of a channel, in FLAC) before the first frame.
        first: initial value of format 8, which stores differences.
        gain: steps per unit.
        baseline: step at zero.
        unpacked: from ``unpack_file``, where the file was read before.

    Returns:
        (n_frames * frames[channel],), in that unit; NaN where a sample is missing.
    """
    how, width = FORMATS[storage], frames[channel]
    out = np.empty(n_frames * width, np.float32)
    if unpacked is not None:
        begin = sum(frames[:channel])
        blocks = iter([unpacked[begin : begin + width].T.reshape(-1)])
    elif how.unpack is None:
        blocks = _flac(file, storage, frames, channel, n_frames, offset)
    else:
        blocks = _plain(file, how, frames, channel, n_frames, offset)
    at, total = 0, first
    for block in blocks:
        if storage == "8":
            block = np.cumsum(block, dtype=np.int64) + total
            total = int(block[-1])
        out[at : at + len(block)] = (block.astype(np.float64) - baseline) / gain
        if how.missing is not None:
            out[at : at + len(block)][block == how.missing] = np.nan
        at += len(block)
    return out


def unpack_file(file: Path, storage: str, per_frame: int, n_frames: int, offset: int) -> Ints:
    """All samples of a small file of interleaved channels.

    Args:
        file: the file, whose length has been checked.
        storage: a key of ``FORMATS``; not of FLAC.
        per_frame: samples in a frame, of all channels.
        n_frames: number of frames.
        offset: bytes before the first frame.

    Returns:
        (per_frame, n_frames), as stored.
    """
    values = np.concatenate(list(_plain(file, FORMATS[storage], [per_frame], 0, n_frames, offset)))
    return np.ascontiguousarray(values.reshape(n_frames, per_frame).T)


def _plain(file: Path, how: Storage, frames: Sequence[int], channel: int, n_frames: int, offset: int) -> Iterator[Ints]:
    assert how.unpack is not None
    per_frame, begin = sum(frames), sum(frames[:channel])
    end = begin + frames[channel]
    step = 6 * max(1, BLOCK_SAMPLES // (6 * per_frame))  # whole groups of every format
    with file.open("rb") as handle:
        handle.seek(offset)
        for start in range(0, n_frames, step):
            count = min(step, n_frames - start)
            raw = np.frombuffer(handle.read(how.bytes_of(count * per_frame)), np.uint8)
            filled = -(-count * per_frame // how.samples) * how.n_bytes
            if len(raw) < filled:  # the last group of the file
                raw = np.concatenate([raw, np.zeros(filled - len(raw), np.uint8)])
            if per_frame % how.samples:
                yield how.unpack(raw)[: count * per_frame].reshape(count, per_frame)[:, begin:end].reshape(-1)
                continue
            # a frame consists of whole groups: unpack only those with this channel
            first, last = begin // how.samples, -(-end // how.samples)
            groups = raw.reshape(count, per_frame // how.samples, how.n_bytes)[:, first:last]
            values = how.unpack(np.ascontiguousarray(groups).reshape(-1)).reshape(count, -1)
            yield values[:, begin - first * how.samples : end - first * how.samples].reshape(-1)


def _flac(file: Path, storage: str, frames: Sequence[int], channel: int, n_frames: int, offset: int) -> Iterator[Ints]:
    import soundfile

    wanted = n_frames * frames[channel]
    with file.open("rb") as handle:
        if handle.read(4) != b"fLaC":
            raise EcgFormatError("it is no FLAC file", where=str(file), remedy="check the header's storage format")
        handle.seek(0)
        with soundfile.SoundFile(handle) as sound:
            bits = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(sound.subtype, 99)
            if bits > int(storage) - 500 or sound.channels != len(frames) or len(set(frames)) != 1:
                raise EcgFormatError(
                    f"it holds {sound.channels} channels of {bits} bits, "
                    f"the header describes {len(frames)} of {int(storage) - 500}",
                    where=str(file),
                    remedy="check the header",
                )
            sound.seek(min(offset, sound.frames))
            available = sound.frames - sound.tell()
            if available < wanted:
                raise EcgFormatError(
                    f"the file is truncated: {available} of {wanted} samples", where=str(file), remedy="fetch it again"
                )
            shift = {8: 8, 16: 0, 24: 8}[bits]  # the decoder returns 16 or 32 bits, with the sample in the highest bits
            step = max(1, BLOCK_SAMPLES // len(frames))
            for start in range(0, wanted, step):
                block = sound.read(min(step, wanted - start), "int32" if bits == 24 else "int16", always_2d=True)
                if len(block) < min(step, wanted - start):
                    raise EcgFormatError("the file is truncated or damaged", where=str(file), remedy="fetch it again")
                yield block[:, channel] >> shift
