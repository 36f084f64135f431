"""What the encoders make of a batch, and the small steps from there to the decoder that need no weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
