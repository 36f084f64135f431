"""Tiled pictures (LLaVA-1.6 "anyres"): which grid fits a picture, and how the tiles' tokens become one sequence.

References:
    Liu et al., LLaVA-NeXT (LLaVA-1.6), 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import GemInputError


def best_resolution(size: tuple[int, int], pinpoints: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The canvas that keeps most of the picture's pixels and, among those, has the least padding.

    Args:
        size: (width, height) of the picture.
        pinpoints: (width, height) of each canvas.

    Returns:
        (width, height).

    Raises:
        GemInputError: there are no canvases.

    Example:
        >>> best_resolution((2200, 1700), [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)])
        (672, 672)
    """
    width, height = size
    if not pinpoints:
        raise GemInputError("the config lists no image_grid_pinpoints", remedy="tiled pictures need them")

    def fit(canvas: Sequence[int]) -> tuple[int, int]:
        scale = min(canvas[0] / width, canvas[1] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - canvas[0] * canvas[1]

    best = max(pinpoints, key=fit)
    return int(best[0]), int(best[1])


def merge_tiles(
    tiles: Tensor,
    size: tuple[int, int] | None,
    merge: str,
    pinpoints: Sequence[Sequence[int]],
    tile_px: int,
    newline: Tensor | None,
) -> Tensor:
    """Join the tokens of one picture's tiles into one sequence, the base view first.

    Args:
        tiles: (tiles, tokens, hidden), projected.
        size: (width, height) of the picture before it was tiled; needed to remove the padding.
        merge: ``"flat"`` (tile after tile), ``"spatial"`` (row after row of the whole picture) or ``"spatial_unpad"``
            (the same without the padding).
        pinpoints: canvases (width, height) that a picture may be put on.
        tile_px: side of a tile.
        newline: (hidden,), inserted after every row of ``"spatial_unpad"``.

    Returns:
        (tokens, hidden).

    Raises:
        GemInputError: a size that does not match the tiles, or a missing size or newline.
    """
    if merge == "flat":
        return tiles.flatten(0, 1)
    if merge == "spatial":
        newline = None
    elif newline is None:
        raise GemInputError("spatial_unpad needs the image_newline weight")
    if len(tiles) == 1:
        return tiles[0] if newline is None else torch.cat([tiles[0], newline[None].to(tiles)])
    if size is None:
        raise GemInputError("tiled pictures need image_sizes", remedy="pass the (width, height) of each picture")
    side = round(tiles.shape[1] ** 0.5)
    canvas = best_resolution(size, pinpoints)
    columns, rows = canvas[0] // tile_px, canvas[1] // tile_px
    if rows * columns != len(tiles) - 1 or side * side != tiles.shape[1]:
        raise GemInputError(
            f"{len(tiles) - 1} tiles where a {size[0]}x{size[1]} picture has {rows}x{columns}",
            remedy="image_sizes are (width, height) before tiling",
        )
    grid = tiles[1:].view(rows, columns, side, side, -1).permute(0, 2, 1, 3, 4).flatten(2, 3).flatten(0, 1)
    if newline is None:
        return torch.cat([tiles[0], grid.flatten(0, 1)])
    grid = _unpad(grid, size)
    ends = newline.to(grid).expand(grid.shape[0], 1, -1)
    return torch.cat([tiles[0], torch.cat([grid, ends], dim=1).flatten(0, 1)])


def _unpad(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """(H, W, C) without the rows or columns that hold only padding."""
    (width, height), (rows, columns) = size, grid.shape[:2]
    if width / height > columns / rows:
        edge = (rows - int(height * (columns / width))) // 2
        return grid[edge : rows - edge]
    edge = (columns - int(width * (rows / height))) // 2
    return grid[:, edge : columns - edge]
