"""HL7 annotated ECG (aECG, XML), through the ecgdatakit package."""

from __future__ import annotations

from pathlib import Path

from .channels import Channels
from .kit import read_with_kit, xml_sniff
from .registry import register_reader


@register_reader((".xml", ".aecg"), sniff=xml_sniff(b"AnnotatedECG"))
def aecg(path: Path) -> Channels:
    """HL7 annotated ECG (aECG, XML): the first rhythm series."""
    return read_with_kit(path, "hl7_aecg", "HL7aECGParser")
