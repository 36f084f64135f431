"""Self-supervised pre-training of the signal encoder: two changed views of a recording are told from all other recordings'.

References:
    Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (SimCLR), ICML 2020; leads as views: Kiyasseh et al.,
    CLOCS, ICML 2021.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.registry import pooled
from ..errors import GemConfigError, GemInputError
from .augment import augment
from .start import save, start
from .tuning import Tuning


class SelfSupervised(Tuning):
    """Trains the signal encoder on recordings without labels; the rest of the model is saved as it was.

    Args:
        init, model: see ``gem.training.start.start``.
        strength: of the augmentation of each view, 0-1; for z-scored signals.
        keep: share of the leads that a view keeps; each view keeps leads of its own.
        embed_dim: width of the projection that is compared; it is not saved with the model.
        temperature: of the comparison.
        kwargs: see ``gem.training.tuning.Tuning``.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        strength: float = 1.0,
        keep: float = 0.5,
        embed_dim: int = 128,
        temperature: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = start(init, model)
        self.strength, self.keep, self.temperature = strength, keep, temperature
        if self.feature_cache is not None or self.gradient_checkpointing:
            raise GemConfigError("pre-training has no feature_cache and no gradient_checkpointing")
        self.trains(["ecg_encoder"])
        width = 2 * int(self.model.ecg_encoder.width)
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embed_dim))
        self.ready(fresh=init is None)

    def embed(self, ecg: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, embed_dim), of length one."""
        return F.normalize(self.projection(pooled(self.model.ecg_encoder(ecg))).float(), dim=-1)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Symmetric InfoNCE between two views, over the recordings of all processes."""
        if "ecg_mask" in batch:
            raise GemInputError("an example without its recording", where=str(batch["ids"]))
        # one pass for both views: batch norm sees the same statistics for each
        views = torch.cat([view(batch["ecg"], self.strength, self.keep) for _ in range(2)])
        first, second = self.embed(views).chunk(2)
        if self.trainer.world_size > 1:
            gather: Any = self.all_gather
            first, second = (gather(part, sync_grads=True).flatten(0, 1) for part in (first, second))
        logits = first @ second.T / self.temperature
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """One batch, two views of each recording."""
        loss = self.loss(batch)
        self.report("loss", loss, len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """The same loss, on what did not train."""
        self.report("val_loss", self.loss(batch), len(batch["ids"]))

    def save(self, weights: dict[str, Tensor] | None = None) -> None:
        """Write the model; ``Classification(init=...)`` and ``Probe(init=...)`` go on from it."""
        save(self.model, self.output, weights)


def view(ecg: Tensor, strength: float, keep: float) -> Tensor:
    """A changed copy in which each recording keeps some of its leads; the others are zero.

    Args:
        ecg: (B, leads, samples), z-scored.
        strength: see ``gem.training.augment.augment``.
        keep: share of the leads; at least one stays.
    """
    leads = ecg.shape[1]
    count = max(1, round(keep * leads))
    order = torch.rand(ecg.shape[:2], device=ecg.device).argsort(1)
    return augment(ecg, strength).masked_fill((order >= count)[..., None], 0.0)
