"""GE MUSE XML, through the ecgdatakit package."""

from __future__ import annotations

from pathlib import Path

from .channels import Channels
from .kit import read_with_kit, xml_sniff
from .registry import register_reader


@register_reader((".xml",), sniff=xml_sniff(b"RestingECG"))
def muse(path: Path) -> Channels:
    """GE MUSE XML: the rhythm waveform; its eight leads are completed to twelve."""
    return read_with_kit(path, "ge_muse_xml", "GEMuseXMLParser")
