"""Pictures as arrays: turned as the camera says, without the light's own gradients."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from ..errors import EcgError, EcgFormatError
from .threads import in_threads

MAX_PIXELS = 60_000_000
MIN_SIDE = 200
PDF_BYTES, PDF_DPI = b"%PDF-", 250
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
REDUCED_SIDE_PX = 1400  # of the shorter side, enough to find the grid
CLOSED_SHARE = 80  # of the shorter side: wider than a line, narrower than the grid's period


def open_picture(path: Path) -> Image.Image:
    """The picture of a file, upright as its EXIF entry says, in RGB.

    Args:
        path: JPEG, PNG, TIFF, WebP or another format that Pillow reads; HEIC with ``pillow-heif``; the first page of a
            PDF with ``pypdfium2``.

    Raises:
        EcgFormatError: no picture, damaged, or too large or too small.
        EcgError: the package that its format needs is not installed.
    """
    try:
        with path.open("rb") as file:
            first = file.read(16)
        if first.startswith(PDF_BYTES):
            return _pdf_page(path)
        if is_heic(first):
            _package("pillow_heif", "pillow-heif", path).register_heif_opener()
        with Image.open(path) as opened:
            _check_size(*opened.size, path)
            return upright(opened)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise EcgFormatError(
            f"the picture can't be read ({error})", where=str(path), remedy="save it again as PNG or JPEG"
        ) from None


def is_heic(first: bytes) -> bool:
    """Whether a file with these first bytes is a HEIC picture, as phones write them."""
    return first[4:8] == b"ftyp" and first[8:12] in HEIC_BRANDS


def _pdf_page(path: Path) -> Image.Image:
    """The first page of a PDF file, in RGB."""
    pdfium = _package("pypdfium2", "pypdfium2", path)
    try:
        with pdfium.PdfDocument(path) as document:
            page = document[0]
            scale = PDF_DPI / 72
            _check_size(round(page.get_width() * scale), round(page.get_height() * scale), path)
            image: Image.Image = page.render(scale=scale).to_pil().convert("RGB")
    except pdfium.PdfiumError as error:
        raise EcgFormatError(
            f"the PDF file can't be read ({error})", where=str(path), remedy="save its page as PNG"
        ) from None
    return image


def _package(name: str, distribution: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise EcgError(
            f"{path.suffix or 'this'} pictures need the package {distribution}",
            where=str(path),
            remedy=f"pip install {distribution}, or save the picture as PNG",
        ) from None


def upright(image: Image.Image) -> Image.Image:
    """A picture in RGB on white, turned as its EXIF entry says; greys of 16 bits as those of 8."""
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):
        greys = np.asarray(turned, np.float32)
        turned = Image.fromarray((greys / 257 if greys.max(initial=0) > 255 else greys).clip(0, 255).astype(np.uint8))
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned.convert("RGBA"))
    return turned.convert("RGB")


def _check_size(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS:
        raise EcgFormatError(
            f"the picture has {width} x {height} pixels: over {MAX_PIXELS // 1_000_000} million",
            where=str(path),
            remedy="make it smaller",
        )
    if min(width, height) < MIN_SIDE:
        raise EcgFormatError(
            f"the picture has only {width} x {height} pixels", where=str(path), remedy="use the original"
        )


def load_picture(path: Path) -> NDArray[np.uint8]:
    """(height, width, 3) bytes of a picture, see ``open_picture``."""
    return np.asarray(open_picture(path))


def reduction(picture: NDArray[np.uint8]) -> int:
    """By which whole number a picture may be reduced so that its grid is still seen well."""
    return max(1, int(min(picture.shape[:2])) // REDUCED_SIDE_PX)


def grid_lines(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where a picture has ink, against the paper around it.

    Args:
        picture: (height, width, 3) bytes.

    Returns:
        (height, width), 0 for paper to 1.
    """
    return _inked(darkest_channel(picture))


def darkest_channel(colours: NDArray[Any]) -> NDArray[Any]:
    """(height, width): the least of (height, width, 3) values at each pixel, many times faster than ``min(-1)``."""
    return _of_channels(np.minimum, colours)


def brightest_channel(colours: NDArray[Any]) -> NDArray[Any]:
    """The largest, see ``darkest_channel``."""
    return _of_channels(np.maximum, colours)


def _of_channels(function: Any, colours: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(function(function(colours[..., 0], colours[..., 1]), colours[..., 2]))


def coloured_lines(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where a picture has ink of a colour, against the paper around it: the grid of most papers, and no black trace.

    Args:
        picture: (height, width, 3) bytes.

    Returns:
        (height, width), 0 for paper and for what is grey, to 1.
    """
    darkest, brightest = in_threads(_inked, (darkest_channel(picture), brightest_channel(picture)))
    return np.asarray((darkest - brightest).clip(0, 1))


def _inked(plane: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How dark the pixels of one channel are against the paper around them, 0-1."""
    dark = np.asarray(plane / 255, np.float32)
    size = max(7, min(dark.shape) // CLOSED_SHARE) | 1
    lines: NDArray[np.float32] = (1 - against_paper(dark, size, size / 4)).clip(0, 1)
    return lines


def against_paper(plane: NDArray[np.float32], size: int, smooth: float) -> NDArray[np.float32]:
    """How bright each pixel is against the paper with its shadows, but without the thin dark lines on it.

    Args:
        plane: (height, width), 0-1.
        size: wider than a line, pixels.
        smooth: standard deviation of the last mean, pixels.

    Returns:
        (height, width): 1 for paper, 0 for black.
    """
    height, width = plane.shape
    # it is smooth: half the resolution is enough
    is_even = height % 2 == 0 == width % 2
    even = plane if is_even else np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    means = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    size = (size // 2) | 1
    closed = ndimage.minimum_filter(ndimage.maximum_filter(means, size), size)
    shade = np.maximum(ndimage.gaussian_filter(closed, smooth / 2), 0.02)
    rows, columns = shade.shape
    against = even.reshape(rows, 2, columns, 2) / shade[:, None, :, None]
    return np.asarray(against.reshape(even.shape)[:height, :width])
