"""Alignment (LLaVA's first stage): only the projectors are trained, to map encoder tokens into the decoder's space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .instruction import Instruction


class Alignment(Instruction):
    """Instruction tuning that trains the projectors only.

    Args:
        **kwargs: see ``gem.training.instruction.Instruction``, except ``train``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(train=("ecg_projector", "vision_projector"), **kwargs)

    def trained_parts(self, train: Sequence[str]) -> Sequence[str]:
        """The projectors that the model has.

        Args:
            train: names of both projectors.
        """
        return [name for name in train if getattr(self.model, name) is not None]
