"""HL7 annotated ECG (aECG, XML): ANSI/HL7 V3 ECG R1, after the FDA's implementation guide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EcgFormatError
from ..units import millivolts_per
from .bounds import add_warnings
from .channels import Channels
from .device import add_device_values, add_person, age_in_years, years_between
from .groups import Group, join_groups
from .registry import register_reader
from .xml_document import has_root, load_xml, number_in, numbers_in, text_at

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60.0}
_VALUES = {
    "MDC_ECG_HEART_RATE": "heart_rate",
    "MDC_ECG_TIME_PD_RR": "rr",
    "MDC_ECG_TIME_PD_PR": "pr",
    "MDC_ECG_TIME_PD_QRS": "qrs",
    "MDC_ECG_TIME_PD_QT": "qt",
    "MDC_ECG_TIME_PD_QTC": "qtc",
    "MDC_ECG_TIME_PD_QTCB": "qtc_bazett",
    "MDC_ECG_TIME_PD_QTCF": "qtc_fridericia",
    "MDC_ECG_TIME_PD_P": "p",
    "MDC_ECG_ANGLE_P_FRONT": "p_axis",
    "MDC_ECG_ANGLE_QRS_FRONT": "axis",
    "MDC_ECG_ANGLE_T_FRONT": "t_axis",
}


@register_reader((".xml", ".aecg"), sniff=has_root("AnnotatedECG"))
def aecg(path: Path, series: int = 0) -> Channels:
    """HL7 annotated ECG (aECG, XML): a rhythm series, by default the first.

    Args:
        path: the file.
        series: which rhythm series, from 0; median beats do not count.
    """
    where = str(path)
    root = load_xml(path, "AnnotatedECG")
    every = [one for one in root.iter("series") if _code(one).upper() != "REPRESENTATIVE_BEAT"]
    if not 0 <= series < len(every):
        raise EcgFormatError(
            f"there is no rhythm series {series}, there are {len(every)}",
            where=where,
            remedy="choose one with series=" if every else "export the waveforms too",
        )
    meta: dict[str, Any] = {}
    if len(every) > 1:
        add_warnings(meta, f"rhythm series {series} of {len(every)} is read; series= picks another")
    groups = [_group(one, k, where) for k, one in enumerate(every[series].findall("component/sequenceSet"))]
    names, signals, rate, units = join_groups([group for group in groups if group], meta, where)
    _add_person(meta, root)
    _add_device(meta, every[series], root)
    return Channels(names, signals, rate, units, meta, complete_limb_leads=True)


def _group(sequences: Element, number: int, where: str) -> Group | None:
    """The channels of one sequence set, which share their times."""
    rate, start = None, ""
    names, signals, units = [], [], []
    for sequence in sequences.findall("component/sequence"):
        code, value = _code(sequence), sequence.find("value")
        if code.upper().startswith("TIME_"):
            rate, start = _time(value)
            continue
        digits = None if value is None else value.find("digits")
        if value is None or digits is None:
            continue
        samples = numbers_in(digits.text, code, where)
        scale, unit = _quantity(value, "scale")
        origin, origin_unit = _quantity(value, "origin")
        names.append(code)
        if not scale:  # not calibrated
            signals.append(samples)
            units.append("adu")
            continue
        if origin:
            of_scale, of_origin = millivolts_per(unit), millivolts_per(origin_unit or unit)
            origin *= of_origin / of_scale if of_scale and of_origin else 1.0
        samples *= np.float32(scale)
        samples += np.float32(origin or 0.0)
        signals.append(samples)
        units.append(unit)
    if not names:
        return None
    if rate is None:
        raise EcgFormatError(
            "a sequence set does not give its time step", where=where, remedy="pass fs=, export it again"
        )
    return Group(f"sequence set {number}", names, signals, rate, units, start)


def _time(value: Element | None) -> tuple[float | None, str]:
    """Sampling rate, Hz, and start of a time sequence."""
    head, increment = (None, None) if value is None else (value.find("head"), value.find("increment"))
    start = "" if head is None else head.get("value", "")
    step = None if increment is None else number_in(increment.get("value"))
    seconds = 0.0 if increment is None else _SECONDS.get(increment.get("unit", "s").strip(), 0.0)
    if not step or step <= 0 or not seconds:
        return None, start
    rate = 1 / (step * seconds)
    return (float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate), start


def _quantity(value: Element, name: str) -> tuple[float | None, str]:
    element = value.find(name)
    if element is None:
        return None, ""
    number = number_in(element.get("value"))
    return (number if number is not None and np.isfinite(number) else None), element.get("unit", "")


def _code(element: Element) -> str:
    code = element.find("code")
    return "" if code is None else code.get("code", "").strip()


def _add_person(meta: dict[str, Any], root: Element) -> None:
    age = None
    for observation in root.iter("relatedObservation"):
        value = observation.find("value")
        if _code(observation) == "21612-7" and value is not None:  # LOINC: reported age
            age = age_in_years(number_in(value.get("value")), value.get("unit", ""))
    person = next(root.iter("subjectDemographicPerson"), None)
    sex = born = None
    if person is not None:
        sex, born = person.find("administrativeGenderCode"), person.find("birthTime")
    time = next((e for e in root.findall("effectiveTime/*") if e.get("value")), None)
    if age is None and born is not None and time is not None:
        age = years_between(born.get("value", ""), time.get("value", ""))
    add_person(meta, age, "" if sex is None else sex.get("code", ""))


def _add_device(meta: dict[str, Any], series: Element, root: Element) -> None:
    """The global measurements of the series, or of its median beat; statements from anywhere in the document."""
    values: list[tuple[str, float | None]] = []
    for annotation in series.findall(".//annotationSet/component/annotation"):
        value, name = annotation.find("value"), _VALUES.get(_code(annotation).upper())
        if name and value is not None and annotation.find("support") is None:
            number = number_in(value.get("value"))
            factor = {"s": 1000.0}.get(value.get("unit", ""), 1.0)
            values.append((name, None if number is None else number * factor))
    statements = [
        text_at(annotation, "value")
        or (value.get("displayName", "") if (value := annotation.find("value")) is not None else "")
        for annotation in root.iter("annotation")
        if _code(annotation).upper() in ("MDC_ECG_INTERPRETATION_STATEMENT", "MDC_ECG_INTERPRETATION_SUMMARY")
    ]
    add_device_values(meta, values, dict.fromkeys(statements))
