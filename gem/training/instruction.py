"""Instruction tuning on conversations about recordings and pictures, of the whole decoder or with LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.augmentation import augment
from ..labels import IGNORE
from .lora import add_lora, lora_settings, merge_lora
from .packing import text_loss
from .start import save, start
from .tuning import Tuning


class Instruction(Tuning):
    """Trains some parts of a model on the answers of conversations.

    Args:
        init: folder or name of a saved model, see ``gem.training.start.start``.
        model: arguments of ``GemConfig``, see ``gem.training.start.start``.
        parts: folders of a model's parts, see ``gem.training.start.start``.
        train: the parts that are trained.
        lora: ``{"r", "alpha", "dropout", "targets"}``: train the decoder through LoRA instead of its own weights.
        pack_length: tokens of a row that several conversations share; None pads each conversation.
        strength: of the signal's augmentation, 0-1; for z-scored signals.
        **kwargs: see ``gem.training.tuning.Tuning``.
    """

    needs = ("input_ids", "attention_mask", "labels", "ids")

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
        self.train_only([name for name in self.trained_parts(train) if name != "language_model" or lora is None])
        if lora is not None:
            given = lora_settings(lora, 64, 16, 0.05)
            add_lora(self.model, given["targets"], given["r"], given["alpha"], given["dropout"])
        self.finish_setup(fresh=init is None and parts is None)

    def trained_parts(self, train: Sequence[str]) -> Sequence[str]:
        """The parts that are trained, for subclasses to choose or check when the model is built.

        Args:
            train: as given to the class.
        """
        return train

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean cross entropy of the answers' tokens, over all processes.

        Args:
            batch: from ``gem.data.conversations`` with the task ``chat``.
        """
        self.announce_records(batch)
        mean = text_loss(self.model, batch, self.pack_length)
        return self.with_all_parts(self.weighted_over_processes(mean, (batch["labels"][:, 1:] != IGNORE).sum()))

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """The loss of one batch, with augmented signals.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        if self.strength and "ecg" in batch:
            batch = {**batch, "ecg": augment(batch["ecg"], self.strength)}
        loss = self.loss(batch)
        self.log_figure("loss", loss, len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Log the loss on validation conversations.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        self.log_figure("val_loss", self.loss(batch), len(batch["ids"]))

    @torch.no_grad()
    def finish(self) -> None:
        """Merge LoRA into the decoder's weights."""
        if self.lora is not None:
            merge_lora(self.model.language_model)

    def save(self, weights: dict[str, Tensor] | None = None) -> None:
        """Write the model, with LoRA merged.

        Args:
            weights: as in ``Tuning.save``.
        """
        save(self.model, self.output, weights)
