"""DICOM waveforms (12-lead, general and ambulatory ECG), through the pydicom package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EcgFormatError, EcgSignalError
from ..record import UNITS_MV, ECGRecord, canonical_lead
from .registry import MAX_SAMPLES, register_reader


@register_reader((".dcm", ".dicom"), sniff=lambda head: head[128:132] == b"DICM")
def dicom(path: Path, group: int = 0) -> ECGRecord:
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
    names, factors = [], []
    for definition in definitions:
        source = definition.ChannelSourceSequence[0]
        names.append(_lead(str(source.get("CodeMeaning", "")), str(definition.get("ChannelLabel", ""))))
        units = definition.get("ChannelSensitivityUnitsSequence")
        unit = str(units[0].CodeValue) if units else "none"
        if unit.lower() not in UNITS_MV:
            raise EcgSignalError(
                f"lead {names[-1]} is in {unit}, not a voltage", where=where, remedy="choose an ECG waveform"
            )
        factors.append(UNITS_MV[unit.lower()])
    values = np.asarray(data.waveform_array(group), dtype=np.float64)  # (samples, channels), sensitivity applied
    meta: dict[str, Any] = {}
    age = re.fullmatch(r"(\d{3})Y", str(data.get("PatientAge", "")))
    if age:
        meta["age"] = float(age[1])
    sex = {"M": "male", "F": "female"}.get(str(data.get("PatientSex", "")))
    if sex:
        meta["sex"] = sex
    return ECGRecord.from_array(values.T * np.array(factors)[:, None], rate, names, record_id=path.stem, meta=meta)


def _lead(meaning: str, label: str) -> str:
    """``"Lead I (Einthoven)"``, ``"Lead aVR, augmented voltage"`` -> the lead's name."""
    text = re.split(r"[(,]", meaning or label)[0]
    return canonical_lead(text.strip())
