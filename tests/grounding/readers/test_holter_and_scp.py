"""ISHNE, SCP-ECG and its variant of Heal Force."""

from __future__ import annotations

import binascii
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from writers import write_healforce, write_ishne, write_scp

from grounding import EcgFormatError, ECGRecord, read_record, sample_path


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


def patch(path: Path, at: int, what: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(what)] = what
    path.write_bytes(bytes(data))


# --- ISHNE


@pytest.fixture
def holter(record: ECGRecord, tmp_path: Path) -> Path:
    write_ishne(record, tmp_path / "h.ecg")
    return tmp_path / "h.ecg"


def test_a_lead_fault_is_missing(record: ECGRecord, tmp_path: Path) -> None:
    signal = record.signal.copy()
    signal[2, 100:200] = -32.768
    write_ishne(ECGRecord.from_array(signal, record.fs, record.leads), tmp_path / "h.ecg")
    found = read_record(tmp_path / "h.ecg")
    assert np.isnan(found.signal[2, 100:200]).all()
    assert np.isnan(found.signal).sum() == 100


def test_as_ecgdatakit_reads_it(holter: Path) -> None:
    from ecgdatakit.parsing.parsers.ishne_holter import ISHNEHolterParser

    found, theirs = read_record(holter), ISHNEHolterParser().parse(holter)
    for name, lead in zip(found.leads, theirs.leads, strict=True):
        assert lead.label == name
        np.testing.assert_allclose(found.lead(name), lead.to_physical().samples / 1000, atol=1e-6)


def test_leads_without_a_name_or_a_step(holter: Path) -> None:
    patch(holter, 158, struct.pack("<12h", 0, 1, 17, *range(8, 17)))
    found = read_record(holter)
    assert found.leads[:3] == ("ECG", "ECG 2", "ECG ES")
    patch(holter, 206, struct.pack("<h", -9))
    found = read_record(holter)
    assert found.leads[:2] == ("ECG 2", "ECG ES")
    assert any("not calibrated" in line for line in found.meta["warnings"])


def test_fewer_samples_than_the_header_promises_are_said(holter: Path) -> None:
    holter.write_bytes(holter.read_bytes()[:-24_000])
    found = read_record(holter)
    assert found.n_samples == 4000
    assert "promises 5000 samples, 4000 are there" in found.meta["warnings"][0]


@pytest.mark.parametrize(
    ("at", "what", "told"),
    [
        (156, struct.pack("<h", 0), "0 leads"),
        (156, struct.pack("<h", 200), "200 leads"),
        (272, struct.pack("<h", -5), "at -5 Hz"),
        (10, struct.pack("<i", 2**31 - 1), "truncated"),
        (10, struct.pack("<i", -4), "-4 bytes"),
    ],
)
def test_impossible_headers(holter: Path, at: int, what: bytes, told: str) -> None:
    patch(holter, at, what)
    with pytest.raises(EcgFormatError, match=told):
        read_record(holter)


# --- SCP-ECG


@pytest.fixture
def scp(record: ECGRecord, tmp_path: Path) -> Path:
    write_scp(record, tmp_path / "a.scp")
    return tmp_path / "a.scp"


def test_a_lead_that_begins_later_is_placed_there(scp: Path, record: ECGRecord) -> None:
    """Section 3 says which samples a lead covers: 1 to 5000 for the others, 1001 to 6000 for V6."""
    data = bytearray(scp.read_bytes())
    start = next(s for n, _, s in struct.iter_unpack("<HII", bytes(data[22 : 22 + 120])) if n == 3) - 1
    patch(scp, start + 16 + 2 + 9 * 7, struct.pack("<II", 1001, 6000))
    found = read_record(scp)
    assert np.isnan(found.lead("V6")[:1000]).all()
    np.testing.assert_allclose(found.lead("V6")[1000:], record.lead("V6")[: len(found.lead("V6")) - 1000], atol=6e-4)


def test_promises_beyond_the_file_are_refused_before_memory_is_taken(scp: Path) -> None:
    data = scp.read_bytes()
    start = next(s for n, _, s in struct.iter_unpack("<HII", data[22 : 22 + 120]) if n == 3) - 1
    patch(scp, start + 16 + 2, struct.pack("<II", 1, 2**31))
    with pytest.raises(EcgFormatError, match="promises 2147483648 samples"):
        read_record(scp)


def test_a_wrong_checksum_is_said_and_read(scp: Path) -> None:
    patch(scp, 0, b"\0\0")
    assert any("CRC" in line for line in read_record(scp).meta["warnings"])


def test_measurements_and_statements(scp: Path) -> None:
    """Sections 7 and 8 of EN 1064: mean RR, ventricular rate; lines of text."""
    data = scp.read_bytes()
    measured = struct.pack("<BBHH", 0, 0, 983, 0) + struct.pack("<H", 0) + struct.pack("<HHHB", 61, 0, 400, 1)
    text = b"SINUS RHYTHM\0"
    said = struct.pack("<BHBBBBBB", 0, 2002, 1, 24, 10, 15, 0, 1) + struct.pack("<BH", 1, len(text)) + text
    added, pointers = b"", bytearray(data[22 : 22 + 120])
    for number, body in ((7, measured), (8, said)):
        body += b"\0" * (len(body) % 2)
        rest = struct.pack("<HIBB6x", number, 16 + len(body), 20, 20) + body
        struct.pack_into("<HII", pointers, 10 * number, number, 16 + len(body), len(data) + len(added) + 1)
        added += struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest
    zero = data[8:22] + bytes(pointers)
    rest = (
        struct.pack("<I", len(data) + len(added))
        + struct.pack("<H", binascii.crc_hqx(zero, 0xFFFF))
        + zero
        + data[142:]
        + added
    )
    scp.write_bytes(struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest)
    device = read_record(scp).meta["device"]
    assert (device["rr"], device["heart_rate"], device["statements"]) == (983.0, 61.0, ("SINUS RHYTHM",))


# --- Heal Force


def test_heal_force(record: ECGRecord, tmp_path: Path) -> None:
    write_healforce(record, tmp_path / "62.SCP")
    found = read_record(tmp_path / "62.SCP")
    assert (found.meta["format"], found.leads, found.fs) == ("healforce", ("I", "II", "III"), 500.0)
    assert found.n_samples == 5000
    np.testing.assert_allclose(found.signal, record.select(["I", "II", "III"]).signal, atol=0.0048)
    assert "packing is not documented" in found.meta["warnings"][0]


def test_heal_force_cut_off(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "a.scp"
    write_healforce(record, path)
    data = path.read_bytes()
    for length in (90, 200, 9000):
        path.write_bytes(data[:length])
        with pytest.raises(EcgFormatError, match=r"truncated|missing"):
            read_record(path)
