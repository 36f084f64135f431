"""Mutations of files for ``fuzz.py``: each takes bytes and a random generator, and returns other bytes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
MAX_BYTES = 8 << 20
NUMBERS = (
    "0",
    "-1",
    "1",
    "2",
    "255",
    "65535",
    "2147483647",
    "-2147483648",
    "4294967295",
    "99999999999",
    "1e300",
    "1e-300",
    "-0.0",
    "nan",
    "inf",
    "",
    "1.5",
    "0x10",
    "1,5",
    "00000001",
    "3" * 400,
)
WORDS = (
    "",
    " ",
    "\0",
    "é",
    "\ufffd",
    "%s%n",
    "../../x",
    "-",
    "nan",
    "None",
    "I",
    "II",
    "ECG",
    "EEG C3",
    "mV",
    "parsec",
    "&a;",
    "<",
    ">",
    '"',
    "'",
    ",",
    ";",
    "\n",
    "\t",
    "x" * 5000,
)


def random_position(data: bytes, rng: Rng) -> int:
    """A random position, more often at the beginning and the end, where most of the structure is."""
    where = rng.random()
    if where < 0.5:
        return int(rng.integers(min(len(data), 2048)))
    if where < 0.65:
        return int(len(data) - 1 - rng.integers(min(len(data), 2048)))
    return int(rng.integers(len(data)))


def stretch(data: bytes, rng: Rng) -> tuple[int, int]:
    start = random_position(data, rng)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 12)))


def flip_bits(data: bytes, rng: Rng) -> bytes:
    out = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        out[random_position(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def set_bytes(data: bytes, rng: Rng) -> bytes:
    out = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        out[random_position(data, rng)] = int(rng.integers(256))
    return bytes(out)


def truncate(data: bytes, rng: Rng) -> bytes:
    return data[: max(1, random_position(data, rng))]


def cut_out(data: bytes, rng: Rng) -> bytes:
    start, end = stretch(data, rng)
    return data[:start] + data[end:]


def repeat_a_block(data: bytes, rng: Rng) -> bytes:
    start, end = stretch(data, rng)
    times = int(2 ** rng.uniform(0, 10))
    return data[:end] + data[start:end] * min(times, MAX_BYTES // max(1, end - start)) + data[end:]


def swap_blocks(data: bytes, rng: Rng) -> bytes:
    (a, b), (c, d) = sorted((stretch(data, rng), stretch(data, rng)))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data[:a] + data[c:d] + data[b:]


def blank_out(data: bytes, rng: Rng) -> bytes:
    start, end = stretch(data, rng)
    return data[:start] + bytes([rng.choice([0, 255, 32, 48])]) * (end - start) + data[end:]


def set_integer(data: bytes, rng: Rng) -> bytes:
    """A length, a count or an offset of 1 to 8 bytes."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice([0, 1, 2**7, 2**15, 2**31, 2**63 - 1])) - int(rng.integers(0, 3))
    at = random_position(data, rng)
    return data[:at] + (value % 2 ** (8 * size)).to_bytes(size, rng.choice(["little", "big"])) + data[at + size :]


def change_a_number(data: bytes, rng: Rng) -> bytes:
    at = random_position(data, rng)
    match = re.compile(rb"-?\d{1,20}(?:\.\d{0,20})?").search(data, at)
    if not match:
        return set_integer(data, rng)
    new = str(rng.choice(NUMBERS)).encode()
    if rng.random() < 0.3:
        new = match[0] + b"0" * int(rng.integers(1, 12))
    if rng.random() < 0.3:  # in a field of a fixed width
        new = new[: len(match[0])].ljust(len(match[0]))
    return data[: match.start()] + new + data[match.end() :]


def change_a_word(data: bytes, rng: Rng) -> bytes:
    at = random_position(data, rng)
    match = re.compile(rb"[A-Za-z_]{1,40}").search(data, at)
    if not match:
        return set_bytes(data, rng)
    new = str(rng.choice(WORDS)).encode("utf-8")
    if rng.random() < 0.3:
        new = new[: len(match[0])].ljust(len(match[0]))
    return data[: match.start()] + new + data[match.end() :]


MUTATIONS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    flip_bits,
    set_bytes,
    truncate,
    cut_out,
    repeat_a_block,
    swap_blocks,
    blank_out,
    set_integer,
    change_a_number,
    change_a_number,
    change_a_word,
)


def splice(data: bytes, other: bytes, rng: Rng) -> bytes:
    """The beginning of one file and the rest of another, or a piece of it in the middle."""
    at, (start, end) = random_position(data, rng), stretch(other, rng)
    return data[:at] + (other[start:] if rng.random() < 0.5 else other[start:end] + data[at:])


def mutate(data: bytes, other: bytes, rng: Rng) -> bytes:
    """Apply one to four mutations; to a zip archive, or half of the time to a file in it."""
    if data[:4] == b"PK\x03\x04" and rng.random() < 0.5:
        return _inside_zip(data, rng)
    for _ in range(rng.integers(1, 5)):
        change = MUTATIONS[rng.integers(len(MUTATIONS))]
        data = splice(data, other, rng) if rng.random() < 0.08 else change(data, rng)
        if not data:
            return b"\0"
    return data[:MAX_BYTES]


def _inside_zip(data: bytes, rng: Rng) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        names = source.namelist()
        chosen = names[rng.integers(len(names))]
        kind = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
        with zipfile.ZipFile(out, "w", kind) as target:
            for name in names:
                content = source.read(name)
                for _ in range(rng.integers(1, 4) if name == chosen else 0):
                    content = MUTATIONS[rng.integers(len(MUTATIONS))](content or b"\0", rng)
                target.writestr(name, content)
    return out.getvalue()
