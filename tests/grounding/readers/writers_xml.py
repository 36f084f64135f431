"""Write a recording into the XML formats of devices, in integer microvolts."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from grounding import ECGRecord

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def microvolts(record: ECGRecord) -> np.ndarray:
    return np.round(record.signal.astype(float) * 1000).astype("<i2")


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
        '<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3"><component><series><code '
        'code="RHYTHM"/>'
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
        '<?xml version="1.0" encoding="UTF-8"?><RestingECG><PatientDemographics><PatientAge>64</PatientAge>'
        "<AgeUnits>YEARS</AgeUnits>"
        "<Gender>MALE</Gender></PatientDemographics><Waveform><WaveformType>Rhythm</WaveformType>"
        f"<SampleBase>{record.fs:g}</SampleBase><SampleExponent>0</SampleExponent>{''.join(leads)}</Waveform>"
        "</RestingECG>"
    )


def write_philips(record: ECGRecord, path: Path) -> None:
    data = base64.b64encode(microvolts(record).tobytes()).decode()
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo>'
        "<documenttype>SierraECG</documenttype>"
        "<documentversion>1.04</documentversion></documentinfo><dataacquisition><signalcharacteristics>"
        f"<samplingrate>{record.fs:g}</samplingrate><resolution>1</resolution>"
        "<numberchannelsallocated>12</numberchannelsallocated>"
        "</signalcharacteristics></dataacquisition><waveforms>"
        '<parsedwaveforms dataencoding="Base64" compression="Uncompressed" '
        f'durationperchannel="{1000 * record.duration_s:g}" '
        f'samplespersecond="{record.fs:g}" resolution="1" numberofleads="{record.n_leads}" '
        f'leadlabels="{" ".join(record.leads)}">'
        f"{data}</parsedwaveforms></waveforms></restingecgdata>"
    )


def write_philips_xli(record: ECGRecord, path: Path) -> None:
    """Twelve standard leads, compressed with LZW of second differences; limb leads as differences to lead algebra."""
    rows = microvolts(record.standard()).astype(int)
    one, two, three = rows[:3]
    stored = rows.copy()
    stored[2] = two - one - three
    stored[3] = -rows[3] - (one + two) // 2
    stored[4] = (one - three) // 2 - rows[4]
    stored[5] = (two + three) // 2 - rows[5]
    chunks = b""
    for row in stored:
        bend = 2 * row[1:-1] - row[:-2] - row[2:]
        coded = np.concatenate([row[:2], bend[1:] + 64, [64]]).astype(">i2").view(np.uint8).reshape(-1, 2)
        packed = lzw(coded.T.tobytes())
        chunks += struct.pack("<ihh", len(packed), 0, bend[0]) + packed
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo>'
        "<documenttype>SierraECG</documenttype>"
        "<documentversion>1.03</documentversion></documentinfo><dataacquisition><signalcharacteristics>"
        f"<samplingrate>{record.fs:g}</samplingrate><signalresolution>1</signalresolution>"
        "<numberchannelsvalid>12</numberchannelsvalid>"
        "</signalcharacteristics></dataacquisition><waveforms>"
        '<parsedwaveforms dataencoding="Base64" compressflag="True" compressmethod="XLI" '
        f'durationperchannel="{1000 * record.duration_s:g}">'
        f"{base64.b64encode(chunks).decode()}</parsedwaveforms></waveforms></restingecgdata>"
    )


def lzw(plain: bytes) -> bytes:
    """LZW in codes of ten bits, of which 1023 is not used."""
    table = {bytes([value]): value for value in range(256)}
    codes, string = [], b""
    for value in plain:
        longer = string + bytes([value])
        if longer in table:
            string = longer
            continue
        codes.append(table[string])
        if len(table) < 1023:
            table[longer] = len(table)
        string = bytes([value])
    codes.append(table[string])
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def write_cardiosoft(record: ECGRecord, path: Path, full_disclosure: bool = False) -> None:
    leads = "".join(
        f'<WaveformData lead="{lead}">{",".join(map(str, row))}</WaveformData>'
        for lead, row in zip(record.leads, microvolts(record), strict=True)
    )
    scale = f'<SampleRate units="Hz">{record.fs:g}</SampleRate><Resolution units="uVperLsb">1</Resolution>'
    whole = ""
    if full_disclosure:  # a second of each lead after the other
        second = round(record.fs)
        blocks = microvolts(record)[:, : record.n_samples // second * second].reshape(record.n_leads, -1, second)
        samples = ",".join(map(str, blocks.transpose(1, 0, 2).reshape(-1)))
        whole = (
            f"<FullDisclosure><NumberOfChannels>{record.n_leads}</NumberOfChannels>{scale}"
            f"<LeadOrder>{','.join(record.leads)}</LeadOrder>"
            f"<FullDisclosureData>{samples}</FullDisclosureData></FullDisclosure>"
        )
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?><CardiologyXML><ObservationType>RestECG</ObservationType>'
        '<PatientInfo><Age units="YEARS">64</Age>'
        "<Gender>MALE</Gender></PatientInfo><Interpretation><Diagnosis><DiagnosisText>Sinus rhythm</DiagnosisText>"
        "</Diagnosis></Interpretation>"
        '<RestingECGMeasurements><VentricularRate units="BPM">61</VentricularRate><PQInterval '
        'units="ms">174</PQInterval><QRSDuration units="ms"/>'
        f"</RestingECGMeasurements><StripData>{scale}<ChannelSampleCountTotal>{record.n_samples}"
        f"</ChannelSampleCountTotal>{leads}</StripData>"
        f"{whole}</CardiologyXML>",
        encoding="latin-1",
    )


def write_schiller(record: ECGRecord, path: Path) -> None:
    def wave(kind: str, rows: np.ndarray) -> str:
        channels = "".join(
            f"<channel><name>{lead.upper()}</name><data>{','.join(map(str, row))}</data>"
            "<datastype>COMMASEPARATE</datastype>"
            f"<samplecount>{len(row)}</samplecount></channel>"
            for lead, row in zip(record.leads, rows, strict=True)
        )
        return (
            f"<wavedata><type>{kind}</type><resolution><samplerate><exponent>1</exponent><value>{record.fs:g}</value>"
            "</samplerate>"
            f"<yres><unitperbit>1.0</unitperbit><units>UV</units></yres></resolution>{channels}</wavedata>"
        )

    rows = microvolts(record)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><com.xiriuz.sema.xml.schillerEDI.SchillerEDI><patdata>'
        "<birthdate>19380123</birthdate>"
        "<gender>MALE</gender></patdata><examdescript><startdatetime><date>20020124</date></startdatetime>"
        "</examdescript><eventdata><event>"
        f"{wave('ECG_AVERAGES', rows[:, :300])}{wave('ECG_RHYTHMS', rows)}<annotation_global><name>HR</name>"
        "<value>61</value></annotation_global>"
        "<textdata><type>INTERPRETATION</type><textdata>Sinus rhythm</textdata></textdata></event></eventdata>"
        "</com.xiriuz.sema.xml.schillerEDI.SchillerEDI>",
        encoding="utf-8-sig",
    )


def write_mortara(record: ECGRecord, path: Path) -> None:
    channels = "".join(
        f'<CHANNEL OFFSET="0" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="1000" DURATION="{record.n_samples}" '
        f'SAMPLE_FREQ="{record.fs:g}" '
        f'ENCODING="BASE64" NAME="{lead}" DATA="{base64.b64encode(row.tobytes()).decode()}"/>'
        for lead, row in zip(record.leads, microvolts(record), strict=True)
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><ECG ACQUISITION_TIME="20020124101500" AGE="64" AGE_UNITS="YEARS" '
        'VENT_RATE="61" AVERAGE_RR="983">'
        '<SUBJECT LAST_NAME="x" GENDER="Male"/><AUTOMATIC_INTERPRETATION><STATEMENT TEXT="SINUS RHYTHM" REASON=""/>'
        "</AUTOMATIC_INTERPRETATION>"
        f'<TYPICAL_CYCLE PR_DURATION="174" QRS_DURATION="92"/>{channels}</ECG>'
    )


XML_WRITERS: dict[str, tuple[str, Callable[[ECGRecord, Path], None]]] = {
    "aecg": (".xml", write_aecg),
    "muse": (".xml", write_muse),
    "philips": (".xml", write_philips),
    "cardiosoft": (".xml", write_cardiosoft),
    "schiller": (".xml", write_schiller),
    "mortara": (".xml", write_mortara),
}
