"""Pictures of every format are upright and in RGB; one whose package is missing says which."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import grounding
from grounding import EcgError, EcgFormatError
from grounding.photographs import open_picture

TURN = 0x0112  # the EXIF entry; 6 is a quarter turn to the right


def _picture(width: int = 300, height: int = 220) -> Image.Image:
    """White, with a red top left corner."""
    image = Image.new("RGB", (width, height), "white")
    image.paste((200, 0, 0), (0, 0, 60, 60))
    return image


def _is_red(image: Image.Image, x: int, y: int) -> bool:
    red, green, blue = np.asarray(image)[y, x].tolist()
    return red > 150 and green < 60 and blue < 60


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp"])
def test_a_picture_is_turned_as_the_camera_says(tmp_path: Path, suffix: str) -> None:
    image = _picture()
    exif = image.getexif()
    exif[TURN] = 6
    path = tmp_path / f"turned{suffix}"
    image.save(path, exif=exif)
    opened = open_picture(path)
    assert opened.size == (220, 300)
    assert _is_red(opened, 190, 30)
    assert not _is_red(opened, 30, 30)


def test_what_is_clear_is_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (300, 220), (0, 0, 0, 0)).save(path)
    assert np.asarray(open_picture(path)).min() == 255


def test_the_page_of_a_pdf_file(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    path = tmp_path / "page.pdf"
    _picture().save(path, resolution=100)
    opened = open_picture(path)
    assert opened.size == (750, 550)  # 3 x 2.2 inches
    assert _is_red(opened, 50, 50)
    path.write_bytes(b"%PDF-1.7 and nothing else")
    with pytest.raises(EcgFormatError, match="PDF"):
        open_picture(path)


def test_a_heic_picture(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "phone.heic"
    heif.from_pillow(_picture()).save(path, quality=90)
    opened = open_picture(path)
    assert opened.size == (300, 220)
    assert _is_red(opened, 20, 20)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    path = tmp_path / "page.pdf"
    _picture().save(path)
    with pytest.raises(EcgError, match="pip install pypdfium2"):
        grounding.read_record(path)
