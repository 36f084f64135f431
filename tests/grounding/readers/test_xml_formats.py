"""The XML formats of devices: what each holds beside plain rhythm, what the device says, broken and hostile files."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from writers_xml import (
    XML_WRITERS,
    microvolts,
    write_aecg,
    write_cardiosoft,
    write_muse,
    write_philips,
    write_philips_xli,
)

from grounding import EcgError, EcgFormatError, ECGRecord, read_record, sample_path


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.xml"


def edit(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


# --- what all have in common


@pytest.mark.parametrize("name", XML_WRITERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_encodings(record: ECGRecord, path: Path, name: str, encoding: str) -> None:
    XML_WRITERS[name][1](record, path)
    text = path.read_bytes().decode("utf-8-sig").replace('encoding="UTF-8"', "").replace('encoding="ISO-8859-1"', "")
    path.write_bytes(("\ufeff" if encoding == "utf-16-le" else "").encode("utf-16-le") + text.encode(encoding))
    found = read_record(path)
    assert found.meta["format"] == name
    np.testing.assert_allclose(found.select(record.leads).signal, record.signal, atol=2.1e-3)


@pytest.mark.parametrize("name", XML_WRITERS)
def test_bytes_of_another_encoding_than_declared(record: ECGRecord, path: Path, name: str) -> None:
    """A patient's name in Latin-1 in a file that says UTF-8 is no reason to refuse the samples."""
    XML_WRITERS[name][1](record, path)
    data = path.read_bytes().replace(b"ISO-8859-1", b"UTF-8")
    at = data.index(b">", data.index(b"<", data.index(b"?>"))) + 1
    path.write_bytes(data[:at] + b"<name>M\xfcller</name>" + data[at:])
    assert read_record(path).meta["format"] == name


