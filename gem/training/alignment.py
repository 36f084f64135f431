"""Alignment: the projectors alone learn to put encoder tokens where the language model understands them (LLaVA's first stage)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .instruction import Instruction


class Alignment(Instruction):
    """Instruction tuning in which only the projectors learn.

    Args:
        kwargs: see ``gem.training.instruction.Instruction``; ``train`` is not among them.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(train=("ecg_projector", "vision_projector"), **kwargs)

    def learners(self, train: Sequence[str]) -> Sequence[str]:
        """The projectors that the model has."""
        return [name for name in train if getattr(self.model, name) is not None]
