"""Write a recording into the formats that have readers; every writer stores integer microvolts."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from grounding import ECGRecord

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def microvolts(record: ECGRecord) -> np.ndarray:
    return np.round(record.signal.astype(float) * 1000).astype("<i2")


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
            row.astype(float), record.fs, label=f"ECG {lead}", physical_dimension="uV",
            physical_range=(-262144, 262143), digital_range=(-8388608, 8388607),
        )
        for lead, row in zip(record.leads, microvolts(record), strict=True)
    ]  # fmt: skip
    edfio.Bdf(signals, patient=edfio.Patient(sex="M")).write(path)


def write_dicom(record: ECGRecord, path: Path) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.PatientAge, data.PatientSex, data.Modality = "064Y", "M", "ECG"
    group = Dataset()
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = record.n_leads, record.n_samples
    group.SamplingFrequency = str(record.fs)
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    channels = []
    for lead in record.leads:
        channel, source, unit = Dataset(), Dataset(), Dataset()
        source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = "x", "MDC", f"Lead {lead} (Einthoven)"
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
        channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = Sequence([source]), Sequence([unit])
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "1", "1", "0"
        channel.WaveformBitsStored = 16
        channels.append(channel)
    group.ChannelDefinitionSequence = Sequence(channels)
    group.WaveformData = microvolts(record).T.tobytes()
    data.WaveformSequence = Sequence([group])
    data["WaveformSequence"].value[0]["WaveformData"].VR = "OW"
    data.save_as(path, enforce_file_format=True)


def write_aecg(record: ECGRecord, path: Path) -> None:
    def sequence(code: str, value: str) -> str:
        return f'<component><sequence><code code="{code}"/>{value}</sequence></component>'

    rows = [
        sequence(
            "TIME_RELATIVE", f'<value><head value="0" unit="s"/><increment value="{1 / record.fs}" unit="s"/></value>'
        )
    ]
    for lead, row in zip(record.leads, microvolts(record), strict=True):
        digits = " ".join(map(str, row))
        scale = '<origin value="0" unit="uV"/><scale value="1" unit="uV"/>'
        rows.append(sequence(f"MDC_ECG_LEAD_{lead.upper()}", f"<value>{scale}<digits>{digits}</digits></value>"))
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3"><component><series><code code="RHYTHM"/>'
        f"<component><sequenceSet>{''.join(rows)}</sequenceSet></component></series></component></AnnotatedECG>"
    )


def write_muse(record: ECGRecord, path: Path) -> None:
    """Eight leads, as the device stores them, in MUSE's usual 4.88 uV steps only if they fit: here 1 uV."""
    leads = [
        f"<LeadData><LeadID>{lead}</LeadID><LeadAmplitudeUnitsPerBit>1</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadSampleSize>2</LeadSampleSize>"
        f"<LeadSampleCountTotal>{record.n_samples}</LeadSampleCountTotal>"
        f"<WaveFormData>{base64.b64encode(row.tobytes()).decode()}</WaveFormData></LeadData>"
        for lead, row in zip(EIGHT, microvolts(record.select(EIGHT)), strict=True)
    ]
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><RestingECG><PatientDemographics><PatientAge>64</PatientAge><AgeUnits>YEARS</AgeUnits>'
        "<Gender>MALE</Gender></PatientDemographics><Waveform><WaveformType>Rhythm</WaveformType>"
        f"<SampleBase>{record.fs:g}</SampleBase><SampleExponent>0</SampleExponent>{''.join(leads)}</Waveform></RestingECG>"
    )


def write_philips(record: ECGRecord, path: Path) -> None:
    data = base64.b64encode(microvolts(record).tobytes()).decode()
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo><documenttype>SierraECG</documenttype>'
        "<documentversion>1.04</documentversion></documentinfo><dataacquisition><signalcharacteristics>"
        f"<samplingrate>{record.fs:g}</samplingrate><resolution>1</resolution><numberchannelsallocated>12</numberchannelsallocated>"
        "</signalcharacteristics></dataacquisition><waveforms>"
        f'<parsedwaveforms dataencoding="Base64" compression="Uncompressed" durationperchannel="{1000 * record.duration_s:g}" '
        f'samplespersecond="{record.fs:g}" resolution="1" numberofleads="{record.n_leads}" leadlabels="{" ".join(record.leads)}">'
        f"{data}</parsedwaveforms></waveforms></restingecgdata>"
    )


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


WRITERS: dict[str, tuple[str, Callable[[ECGRecord, Path], None]]] = {
    "edf": (".edf", write_edf),
    "bdf": (".bdf", write_bdf),
    "dicom": (".dcm", write_dicom),
    "aecg": (".xml", write_aecg),
    "muse": (".xml", write_muse),
    "philips": (".xml", write_philips),
    "scp": (".scp", write_scp),
}