@pytest.mark.parametrize("name", XML_WRITERS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_was_cut_off_says_so(record: ECGRecord, path: Path, name: str, share: float) -> None:
    XML_WRITERS[name][1](record, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(EcgFormatError, match="truncated"):
        read_record(path)


@pytest.mark.parametrize("name", XML_WRITERS)
def test_without_waveforms(path: Path, name: str) -> None:
    roots = {
        "aecg": "AnnotatedECG",
        "muse": "RestingECG",
        "philips": "restingecgdata",
        "cardiosoft": "CardiologyXML",
        "schiller": "SchillerEDI",
        "mortara": 'ECG ACQUISITION_TIME=""',
    }
    path.write_text(f"<{roots[name]}/>")
    with pytest.raises(EcgFormatError, match=r"no rhythm|holds no waveforms"):
        read_record(path)


def test_bombs_cost_neither_memory_nor_time(record: ECGRecord, path: Path) -> None:
    write_philips_xli(record.crop(0, 1), path)
    unpacks = path.read_text()
    bombs = {
        "tags": "<AnnotatedECG>" + "<a/>" * 2_000_000 + "</AnnotatedECG>",
        "attributes": "<AnnotatedECG " + " ".join(f'a{k}=""' for k in range(500_000)) + "/>",
        "deep": "<AnnotatedECG>" + "<a>" * 100_000 + "</a>" * 100_000 + "</AnnotatedECG>",
        "duration": unpacks.replace('durationperchannel="1000"', 'durationperchannel="99999999"'),
        "duration beyond what is packed": unpacks.replace('durationperchannel="1000"', 'durationperchannel="60000"'),
        "rate": unpacks.replace("<samplingrate>500<", "<samplingrate>1e9<"),
        "leads": unpacks.replace("<numberchannelsvalid>12<", "<numberchannelsvalid>99999999<"),
        "numbers": "<CardiologyXML><StripData><SampleRate>500</SampleRate><WaveformData>"
        + "9" * 5_000_000
        + "</WaveformData></StripData></CardiologyXML>",
    }
    for name, text in bombs.items():
        path.write_text(text)
        tracemalloc.start()
        begun = time.process_time()
        with pytest.raises(EcgError):
            read_record(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 150e6, name
        assert time.process_time() - begun < 8, name


def test_xli_that_grows_is_stopped_where_the_duration_ends(record: ECGRecord, path: Path) -> None:
    """Codes of ten bits that each stand for hundreds of bytes: 60 kB that would be 20 MB."""
    import base64
    import struct

    codes = [0, *range(256, 1022), *[1021] * 40_000]
    bits = "".join(f"{code:010b}" for code in codes)
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    chunk = base64.b64encode(struct.pack("<ihh", len(packed), 0, 0) + packed).decode()
    path.write_text(
        '<restingecgdata><parsedwaveforms dataencoding="Base64" compression="XLI" leadlabels="I" '
        'durationperchannel="11000" samplespersecond="500" '
        f'resolution="5">{chunk}</parsedwaveforms></restingecgdata>'
    )
    with pytest.raises(EcgFormatError, match="damaged, or not the 5500"):
        read_record(path)


# --- one by one


def test_xli_is_unpacked_as_ecgdatakit_does(record: ECGRecord, path: Path) -> None:
    import base64

    from ecgdatakit.parsing.codecs.xli import xli_decode

    from grounding.readers.philips import _unpacked

    write_philips_xli(record, path)
    found = read_record(path)
    assert found.leads == record.leads
    np.testing.assert_allclose(found.signal, record.signal, atol=6e-4)
    text = path.read_text().split('durationperchannel="10000">')[1].split("<")[0]
    data = base64.b64decode(text)
    for ours, theirs in zip(_unpacked(data, 12, 5000, "x"), xli_decode(data), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("writer", [write_philips, write_philips_xli])
def test_philips_truncated_samples(record: ECGRecord, path: Path, writer: Callable[[ECGRecord, Path], None]) -> None:
    writer(record, path)
    text = path.read_text()
    head, tail = text.rsplit("</parsedwaveforms>", 1)
    path.write_text(head[: len(head) - 4000] + "</parsedwaveforms>" + tail)
    with pytest.raises(EcgFormatError, match="truncated"):
        read_record(path)


def test_philips_as_plain_text_with_an_offset_and_more_leads(record: ECGRecord, path: Path) -> None:
    signal = microvolts(record)[:3].astype(int) + 500
    path.write_text(
        "<restingecgdata><documentinfo><documentversion>9.9</documentversion></documentinfo><signalcharacteristics>"
        "<signaloffset>500</signaloffset>"
        '</signalcharacteristics><parsedwaveforms dataencoding="Plain" leadlabels="V3R V4R V7" '
        'durationperchannel="10000" samplespersecond="500" '
        f'resolution="1">{" ".join(map(str, signal.reshape(-1)))}</parsedwaveforms></restingecgdata>'
    )
    found = read_record(path)
    assert found.leads == ("V3R", "V4R", "V7")
    np.testing.assert_allclose(found.signal, record.signal[:3], atol=6e-4)


def test_philips_what_the_device_says(record: ECGRecord, path: Path) -> None:
    write_philips(record, path)
    edit(
        path,
        "<waveforms>",
        "<interpretations><interpretation><globalmeasurements><heartrate>41</heartrate><print>144</print>"
        "<qrsdur>---</qrsdur><pfrontaxis>0</pfrontaxis>"
        "</globalmeasurements><statement><leftstatement>SINUS BRADYCARDIA</leftstatement>"
        "<rightstatement>V-rate&lt;60</rightstatement></statement>"
        "</interpretation></interpretations><waveforms>",
    )
    device = {"heart_rate": 41.0, "pr": 144.0, "p_axis": 0.0, "statements": ("SINUS BRADYCARDIA V-rate<60",)}
    assert read_record(path).meta["device"] == device


def test_muse_reads_the_rhythm_and_not_the_median_beat(record: ECGRecord, path: Path) -> None:
    write_muse(record, path)
    edit(
        path,
        "<Waveform><WaveformType>Rhythm",
        "<Waveform><WaveformType>Median</WaveformType></Waveform><Waveform><WaveformType>Rhythm",
    )
    assert read_record(path).n_samples == 5000


def test_muse_without_a_unit_or_gain_is_not_millivolts(record: ECGRecord, path: Path) -> None:
    for old, new in (("<LeadAmplitudeUnitsPerBit>1<", "<LeadAmplitudeUnitsPerBit>0<"), ("MICROVOLTS", "")):
        write_muse(record, path)
        edit(path, old, new)
        assert not read_record(path).has_millivolts


def test_muse_an_electrode_that_was_off_is_said(record: ECGRecord, path: Path) -> None:
    write_muse(record, path)
    edit(path, "<LeadID>V3</LeadID>", "<LeadID>V3</LeadID><LeadOff>TRUE</LeadOff>")
    assert "electrode was off in V3" in read_record(path).meta["warnings"][0]


def test_muse_statements_go_on_to_the_end_of_their_line(record: ECGRecord, path: Path) -> None:
    write_muse(record, path)
    edit(
        path,
        "<Waveform>",
        "<RestingECGMeasurements><VentricularRate>69</VentricularRate></RestingECGMeasurements><Diagnosis>"
        "<DiagnosisStatement><StmtText>Sinus</StmtText>"
        "</DiagnosisStatement><DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>rhythm</StmtText>"
        "</DiagnosisStatement><DiagnosisStatement>"
        "<StmtFlag>ENDSLINE</StmtFlag><StmtText>Normal ECG</StmtText></DiagnosisStatement></Diagnosis><Waveform>",
    )
    assert read_record(path).meta["device"] == {"heart_rate": 69.0, "statements": ("Sinus rhythm", "Normal ECG")}


def test_cardiosoft_full_disclosure(record: ECGRecord, path: Path) -> None:
    write_cardiosoft(record.crop(0, 3.5), path, full_disclosure=True)
    strip, whole = read_record(path), read_record(path, full_disclosure=True)
    assert (strip.n_samples, whole.n_samples) == (1750, 1500)
    np.testing.assert_allclose(whole.signal, strip.signal[:, :1500], atol=1e-6)
    assert "full disclosure" in strip.meta["warnings"][0]
    text = path.read_text()
    path.write_text(text[: text.index("<StripData>")] + text[text.index("</StripData>") + len("</StripData>") :])
    np.testing.assert_allclose(read_record(path).signal, whole.signal, atol=1e-6)


def test_cardiosoft_exercise_strips(record: ECGRecord, path: Path) -> None:
    write_cardiosoft(record.crop(0, 2), path)
    text = path.read_text()
    strip = text[text.index("<StripData>") + 11 : text.index("</StripData>")]
    two = "".join(f"<Strip><Time><Minute>{k}</Minute></Time>{strip}</Strip>" for k in range(2))
    path.write_text(text.replace(strip, two).replace("RestECG", "ExerciseECG"))
    found = read_record(path)
    assert found.n_samples == 1000
    assert "strip 1" in found.meta["warnings"][0]
    assert read_record(path, strip=1).n_samples == 1000
    with pytest.raises(EcgFormatError, match="no strip 2"):
        read_record(path, strip=2)


def test_cardiosoft_what_the_device_says(record: ECGRecord, path: Path) -> None:
    write_cardiosoft(record, path)
    assert read_record(path).meta["device"] == {"heart_rate": 61.0, "pr": 174.0, "statements": ("Sinus rhythm",)}


def test_numbers_that_are_missing_between_commas(record: ECGRecord, path: Path) -> None:
    write_cardiosoft(record, path)
    first = ",".join(map(str, microvolts(record)[0, :4]))
    edit(path, f">{first},", f">{first.split(',')[0]},,, {first.split(',')[3]},", 1)
    found = read_record(path)
    assert np.flatnonzero(np.isnan(found.signal[0])).tolist() == [1, 2]
    np.testing.assert_allclose(found.signal[0, 3:], record.signal[0, 3:], atol=6e-4)
    edit(path, ",,,", ",x,", 1)
    with pytest.raises(EcgFormatError, match="samples of I are not all numbers"):
        read_record(path)


def test_aecg_origin_scale_and_units(record: ECGRecord, path: Path) -> None:
    write_aecg(record, path)
    edit(
        path,
        '<origin value="0" unit="uV"/><scale value="1" unit="uV"/>',
        '<origin value="0.5" unit="mV"/><scale value="2" unit="uV"/>',
    )
    np.testing.assert_allclose(read_record(path).signal, record.signal * 2 + 0.5, atol=2e-3)


def test_aecg_without_a_scale_is_not_millivolts(record: ECGRecord, path: Path) -> None:
    write_aecg(record, path)
    edit(path, '<scale value="1" unit="uV"/>', "")
    assert read_record(path).meta["units"] == "adu"


def test_aecg_increments_in_other_units(record: ECGRecord, path: Path) -> None:
    write_aecg(record, path)
    edit(path, f'value="{1 / record.fs}" unit="s"', 'value="3.90625" unit="ms"')
    assert read_record(path).fs == 256


def test_aecg_sequence_sets_of_the_same_time_are_joined(record: ECGRecord, path: Path) -> None:
    write_aecg(record, path)
    text = path.read_text()
    start, end = text.index("<component><sequenceSet>"), text.index("</series>")
    inner = text[start + 24 : text.index("</sequenceSet>")]
    cut = inner.index('<component><sequence><code code="MDC_ECG_LEAD_V1"/>')
    clock = inner[: inner.index('<component><sequence><code code="MDC_ECG_LEAD_I"/>')]
    parts = (inner[:cut], clock + inner[cut:])
    sets = "".join(f"<component><sequenceSet>{part}</sequenceSet></component>" for part in parts)
    path.write_text(text[:start] + sets + text[end:])
    found = read_record(path)
    assert found.leads == record.leads
    assert found.meta["warnings"] == ()
    later = sets.replace(clock, clock.replace('head value="0"', 'head value="10"'))
    path.write_text(text[:start] + later[: len(sets) // 2] + sets[len(sets) // 2 :] + text[end:])
    found = read_record(path)
    assert found.leads == record.leads[:6]
    assert "the file also holds sequence set 1" in found.meta["warnings"][0]


def test_aecg_series_of_rhythm_and_of_a_median_beat(record: ECGRecord, path: Path) -> None:
    write_aecg(record, path)
    text = path.read_text()
    start, end = text.index("<component><series>"), text.index("</AnnotatedECG>")
    series = text[start:end]
    beat = series.replace('code="RHYTHM"', 'code="REPRESENTATIVE_BEAT"')
    path.write_text(text[:start] + beat + series + text[end:])
    assert read_record(path).meta["warnings"] == ()
    path.write_text(text[:start] + series + series.replace('unit="uV"/><digits>', 'unit="mV"/><digits>') + text[end:])
    found = read_record(path)
    assert "rhythm series 0 of 2 is read" in found.meta["warnings"][0]
    np.testing.assert_allclose(read_record(path, series=1).signal, found.signal * 1000, rtol=1e-5)
    with pytest.raises(EcgFormatError, match="no rhythm series 2"):
        read_record(path, series=2)


def test_aecg_what_the_device_says(record: ECGRecord, path: Path) -> None:
    write_aecg(record, path)
    note = '<component><annotation><code code="{}"/><value value="{}" unit="{}">{}</value></annotation></component>'
    notes = note.format("MDC_ECG_HEART_RATE", 41, "/min", "") + note.format("MDC_ECG_TIME_PD_QTcB", 0.466, "s", "")
    notes += note.format("MDC_ECG_INTERPRETATION_STATEMENT", "", "", "SINUS BRADYCARDIA")
    edit(path, "</series>", f"<subjectOf><annotationSet>{notes}</annotationSet></subjectOf></series>")
    assert read_record(path).meta["device"] == {
        "heart_rate": 41.0,
        "qtc_bazett": 466.0,
        "statements": ("SINUS BRADYCARDIA",),
    }


def test_schiller_reads_the_rhythm_and_names_a_storage_it_does_not_know(record: ECGRecord, path: Path) -> None:
    XML_WRITERS["schiller"][1](record, path)
    found = read_record(path)
    assert found.n_samples == 5000
    assert found.meta["device"] == {"heart_rate": 61.0, "statements": ("Sinus rhythm",)}
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(text.replace("COMMASEPARATE", "HUFFMAN"))
    with pytest.raises(EcgFormatError, match="HUFFMAN"):
        read_record(path)


def test_mortara_what_the_device_says(record: ECGRecord, path: Path) -> None:
    XML_WRITERS["mortara"][1](record, path)
    assert read_record(path).meta["device"] == {
        "heart_rate": 61.0,
        "rr": 983.0,
        "pr": 174.0,
        "qrs": 92.0,
        "statements": ("SINUS RHYTHM",),
    }
