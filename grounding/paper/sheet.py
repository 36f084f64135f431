"""A page while it is being distorted: its pixels, the light on it, its relief, and how the camera sees it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from .page import Page
from .warp import STEP_PX, PageWarp, projected, warp_of

Field = NDArray[np.float32]
COARSE = 4  # light and relief are computed on every fourth pixel
EXPOSED_PERCENT = 97
CAMERA_MM = 420.0  # distance of the camera from the page
BESIDE = (96, 94, 92)  # colour of what lies beside the page where no table is asked for


class Light:
    """What is multiplied and mixed into pixels, on every ``COARSE``-th of them.

    Attributes:
        size: (width, height) of the picture, pixels.
        x: (rows, columns) positions of the points, pixels.
        y: the same.
        shade: (rows, columns) brightness, 1 leaves it.
        tint: (rows, columns, 3) brightness by colour, or None.
        contrast: (rows, columns) 1 leaves it, 0 is white; or None.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        columns, rows = -(-size[0] // COARSE), -(-size[1] // COARSE)
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        self.x: Field = (x + 0.5) * COARSE
        self.y: Field = (y + 0.5) * COARSE
        self.shade: Field = np.ones((rows, columns), np.float32)
        self.tint: Field | None = None
        self.contrast: Field | None = None

    def colour(self, factors: Field) -> None:
        """Multiply by colours, (rows, columns, 3) or (3,)."""
        self.tint = np.broadcast_to(factors, (*self.shade.shape, 3)) * (1 if self.tint is None else self.tint)

    def fade(self, factor: Field) -> None:
        """Lessen the contrast against white by a factor, (rows, columns)."""
        self.contrast = factor * (1 if self.contrast is None else self.contrast)

    def apply(self, image: Image.Image) -> Image.Image:
        """A picture (RGB) in this light, of the same size."""
        if self.contrast is not None:
            veil = self._whole(1 - self.contrast)
            image = ImageChops.screen(image, Image.merge("RGB", [veil] * 3))
        factors = self.shade[..., None] if self.tint is None else self.shade[..., None] * self.tint
        if factors.min() == factors.max() == 1.0:
            return image
        # a camera's exposure follows the light: little is overexposed
        brightest = max(float(np.percentile(factors, EXPOSED_PERCENT)), 1.0)
        parts = [self._whole(factors[..., channel] / brightest) for channel in range(factors.shape[2])]
        return ImageChops.multiply(image, Image.merge("RGB", parts * (3 // len(parts))))

    def _whole(self, field: Field) -> Image.Image:
        """Values of 0 to 1 on all pixels, as levels of grey."""
        rows, columns = field.shape
        levels = Image.fromarray((np.clip(field, 0, 1) * 255 + 0.5).astype(np.uint8))
        whole = levels.resize((columns * COARSE, rows * COARSE), Image.Resampling.BILINEAR)
        return whole.crop((0, 0, *self.size))


class Sheet:
    """A page while it is being distorted.

    Attributes:
        px_per_mm: resolution of the page.
        image: the page, then the picture (RGB).
        cover: how much of the paper is there (L), 0 in a hole and beside the page.
        light: on the paper, then on the picture.
        relief_mm: height of the paper above the table, on the points of ``light``.
        degrees: by which the page is turned, clockwise.
        tilt_degrees: (about the vertical, about the horizontal middle line) of the camera.
        margin: share of the picture that lies beside the page, where it is not seen flat.
        feed_px: (height,) of a scanner's rows, or None.
        beside: makes what lies beside the page, a picture of this size, or None.
    """

    def __init__(self, page: Page) -> None:
        self.px_per_mm = page.layout.px_per_mm
        self.image = page.image.convert("RGB")
        self.cover = Image.new("L", self.size, 255)
        self.light = Light(self.size)
        self.relief_mm: Field = np.zeros_like(self.light.shade)
        self.degrees = 0.0
        self.tilt_degrees = (0.0, 0.0)
        self.margin = 0.0
        self.feed_px: NDArray[np.float64] | None = None
        self.beside: Callable[[Sheet], Image.Image] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        return self.image.size

    def photograph(self) -> PageWarp:
        """Light the paper, and see it as the camera does; from then on ``image`` and ``light`` are the picture's."""
        if self.relief_mm.any():
            self._light_relief()
        lit = self.light.apply(self.image)
        homography, size = self._view()
        shift_x, shift_y = self._shifts()
        feed = None if self.feed_px is None else np.resize(self.feed_px, size[1])
        warp = warp_of(self.size, homography, size, shift_x, shift_y, COARSE, feed)
        # four channels that Pillow moves alike: with a mode that has transparency it would multiply colours first
        *colours, self.cover = warp.picture(Image.merge("CMYK", (*lit.split(), self.cover))).split()
        self.image = Image.merge("RGB", colours)
        self.light = Light(size)
        return warp

    def surround(self) -> None:
        """Put what lies beside the page, and under its holes, into the picture."""
        if self.cover.getextrema() != (255, 255):
            beside = Image.new("RGB", self.size, BESIDE) if self.beside is None else self.beside(self)
            self.image = Image.composite(self.image, beside, self.cover)

    def _light_relief(self) -> None:
        """A lamp at the upper left: what faces it is brighter."""
        step_mm = COARSE / self.px_per_mm
        down, right = np.gradient(self.relief_mm, step_mm)
        self.light.shade *= np.clip(1 - 0.9 * right - 0.6 * down, 0.35, 1.25).astype(np.float32)

    def _shifts(self) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """What is nearer to the camera is seen farther from the middle, and shifted where the camera looks aslant."""
        if not self.relief_mm.any():
            return None, None
        width, height = self.size
        camera = CAMERA_MM * self.px_per_mm
        aslant_x, aslant_y = (np.tan(np.radians(angle)) for angle in self.tilt_degrees)
        relief_px = self.relief_mm.astype(np.float64) * self.px_per_mm
        return (
            relief_px * ((self.light.x - width / 2) / camera + aslant_x),
            relief_px * ((self.light.y - height / 2) / camera + aslant_y),
        )

    def _view(self) -> tuple[NDArray[np.float64], tuple[int, int]]:
        """Page to picture as a pinhole camera sees it, about as large as it was; and the picture's size."""
        width, height = self.size
        if not self.degrees and self.tilt_degrees == (0.0, 0.0) and not self.margin:
            if not self.relief_mm.any() and self.feed_px is None:
                return np.eye(3), (width, height)
            return np.eye(3), (-(-width // STEP_PX) * STEP_PX, -(-height // STEP_PX) * STEP_PX)
        turn, about_y, about_x = np.radians([self.degrees, *self.tilt_degrees])
        middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        turned = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        camera = CAMERA_MM * self.px_per_mm
        tilted = np.array(
            [
                [np.cos(about_y), 0, 0],
                [0, np.cos(about_x), 0],
                [np.sin(about_y) / camera, np.sin(about_x) / camera, 1],
            ]
        )
        seen = tilted @ turned @ middle
        x, y = projected(seen, np.array([0, width, width, 0.0]), np.array([0, 0, height, height + 0.0]))
        scale = np.sqrt(width * height / _area(x, y))
        edge = self.margin * max(np.ptp(x), np.ptp(y)) * scale
        wide, high = (-(-int(np.ptp(side) * scale + 2 * edge) // STEP_PX) * STEP_PX for side in (x, y))
        placed = np.array([[scale, 0, edge - x.min() * scale], [0, scale, edge - y.min() * scale], [0, 0, 1]])
        return placed @ seen, (wide, high)


def _area(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)
