"""SCP-ECG (EN 1064), through the ecgdatakit package."""

from __future__ import annotations

from pathlib import Path

from .channels import Channels
from .kit import read_with_kit
from .registry import register_reader


def _is_scp(head: bytes) -> bool:
    """Section 0 follows the six bytes of checksum and size, and its first pointer is to itself at byte 7."""
    return len(head) >= 32 and head[8:10] == b"\0\0" and head[22:24] == b"\0\0" and head[28:32] == b"\x07\0\0\0"


@register_reader((".scp", ".ecg"), sniff=_is_scp)
def scp(path: Path) -> Channels:
    """SCP-ECG (EN 1064): the rhythm data; eight leads are completed to twelve."""
    return read_with_kit(path, "scp_ecg", "SCPECGParser")
