"""GE MUSE XML (RestingECG)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from .bounds import add_warnings
from .channels import Channels
from .device import add_device_values, add_person, age_in_years
from .groups import Group, join_groups
from .registry import register_reader
from .xml_document import bytes_in, has_root, load_xml, number_at, text_at

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_VALUES = {
    "VentricularRate": "heart_rate",
    "PRInterval": "pr",
    "QRSDuration": "qrs",
    "QTInterval": "qt",
    "QTCorrected": "qtc",
    "QTcFrederica": "qtc_fridericia",
    "PAxis": "p_axis",
    "RAxis": "axis",
    "TAxis": "t_axis",
}


@register_reader((".xml",), sniff=has_root("RestingECG"))
def muse(path: Path) -> Channels:
    """GE MUSE XML: the rhythm waveform; its eight leads are completed to twelve."""
    where = str(path)
    root = load_xml(path, "RestingECG")
    meta: dict[str, Any] = {}
    rhythms = [w for w in root.findall("Waveform") if text_at(w, "WaveformType").lower() in ("rhythm", "")]
    groups = [_group(waveform, number, meta, where) for number, waveform in enumerate(rhythms)]
    names, signals, rate, units = join_groups([group for group in groups if group], meta, where)
    person = root.find("PatientDemographics")
    age = age_in_years(number_at(person, "PatientAge"), text_at(person, "AgeUnits"))
    add_person(meta, age, text_at(person, "Gender"))
    measured = root.find("RestingECGMeasurements")
    add_device_values(meta, [(ours, number_at(measured, name)) for name, ours in _VALUES.items()], _statements(root))
    return Channels(names, signals, rate, units, meta, complete_limb_leads=True)


def _group(waveform: Element, number: int, meta: dict[str, Any], where: str) -> Group | None:
    base, exponent = number_at(waveform, "SampleBase"), number_at(waveform, "SampleExponent") or 0.0
    if not base or not -9 <= exponent <= 9:
        raise EcgFormatError("it gives no sampling rate (SampleBase)", where=where, remedy="export it again")
    names, signals, units, off = [], [], [], []
    for lead in waveform.findall("LeadData"):
        name = text_at(lead, "LeadID")
        names.append(name)
        step = number_at(lead, "LeadAmplitudeUnitsPerBit")
        signals.append(_samples(lead, name, step or 1.0, where))
        units.append(text_at(lead, "LeadAmplitudeUnits") if step else "adu")
        if text_at(lead, "LeadOff").upper() == "TRUE":
            off.append(name)
    if off:
        add_warnings(meta, f"the device says that an electrode was off in {', '.join(off)}")
    rate = base * 10.0**exponent
    return (
        Group(f"rhythm waveform {number}", names, signals, rate, units, text_at(waveform, "WaveformStartTime"))
        if names
        else None
    )


def _samples(lead: Element, name: str, step: float, where: str) -> NDArray[np.float32]:
    size = number_at(lead, "LeadSampleSize") or 2
    if size not in (1, 2, 4):
        raise EcgFormatError(f"the samples of {name} have {size:g} bytes", where=where, remedy="export it again")
    data = lead.find("WaveFormData")
    raw = bytes_in(None if data is None else data.text, name, where)
    claimed = number_at(lead, "LeadSampleCountTotal")
    available = len(raw) // int(size)
    if claimed is not None and available != claimed:
        raise EcgFormatError(
            f"the samples of {name} are truncated: {available} of {claimed:g}", where=where, remedy="export it again"
        )
    values = np.frombuffer(raw, f"<i{int(size)}", available)
    out = values.astype(np.float32) * np.float32(step)
    if size > 1:  # in one byte the lowest value may be a sample
        out[values == np.iinfo(values.dtype).min] = np.nan
    return out


def _statements(root: Element) -> list[str]:
    """The lines of the diagnosis; statements are joined up to one that is marked as the end of a line."""
    lines, line = [], ""
    for statement in root.findall("Diagnosis/DiagnosisStatement"):
        line = f"{line} {text_at(statement, 'StmtText')}"
        if any("ENDSLINE" in (flag.text or "").upper() for flag in statement.findall("StmtFlag")):
            lines.append(line)
            line = ""
    return [*lines, line]
