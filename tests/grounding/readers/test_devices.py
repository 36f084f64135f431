"""Files of real devices and tools: all are read, with the samples of another decoder and the device's heart rate."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from grounding import measure, read_record

Leads = dict[str, NDArray[np.float64]]

# the rate (bpm) that each file states itself, by name or by its RR interval; None where it states none
FILES = {
    "aecg/ecgtoolkit__Example.xml": None,
    "aecg/fda__minimum_aecg.xml": None,
    "aecg/fda__subject1_0.xml": None,
    "aecg/sierra__ad4d3d80-d165_1-04_converted.xml": 41,
    "cardiosoft/example-XML1.xml": 50,
    "dicom/dcmplot__anonymous_ecg.dcm": 60_000 / 982,
    "muse/cvrg__MUSE_20080710_165457_96000.xml": 69,
    "other/cvrg__schiller.xml": 59,
    "philips/philips__ecg-example.xml": 41,
    "philips/sierra__129DYPRG.XML": 41,
    "philips/sierra__repbeats_example.xml": 41,
    "scp/healforce__62.SCP": None,
}
# the first QRS is cut by the recording's start; the device leaves that beat out
OFF_BPM = {"other/cvrg__schiller.xml": 1.5}


@pytest.fixture(scope="module")
def devices(shared: Path) -> Path:
    return shared / "data" / "devices"


def _tree(path: Path) -> ElementTree.Element:
    root = ElementTree.fromstring(path.read_bytes())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: ElementTree.Element | None) -> str:
    return "" if element is None or element.text is None else element.text


def _aecg(path: Path) -> Leads:
    series = next(_tree(path).iter("series"))
    out: Leads = {}
    for sequence in series.iter("sequence"):
        code, digits = sequence.find("code"), sequence.find("value/digits")
        if code is None or digits is None:
            continue
        unit = {"uV": 1e-3, "mV": 1.0}
        origin, scale = (next(sequence.iter(tag)) for tag in ("origin", "scale"))
        start_mv, step_mv = (float(tag.get("value", "")) * unit[tag.get("unit", "")] for tag in (origin, scale))
        name = code.get("code", "").rpartition("_")[2]
        # the rhythm comes first; a representative beat may follow inside the series
        out.setdefault(name.replace("AV", "aV"), start_mv + step_mv * np.array(_text(digits).split(), float))
    return out


def _cardiosoft(path: Path) -> Leads:
    strip = next(_tree(path).iter("StripData"))
    step_mv = float(_text(strip.find("Resolution"))) / 1000
    return {
        data.get("lead", ""): step_mv * np.array(re.split(r"[,\s]+", _text(data).strip()), float)
        for data in strip.iter("WaveformData")
    }


def _dicom(path: Path) -> Leads:
    import pydicom

    data = pydicom.dcmread(path)
    group = data.WaveformSequence[0]
    names = [c.ChannelSourceSequence[0].CodeMeaning.split()[-1].strip("()") for c in group.ChannelDefinitionSequence]
    units = [c.ChannelSensitivityUnitsSequence[0].CodeValue for c in group.ChannelDefinitionSequence]
    return {
        name: column * {"uV": 1e-3, "mV": 1.0}[unit]
        for name, unit, column in zip(names, units, data.waveform_array(0).T, strict=True)
    }


def _muse(path: Path) -> Leads:
    wave = next(w for w in _tree(path).iter("Waveform") if _text(w.find("WaveformType")) == "Rhythm")
    return {
        _text(lead.find("LeadID")): np.frombuffer(base64.b64decode(_text(lead.find("WaveFormData"))), "<i2")
        * float(_text(lead.find("LeadAmplitudeUnitsPerBit")))
        / 1000
        for lead in wave.iter("LeadData")
    }


DECODERS: dict[str, Callable[[Path], Leads]] = {
    "aecg/ecgtoolkit__Example.xml": _aecg,
    "aecg/fda__minimum_aecg.xml": _aecg,
    "aecg/fda__subject1_0.xml": _aecg,
    "aecg/sierra__ad4d3d80-d165_1-04_converted.xml": _aecg,
    "cardiosoft/example-XML1.xml": _cardiosoft,
    "dicom/dcmplot__anonymous_ecg.dcm": _dicom,
    "muse/cvrg__MUSE_20080710_165457_96000.xml": _muse,
    # the same recording, unpacked from XLI and converted by another tool
    "philips/philips__ecg-example.xml": lambda path: _aecg(
        path.parents[1] / "aecg" / "sierra__ad4d3d80-d165_1-04_converted.xml"
    ),
}


def test_no_file_is_forgotten(devices: Path) -> None:
    found = {str(path.relative_to(devices)) for path in devices.glob("*/*") if path.is_file()}
    assert {name for name in found if not name.startswith("wfdb/")} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_rate_is_the_devices(name: str, devices: Path) -> None:
    record = read_record(devices / name)
    assert record.meta["units"] == "mV"
    measurement = measure(record)
    if record.duration_s < 1:
        assert measurement.heart_rate is None
        return
    assert measurement.heart_rate is not None
    stated = FILES[name]
    assert stated is None or measurement.heart_rate == pytest.approx(stated, abs=OFF_BPM.get(name, 1.0))


@pytest.mark.parametrize("name", DECODERS)
def test_samples_are_those_of_another_decoder(name: str, devices: Path) -> None:
    record, truth = read_record(devices / name), DECODERS[name](devices / name)
    common = [lead for lead in record.leads if lead in truth]
    assert len(common) >= min(8, record.n_leads)
    # a converter rounds leads that it derives
    limit_mv = 0.021 if name.startswith("philips") else 0.001
    for lead in common:
        ours = record.lead(lead).astype(float)
        assert len(ours) > 0.95 * len(truth[lead])  # a calibration pulse at the end is cut off
        np.testing.assert_allclose(ours, truth[lead][: len(ours)], rtol=0, atol=limit_mv, err_msg=lead)


@pytest.mark.parametrize("name", ["100skew", "310derive", "a103l"])
def test_samples_are_those_of_the_wfdb_package(name: str, devices: Path) -> None:
    import wfdb

    record, truth = read_record(devices / "wfdb" / f"{name}.hea"), wfdb.rdrecord(str(devices / "wfdb" / name))
    assert record.fs == truth.fs
    given = record.meta.get("channel_names", {})
    for lead in record.leads:
        row = truth.sig_name.index(given.get(lead, lead))
        theirs = truth.p_signal[:, row]
        ours = record.lead(lead)
        np.testing.assert_allclose(ours, theirs[: len(ours)], rtol=0, atol=0.001, err_msg=lead)


def test_missing_segments_and_a_layout_as_in_mimic(devices: Path) -> None:
    import wfdb

    path = devices / "wfdb" / "s25047" / "s25047-2704-05-04-10-44"
    measurement = measure(read_record(path.with_suffix(".hea")))
    monitor = wfdb.rdrecord(f"{path}n")  # what the monitor itself counted, once a minute
    pulse = monitor.p_signal[:, monitor.sig_name.index("PULSE")]
    assert measurement.heart_rate == pytest.approx(float(np.nanmedian(pulse)), abs=3)
    qt = measurement.intervals["qt"]  # nobody marked it
    assert qt is not None
    assert 300 < qt < 400


def test_intervals_are_the_devices_on_average(devices: Path) -> None:
    """Limits refer to measurements like those of devices: a QRS below 120 ms by a device is not wide here."""
    same = {
        "aecg/sierra__ad4d3d80-d165_1-04_converted.xml",
        "aecg/fda__subject1_0.xml",
        "philips/sierra__repbeats_example.xml",
    }
    off: dict[str, list[float]] = {"qrs": [], "qt": []}
    for name in FILES:
        record = read_record(devices / name)
        stated = record.meta.get("device")
        if stated is None or name in same:  # a recording that is there twice counts once
            continue
        measured = measure(record).intervals
        for key, differences in off.items():
            ours = measured[key]
            assert ours is not None
            differences.append(ours - stated[key])
        assert not stated["qrs"] < 120 <= (measured["qrs"] or 0)
    assert len(off["qrs"]) == 7
    assert abs(np.mean(off["qrs"])) < 6
    assert abs(np.mean(off["qt"])) < 6
