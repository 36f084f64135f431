"""The merge against a plain loop, on both sides of padding; tiles and their canvas."""

from __future__ import annotations

import pytest
import torch

from gem import GemInputError
from gem.fusion.merge import merge_tokens
from gem.fusion.tiles import best_resolution, merge_tiles


@pytest.mark.parametrize("side", ["left", "right"])
def test_places_and_padding(side: str) -> None:
    ids = torch.tensor([[5, -200, 6, 7], [8, -200, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    if side == "left":
        ids[1], mask[1] = torch.tensor([0, 0, 8, -200]), torch.tensor([0, 0, 1, 1])
    text = ids[..., None].float().expand(-1, -1, 3)
    blocks = [torch.full((2, 3), 0.1), torch.full((4, 3), 0.2)]
    out = merge_tokens(ids, text, blocks, -200, mask, labels=ids.clone())
    assert out.embeds[0, :, 0].tolist() == pytest.approx([5, 0.1, 0.1, 6, 7])
    assert out.embeds[1, :, 0].tolist() == pytest.approx([8, 0.2, 0.2, 0.2, 0.2])
    assert out.labels is not None
    assert out.labels[0].tolist() == [5, -100, -100, 6, 7]
    shorter = merge_tokens(ids, text, [blocks[0], blocks[0]], -200, mask)
    want = [0, 0, 1, 1, 1] if side == "left" else [1, 1, 1, 0, 0]
    assert shorter.attention_mask[1].tolist() == want
    assert (shorter.position_ids is None) == (side == "right")


def test_tiles() -> None:
    assert best_resolution((2200, 1700), [(336, 672), (672, 336), (672, 672), (1008, 336)]) == (672, 672)
    tiles = torch.randn(5, 4, 3)
    assert merge_tiles(tiles, None, "flat", [], 28, None).shape == (20, 3)
    newline = torch.zeros(3)
    assert merge_tiles(tiles[:1], None, "spatial_unpad", [], 28, newline).shape == (5, 3)
    unpadded = merge_tiles(tiles, (56, 28), "spatial_unpad", [(56, 56)], 28, newline)
    assert unpadded.shape == (4 + 2 * (4 + 1), 3)  # two of four rows are padding
    with pytest.raises(GemInputError, match="image_sizes"):
        merge_tiles(tiles, None, "spatial_unpad", [(56, 56)], 28, newline)
    with pytest.raises(GemInputError, match="1x1"):
        merge_tiles(tiles, (28, 28), "spatial_unpad", [(28, 28)], 28, newline)
