"""DICOM: multiplex groups, names and codes of leads, gains, padding, transfer syntaxes, files without waveforms."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from writers import dicom_code, dicom_group, microvolts, save_dicom

from grounding import EcgFormatError, ECGRecord, read_record, sample_path

CODES = dict(
    zip(
        ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF"),
        (*range(1, 9), 61, 62, 63, 64),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.dcm"


def group(record: ECGRecord, leads: Any = None, samples: int = 5000, fs: float | None = None) -> Any:
    part = record.select(leads or record.leads)
    return dicom_group(microvolts(part)[:, :samples], part.leads, fs or record.fs)


def test_groups_recorded_together_are_joined(record: ECGRecord, path: Path) -> None:
    save_dicom(path, [group(record, record.leads[:6]), group(record, record.leads[6:])])
    found = read_record(path)
    assert found.leads == record.leads
    np.testing.assert_allclose(found.signal, record.signal, atol=6e-4)
    assert found.meta["warnings"] == ()


def test_one_group_can_be_picked(record: ECGRecord, path: Path) -> None:
    save_dicom(path, [group(record, record.leads[:6]), group(record, record.leads[6:])])
    assert read_record(path, group=1).leads == record.leads[6:]
    with pytest.raises(EcgFormatError, match="no waveform group 2, there are 2"):
        read_record(path, group=2)


@pytest.mark.parametrize("other", ["rate", "length", "start", "names"])
def test_groups_that_do_not_fit_are_named(record: ECGRecord, path: Path, other: str) -> None:
    second = group(
        record, record.leads[:6] if other == "names" else record.leads[6:], *((2500,) if other == "length" else ())
    )
    if other == "rate":
        second.SamplingFrequency = "250"
    if other == "start":
        second.MultiplexGroupTimeOffset = "10000"
    save_dicom(path, [group(record, record.leads[:6]), second])
    found = read_record(path)
    assert found.leads == record.leads[:6]
    assert "the file also holds group 1 (Lead " in found.meta["warnings"][0]
    assert "group= picks another" in found.meta["warnings"][0]


@pytest.mark.parametrize("first", [True, False])
def test_a_median_beat_is_no_part_of_the_recording(record: ECGRecord, path: Path, first: bool) -> None:
    median = group(record, samples=600)
    median.WaveformOriginality, median.MultiplexGroupLabel = "DERIVED", "MEDIAN BEAT"
    save_dicom(path, [median, group(record)] if first else [group(record), median])
    found = read_record(path)
    assert found.n_samples == 5000
    assert found.meta["warnings"] == ()
    assert "derived" in found.meta["also_in_file"][0]
    assert read_record(path, group=0 if first else 1).n_samples == 600


@pytest.mark.parametrize("given", ["label", "SCPECG", "MDC number", "MDC name", "meaning in words", "nothing"])
def test_where_the_leads_names_stand(record: ECGRecord, path: Path, given: str) -> None:
    item = group(record)
    for name, channel in zip(record.leads, item.ChannelDefinitionSequence, strict=True):
        if given in ("label", "nothing"):
            del channel.ChannelSourceSequence
            if given == "label":
                channel.ChannelLabel = name
            continue
        value = {
            "SCPECG": f"5.6.3-9-{CODES[name]}",
            "MDC number": f"2:{CODES[name]}",
            "MDC name": f"MDC_ECG_LEAD_{name.upper()}",
        }.get(given, "x")
        meaning = f"Lead {name}, augmented voltage" if given == "meaning in words" else ""
        channel.ChannelSourceSequence = [dicom_code(value, given[:6].strip(), meaning)]
    save_dicom(path, [item])
    found = read_record(path)
    assert found.leads == (record.leads if given != "nothing" else tuple(f"lead {k}" for k in range(1, 13)))
    np.testing.assert_allclose(found.signal, record.signal, atol=6e-4)


def test_a_code_that_all_leads_share_gives_way_to_their_labels(record: ECGRecord, path: Path) -> None:
    item = group(record)
    for name, channel in zip(record.leads, item.ChannelDefinitionSequence, strict=True):
        channel.ChannelSourceSequence = [dicom_code("5.6.3-9-1", "SCPECG", "")]
        channel.ChannelLabel = name
    save_dicom(path, [item])
    assert read_record(path).leads == record.leads


def test_gain_correction_baseline_and_unit(record: ECGRecord, path: Path) -> None:
    import pydicom

    item = group(record)
    channel = item.ChannelDefinitionSequence[1]
    channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "0.5", "4", "-100"
    item.ChannelDefinitionSequence[2].ChannelSensitivity = "0.001"
    item.ChannelDefinitionSequence[2].ChannelSensitivityUnitsSequence = [dicom_code("mV", "UCUM", "millivolt")]
    save_dicom(path, [item])
    found = read_record(path)
    expected = pydicom.dcmread(path).waveform_array(0).T
    expected[[*range(2), *range(3, 12)]] /= 1000
    np.testing.assert_allclose(found.signal, expected, atol=1e-5)
    np.testing.assert_allclose(found.lead("II"), record.lead("II") * 2 - 0.1, atol=1e-3)
    np.testing.assert_allclose(found.lead("III"), record.lead("III"), atol=1e-3)


def test_without_a_gain_it_is_not_millivolts(record: ECGRecord, path: Path) -> None:
    item = group(record)
    for channel in item.ChannelDefinitionSequence:
        channel.ChannelSensitivity = "0"
    save_dicom(path, [item])
    assert read_record(path).meta["units"] == "adu"


def test_padding_is_missing(record: ECGRecord, path: Path) -> None:
    stored = microvolts(record).copy()
    stored[3, 1000:1500] = 1234
    item = dicom_group(stored, record.leads, record.fs)
    item.add_new(0x5400100A, "OW", struct.pack("<h", 1234))
    save_dicom(path, [item])
    assert np.isnan(read_record(path).signal[3, 1000:1500]).all()


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"]
)
def test_transfer_syntaxes(record: ECGRecord, path: Path, syntax: str) -> None:
    """Implicit and explicit, deflated, big-endian."""
    stored = microvolts(record)
    item = dicom_group(stored, record.leads, record.fs)
    if syntax.endswith("1.2.2"):
        item[0x54001010].value = stored.T.astype(">i2").tobytes()
    save_dicom(path, [item], syntax)
    np.testing.assert_allclose(read_record(path).signal, record.signal, atol=6e-4)


def test_32_bits(record: ECGRecord, path: Path) -> None:
    save_dicom(path, [dicom_group(microvolts(record).astype("<i4"), record.leads, record.fs)])
    np.testing.assert_allclose(read_record(path).signal, record.signal, atol=6e-4)


def test_without_its_preamble(record: ECGRecord, path: Path) -> None:
    save_dicom(path, [group(record)], "1.2.840.10008.1.2")
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 140)[0]
    path.write_bytes(data[144 + length :])
    assert read_record(path).n_leads == 12


@pytest.mark.parametrize(
    ("uid", "told"),
    [
        ("1.2.840.10008.5.1.4.1.1.7", "a DICOM image .Secondary Capture"),
        ("1.2.840.10008.5.1.4.1.1.6.1", "a DICOM image .Ultrasound"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "a PDF document in DICOM"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "a DICOM file .12-lead ECG"),
    ],
)
def test_a_file_without_waveforms_is_called_what_it_is(path: Path, uid: str, told: str) -> None:
    save_dicom(path, [], SOPClassUID=uid)
    with pytest.raises(EcgFormatError, match=f"this is {told}"):
        read_record(path)


def test_what_the_device_says(record: ECGRecord, path: Path) -> None:
    from pydicom.dataset import Dataset

    said, rate, quick = Dataset(), Dataset(), Dataset()
    said.UnformattedTextValue = "SINUS RHYTHM"
    rate.ConceptNameCodeSequence, rate.NumericValue = [dicom_code("x", "MDC", "Heart Rate")], "61"
    quick.ConceptNameCodeSequence, quick.NumericValue = [dicom_code("y", "SCPECG", "QRS Duration")], "0.092"
    quick.MeasurementUnitsCodeSequence = [dicom_code("s", "UCUM", "second")]
    save_dicom(path, [group(record)], WaveformAnnotationSequence=[said, rate, quick])
    assert read_record(path).meta["device"] == {"heart_rate": 61.0, "qrs": 92.0, "statements": ("SINUS RHYTHM",)}


def test_what_it_unpacks_to_is_looked_at_first(path: Path) -> None:
    uid = b"1.2.840.10008.1.2.1.99"
    meta = b"\x02\0\x10\0UI" + struct.pack("<H", len(uid)) + uid
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(b"\x09\0\1\0OB\0\0" + struct.pack("<I", 200_000_000))
    body += b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()
    path.write_bytes(bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + struct.pack("<I", len(meta)) + meta + body)
    with pytest.raises(EcgFormatError, match="unpacks to"):
        read_record(path)


def test_a_flood_of_items_is_refused(path: Path) -> None:
    uid = b"1.2.840.10008.1.2.1\0"
    meta = b"\x02\0\x10\0UI" + struct.pack("<H", len(uid)) + uid
    head = bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + struct.pack("<I", len(meta)) + meta
    path.write_bytes(head + b"\0\x54\0\1SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\0\0\0\0" * 200_000)
    with pytest.raises(EcgFormatError, match="200000 items"):
        read_record(path)
