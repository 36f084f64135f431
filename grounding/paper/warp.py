"""The map between a flat page and its picture: one mesh, by which pixels and truth are moved alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Array = NDArray[np.float64]
STEP_PX = 24  # between the nodes of a mesh; between them the map is bilinear
TURNS_BACK = 60  # at most, to invert the map
EXACT_PX = 1e-3


def projected(homography: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Points through a homography.

    Args:
        homography: (3, 3).
        x: of any shape.
        y: the same shape.
    """
    w = homography[2, 0] * x + homography[2, 1] * y + homography[2, 2]
    return (
        (homography[0, 0] * x + homography[0, 1] * y + homography[0, 2]) / w,
        (homography[1, 0] * x + homography[1, 1] * y + homography[1, 2]) / w,
    )


@dataclass(frozen=True, eq=False)
class PageWarp:
    """Where each pixel of a picture lies on the page. Positions are continuous: the first pixel reaches from 0 to 1.

    Attributes:
        page_size: (width, height) of the flat page, pixels.
        size: (width, height) of the picture, pixels; multiples of ``STEP_PX`` unless nothing is moved.
        x: (rows, columns) page position of the picture's nodes, ``STEP_PX`` apart.
        y: the same.
        homography: (3, 3) page to picture without bends and folds.
    """

    page_size: tuple[int, int]
    size: tuple[int, int]
    x: Array
    y: Array
    homography: Array

    @property
    def is_flat(self) -> bool:
        """Whether nothing is moved."""
        return self.page_size == self.size and bool(np.allclose(self.homography, np.eye(3))) and self._unbent()

    def _unbent(self) -> bool:
        rows, columns = self.x.shape
        return bool(
            np.allclose(self.x, np.arange(columns)[None, :] * STEP_PX)
            and np.allclose(self.y, np.arange(rows)[:, None] * STEP_PX)
        )

    def to_page(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Page positions of positions of the picture.

        Args:
            x: pixels of the picture, any shape.
            y: the same shape.

        Returns:
            x and y, pixels of the flat page; they may lie beside it.
        """
        x, y = np.asarray(x, np.float64) / STEP_PX, np.asarray(y, np.float64) / STEP_PX
        # beside the mesh its outermost cells are continued; NaN stays NaN by a and b
        column = np.nan_to_num(np.clip(np.floor(x), 0, self.x.shape[1] - 2)).astype(np.intp)
        row = np.nan_to_num(np.clip(np.floor(y), 0, self.x.shape[0] - 2)).astype(np.intp)
        a, b = x - column, y - row

        def between(nodes: Array) -> Array:
            above = nodes[row, column] * (1 - a) + nodes[row, column + 1] * a
            below = nodes[row + 1, column] * (1 - a) + nodes[row + 1, column + 1] * a
            return np.asarray(above * (1 - b) + below * b)

        return between(self.x), between(self.y)

    def to_picture(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Positions in the picture of positions of the page: ``to_page`` the other way round.

        Args:
            x: pixels of the flat page, any shape.
            y: the same shape.

        Returns:
            x and y, pixels of the picture, to a thousandth; NaN for what the picture does not show.
        """
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        back = np.asarray(np.linalg.inv(self.homography), np.float64)
        plane_x, plane_y = x, y
        for _ in range(TURNS_BACK):
            at_x, at_y = projected(self.homography, plane_x, plane_y)
            page_x, page_y = self.to_page(at_x, at_y)
            if max(np.abs(x - page_x).max(initial=0), np.abs(y - page_y).max(initial=0)) < EXACT_PX / 4:
                break
            plane_x, plane_y = projected(back, at_x, at_y)
            plane_x, plane_y = plane_x + (x - page_x), plane_y + (y - page_y)
        found = (np.abs(x - page_x) < EXACT_PX) & (np.abs(y - page_y) < EXACT_PX)
        width, height = self.size
        found &= (at_x >= 0) & (at_x <= width) & (at_y >= 0) & (at_y <= height)
        return np.where(found, at_x, np.nan), np.where(found, at_y, np.nan)

    def picture(self, page: Image.Image, *, nearest: bool = False) -> Image.Image:
        """A picture of the page's size, moved; what lies beside the page is 0.

        Args:
            page: of any mode.
            nearest: True takes the nearest pixel, for labels; else values between pixels are interpolated.
        """
        if self.is_flat:
            return page.copy()
        width, height = self.size
        x, y = self.x, self.y
        # cells that lie beside the page need not be looked at
        seen = (_cells(np.maximum, x) > 0) & (_cells(np.minimum, x) < page.width)
        seen &= (_cells(np.maximum, y) > 0) & (_cells(np.minimum, y) < page.height)
        corners = np.stack(  # upper left, lower left, lower right, upper right
            [x[:-1, :-1], y[:-1, :-1], x[1:, :-1], y[1:, :-1], x[1:, 1:], y[1:, 1:], x[:-1, 1:], y[:-1, 1:]], axis=-1
        )
        rows, columns = np.nonzero(seen)
        mesh = [
            ((c * STEP_PX, r * STEP_PX, min((c + 1) * STEP_PX, width), min((r + 1) * STEP_PX, height)), tuple(quad))
            for r, c, quad in zip(rows.tolist(), columns.tolist(), corners[seen].tolist(), strict=True)
        ]
        how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
        return page.transform((width, height), Image.Transform.MESH, mesh, how)


def _cells(combine: np.ufunc, nodes: Array) -> Array:
    return np.asarray(combine(combine(nodes[:-1, :-1], nodes[1:, :-1]), combine(nodes[:-1, 1:], nodes[1:, 1:])))


def warp_of(
    page_size: tuple[int, int],
    homography: Array,
    size: tuple[int, int],
    shift_x: Array | None = None,
    shift_y: Array | None = None,
    shift_step_px: int = 1,
    feed_y: Array | None = None,
) -> PageWarp:
    """A map from a projection and the shifts of a bent page.

    Args:
        page_size: (width, height), pixels.
        homography: (3, 3), page to picture.
        size: (width, height) of the picture.
        shift_x: (rows, columns) by how many pixels points of the page move before they are projected, or None.
        shift_y: the same.
        shift_step_px: pixels of the page between the points of the shifts.
        feed_y: (height,) by how many pixels each row of the picture lies below where it should, or None.
    """
    width, height = size
    columns, rows = -(-width // STEP_PX) + 1, -(-height // STEP_PX) + 1
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64) * STEP_PX
    if feed_y is not None:
        y = y - np.interp(y, np.arange(len(feed_y)), feed_y)
    plane_x, plane_y = projected(np.asarray(np.linalg.inv(homography), np.float64), x, y)
    page_x, page_y = plane_x, plane_y
    if shift_x is not None and shift_y is not None:
        for _ in range(TURNS_BACK // 4):
            at = [page_y / shift_step_px, page_x / shift_step_px]
            page_x, page_y = (
                plane - ndimage.map_coordinates(shift, at, order=1, mode="nearest")
                for plane, shift in ((plane_x, shift_x), (plane_y, shift_y))
            )
    return PageWarp(page_size, size, page_x, page_y, homography)
