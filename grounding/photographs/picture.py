"""Pictures as arrays: turned as the camera says, without the light's own gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from ..errors import EcgFormatError

MAX_PIXELS = 60_000_000
MIN_SIDE = 200
CLOSED_SHARE = 80  # of the shorter side: wider than a line, narrower than the grid's period


def load_picture(path: Path) -> NDArray[np.float32]:
    """A picture of a file, upright as its EXIF entry says.

    Args:
        path: JPEG, PNG, TIFF, WebP or another format that Pillow reads.

    Returns:
        (height, width, 3), 0-1.

    Raises:
        EcgFormatError: no picture, damaged, or too large or too small.
    """
    try:
        with Image.open(path) as opened:
            width, height = opened.size
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
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(np.asarray(image.convert("RGB"), np.float32) / 255, np.float32)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise EcgFormatError(
            f"the picture can't be read ({error})", where=str(path), remedy="save it again as PNG or JPEG"
        ) from None


def grid_lines(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where a picture has ink, against the paper around it.

    Args:
        picture: (height, width, 3), 0-1.

    Returns:
        (height, width), 0 for paper to 1.
    """
    dark = picture.min(-1)
    size = max(7, min(dark.shape) // CLOSED_SHARE) | 1
    lines: NDArray[np.float32] = (1 - dark / paper_shade(dark, size, size / 4)).clip(0, 1).astype(np.float32)
    return lines


def paper_shade(plane: NDArray[np.float32], size: int, smooth: float) -> NDArray[np.float32]:
    """How bright the paper is, with its shadows, but without the thin dark lines on it; above 0.

    Args:
        plane: (height, width), 0-1.
        size: wider than a line, pixels.
        smooth: standard deviation of the last mean, pixels.
    """
    means = ndimage.uniform_filter(plane, 3)
    closed = ndimage.minimum_filter(ndimage.maximum_filter(means, size), size)
    shade: NDArray[np.float32] = np.maximum(ndimage.gaussian_filter(closed, smooth), 0.02)
    return shade
