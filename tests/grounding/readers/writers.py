"""Write a recording into the formats that have readers; every writer stores integer microvolts."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from writers_xml import EIGHT, XML_WRITERS, microvolts

from grounding import ECGRecord


def write_edf(record: ECGRecord, path: Path) -> None:
    import edfio

    signals = [
        edfio.EdfSignal(
            row.astype(float), record.fs, label=f"ECG {lead}", physical_dimension="uV", physical_range=(-32768, 32767)
        )
        for lead, row in zip(record.leads, microvolts(record), strict=True)
    ]
    edfio.Edf(signals, patient=edfio.Patient(sex="M")).write(path)


def write_bdf(record: ECGRecord, path: Path) -> None:
    import edfio

    signals = [
        edfio.BdfSignal(
            row.astype(float),
            record.fs,
            label=f"ECG {lead}",
            physical_dimension="uV",
            physical_range=(-262144, 262143),
            digital_range=(-8388608, 8388607),
        )
        for lead, row in zip(record.leads, microvolts(record), strict=True)
    ]
    edfio.Bdf(signals, patient=edfio.Patient(sex="M")).write(path)


def dicom_code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def dicom_group(stored: np.ndarray, names: Sequence[str], fs: float) -> Any:
    """A multiplex group of (leads, samples) integers of 1 uV."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    group = Dataset()
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = stored.shape
    group.SamplingFrequency, group.WaveformOriginality = str(fs), "ORIGINAL"
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = (
        8 * stored.itemsize,
        {2: "SS", 4: "SL"}[stored.itemsize],
    )
    channels = []
    for name in names:
        channel = Dataset()
        channel.ChannelSourceSequence = Items([dicom_code("x", "MDC", f"Lead {name} (Einthoven)")])
        channel.ChannelSensitivityUnitsSequence = Items([dicom_code("uV", "UCUM", "microvolt")])
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "1", "1", "0"
        channel.WaveformBitsStored = 8 * stored.itemsize
        channels.append(channel)
    group.ChannelDefinitionSequence = Items(channels)
    group.add_new(0x54001010, "OW", stored.T.tobytes())
    return group


def save_dicom(path: Path, groups: Sequence[Any], syntax: str = "1.2.840.10008.1.2.1", **attributes: Any) -> None:
    """A 12-lead ECG of multiplex groups; attributes of the data set by their keywords."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence as Items
    from pydicom.uid import UID, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.PatientAge, data.PatientSex, data.Modality = "064Y", "M", "ECG"
    if groups:
        data.WaveformSequence = Items(groups)
    for name, value in attributes.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)


def write_dicom(record: ECGRecord, path: Path) -> None:
    save_dicom(path, [dicom_group(microvolts(record), record.leads, record.fs)])


def write_scp(record: ECGRecord, path: Path) -> None:
    """Sections 0, 1, 3 and 6 of EN 1064, without Huffman coding or differences; eight leads."""

    def section(number: int, body: bytes) -> bytes:
        body += b"\0" * (len(body) % 2)
        rest = struct.pack("<HIBB6x", number, 16 + len(body), 20, 20) + body
        return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest

    codes = {"I": 1, "II": 2, **{f"V{k}": 2 + k for k in range(1, 7)}}
    tags = struct.pack("<BHHB", 4, 3, 64, 1) + struct.pack("<BHB", 8, 1, 1) + struct.pack("<BH", 255, 0)
    leads = struct.pack("<BB", 8, 0x04 | 8 << 3)
    leads += b"".join(struct.pack("<IIB", 1, record.n_samples, codes[lead]) for lead in EIGHT)
    rows = microvolts(record.select(EIGHT))
    rhythm = struct.pack("<HHBB", 1000, round(1e6 / record.fs), 0, 0)
    rhythm += b"".join(struct.pack("<H", 2 * record.n_samples) for _ in EIGHT) + rows.tobytes()
    parts = {1: section(1, tags), 3: section(3, leads), 6: section(6, rhythm)}
    zero_length = 16 + 10 * 12
    pointers, start = struct.pack("<HII", 0, zero_length, 7), 7 + zero_length
    for number in range(1, 12):
        part = parts.get(number, b"")
        pointers += struct.pack("<HII", number, len(part), start if part else 0)
        start += len(part)
    body = section(0, pointers) + b"".join(parts.values())
    rest = struct.pack("<I", 6 + len(body)) + body
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest)


def write_ishne(record: ECGRecord, path: Path) -> None:
    """A fixed header of 522 bytes, 30 bytes of remarks, and interleaved samples of 1 uV."""
    code = {"I": 5, "II": 6, "III": 7, "aVR": 8, "aVL": 9, "aVF": 10, **{f"V{k}": 10 + k for k in range(1, 7)}}
    remarks = b"written by a test".ljust(30, b"\0")
    fixed = bytearray(512)
    struct.pack_into("<iiii", fixed, 0, len(remarks), record.n_samples, 522, 522 + len(remarks))
    struct.pack_into("<hh3h3h", fixed, 118, 1, 0, 23, 1, 1938, 24, 1, 2002)  # male, born, recorded
    struct.pack_into(
        "<h12h", fixed, 146, record.n_leads, *[code[lead] for lead in record.leads], *[-9] * (12 - record.n_leads)
    )
    struct.pack_into("<12h", fixed, 196, *[1000] * 12)  # nV
    struct.pack_into("<h", fixed, 262, round(record.fs))
    path.write_bytes(b"ISHNE1.0\0\0" + bytes(fixed) + remarks + microvolts(record).T.tobytes())


def write_healforce(record: ECGRecord, path: Path, step_nv: int = 9524) -> None:
    """Leads I, II and III: the sections of SCP-ECG at their own places, four samples of ten bits in three words."""
    rows = np.round(record.select(["I", "II", "III"]).signal.astype(float) * 1e6 / step_nv).astype(int) + 512
    flat = rows.T.reshape(-1)
    flat = flat[: len(flat) // 4 * 4].reshape(-1, 4)
    fourth = flat[:, 3]
    words = flat[:, :3] | np.column_stack([fourth >> 8, fourth >> 4 & 15, fourth & 15]) << 10
    samples = words.astype("<u2").tobytes()

    def section(number: int, body: bytes) -> bytes:
        return struct.pack("<HHIBB6x", 0, number, 16 + len(body), 13, 13) + body

    parts = {
        3: section(3, b"\3\4" + bytes(10)),
        6: section(6, struct.pack("<HHHH", step_nv, round(record.fs), 0, len(samples)) + samples),
    }
    pointers, start = struct.pack("<HII", 0, 76, 6), 6 + 76
    for number in (1, 2, 3, 6, 9):
        part = parts.get(number, b"")
        pointers += struct.pack("<HII", number, len(part), start)
        start += len(part)
    body = section(0, pointers) + b"".join(parts.values())
    path.write_bytes(struct.pack("<HHH", 0, 0, (6 + len(body)) & 0xFFFF) + body)


WRITERS: dict[str, tuple[str, Callable[[ECGRecord, Path], None]]] = {
    "edf": (".edf", write_edf),
    "bdf": (".bdf", write_bdf),
    "dicom": (".dcm", write_dicom),
    **XML_WRITERS,
    "ishne": (".ecg", write_ishne),
    "scp": (".scp", write_scp),
}
