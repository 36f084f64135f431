"""Philips (Sierra) XML 1.03-1.04, through the ecgdatakit package."""

from __future__ import annotations

from pathlib import Path

from .channels import Channels
from .kit import read_with_kit, xml_sniff
from .registry import register_reader


@register_reader((".xml",), sniff=xml_sniff(b"restingecgdata"))
def philips(path: Path) -> Channels:
    """Philips (Sierra) XML 1.03-1.04: the rhythm waveform, plain or compressed."""
    return read_with_kit(path, "sierra_xml", "SierraXMLParser")
