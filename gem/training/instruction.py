"""Instruction tuning: conversations about recordings and pictures; the whole decoder learns, or LoRA beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.augmentation import augment
from ..labels import IGNORE
from .packing import text_loss
from .start import save, start
from .tuning import Tuning, add_lora, merge_lora

# the linear layers of a Llama-type decoder
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Instruction(Tuning):
    """Trains chosen parts on the answers of conversations.

    Args:
        init, model, parts: see ``gem.training.start.start``.
        train: the parts that learn.
        lora: ``{"r", "alpha", "dropout", "targets"}``: the decoder learns through LoRA instead of as a whole.
        pack_length: several conversations share a row of so many places; None pads.
        strength: of the signal's augmentation, 0-1; for z-scored signals.
        kwargs: see ``gem.training.tuning.Tuning``.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        parts: dict[str, str] | None = None,
        train: Sequence[str] = ("ecg_projector", "vision_projector", "language_model"),
        lora: dict[str, Any] | None = None,
        pack_length: int | None = None,
        strength: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = start(init, model, parts)
        self.pack_length, self.strength, self.lora = pack_length, strength, lora
        self.trains([name for name in self.learners(train) if name != "language_model" or lora is None])
        if lora is not None:
            given = {"r": 64, "alpha": 16, "dropout": 0.05, "targets": LORA_TARGETS, **lora}
            add_lora(self.model, given["targets"], given["r"], given["alpha"], given["dropout"])
        self.ready(fresh=init is None and parts is None)

    def learners(self, train: Sequence[str]) -> Sequence[str]:
        """The parts that learn, now that the model stands; subclasses choose and check here."""
        return train

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean cross entropy of the answers' tokens, over all processes."""
        self.note(batch)
        mean = text_loss(self.model, batch, self.pack_length)
        return self.over_all(mean, (batch["labels"][:, 1:] != IGNORE).sum())

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """One batch."""
        if self.strength and "ecg" in batch:
            batch = {**batch, "ecg": augment(batch["ecg"], self.strength)}
        loss = self.loss(batch)
        self.report("loss", loss, len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """The same loss, on what did not train."""
        self.report("val_loss", self.loss(batch), len(batch["ids"]))

    @torch.no_grad()
    def finish(self) -> None:
        """Merge LoRA into the decoder's weights."""
        if self.lora is not None:
            merge_lora(self.model.language_model)

    def save(self, weights: dict[str, Tensor] | None = None) -> None:
        """Write the model; LoRA is merged."""
        save(self.model, self.output, weights)
