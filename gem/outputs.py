"""What the model's forward pass returns, and its losses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.utils.generic import ModelOutput

from .encoded import Encoded
from .errors import GemInputError
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

    def returned(self, as_dict: bool) -> Any:
        """What a forward pass returns: with its fields in their order, because a ModelOutput keeps that of setting.

        Args:
            as_dict: False gives a tuple of what is not None, the loss first.
        """
        ordered = GemOutput(**{field.name: getattr(self, field.name) for field in fields(self)})
        return ordered if as_dict else ordered.to_tuple()

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


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy over the known labels of rows that have an input.

    Args:
        logits: (B, labels), NaN where a row has no input.
        labels: (B, labels) of 0 and 1, NaN where unknown.

    Returns:
        Their mean; 0 if nothing is known.

    Raises:
        GemInputError: the labels have another shape.
    """
    if labels.shape != logits.shape:
        raise GemInputError(
            f"class_labels of the shape {tuple(labels.shape)}",
            remedy=f"(records, labels), here {tuple(logits.shape)}; NaN where a label is not known",
        )
    known = ~labels.isnan() & ~logits.isnan()
    if not known.any():
        return logits[known].float().sum()
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
