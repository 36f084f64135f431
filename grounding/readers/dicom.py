"""DICOM waveforms (12-lead, general and ambulatory ECG), through the pydicom package."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..leads import channel_kind
from .bounds import MAX_SAMPLES, check_inflated
from .channels import Channels
from .device import add_device_values, add_person, age_in_years, years_between
from .groups import Group, join_groups
from .registry import register_reader

_MAX_ITEMS = 100_000  # of sequences; an ECG with a median beat and annotations has a few hundred
_MAX_BYTES = 256 << 20
_DEFLATED = "1.2.840.10008.1.2.1.99"
_TYPES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
# the last number of SCP-ECG's codes (5.6.3-9-61) and of MDC's (2:61)
_LEADS = {
    1: "I",
    2: "II",
    3: "V1",
    4: "V2",
    5: "V3",
    6: "V4",
    7: "V5",
    8: "V6",
    9: "V7",
    10: "V2R",
    11: "V3R",
    12: "V4R",
    13: "V5R",
    14: "V6R",
    15: "V7R",
    16: "X",
    17: "Y",
    18: "Z",
    61: "III",
    62: "aVR",
    63: "aVL",
    64: "aVF",
    65: "-aVR",
    66: "V8",
    67: "V9",
}
_VALUES = {
    "heartrate": "heart_rate",
    "ventricularheartrate": "heart_rate",
    "ventricularrate": "heart_rate",
    "rrinterval": "rr",
    "printerval": "pr",
    "printervalglobal": "pr",
    "qrsduration": "qrs",
    "qrsdurationglobal": "qrs",
    "qtinterval": "qt",
    "qtintervalglobal": "qt",
    "qtcinterval": "qtc",
    "qtcintervalglobal": "qtc",
    "pduration": "p",
    "paxis": "p_axis",
    "qrsaxis": "axis",
    "taxis": "t_axis",
}
_TAGS = (
    "SOPClassUID",
    "Modality",
    "StudyDate",
    "AcquisitionDateTime",
    "PatientAge",
    "PatientBirthDate",
    "PatientSex",
    "WaveformSequence",
    "WaveformAnnotationSequence",
)


@register_reader((".dcm", ".dicom"), sniff=lambda head: head[128:132] == b"DICM")
def dicom(path: Path, group: int | None = None) -> Channels:
    """DICOM ECG waveform: all multiplex groups that were recorded together.

    Args:
        path: the file.
        group: read only this multiplex group; by default the first that is not a median beat, and those of the same
            rate, start and length.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that do not conform to the standard
        return _read(path, group)


def _read(path: Path, group: int | None) -> Channels:
    where = str(path)
    data = _load(path)
    items = data.get("WaveformSequence") or []
    if not items:
        raise EcgFormatError(f"this is {_kind(data)}, without waveforms", where=where, remedy="choose an ECG waveform")
    if group is not None and not 0 <= group < len(items):
        raise EcgFormatError(
            f"there is no waveform group {group}, there are {len(items)}", where=where, remedy="change group="
        )
    if group is not None:
        ordered = [_group(items[group], group, data, where)]
    else:
        numbers = sorted(range(len(items)), key=lambda k: (_is_derived(items[k]), k))
        ordered = [_group(items[numbers[0]], numbers[0], data, where)]
        for k in numbers[1:]:
            ordered.append(_skipped_group(items[k], k) if _is_derived(items[k]) else _group(items[k], k, data, where))
    meta: dict[str, Any] = {}
    names, signals, rate, units = join_groups(ordered, meta, where, "group= picks another")
    age = re.fullmatch(r"(\d{3})([YMWD])", str(data.get("PatientAge", "")).strip())
    years = age_in_years(float(age[1]), age[2]) if age else None
    if years is None:
        then = str(data.get("AcquisitionDateTime") or data.get("StudyDate") or "")
        years = years_between(str(data.get("PatientBirthDate") or ""), then)
    add_person(meta, years, str(data.get("PatientSex") or ""))
    _add_device(meta, data)
    return Channels(names, signals, rate, units, meta)


