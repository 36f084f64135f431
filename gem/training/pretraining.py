"""Self-supervised pre-training of the signal encoder: two changed views of a recording are told from all other recordings'.

References:
    Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (SimCLR), ICML 2020; leads as
    views: Kiyasseh et al., CLOCS, ICML 2021.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.augmentation import augment, augment_beats
from ..encoders.registry import pooled
from ..errors import GemConfigError, GemInputError
from .start import save, start
from .tuning import Tuning


class SelfSupervised(Tuning):
    """Trains the signal encoder on recordings without labels; the rest of the model is saved as it was.

    Args:
        init, model: see ``gem.training.start.start``.
        strength: of the augmentation of each view, 0-1; for z-scored signals.
        keep: share of the leads that a view keeps; each view keeps leads of its own.
        embed_dim: width of the projections that are compared; they are not saved with the model. An encoder of several
            networks (``ecg_beats``) has one for each of them: each has to tell the recordings apart alone, so none
            rests on another.
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
        encoder: Any = self.model.ecg_encoder
        self.apart = hasattr(encoder, "views")
        widths = encoder.vector_widths if self.apart else [2 * encoder.width]
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embed_dim)) for width in widths
        )
        self.ready(fresh=init is None)

    def embed(self, ecg: Tensor) -> list[Tensor]:
        """What each network makes of two changed views of each recording.

        Args:
            ecg: (B, leads, samples), z-scored.

        Returns:
            (2 B, embed_dim) each, of length one: all first views, then all second ones. They go through in one pass,
            so that batch norm sees the same statistics for both.
        """
        encoder: Any = self.model.ecg_encoder
        if self.apart:
            # the leads are lost behind the encoder's own views: the limb leads' common scale needs all of them
            rhythm, beat = encoder.views(ecg)
            pairs = [[self.changed(rhythm, beat) for _ in range(2)] for _ in encoder.rhythms]
            views = [tuple(torch.cat(same) for same in zip(*pair, strict=True)) for pair in pairs]
            vectors = encoder.vectors(encoder.parts(views))
        else:
            changed = [augment(ecg, self.strength) * keep_leads(ecg, self.keep) for _ in range(2)]
            vectors = [pooled(encoder(torch.cat(changed)))]
        return [
            F.normalize(project(seen).float(), dim=-1) for project, seen in zip(self.projections, vectors, strict=True)
        ]

    def changed(self, rhythm: Tensor, beat: Tensor) -> tuple[Tensor, Tensor]:
        """One changed view, without some leads, of the limb leads' second copy and of the beat too."""
        kept, before = keep_leads(beat, self.keep), self.model.ecg_encoder.before
        rhythm = augment(rhythm, self.strength, together=6) * torch.cat([kept, kept[:, :6]], 1)
        return rhythm, augment_beats(beat, before, self.strength) * kept

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Symmetric InfoNCE between two views, over the recordings of all processes; the mean over the encoder's networks."""
        if "ecg_mask" in batch:
            raise GemInputError("an example without its recording", where=str(batch["ids"]))
        return torch.stack([self.contrast(*both.chunk(2)) for both in self.embed(batch["ecg"])]).mean()

    def contrast(self, first: Tensor, second: Tensor) -> Tensor:
        """InfoNCE of two views, (B, embed_dim) each."""
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


def keep_leads(ecg: Tensor, share: float) -> Tensor:
    """Which leads of each recording stay, (B, leads, 1): one or zero.

    Args:
        ecg: (B, leads, samples).
        share: of the leads that stay; at least one does.
    """
    leads = ecg.shape[1]
    order = torch.rand(ecg.shape[:2], device=ecg.device).argsort(1).argsort(1)
    return (order < max(1, round(share * leads)))[..., None].to(ecg.dtype)
