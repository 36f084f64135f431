"""Token merge: each record's encoder tokens replace its one placeholder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GemInputError
from ..kernels import kernel_selected
from ..labels import IGNORE


@dataclass
class Merged:
    """A batch after the merge; T is the longest merged row.

    Attributes:
        embeds: (B, T, hidden); zero where padded.
        attention_mask: (B, T), 1 where there is a token.
        labels: (B, T), -100 on encoder tokens and padding; None without labels.
        position_ids: (B, T) counted from each row's first token; None where they are 0, 1, 2, ... for every row.
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
    """Replace the placeholder of each row by its encoder tokens.

    Args:
        input_ids: (B, L).
        text: (B, L, hidden), embeddings of ``input_ids`` (any values at the placeholder).
        blocks: per row (tokens, hidden), or None for a row with neither signal nor picture.
        placeholder: the id that marks the place.
        attention_mask: (B, L); padding may be on either side.
        labels: (B, L).

    Raises:
        GemInputError: a placeholder without input, an input without placeholder, or two placeholders in a row.
    """
    if kernel_selected("merge", text, text.numel() + sum(block.numel() for block in blocks if block is not None)):
        return _by_kernel(input_ids, text, blocks, placeholder, attention_mask, labels)
    keep = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    left = bool((~keep[:, 0]).any())
    rows: list[Tensor] = []
    targets: list[Tensor] = []
    for i, block in enumerate(blocks):
        ids, embeds = input_ids[i][keep[i]], text[i][keep[i]]
        target = labels[i][keep[i]] if labels is not None else torch.full_like(ids, IGNORE)
        places = (ids == placeholder).nonzero().flatten().tolist()
        _check(len(places), block is not None, i, placeholder)
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


