"""Token merge: each record's encoder tokens take the place of its one placeholder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GemInputError
from ..kernels import chosen

IGNORE = -100


@dataclass
class Merged:
    """A batch after the merge; T is the longest merged row.

    Attributes:
        embeds: (B, T, hidden); zero where padded.
        attention_mask: (B, T), 1 where there is a token.
        labels: (B, T), -100 on encoder tokens and padding; None without labels.
        position_ids: (B, T) counted from each row's first token; None where plain counting does.
    """

    embeds: Tensor
    attention_mask: Tensor
    labels: Tensor | None
    position_ids: Tensor | None


def merge_tokens(
    input_ids: Tensor,
    text: Tensor,
    blocks: Sequence[Tensor | None],
    placeholder: int,
    attention_mask: Tensor | None = None,
    labels: Tensor | None = None,
) -> Merged:
    """Put block ``i`` where row ``i`` has its placeholder.

    Args:
        input_ids: (B, L).
        text: (B, L, hidden), embeddings of ``input_ids`` (anything at the placeholder).
        blocks: per row (tokens, hidden), or None where the record has neither signal nor picture.
        placeholder: the id that marks the place.
        attention_mask: (B, L); padding may be on either side.
        labels: (B, L).

    Raises:
        GemInputError: a placeholder without input, an input without placeholder, or two placeholders in a row.
    """
    if chosen("merge", text, text.numel() + sum(block.numel() for block in blocks if block is not None)):
        return _by_kernel(input_ids, text, blocks, placeholder, attention_mask, labels)
    keep = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    left = bool((~keep[:, 0]).any())
    rows: list[Tensor] = []
    targets: list[Tensor] = []
    for i, block in enumerate(blocks):
        ids, embeds = input_ids[i][keep[i]], text[i][keep[i]]
        target = labels[i][keep[i]] if labels is not None else torch.full_like(ids, IGNORE)
        places = (ids == placeholder).nonzero().flatten().tolist()
        _check(len(places), block, i, placeholder)
        if places and block is not None:
            at = places[0]
            embeds = torch.cat([embeds[:at], block.to(embeds.dtype), embeds[at + 1 :]])
            hidden = torch.full((len(block),), IGNORE, dtype=target.dtype, device=target.device)
            target = torch.cat([target[:at], hidden, target[at + 1 :]])
        rows.append(embeds)
        targets.append(target)
    side = "left" if left else "right"
    mask = _pad([torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows], 0, side)
    return Merged(
        embeds=_pad(rows, 0.0, side),
        attention_mask=mask,
        labels=_pad(targets, IGNORE, side) if labels is not None else None,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0) if left else None,
    )


def _check(places: int, block: Tensor | None, row: int, placeholder: int) -> None:
    where = f"row {row}"
    if places > 1:
        raise GemInputError(f"{places} placeholders in one row", where=where, remedy="a record has one placeholder")
    if places and block is None:
        raise GemInputError(
            "a placeholder but neither signal nor picture",
            where=where,
            remedy="pass ecg or pixel_values, or leave the placeholder out",
        )
    if block is not None and not places:
        raise GemInputError(
            "a signal or picture but no placeholder in the prompt",
            where=where,
            remedy=f"put the placeholder (id {placeholder}) where the encoder tokens go",
        )


def _by_kernel(
    input_ids: Tensor,
    text: Tensor,
    blocks: Sequence[Tensor | None],
    placeholder: int,
    attention_mask: Tensor | None,
    labels: Tensor | None,
) -> Merged:
    from ..kernels.merge import merge

    keep = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    there = keep.bool()
    # the one time the host waits: it has to raise errors and to know how long the longest row is
    facts = torch.stack([there.sum(1), (there & (input_ids == placeholder)).sum(1), there[:, 0].long()]).tolist()
    for i, (places, block) in enumerate(zip(facts[1], blocks, strict=True)):
        _check(places, block, i, placeholder)
    counts = [0 if block is None else len(block) for block in blocks]
    length = max(kept - places + count for kept, places, count in zip(facts[0], facts[1], counts, strict=True))
    rows = [block for block in blocks if block is not None]
    none = text.new_zeros(0, text.shape[-1])
    starts = torch.tensor([0, *counts]).cumsum(0).to(text.device, non_blocking=True)
    left = not all(facts[2])
    out = merge(
        input_ids,
        text,
        torch.cat(rows) if rows else none,
        starts,
        none,
        torch.zeros_like(starts),
        placeholder,
        length,
        left,
        keep,
        labels,
    )
    return Merged(out.embeds, out.mask, out.labels if labels is not None else None, out.positions if left else None)


def _pad(rows: Sequence[Tensor], value: float, side: str) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value, padding_side=side)
