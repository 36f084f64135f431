"""GE CardioSoft XML (CardiologyXML): resting and exercise ECGs of CardioSoft, CASE and Cardiosys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EcgFormatError
from .channels import Channels
from .device import add_device_values, add_person, age_in_years
from .groups import Group, join_groups
from .registry import register_reader
from .xml_document import has_root, load_xml, number_at, numbers_in, text_at

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_VALUES = {
    "VentricularRate": "heart_rate",
    "RRInterval": "rr",
    "PQInterval": "pr",
    "PDuration": "p",
    "QRSDuration": "qrs",
    "QTInterval": "qt",
    "QTCInterval": "qtc",
    "PAxis": "p_axis",
    "RAxis": "axis",
    "TAxis": "t_axis",
}


@register_reader((".xml",), sniff=has_root("CardiologyXML"))
def cardiosoft(path: Path, strip: int = 0, full_disclosure: bool = False) -> Channels:
    """GE CardioSoft XML: a rhythm strip (of a resting ECG the only one), or the full disclosure.

    Args:
        path: the file.
        strip: which strip, from 0.
        full_disclosure: read the whole recording, which some exports contain beside the strips.
    """
    where = str(path)
    root = load_xml(path, "CardiologyXML")
    strips = [group for number, part in enumerate(_strips(root)) if (group := _strip(part, number, where))]
    whole = [group for part in root.findall("FullDisclosure") if (group := _full_disclosure(part, where))]
    if not strips and not whole:
        kind = text_at(root, "ObservationType") or "export"
        raise EcgFormatError(
            f"this CardioSoft {kind} holds no waveforms", where=where, remedy="export the waveforms too"
        )
    if full_disclosure and not whole:
        raise EcgFormatError("it holds no full disclosure", where=where, remedy="leave out full_disclosure=")
    if strips and not full_disclosure and not 0 <= strip < len(strips):
        raise EcgFormatError(f"there is no strip {strip}, there are {len(strips)}", where=where, remedy="change strip=")
    ordered = (
        [*whole, *strips]
        if full_disclosure or not strips
        else [strips[strip], *strips[:strip], *strips[strip + 1 :], *whole]
    )
    meta: dict[str, Any] = {}
    names, signals, rate, units = join_groups(ordered, meta, where, "strip= or full_disclosure= picks another")
    person = root.find("PatientInfo")
    age = None if person is None else person.find("Age")
    years = age_in_years(number_at(age), "" if age is None else age.get("units", "YEARS"))
    add_person(meta, years, text_at(person, "Gender"))
    measured = next((e for e in root if e.tag.endswith("Measurements")), None)
    statements = [line.text or "" for line in root.findall("Interpretation/Diagnosis/DiagnosisText")]
    add_device_values(meta, [(ours, number_at(measured, name)) for name, ours in _VALUES.items()], statements)
    return Channels(names, signals, rate, units, meta)


def _strips(root: Element) -> list[Element]:
    """Each strip: in a resting ECG an element StripData, in an exercise ECG the elements Strip in it."""
    found = []
    for data in root.iter("StripData"):
        found += data.findall("Strip") or [data]
    return found


def _strip(strip: Element, number: int, where: str) -> Group | None:
    if strip.find("WaveformData") is None:
        return None
    rate, step, unit = _scale(strip, where)
    names, signals = [], []
    claimed = number_at(strip, "ChannelSampleCountTotal")
    for lead in strip.findall("WaveformData"):
        names.append(lead.get("lead", ""))
        signals.append(numbers_in(lead.text, names[-1], where))
        signals[-1] *= np.float32(step)
        if claimed is not None and len(signals[-1]) < claimed:
            raise EcgFormatError(
                f"the samples of {names[-1]} are truncated: {len(signals[-1])} of {claimed:g}",
                where=where,
                remedy="export it again",
            )
    time = strip.find("Time")
    start = "" if time is None else " ".join("".join(time.itertext()).split())
    return Group(f"strip {number}", names, signals, rate, [unit] * len(names), start or number)


def _full_disclosure(part: Element, where: str) -> Group | None:
    """The whole recording, stored as one second of each lead after the other, then the next second."""
    data = part.find("FullDisclosureData")
    names = [name.strip() for name in text_at(part, "LeadOrder").split(",") if name.strip()]
    if data is None or not names or not (data.text or "").strip():
        return None
    rate, step, unit = _scale(part, where)
    values, second = numbers_in(data.text, "the full disclosure", where), round(rate)
    seconds = len(values) // (second * len(names))
    if not seconds:
        raise EcgFormatError("its full disclosure is truncated", where=where, remedy="export it again")
    blocks = values[: seconds * second * len(names)].reshape(seconds, len(names), second)
    rows = blocks.transpose(1, 0, 2).reshape(len(names), seconds * second) * step
    return Group("full disclosure", names, list(rows), rate, [unit] * len(names), "whole")


def _scale(part: Element, where: str) -> tuple[float, float, str]:
    """Sampling rate, size of a step, and its unit."""
    rate, resolution = number_at(part, "SampleRate"), part.find("Resolution")
    if not rate or rate < 1:
        raise EcgFormatError("it gives no sampling rate", where=where, remedy="export it again")
    step = number_at(resolution)
    return rate, step or 1.0, resolution.get("units", "") if step and resolution is not None else "adu"
