"""Schiller EDI XML, as SEMA exports the ECGs of Schiller's carts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EcgFormatError
from .channels import Channels
from .device import add_device_values, add_person, years_between
from .groups import Group, join_groups
from .registry import register_reader
from .xml_document import has_root, load_xml, number_at, number_in, numbers_in, text_at

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ROOTS = ("com.xiriuz.sema.xml.schillerEDI.SchillerEDI", "SchillerEDI")
_VALUES = {
    "HR": "heart_rate",
    "RR": "rr",
    "P": "p",
    "PQ": "pr",
    "QRS": "qrs",
    "QT": "qt",
    "QTC": "qtc",
    "AXIS_P": "p_axis",
    "AXIS_QRS": "axis",
    "AXIS_T": "t_axis",
}


@register_reader((".xml",), sniff=has_root(*_ROOTS))
def schiller(path: Path) -> Channels:
    """Schiller EDI XML: the rhythm waveform."""
    where = str(path)
    root = load_xml(path, *_ROOTS)
    waves = [wave for wave in root.iter("wavedata") if text_at(wave, "type").upper().startswith("ECG_RHYTHM")]
    groups = [group for number, wave in enumerate(waves) if (group := _group(wave, number, where))]
    meta: dict[str, Any] = {}
    names, signals, rate, units = join_groups(groups, meta, where)
    born, then = text_at(root, "patdata/birthdate"), text_at(root, "examdescript/startdatetime/date")
    add_person(meta, years_between(born.replace("-", ""), then), text_at(root, "patdata/gender"))
    values = [
        (ours, number_in(text_at(one, "value")))
        for one in root.iter("annotation_global")
        if (ours := _VALUES.get(text_at(one, "name")))
    ]
    statements = [text_at(one, "textdata") for one in root.iter("textdata") if text_at(one, "type") == "INTERPRETATION"]
    add_device_values(meta, values, statements)
    return Channels(names, signals, rate, units, meta, complete_limb_leads=True)


def _group(wave: Element, number: int, where: str) -> Group | None:
    rate = number_at(wave, "resolution/samplerate/value")
    exponent = number_at(wave, "resolution/samplerate/exponent")
    if not rate or rate <= 0 or exponent not in (None, 0, 1):
        raise EcgFormatError("its sampling rate can't be read", where=where, remedy="pass fs=, export it again")
    step = number_at(wave, "resolution/yres/unitperbit")
    unit = text_at(wave, "resolution/yres/units") if step else "adu"
    names, signals = [], []
    for channel in wave.findall("channel"):
        names.append(text_at(channel, "name"))
        kind = text_at(channel, "datastype") or text_at(channel, "datatype") or "COMMASEPARATE"
        if kind.upper() != "COMMASEPARATE":
            raise EcgFormatError(f"its samples are stored as {kind[:30]!r}", where=where, remedy="export it anew")
        data = channel.find("data")
        signal = numbers_in(None if data is None else data.text, names[-1], where)
        claimed = number_at(channel, "samplecount")
        if claimed is not None and len(signal) < claimed:
            raise EcgFormatError(
                f"the samples of {names[-1]} are truncated: {len(signal)} of {claimed:g}",
                where=where,
                remedy="export it again",
            )
        signal *= np.float32(step or 1.0)
        signals.append(signal)
    return Group(f"rhythm {number}", names, signals, rate, [unit] * len(names), number) if names else None
