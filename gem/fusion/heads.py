"""The classification head: class logits from each input, then a weighted mean over the inputs.

The inputs are the encoders' pooled tokens, one linear layer each, and the values that were measured in the recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..encoders.registry import pooled
from .trees import TreesHead


class ClassificationHead(nn.Module):
    """Class logits from the mean and maximum of each encoder's projected tokens, and from measured values.

    Args:
        hidden: channels of a projected token.
        n_classes: labels.
        inputs: names of the inputs, e.g. ``("ecg", "vision")``.
        dropout: dropout rate.
        votes: weight of each input where several are given; equal weights when None.
        measured: ``{"names", "trees", "leaves"}`` of the head on measured values, as in ``GemConfig``; None without.
    """

    def __init__(
        self,
        hidden: int,
        n_classes: int,
        inputs: tuple[str, ...],
        dropout: float = 0.0,
        votes: Mapping[str, float] | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.votes = dict(votes or {})
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.LayerNorm(2 * hidden), nn.Dropout(dropout), nn.Linear(2 * hidden, n_classes))
                for name in inputs
            }
        )
        if measured is not None:
            sizes = {name: value for name, value in measured.items() if name != "names"}
            self.heads["measured"] = TreesHead(n_classes, **sizes)

    def by_class(self, name: str) -> list[Tensor]:
        """What one input's last layer holds, each with the classes as its first axis.

        Args:
            name: of the input.
        """
        head: Any = self.heads[name]
        return head.by_class() if isinstance(head, TreesHead) else [head[-1].weight, head[-1].bias]

    def rescale(self, name: str, slope: Tensor, shift: Tensor) -> None:
        """Stretch and shift one input's logits, by changing the weights of its last layer.

        Args:
            name: of the input.
            slope: (n_classes,).
            shift: (n_classes,).
        """
        head: Any = self.heads[name]
        with torch.no_grad():
            if isinstance(head, TreesHead):
                head.rescale(slope, shift)
                return
            last = head[-1]
            last.weight.mul_(slope[:, None].to(last.weight))
            last.bias.mul_(slope.to(last.bias)).add_(shift.to(last.bias))

    def forward(self, tokens: Mapping[str, list[Tensor | None]], measured: Tensor | None = None) -> Tensor:
        """Classify a batch.

        Args:
            tokens: per input one entry per row, (tokens, hidden), None where the row lacks this input.
            measured: (B, values), NaN where something was not measured; rows without any value are decided by the
                other inputs alone.

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
        if measured is not None:
            weight = (~measured.isnan()).any(1, keepdim=True) * self.votes.get("measured", 1.0)
            logits = self.heads["measured"](measured)
            votes.append(logits * weight.to(logits.dtype))
            weights.append(weight.to(logits.dtype))
        return torch.stack(votes).sum(0) / torch.stack(weights).sum(0)
