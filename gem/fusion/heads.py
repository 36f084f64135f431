"""The classification head: one linear layer per input on its pooled tokens, then a weighted mean over the inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..encoders.registry import pooled


class ClassificationHead(nn.Module):
    """Class logits from the mean and maximum of each input's projected tokens.

    Args:
        hidden: channels of a projected token.
        n_classes: labels.
        inputs: names of the inputs, e.g. ``("ecg", "vision")``.
        dropout: dropout rate.
        votes: weight of each input where several are given; equal weights when None.
    """

    def __init__(
        self,
        hidden: int,
        n_classes: int,
        inputs: tuple[str, ...],
        dropout: float = 0.0,
        votes: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.votes = dict(votes or {})
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.LayerNorm(2 * hidden), nn.Dropout(dropout), nn.Linear(2 * hidden, n_classes))
                for name in inputs
            }
        )

    def forward(self, tokens: dict[str, list[Tensor | None]]) -> Tensor:
        """Classify a batch.

        Args:
            tokens: per input one entry per row, (tokens, hidden), None where the row lacks this input.

        Returns:
            (B, n_classes) logits; NaN for rows without any input.
        """
        votes: list[Tensor] = []
        weights: list[Tensor] = []
        for name, rows in tokens.items():
            there = [i for i, row in enumerate(rows) if row is not None]
            if not there:
                continue
            vectors = torch.cat([pooled(row[None]) for row in rows if row is not None])
            logits = self.heads[name](vectors)
            full = logits.new_zeros((len(rows), logits.shape[-1]))
            full[there] = logits * self.votes.get(name, 1.0)
            weight = logits.new_zeros((len(rows), 1))
            weight[there] = self.votes.get(name, 1.0)
            votes.append(full)
            weights.append(weight)
        return torch.stack(votes).sum(0) / torch.stack(weights).sum(0)
