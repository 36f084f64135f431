"""Encoders and classification head on labelled recordings, one input at a time."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..benchmarks.classification import balanced_accuracy, macro_auc, macro_f1
from ..benchmarks.ptbxl import SUPERCLASSES
from ..encoders.registry import pooled
from .augment import augment, augment_pictures, augment_traces, mix
from .start import save, start

_PREFIX = {"signal": ("ecg", "ecg"), "picture": ("pixel_values", "vision")}


class Classification(lightning.LightningModule):
    """Trains one encoder, its projector and its head; everything else stays as it is.

    Args:
        init, model: see ``gem.training.start.start``.
        inputs: ``"signal"`` or ``"picture"``.
        output: folder the trained model is saved to.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        strength: of the augmentation, 0-1.
        mixup: parameter of the beta distribution; 0 for none.
        teacher: folder of a trained model whose opinion of the same record's signal is learned beside the labels; the data then
            have to give both inputs.
        teacher_weight: its share, 0-1.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        inputs: Literal["signal", "picture"] = "signal",
        output: str = "gem-nano",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        strength: float = 1.0,
        mixup: float = 0.4,
        teacher: str | None = None,
        teacher_weight: float = 0.6,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = start(init, model)
        self.key, name = _PREFIX[inputs]
        self.inputs, self.output, self.strength, self.mixup = inputs, output, strength, mixup
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.trained = [
            getattr(self.model, f"{name}_encoder"), getattr(self.model, f"{name}_projector"), self.model.class_head.heads[name],
        ]  # fmt: skip
        for module in self.trained:
            module.requires_grad_(True)
        encoder: Any = self.trained[0]
        # an encoder that reads traces off the paper knows how already: what is learned begins behind them
        self.reads_traces = hasattr(encoder, "traces")
        if self.reads_traces:
            encoder.requires_grad_(False)
            encoder.body.requires_grad_(True)
        elif inputs == "picture":
            # convolutions on pictures are twice as fast this way on CPUs
            encoder.to(memory_format=torch.channels_last)
        # in a list, so that it is neither trained nor saved with this module
        self.teachers = [] if teacher is None else [load_frozen(teacher)]
        self.teacher_weight = teacher_weight
        self.seen: list[tuple[Tensor, Tensor]] = []

    def logits(self, batch: Tensor) -> Tensor:
        """(B, classes) from a batch of this input."""
        encoded = self.model.encode(**{self.key: batch})
        assert encoded.class_logits is not None  # for mypy: one input is always there
        return encoded.class_logits

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Binary cross entropy over all classes, on augmented and mixed records."""
        classes = self.targets(batch)
        if self.reads_traces:
            loss = self._traces_loss(batch[self.key], classes)
        else:
            x = (augment if self.inputs == "signal" else augment_pictures)(batch[self.key], self.strength)
            x, classes = mix(x, classes, self.mixup)
            if self.inputs == "picture":
                x = x.contiguous(memory_format=torch.channels_last)
            loss = F.binary_cross_entropy_with_logits(self.logits(x).float(), classes)
        self.log("loss", loss, prog_bar=True)
        return loss

    @torch.no_grad()
    def targets(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, classes): the labels, softened by the teacher's opinion where there is one."""
        labels = batch["classes"]
        for teacher in self.teachers:
            opinion = teacher.classify(ecg=batch["ecg"]).float()
            labels = (1 - self.teacher_weight) * labels + self.teacher_weight * opinion
        return labels

    def _traces_loss(self, pictures: Tensor, classes: Tensor) -> Tensor:
        """Changes and mixes the traces, not the pixels: two blended pages are no page."""
        encoder, projector, head = self.trained
        with torch.no_grad():
            traces = encoder.traces(pictures)
        traces, classes = mix(augment_traces(traces, self.strength), classes, self.mixup)
        tokens = projector(encoder.tokens(traces))
        return F.binary_cross_entropy_with_logits(head(pooled(tokens)).float(), classes)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Keeps probabilities and labels for the figures at the epoch's end."""
        self.seen.append((self.logits(batch[self.key]).float().sigmoid().cpu(), batch["classes"].cpu()))

    def on_validation_epoch_end(self) -> None:
        """Macro ROC-AUC of the superclasses."""
        score, truth = self._gathered()
        self.log("val_macro_auc", macro_auc(truth, score), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule over the whole run."""
        parameters = [parameter for module in self.trained for parameter in module.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=int(self.trainer.estimated_stepping_batches), pct_start=0.2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.no_grad()
    def on_fit_end(self) -> None:
        """Choose decision thresholds on the validation folds, then save."""
        self.eval()
        loaders: Any = self.trainer.val_dataloaders
        for batch in loaders:
            self.validation_step(batch, 0)
        score, truth = self._gathered()
        chosen = choose_thresholds(truth, score)
        if self.inputs == "signal":
            self.model.config.class_thresholds = dict(zip(SUPERCLASSES, chosen, strict=True))
        model: Any = self.model
        save(model.to(memory_format=torch.contiguous_format), self.output)

    def _gathered(self) -> tuple[Any, Any]:
        """(score, truth) of the superclasses, and forget them."""
        score, truth = (torch.cat(parts).numpy().astype(float) for parts in zip(*self.seen, strict=True))
        self.seen.clear()
        return score[:, : len(SUPERCLASSES)], truth[:, : len(SUPERCLASSES)]


def load_frozen(folder: str) -> Any:
    """A trained model that is only asked."""
    from ..loading import load

    return load(folder).eval().requires_grad_(False)


def choose_thresholds(truth: Any, score: Any) -> list[float]:
    """Per class, the threshold with the best mean of F1 and balanced accuracy.

    Args:
        truth: (records, classes), 0 or 1.
        score: (records, classes), probabilities.
    """

    def worth(column: int, limit: float) -> float:
        there, said = truth[:, [column]], (score[:, [column]] >= limit).astype(float)
        return float(np.nan_to_num(macro_f1(there, said) + balanced_accuracy(there, said) / 100))

    grid = [round(float(limit), 3) for limit in np.linspace(0.05, 0.8, 76)]
    return [max(grid, key=partial(worth, column)) for column in range(truth.shape[1])]
