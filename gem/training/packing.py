"""The text loss, for padded rows or several conversations packed into each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import GemConfigError
from ..fusion.merge import merge_tokens
from ..labels import IGNORE

# decoders that count positions from the mask, so that a row's conversations would not begin at 0
UNPACKABLE = ("opt",)
INPUTS = ("ecg", "pixel_values", "image_sizes", "ecg_mask", "pixel_mask")


def text_loss(model: Any, batch: dict[str, Any], pack_length: int | None = None) -> Tensor:
    """Mean cross entropy of the supervised tokens; logits are computed for these tokens only.

    Args:
        model: a GemForConditionalGeneration.
        batch: ``input_ids``, ``attention_mask``, ``labels`` (B, L) and the encoders' inputs.
        pack_length: tokens of a packed row; None pads each conversation to the longest. The loss is the same either
            way.

    Raises:
        GemConfigError: packing with ``prefix_kv``, whose vector applies to a whole row, or with a decoder of
            ``UNPACKABLE``.
    """
    inputs = {name: batch[name] for name in INPUTS if name in batch}
    if pack_length is None:
        out = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=batch["labels"],
            supervised_only=True,
            use_cache=False,
            **inputs,
        )
        loss: Tensor = out.loss
        return loss
    kind = model.config.text_config.model_type
    if model.config.fusion == "prefix_kv" or kind in UNPACKABLE:
        what = kind if kind in UNPACKABLE else "prefix_kv"
        raise GemConfigError(f"{what} can't be packed", remedy="leave pack_length out")
    blocks = model.encode(**inputs).blocks()
    ids = batch["input_ids"]
    embeds = model.get_input_embeddings()(ids.clamp(min=0))
    merged = merge_tokens(
        ids, embeds, blocks, model.config.placeholder_token_id, batch["attention_mask"], batch["labels"]
    )
    assert merged.labels is not None  # for mypy: labels were given
    packed = pack(merged.embeds, merged.labels, merged.attention_mask.sum(1).tolist(), pack_length)
    # without a mask, transformers separates the conversations of a row where positions restart at zero
    out = model(
        inputs_embeds=packed[0], labels=packed[1], position_ids=packed[2], supervised_only=True, use_cache=False
    )
    found: Tensor = out.loss
    return found


def pack(embeds: Tensor, labels: Tensor, lengths: Sequence[int], length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Join rows that are padded on the right into fewer rows, by first fit.

    Args:
        embeds: (B, T, hidden).
        labels: (B, T).
        lengths: tokens of each row.
        length: tokens of a packed row; the longest row's length if that is larger.

    Returns:
        embeds (P, L, hidden), labels (P, L) and position_ids (P, L), which restart at 0 in each conversation and in the
        padding.
    """
    rows = first_fit(lengths, max(length, *lengths))
    longest = max(sum(lengths[i] for i in row) for row in rows)
    out = embeds.new_zeros(len(rows), longest, embeds.shape[-1])
    targets = labels.new_full((len(rows), longest), IGNORE)
    positions = torch.zeros(len(rows), longest, dtype=torch.long, device=embeds.device)
    for r, row in enumerate(rows):
        at = 0
        for i in row:
            n = lengths[i]
            out[r, at : at + n] = embeds[i, :n]
            # the first token of a conversation is not predicted from the one before
            targets[r, at + 1 : at + n] = labels[i, 1:n]
            positions[r, at : at + n] = torch.arange(n, device=embeds.device)
            at += n
        positions[r, at:] = torch.arange(longest - at, device=embeds.device)
    return out, targets, positions


def first_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Distribute items to rows: longest first, each into the first row with room for it.

    Args:
        lengths: of each item.
        room: of a row.

    Returns:
        The items' indices by row.

    Example:
        >>> first_fit([3, 5, 4, 2], 7)
        [[1, 3], [2, 0]]
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for r, free in enumerate(left):
            if lengths[i] <= free:
                rows[r].append(i)
                left[r] -= lengths[i]
                break
        else:
            rows.append([i])
            left.append(room - lengths[i])
    return rows
