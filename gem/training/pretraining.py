"""Self-supervised pre-training of the signal encoder: contrastive learning of two augmented views of each recording.

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
    """Trains the signal encoder on recordings without labels; the rest of the model is not changed.

    Args:
        init: folder or name of a saved model, see ``gem.training.start.start``.
        model: arguments of ``GemConfig``, see ``gem.training.start.start``.
        strength: of the augmentation of each view, 0-1; for z-scored signals.
        keep: fraction of the leads that a view keeps; the two views keep different random leads.
        embed_dim: width of the projections that are compared, which are not saved with the model. An encoder of several
            networks (``ecg_beats``) has a projection and a loss for each, so that each network learns by itself.
        temperature: of the InfoNCE loss.
        **kwargs: see ``gem.training.tuning.Tuning``.
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
        self.train_only(["ecg_encoder"])
        encoder: Any = self.model.ecg_encoder
        self.has_views = hasattr(encoder, "views")
        widths = encoder.vector_widths if self.has_views else [2 * encoder.width]
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embed_dim)) for width in widths
        )
        self.finish_setup(fresh=init is None)

    def embed(self, ecg: Tensor) -> list[Tensor]:
        """Each network's embeddings of two augmented views of each recording.

        Args:
            ecg: (B, leads, samples), z-scored.

        Returns:
            (2 B, embed_dim) each, of length one: all first views, then all second ones. Both are computed in one pass,
            so that batch norm uses the same statistics.
        """
        encoder: Any = self.model.ecg_encoder
        if self.has_views:
            # leads are removed after ``views``, which needs all limb leads for their common scale
            rhythm, beat = encoder.views(ecg)
            pairs = [[self.augmented_view(rhythm, beat) for _ in range(2)] for _ in encoder.rhythms]
            views = [tuple(torch.cat(same) for same in zip(*pair, strict=True)) for pair in pairs]
            vectors = encoder.vectors(encoder.parts(views))
        else:
            changed = [augment(ecg, self.strength) * keep_leads(ecg, self.keep) for _ in range(2)]
            vectors = [pooled(encoder(torch.cat(changed)))]
        return [
            F.normalize(project(vector).float(), dim=-1)
            for project, vector in zip(self.projections, vectors, strict=True)
        ]

    def augmented_view(self, rhythm: Tensor, beat: Tensor) -> tuple[Tensor, Tensor]:
        """One augmented view, without some leads in all three inputs: leads, rescaled limb leads and average beat.

        Args:
            rhythm: (B, 18, samples), see ``EcgBeats.views``.
            beat: (B, 12, beat_samples).
        """
        kept, before = keep_leads(beat, self.keep), self.model.ecg_encoder.before
        rhythm = augment(rhythm, self.strength, shared_leads=6) * torch.cat([kept, kept[:, :6]], 1)
        return rhythm, augment_beats(beat, before, self.strength) * kept

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Symmetric InfoNCE between two views, over the recordings of all processes; mean over the encoder's networks.

        Args:
            batch: with ``ecg`` (B, leads, samples) of every example.
        """
        if "ecg_mask" in batch:
            raise GemInputError("an example without its recording", where=str(batch["ids"]))
        return torch.stack([self.contrast(*both.chunk(2)) for both in self.embed(batch["ecg"])]).mean()

    def contrast(self, first: Tensor, second: Tensor) -> Tensor:
        """InfoNCE of two views.

        Args:
            first: (B, embed_dim).
            second: (B, embed_dim).
        """
        if self.trainer.world_size > 1:
            gather: Any = self.all_gather
            first, second = (gather(part, sync_grads=True).flatten(0, 1) for part in (first, second))
        logits = first @ second.T / self.temperature
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """The loss of one batch.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        loss = self.loss(batch)
        self.log_figure("loss", loss, len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Log the loss on validation recordings.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        self.log_figure("val_loss", self.loss(batch), len(batch["ids"]))

    def save(self, weights: dict[str, Tensor] | None = None) -> None:
        """Write the model, from which ``Classification(init=...)`` and ``Probe(init=...)`` can start.

        Args:
            weights: as in ``Tuning.save``.
        """
        save(self.model, self.output, weights)


def keep_leads(ecg: Tensor, share: float) -> Tensor:
    """A random mask of leads.

    Args:
        ecg: (B, leads, samples).
        share: fraction of the leads that are kept; at least one is.

    Returns:
        (B, leads, 1), 1 for leads that are kept, else 0.
    """
    leads = ecg.shape[1]
    order = torch.rand(ecg.shape[:2], device=ecg.device).argsort(1).argsort(1)
    return (order < max(1, round(share * leads)))[..., None].to(ecg.dtype)
