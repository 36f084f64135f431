"""The page between four corners that are given by hand, cut out of its picture and turned upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import EcgError
from .picture import MIN_SIDE
from .rectifying import PaperMap

Array = NDArray[np.float64]
Corners = Sequence[Sequence[float]]


class PageCorners:
    """The perspective of a page whose corners are known.

    Args:
        corners: (x, y) pixels of the page's own top left, top right, bottom right and bottom left corner in the upright
            picture; they may lie beyond its edges.

    Raises:
        EcgError: not four corners of a page, clockwise.
    """

    def __init__(self, corners: Corners) -> None:
        try:
            at = np.array(corners, np.float64)
        except (TypeError, ValueError):
            at = np.empty(0)
        if at.shape != (4, 2) or not np.isfinite(at).all() or not _is_clockwise(at):
            raise EcgError(
                "corners are not the four corners of a page",
                remedy="give (x, y) in pixels of its top left, top right, bottom right and bottom left corner",
            )
        sides = np.linalg.norm(at - np.roll(at, -1, axis=0), axis=1)
        self.size = (round(float(max(sides[0], sides[2]))), round(float(max(sides[1], sides[3]))))
        if min(self.size) < MIN_SIDE:
            raise EcgError(
                f"between the corners there are only {self.size[0]} x {self.size[1]} pixels",
                remedy="use a larger picture",
            )
        width, height = self.size
        flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
        rows = [
            row
            for (u, v), (x, y) in zip(flat, at, strict=True)
            for row in ((u, v, 1, 0, 0, 0, -x * u, -x * v), (0, 0, 0, u, v, 1, -y * u, -y * v))
        ]
        self._corners = at
        self._from_page = np.linalg.solve(np.array(rows, np.float64), at.ravel())

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The page alone, (height, width, 3) bytes."""
        turned = Image.fromarray(picture).transform(
            self.size,
            Image.Transform.PERSPECTIVE,
            self._from_page.tolist(),
            Image.Resampling.BICUBIC,
            fillcolor="white",
        )
        return np.asarray(turned)

    def alone(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The whole picture, (height, width, 3) bytes, white beyond the corners."""
        inside = Image.new("1", (picture.shape[1], picture.shape[0]))
        ImageDraw.Draw(inside).polygon([(float(x), float(y)) for x, y in self._corners], fill=1)
        return np.where(np.asarray(inside)[..., None], picture, np.uint8(255))

    def in_picture(self, page: PaperMap) -> PaperMap:
        """The map from paper to the whole picture, of the map from paper to what was cut out."""
        a, b, c, d, e, f, g, h = self._from_page
        # Pillow counts from the corners of pixels, and we from their middles
        u, v = page.x + 0.5, page.y + 0.5
        below = g * u + h * v + 1
        return replace(page, x=(a * u + b * v + c) / below - 0.5, y=(d * u + e * v + f) / below - 0.5)


def _is_clockwise(at: Array) -> bool:
    """Whether four points turn to the right at each corner, as seen on a picture."""
    along = np.roll(at, -1, axis=0) - at
    onward = np.roll(along, -1, axis=0)
    return bool((along[:, 0] * onward[:, 1] - along[:, 1] * onward[:, 0] > 0).all())
