"""Photographs, scans and screenshots of ECGs; see ``grounding.photographs``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..record import ECGRecord
from .registry import register_reader

EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".heif", ".pdf")
_FIRST_BYTES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"MM\x00*", b"BM", b"%PDF-")


def _is_picture(first: bytes) -> bool:
    from ..photographs.picture import is_heic

    return first.startswith(_FIRST_BYTES) or (first[:4] == b"RIFF" and first[8:12] == b"WEBP") or is_heic(first)


@register_reader(EXTENSIONS, _is_picture)
def picture(
    path: Path,
    layout: str | None = None,
    speed_mm_s: float | None = None,
    gain_mm_mv: float | None = None,
    corners: Sequence[Sequence[float]] | None = None,
) -> ECGRecord:
    """A photograph, scan or screenshot of an ECG on millimetre paper."""
    from ..photographs import read_photograph

    return read_photograph(path, layout, speed_mm_s, gain_mm_mv, corners)
