"""The model's outputs, and the small steps between encoders and decoder that need no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.utils.generic import ModelOutput

from .labels import IGNORE

# transformers 5.24 calls the cache "cache" in its decoders and their outputs
CACHE = "cache" if hasattr(ModelOutput, "past_key_values") else "past_key_values"


@dataclass
class GemOutput(ModelOutput):
    """What a forward pass returns; T is the merged length.

    Attributes:
        loss: text loss plus weighted classification loss, whichever have labels.
        logits: (B, T, vocabulary), or (supervised tokens, vocabulary) with ``supervised_only``.
        cache: the decoder's key/value cache; also by its older name, ``past_key_values``.
        class_logits: (B, labels) of the classification head; NaN where a row has no input.
        ecg_tokens: (B, tokens, hidden), projected.
        vision_tokens: per picture (tokens, hidden), projected and merged.
        attention_mask: (B, T) of the merged sequence.
        hidden_states: of the decoder, when ``output_hidden_states`` is set.
        attentions: of the decoder, when ``output_attentions`` is set.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    cache: Any = None
    class_logits: Tensor | None = None
    ecg_tokens: Tensor | None = None
    vision_tokens: Any = None
    attention_mask: Tensor | None = None
    hidden_states: Any = None
    attentions: Any = None

    @property
    def past_key_values(self) -> Any:
        """The cache, by its name in transformers before 5.24."""
        return self.cache

    def with_tokens(self, encoded: Encoded) -> GemOutput:
        """Add the encoders' tokens.

        Args:
            encoded: what the encoders made of the inputs.
        """
        if encoded.ecg is not None and all(row is not None for row in encoded.ecg):
            self.ecg_tokens = torch.stack([row for row in encoded.ecg if row is not None])
        self.vision_tokens = encoded.vision
        return self


@dataclass
class Encoded:
    """What the encoders made of a batch; each list has one entry per row, None where that input is absent.

    Attributes:
        ecg: per row (tokens, hidden).
        vision: per row (tokens, hidden).
        measured: (B, values) that were measured, NaN where something was not.
        class_logits: (B, labels) of the classification head.
        raw: the tokens are not projected yet; the merge projects them.
    """

    ecg: list[Tensor | None] | None = None
    vision: list[Tensor | None] | None = None
    measured: Tensor | None = None
    class_logits: Tensor | None = None
    raw: bool = False

    def __len__(self) -> int:
        return len(self.ecg if self.ecg is not None else self.vision or [])

    def blocks(self, with_ecg: bool = True) -> list[Tensor | None]:
        """Per row (tokens, hidden): ECG tokens, then picture tokens.

        Args:
            with_ecg: False leaves the ECG tokens out.
        """
        out: list[Tensor | None] = []
        for i in range(len(self)):
            sources = (self.ecg if with_ecg else None, self.vision)
            parts = [rows[i] for rows in sources if rows is not None]
            there = [part for part in parts if part is not None]
            out.append(torch.cat(there) if there else None)
        return out


def masked_rows(rows: list[Tensor], mask: Tensor | None) -> list[Tensor | None]:
    """The rows, None where the mask (B,) is False."""
    if mask is None:
        return list(rows)
    return [row if there else None for row, there in zip(rows, mask.tolist(), strict=True)]


def drop_modalities(encoded: Encoded, probability: float) -> None:
    """Remove one input, picked at random, from some of the rows that have both.

    Args:
        encoded: with both inputs; changed in place.
        probability: of a row to lose an input.
    """
    assert encoded.ecg is not None  # for mypy
    assert encoded.vision is not None
    draws = torch.rand(len(encoded.ecg), 2).tolist()
    for i, (drop, which) in enumerate(draws):
        if drop < probability and encoded.ecg[i] is not None and encoded.vision[i] is not None:
            (encoded.ecg if which < 0.5 else encoded.vision)[i] = None


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy over the known labels of rows that have an input.

    Args:
        logits: (B, labels), NaN where a row has no input.
        labels: (B, labels) of 0 and 1, NaN where unknown.
    """
    known = ~labels.isnan() & ~logits.isnan()
    return F.binary_cross_entropy_with_logits(logits[known].float(), labels[known].float())


def token_loss(logits: Tensor, targets: Tensor, items: Tensor | int | None) -> Tensor:
    """Cross entropy of the trained tokens.

    Args:
        logits: (tokens, vocabulary).
        targets: (tokens,), ``IGNORE`` where a token is not trained.
        items: trained tokens of all batches of one optimiser step; the mean over this batch when None.
    """
    if items is None:
        return F.cross_entropy(logits.float(), targets, ignore_index=IGNORE)
    # a batch without trained tokens has a sum of 0, while its mean would be NaN
    total = F.cross_entropy(logits.float(), targets, ignore_index=IGNORE, reduction="sum")
    return total * fraction_of(1, items, logits)


def fraction_of(count: Tensor | int, items: Tensor | int, like: Tensor) -> Tensor:
    """``count`` tokens as a fraction of ``items`` tokens, float32 on the device of ``like``."""
    # DataParallel turns the number into a tensor with one entry per copy of the model
    whole = torch.as_tensor(items, dtype=torch.float32, device=like.device).reshape(-1)[0]
    return count / whole.clamp(min=1)


def left_padded(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move each row's padding to the front.

    Args:
        values: (B, L, ...).
        mask: (B, L), 0 where padded.

    Returns:
        Both, reordered.
    """
    order = mask.bool().long().argsort(dim=1, stable=True)
    return values[torch.arange(len(values), device=values.device)[:, None], order], mask.gather(1, order)