def _load(path: Path) -> Any:
    """The data set without pixel data; its unpacked size and number of items are checked first."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    where, size = str(path), path.stat().st_size
    if size > _MAX_BYTES:
        raise EcgFormatError(f"the file has {size} bytes, over {_MAX_BYTES}", where=where, remedy="export a part of it")
    raw = path.read_bytes()
    items = max(raw.count(b"\xfe\xff\x00\xe0"), raw.count(b"\xff\xfe\xe0\x00"))
    if items > _MAX_ITEMS:
        raise EcgFormatError(
            f"it has {items} items in sequences, more than an ECG", where=where, remedy="check the file"
        )
    plain = raw[128:132] != b"DICM"  # old files have no preamble
    try:
        file_meta = None if plain else pydicom.filereader.read_file_meta_info(path)
        if file_meta is not None and file_meta.get("TransferSyntaxUID") == _DEFLATED:
            check_inflated(raw[144 + int(file_meta.FileMetaInformationGroupLength) :], path, raw=True)
        del raw
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS), force=plain)
    except (InvalidDicomError, EOFError) as error:
        raise EcgFormatError(
            f"the file is truncated or no DICOM ({error})", where=where, remedy="fetch it again"
        ) from None


def _kind(data: Any) -> str:
    """Description of a DICOM file without waveforms."""
    uid = data.get("SOPClassUID")
    name = getattr(uid, "name", "") if uid else ""
    modality = str(data.get("Modality") or "")
    if "Encapsulated PDF" in name:
        return "a PDF document in DICOM"
    what = (
        "a DICOM image"
        if "Image" in name or "Capture" in name or modality in ("US", "CT", "MR", "CR", "DX", "XA", "OT")
        else "a DICOM file"
    )
    detail = name if any(char.isalpha() for char in name) else modality
    return f"{what} ({detail})" if detail else what


def _is_derived(item: Any) -> bool:
    """Whether a group is computed, such as a median beat, and not recorded."""
    label = str(item.get("MultiplexGroupLabel") or "").lower()
    return str(item.get("WaveformOriginality") or "").upper() == "DERIVED" or any(
        word in label for word in ("median", "representative", "average", "template")
    )


def _skipped_group(item: Any, number: int) -> Group:
    """A group that is mentioned but not read."""
    names = [_lead(definition) for definition in item.get("ChannelDefinitionSequence") or []]
    rate = float(item.get("SamplingFrequency") or 1)
    return Group(
        f"group {number}, derived",
        names,
        [],
        rate,
        [],
        length=int(item.get("NumberOfWaveformSamples") or 0),
        derived=True,
    )


def _group(item: Any, number: int, data: Any, where: str) -> Group:
    channels, samples, rate = (
        int(item.NumberOfWaveformChannels),
        int(item.NumberOfWaveformSamples),
        float(item.SamplingFrequency),
    )
    bits, how = int(item.WaveformBitsAllocated), str(item.get("WaveformSampleInterpretation") or "SS")
    if how not in _TYPES or bits != 8 * int(_TYPES[how][1]):
        raise EcgFormatError(f"its samples are {bits} bits of {how}", where=where, remedy="export them as 16 bits, SS")
    n_stored = len(item.WaveformData)
    if channels * samples > MAX_SAMPLES or channels * samples <= 0 or n_stored < channels * samples * bits // 8:
        raise EcgFormatError(
            f"it promises {channels} x {samples} samples of {bits} bits and holds {n_stored} bytes",
            where=where,
            remedy="fetch it again",
        )
    definitions = list(item.get("ChannelDefinitionSequence") or [])[:channels]
    definitions += [{}] * (channels - len(definitions))
    little = getattr(data, "original_encoding", (None, True))[1] is not False
    kind = np.dtype(("<" if little else ">") + _TYPES[how])
    values = np.frombuffer(item.WaveformData, kind, channels * samples).reshape(samples, channels)
    padding = item.get("WaveformPaddingValue")
    missing = (
        np.frombuffer(padding, kind, 1)[0] if isinstance(padding, bytes) and len(padding) >= kind.itemsize else None
    )
    names, signals, units = [], [], []
    for row, definition in enumerate(definitions):
        gain, unit = _gain(definition)
        names.append(_lead(definition))
        units.append(unit)
        signals.append(
            partial(_physical, values, row, gain, _number(definition.get("ChannelBaseline")) or 0.0, missing)
        )
    start = _number(item.get("MultiplexGroupTimeOffset")) or 0.0
    return Group(f"group {number}", names, signals, rate, units, start, samples)


def _physical(values: NDArray[Any], row: int, gain: float | None, baseline: float, missing: Any) -> NDArray[np.float32]:
    stored = values[:, row]
    out = stored.astype(np.float32) if gain is None else (stored * gain + baseline).astype(np.float32)
    if missing is not None:
        out[stored == missing] = np.nan
    return out


def _gain(definition: Any) -> tuple[float | None, str]:
    """Size of a step, None where it is not calibrated, and its unit."""
    sensitivity, unit = _number(definition.get("ChannelSensitivity")), definition.get("ChannelSensitivityUnitsSequence")
    correction = _number(definition.get("ChannelSensitivityCorrectionFactor"))
    if not sensitivity:
        return None, "adu"
    name = str(unit[0].get("CodeValue") or unit[0].get("CodeMeaning") or "") if unit else ""
    return sensitivity * (correction or 1.0), name


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _lead(definition: Any) -> str:
    """Name of the channel: the first of meaning ("Lead I (Einthoven)"), label and code that is a lead's name."""
    source: Sequence[Any] = definition.get("ChannelSourceSequence") or [{}]
    code = str(source[0].get("CodeValue") or "")
    number = re.fullmatch(r"(?:5\.6\.3-9-|2:)(\d{1,3})", code)
    by_code = _LEADS.get(int(number[1]), "") if number else code if "LEAD" in code.upper() else ""
    statements = [str(source[0].get("CodeMeaning") or ""), str(definition.get("ChannelLabel") or ""), by_code]
    names = [name for text in statements if (name := re.split(r"[(,]", text)[0].strip())]
    return next((name for name in names if channel_kind(name) == "lead"), names[0] if names else "")


def _add_device(meta: dict[str, Any], data: Any) -> None:
    """Global measurements, which precede those of single beats, and the interpretation."""
    values: list[tuple[str, float | None]] = []
    statements = []
    for annotation in data.get("WaveformAnnotationSequence") or []:
        concept = annotation.get("ConceptNameCodeSequence")
        text = annotation.get("UnformattedTextValue")
        if text and not concept:
            statements.append(str(text))
        if not concept or annotation.get("NumericValue") is None:
            continue
        name = _VALUES.get(re.sub(r"[^a-z]", "", str(concept[0].get("CodeMeaning") or "").lower()))
        unit = annotation.get("MeasurementUnitsCodeSequence")
        factor = 1000.0 if unit and str(unit[0].get("CodeValue")) == "s" else 1.0
        number = _number(annotation.NumericValue)
        if name and number is not None:
            values.append((name, number * factor))
    add_device_values(meta, values, statements)
