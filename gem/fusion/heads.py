"""The classification head: class logits from each input, then a weighted mean over the inputs.

The inputs are the encoders' pooled tokens, one linear layer each, and the values that were measured in the recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.registry import pooled


class MeasuredHead(nn.Module):
    """Class logits from measured values: the mean of a few small networks, each with two hidden layers and GELU.

    Values are normalised by ``centre`` and ``scale``, stored buffers that training fills from its records, and clipped.
    A value that was not measured is 0, and one more input per value is 1 where it is missing.

    Args:
        n_values: measured values.
        n_classes: labels.
        hidden: channels of a hidden layer.
        members: networks, which are computed side by side.
        dropout: dropout rate behind the hidden layers.
    """

    LIMIT = 4.0  # largest normalised value, in units of scale

    centre: Tensor
    scale: Tensor

    def __init__(
        self, n_values: int, n_classes: int, hidden: int = 128, members: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.members, self.dropout = members, dropout
        self.register_buffer("centre", torch.zeros(n_values))
        self.register_buffer("scale", torch.ones(n_values))
        sizes = (2 * n_values, hidden, hidden, n_classes)
        gains = (1.0, 1.0, 0.1)  # logits start near 0
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(members, size, width) * gain * (2 / size) ** 0.5)
            for size, width, gain in zip(sizes[:-1], sizes[1:], gains, strict=True)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, width)) for width in sizes[1:])

    def normalised(self, values: Tensor) -> Tensor:
        """(B, n_values), NaN where not measured -> the same, normalised and clipped, NaN where it was."""
        return ((values.float() - self.centre.float()) / self.scale.float()).clamp(-self.LIMIT, self.LIMIT)

    def networks(self, values: Tensor) -> Tensor:
        """Logits of each network.

        Args:
            values: (members, B, 2 n_values): normalised values, 0 where missing, then 1 where missing and 0 elsewhere.

        Returns:
            (members, B, n_classes).
        """
        x = values.to(self.weights[0].dtype)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = F.dropout(F.gelu(torch.baddbmm(bias, x, weight)), self.dropout, self.training)
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])

    def forward(self, values: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            values: (B, n_values) in their own units, NaN where something was not measured.

        Returns:
            (B, n_classes) logits.
        """
        x = with_flags(self.normalised(values))
        return self.networks(x.expand(self.members, -1, -1)).mean(0)


def with_flags(values: Tensor) -> Tensor:
    """(..., n) with NaN where missing -> (..., 2 n): 0 where missing, followed by 1 where missing and 0 elsewhere."""
    return torch.cat([values.nan_to_num(0.0), values.isnan().to(values.dtype)], -1)


class ClassificationHead(nn.Module):
    """Class logits from the mean and maximum of each encoder's projected tokens, and from measured values.

    Args:
        hidden: channels of a projected token.
        n_classes: labels.
        inputs: names of the inputs, e.g. ``("ecg", "vision")``.
        dropout: dropout rate.
        votes: weight of each input where several are given; equal weights when None.
        measured: ``{"names", "hidden", "members"}`` of the head on measured values, as in ``GemConfig``; None without.
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
            self.heads["measured"] = MeasuredHead(len(measured["names"]), n_classes, **sizes)

    def last(self, name: str) -> tuple[tuple[Tensor, int], tuple[Tensor, int]]:
        """Weight and bias of one input's last layer, each with the axis of its classes.

        Args:
            name: of the input.
        """
        head: Any = self.heads[name]
        if isinstance(head, MeasuredHead):
            return (head.weights[-1], 2), (head.biases[-1], 2)
        return (head[-1].weight, 0), (head[-1].bias, 0)

    def rescale(self, name: str, slope: Tensor, shift: Tensor) -> None:
        """Stretch and shift one input's logits, by changing the weights of its last layer.

        Args:
            name: of the input.
            slope: (n_classes,).
            shift: (n_classes,).
        """
        (weight, axis), (bias, _) = self.last(name)
        with torch.no_grad():
            weight.mul_((slope if axis else slope[:, None]).to(weight))
            bias.mul_(slope.to(bias)).add_(shift.to(bias))

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
