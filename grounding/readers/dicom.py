"""DICOM waveforms (12-lead, general and ambulatory ECG), through the pydicom package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import EcgFormatError
from .channels import Channels
from .registry import MAX_SAMPLES, register_reader


@register_reader((".dcm", ".dicom"), sniff=lambda head: head[128:132] == b"DICM")
def dicom(path: Path, group: int = 0) -> Channels:
    """DICOM ECG waveform.

    Args:
        path: the file.
        group: which multiplex group; 0 is the rhythm recording, a later one often the median beat.
    """
    import pydicom

    where = str(path)
    data = pydicom.dcmread(path)
    groups = data.get("WaveformSequence") or []
    if not 0 <= group < len(groups):
        raise EcgFormatError(
            f"there is no waveform group {group}, only {len(groups)}", where=where, remedy="check the file"
        )
    item = groups[group]
    channels, samples, rate = (
        int(item.NumberOfWaveformChannels),
        int(item.NumberOfWaveformSamples),
        float(item.SamplingFrequency),
    )
    bits = int(item.WaveformBitsAllocated)
    there = len(item.WaveformData)
    if channels * samples > MAX_SAMPLES or channels * samples <= 0 or there < channels * samples * bits // 8:
        raise EcgFormatError(
            f"it promises {channels} x {samples} samples of {bits} bits and holds {there} bytes",
            where=where,
            remedy="fetch it again",
        )
    definitions = item.ChannelDefinitionSequence
    names, units = [], []
    for definition in definitions:
        source = definition.ChannelSourceSequence[0]
        names.append(_lead(str(source.get("CodeMeaning", "")), str(definition.get("ChannelLabel", ""))))
        unit = definition.get("ChannelSensitivityUnitsSequence")
        units.append(str(unit[0].CodeValue) if unit else None)
    values = data.waveform_array(group)  # (samples, channels), sensitivity applied
    meta: dict[str, Any] = {}
    age = re.fullmatch(r"(\d{3})Y", str(data.get("PatientAge", "")))
    if age:
        meta["age"] = float(age[1])
    sex = {"M": "male", "F": "female"}.get(str(data.get("PatientSex", "")))
    if sex:
        meta["sex"] = sex
    return Channels(names, list(values.T), rate, units, meta)


def _lead(meaning: str, label: str) -> str:
    """``"Lead I (Einthoven)"``, ``"Lead aVR, augmented voltage"`` -> the lead's name."""
    return re.split(r"[(,]", meaning or label)[0].strip()