def gather_places(
    input_ids: Tensor,
    attention_mask: Tensor | None,
    blocks: Sequence[Tensor | None],
    embed: Callable[[Tensor], Tensor],
    placeholder: int,
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """Rows with several placeholders as rows with one, whose block holds the text between them too.

    Args:
        input_ids: (B, L).
        attention_mask: (B, L), or None for all.
        blocks: one for each placeholder, in the order of the rows.
        embed: ids (n,) -> vectors (n, hidden).
        placeholder: the id that marks a place.

    Returns:
        Ids and mask (B, shorter), padded on the left, and a block for each row; None where it has no placeholder.

    Raises:
        GemInputError: a placeholder without a block.
    """
    waiting, rows, joined = iter(blocks), [], []
    for number, row in enumerate(input_ids):
        kept = row if attention_mask is None else row[attention_mask[number].bool()]
        at = (kept == placeholder).nonzero().flatten().tolist()
        parts: list[Tensor] = []
        for place, before in zip(at, [None, *at], strict=False):
            block = next(waiting)
            _check(1, block is not None, number, placeholder)
            assert block is not None  # for mypy: just checked
            parts += [block] if before is None else [embed(kept[before + 1 : place]).to(block.dtype), block]
        rows.append(torch.cat([kept[: at[0] + 1], kept[at[-1] + 1 :]]) if at else kept)
        joined.append(torch.cat(parts) if parts else None)
    masks = [torch.ones_like(row) for row in rows]
    return _pad(rows, 0, "left"), _pad(masks, 0, "left"), joined


def _check(places: int, given: bool, row: int, placeholder: int) -> None:
    where = f"row {row}"
    if places > 1:
        raise GemInputError(f"{places} placeholders in one row", where=where, remedy="a record has one placeholder")
    if places and not given:
        raise GemInputError(
            "a placeholder but neither signal nor picture",
            where=where,
            remedy="pass ecg or pixel_values, or leave the placeholder out",
        )
    if given and not places:
        raise GemInputError(
            "a signal or picture but no placeholder in the prompt",
            where=where,
            remedy=f"put the placeholder (id {placeholder}) where the encoder tokens go",
        )


def _layout(
    input_ids: Tensor, keep: Tensor, placeholder: int, counts: Sequence[int], given: Sequence[bool]
) -> tuple[int, bool, list[int]]:
    """Length of the longest merged row, whether rows are padded on the left, and where each row's encoder tokens begin.

    The only synchronisation with the GPU, which is needed to raise errors and to know the length of the longest row.
    """
    there = keep.bool()
    hit = there & (input_ids == placeholder)
    before = there & (hit.cumsum(1) == 0)
    sums = torch.stack([there.sum(1), hit.sum(1), before.sum(1), there[:, 0].long()]).tolist()
    for i, (places, block) in enumerate(zip(sums[1], given, strict=True)):
        _check(places, block, i, placeholder)
    sizes = [kept - places + count for kept, places, count in zip(sums[0], sums[1], counts, strict=True)]
    length, left = max(sizes), not all(sums[3])
    return length, left, [at + (length - size if left else 0) for at, size in zip(sums[2], sizes, strict=True)]


def _by_kernel(
    input_ids: Tensor,
    text: Tensor,
    blocks: Sequence[Tensor | None],
    placeholder: int,
    attention_mask: Tensor | None,
    labels: Tensor | None,
) -> Merged:
    from ..kernels.merge_rows import merge

    keep = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    counts = [0 if block is None else len(block) for block in blocks]
    length, left, _ = _layout(input_ids, keep, placeholder, counts, [block is not None for block in blocks])
    none = text.new_zeros(0, text.shape[-1])
    starts = _starts(counts, text)
    out = merge(
        input_ids,
        text,
        _joined(blocks, none),
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


def project_and_merge(
    input_ids: Tensor,
    text: Tensor,
    ecg: Sequence[Tensor | None],
    picture: Sequence[Tensor | None],
    ecg_layer: tuple[Tensor, Tensor | None],
    layers: tuple[Tensor, Tensor, Tensor, Tensor],
    placeholder: int,
    attention_mask: Tensor | None = None,
    labels: Tensor | None = None,
) -> tuple[Merged, list[Tensor | None], list[Tensor | None]]:
    """``merge_tokens`` for tokens that are not projected yet: the dual projector writes them to their places.

    Args:
        input_ids: (B, L).
        text: (B, L, hidden), embeddings of ``input_ids``.
        ecg: per row (tokens, ecg width) or None.
        picture: per row (tokens, width) or None.
        ecg_layer: weight and bias of the ECG projector, as ``gem.kernels.project_both`` takes them.
        layers: weights of the shared projector, likewise.
        placeholder: the id that marks the place.
        attention_mask: (B, L).
        labels: (B, L).

    Returns:
        The merged batch, and the projected tokens of each input, which are views of it.

    Raises:
        GemInputError: as ``merge_tokens``.
    """
    from ..kernels.dual_projector import project_both
    from ..kernels.merge_plan import plan

    keep = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    targets = torch.full_like(input_ids, IGNORE) if labels is None else labels
    counts = [[0 if rows is None else len(rows) for rows in source] for source in (ecg, picture)]
    both = [a + b for a, b in zip(*counts, strict=True)]
    given = [a is not None or b is not None for a, b in zip(ecg, picture, strict=True)]
    length, left, at = _layout(input_ids, keep, placeholder, both, given)
    width = layers[0].shape[1]
    signal = _joined(ecg, layers[0].new_zeros(0, ecg_layer[0].shape[1]))
    paper = _joined(picture, layers[0].new_zeros(0, width))
    out = plan(
        input_ids,
        keep,
        targets,
        _starts(counts[0], text),
        _starts(counts[1], text),
        len(signal),
        len(paper),
        placeholder,
        length,
        left,
        text,
    )
    embeds = project_both(signal, paper, ecg_layer, layers, text, out.source, out.back)
    merged = Merged(embeds, out.mask, out.labels if labels is not None else None, out.positions if left else None)
    ecg_rows = [
        embeds[i, at[i] : at[i] + n] if rows is not None else None
        for i, (rows, n) in enumerate(zip(ecg, counts[0], strict=True))
    ]
    picture_rows = [
        embeds[i, at[i] + n : at[i] + n + m] if rows is not None else None
        for i, (rows, n, m) in enumerate(zip(picture, *counts, strict=True))
    ]
    return merged, ecg_rows, picture_rows


def _starts(counts: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor([0, *counts]).cumsum(0).to(like.device, non_blocking=True)


def _joined(rows: Sequence[Tensor | None], none: Tensor) -> Tensor:
    there = [row for row in rows if row is not None]
    return torch.cat(there) if there else none


def _pad(rows: Sequence[Tensor], value: float, side: str) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value, padding_side=side)
