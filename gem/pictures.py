"""Pictures as the tensors that picture encoders take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from grounding import ECGRecord

from .errors import GemInputError
from .fusion.tiles import best_resolution


def prepare_picture(image: Image.Image, settings: dict[str, Any], mode: str) -> Tensor:
    """Resize, crop or tile a picture, and normalise it.

    Args:
        image: RGB.
        settings: ``size`` (H, W), ``mean``, ``std``, ``grid_pinpoints`` (width, height), ``background``, and CLIP's
            ``shortest_edge`` where it is not the height.
        mode: ``"letterbox"`` (whole picture, background bars), ``"pad"`` (a square on the mean colour, then CLIP's
            processing: LLaVA-1.5), ``"ori"`` (shortest side, centre crop: CLIP and the published GEM) or ``"anyres"``
            (LLaVA-1.6 tiles).

    Returns:
        (tiles, 3, H, W), one tile except for ``anyres``.
    """
    height, width = settings["size"]
    mean, std = settings["mean"], settings["std"]
    edge = int(settings.get("shortest_edge") or height)
    if mode == "ori":
        tiles = [_centre_crop(image, edge, height)]
    elif mode == "pad":
        tiles = [_centre_crop(_squared(image, tuple(int(255 * value) for value in mean)), edge, height)]
    elif mode == "anyres":
        tiles = [
            _centre_crop(tile, edge, height) for tile in _tiles(image, settings.get("grid_pinpoints", []), edge, height)
        ]
    else:
        tiles = [_letterbox(image, width, height, tuple(settings.get("background", (255, 255, 255))))]
    stacked = np.stack([np.asarray(tile, dtype=np.float32) for tile in tiles]) / np.float32(255)
    normal = (stacked - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normal.transpose(0, 3, 1, 2), dtype=np.float32))


def _centre_crop(image: Image.Image, edge: int, size: int) -> Image.Image:
    """CLIP's own processing: the shortest side to ``edge``, then the middle ``size`` x ``size``."""
    width, height = image.size
    # CLIP rounds the longer side down
    wide, high = (edge, edge * height // width) if width <= height else (edge * width // height, edge)
    resized = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - size) // 2, (high - size) // 2
    return resized.crop((left, top, left + size, top + size))


def _squared(image: Image.Image, color: tuple[int, ...]) -> Image.Image:
    side = max(image.size)
    canvas = Image.new("RGB", (side, side), color)
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def _letterbox(image: Image.Image, width: int, height: int, color: tuple[int, ...]) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    wide, high = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas = Image.new("RGB", (width, height), color)
    canvas.paste(image.resize((wide, high), Image.Resampling.BICUBIC), ((width - wide) // 2, (height - high) // 2))
    return canvas


def _tiles(image: Image.Image, pinpoints: Sequence[Sequence[int]], edge: int, side: int) -> list[Image.Image]:
    width, height = best_resolution(image.size, pinpoints)
    scale = min(width / image.width, height / image.height)
    by_width = width / image.width <= height / image.height
    wide = width if by_width else min(int(np.ceil(image.width * scale)), width)
    high = min(int(np.ceil(image.height * scale)), height) if by_width else height
    canvas = Image.new("RGB", (width, height), (0, 0, 0))
    # LLaVA-1.6 resizes with Pillow's default, bicubic
    canvas.paste(image.resize((wide, high), Image.Resampling.BICUBIC), ((width - wide) // 2, (height - high) // 2))
    boxes = [(x, y, x + side, y + side) for y in range(0, height, side) for x in range(0, width, side)]
    base = image.resize((edge, edge), Image.Resampling.BICUBIC)  # without keeping the aspect ratio
    return [base, *(canvas.crop(box) for box in boxes)]


def rgb(image: Any) -> Image.Image:
    """A picture as a PIL picture in RGB, on white, turned as its EXIF entry says.

    Args:
        image: a PIL picture, a file, or a uint8 array or tensor: (height, width), (height, width, 3) or
            (3, height, width).

    Raises:
        GemInputError: it is something else.
        EcgError: the file can't be read.
    """
    if isinstance(image, str | Path):
        return _of_file(Path(image))
    if isinstance(image, Tensor):
        image = image.detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise GemInputError(
                f"a picture of {image.dtype} with {image.ndim} axes",
                remedy="pass uint8, height x width x 3, or a PIL image",
            )
        channels_first = image.ndim == 3 and image.shape[0] == 3 and image.shape[2] not in (3, 4)
        image = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)) if channels_first else image)
    if not isinstance(image, Image.Image):
        raise GemInputError(f"a picture is a PIL image or a uint8 array, not {type(image).__name__}")
    if image.mode == "RGB" and not image.getexif():  # as pages are drawn
        return image.convert("RGB")
    from grounding.photographs import upright

    return upright(image)


def _of_file(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            return rgb(opened)
    except UnidentifiedImageError:  # HEIC, PDF, or no picture
        from grounding.photographs import open_picture

        return open_picture(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise GemInputError(f"the picture can't be read ({error})", where=str(path)) from None


def drawn(record: ECGRecord) -> Image.Image:
    """A recording on ECG paper.

    Args:
        record: the recording.
    """
    from grounding import render

    page: Image.Image = render(record)
    return page
