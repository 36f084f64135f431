"""The loss of answers behind prompts with the encoders' tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..labels import IGNORE
from .merge import merge_tokens


def answer_loss(model: Any, rows: list[list[int]], starts: list[int], blocks: list[Tensor | None]) -> Tensor:
    """Cross entropy of the answers in token rows, with the encoders' tokens at the placeholders.

    Args:
        model: the model.
        rows: token ids, prompt and answer.
        starts: length of each prompt; only the tokens after it are trained.
        blocks: encoder tokens of each row.
    """
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    labels = torch.full_like(ids, IGNORE)
    for i, (row, begin) in enumerate(zip(rows, starts, strict=True)):
        labels[i, begin : len(row)] = ids[i, begin : len(row)]
    ids, mask, labels = (part.to(model.device) for part in (ids, mask, labels))
    embeds = model.get_input_embeddings()(ids.clamp(min=0))
    merged = merge_tokens(ids, embeds, blocks, model.config.placeholder_token_id, mask, labels)
    out = model(
        inputs_embeds=merged.embeds,
        attention_mask=merged.attention_mask,
        labels=merged.labels,
        supervised_only=True,
        use_cache=False,
    )
    loss: Tensor = out.loss
    return loss
