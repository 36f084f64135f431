"""Mortara (ELI) XML, as ELI electrocardiographs of Mortara, Welch Allyn and Hillrom export it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from .channels import Channels
from .device import add_device_values, add_person, age_in_years
from .groups import Group, join_groups
from .registry import register_reader
from .xml_document import bytes_in, has_root, load_xml, number_in, numbers_in

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_VALUES = {
    "VENT_RATE": "heart_rate",
    "AVERAGE_RR": "rr",
    "PR_DURATION": "pr",
    "QRS_DURATION": "qrs",
    "QT": "qt",
    "QTC": "qtc",
    "QTB": "qtc_bazett",
    "QTF": "qtc_fridericia",
    "P_DURATION": "p",
    "P_AXIS": "p_axis",
    "QRS_AXIS": "axis",
    "T_AXIS": "t_axis",
}


@register_reader(
    (".xml",), sniff=lambda head: has_root("ECG")(head) and b"ACQUISITION_TIME" in head.replace(b"\0", b"")
)
def mortara(path: Path) -> Channels:
    """Mortara (ELI) XML: the rhythm channels."""
    where = str(path)
    root = load_xml(path, "ECG")
    by_time: dict[tuple[object, ...], Group] = {}
    for channel in root.iter("CHANNEL"):
        name = channel.get("NAME", "")
        rate, start, signal = number_in(channel.get("SAMPLE_FREQ")), channel.get("OFFSET", ""), _samples(channel, where)
        if not rate or rate <= 0:
            raise EcgFormatError(f"channel {name} gives no sampling rate", where=where, remedy="export it again")
        per_mv = number_in(channel.get("UNITS_PER_MV"))
        key = (rate, start, len(signal))
        group = by_time.setdefault(key, Group(f"channels from {start or '0'}", [], [], rate, [], start, len(signal)))
        group.names.append(name)
        group.signals.append(signal / per_mv if per_mv else signal)
        group.units.append("mV" if per_mv else "adu")
    meta: dict[str, Any] = {}
    names, signals, rate, units = join_groups(list(by_time.values()), meta, where)
    subject = next(root.iter("SUBJECT"), root)
    age = age_in_years(
        number_in(root.get("AGE") or subject.get("AGE")), root.get("AGE_UNITS") or subject.get("AGE_UNITS") or "Y"
    )
    add_person(meta, age, subject.get("GENDER") or root.get("GENDER") or "")
    places = [root, *root.iter("TYPICAL_CYCLE")]
    values = [(ours, number_in(place.get(name))) for place in places for name, ours in _VALUES.items()]
    statements = [f"{one.get('TEXT', '')} {one.get('REASON', '')}" for one in root.iter("STATEMENT")]
    add_device_values(meta, values, statements)
    return Channels(names, signals, rate, units, meta, complete_limb_leads=True)


def _samples(channel: Element, where: str) -> NDArray[Any]:
    name, text = channel.get("NAME", ""), channel.get("DATA") or channel.text or ""
    if channel.get("ENCODING", "BASE64").upper() == "BASE64":
        if channel.get("BITS", "16").strip() != "16":
            raise EcgFormatError(
                f"channel {name} has {channel.get('BITS')} bits", where=where, remedy="export it again"
            )
        raw = bytes_in(text, name, where)
        signal: NDArray[Any] = np.frombuffer(raw, "<i2", len(raw) // 2).astype(np.float64)
    else:
        signal = numbers_in(text, name, where)
    claimed = number_in(channel.get("DURATION"))
    if claimed is not None and len(signal) < claimed:
        raise EcgFormatError(
            f"channel {name} is truncated: {len(signal)} of {claimed:g}", where=where, remedy="export it again"
        )
    return signal
