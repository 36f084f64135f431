"""Train an encoder and its classification head on labelled recordings, one input at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.augmentation import augment, augment_beats, augment_pictures, augment_traces, in_part, mix
from ..data.batches import FoldData, run_seed
from ..data.measured import NAMES
from ..data.samples import SUPERCLASSES
from ..encoders.registry import pooled
from ..errors import GemConfigError
from ..metrics.multilabel import balanced_accuracy, macro_auc, macro_f1
from .start import save, start
from .tuning import SeededSteps

log = logging.getLogger(__name__)
_PREFIX = {"signal": ("ecg", "ecg"), "picture": ("pixel_values", "vision")}


class Classification(SeededSteps):
    """Trains one encoder, its projector and its head; the rest of the model is not changed.

    Args:
        init: folder or name of a saved model, see ``gem.training.start.start``.
        model: arguments of ``GemConfig``, see ``gem.training.start.start``.
        inputs: ``"signal"`` or ``"picture"``.
        output: folder that the trained model is saved to.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        strength: of the augmentation, 0-1.
        mixup: parameter of the beta distribution; 0 for no mixup.
        teacher: folder of a trained model whose probabilities for the record's signal are learned too (distillation);
            the data must give both inputs.
        teacher_weight: weight of these probabilities against the labels, 0-1.
        measured_weight: weight of the measured values that the networks of an encoder with ``views`` learn too.
        unknown_mv: fraction of records that such an encoder, if it sees millivolts, is shown as one whose scale is not
            known: every lead with the size that is typical of it.
        partial: fraction of signals of which only a part is shown, as on paper, see ``gem.data.augmentation.in_part``.
        seed: of the random numbers of each step, so that a resumed run equals an uninterrupted one;
            that of ``lightning.seed_everything`` when None.
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
        measured_weight: float = 0.3,
        unknown_mv: float = 0.0,
        partial: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = start(init, model)
        # loaded models are in eval mode, in which batch norm and dropout would not train
        self.model.train()
        self.key, name = _PREFIX[inputs]
        if getattr(self.model, f"{name}_encoder") is None or not self.model.config.class_names:
            lacking = "no class_names" if not self.model.config.class_names else f"no encoder for the {inputs}"
            raise GemConfigError(f"the model has {lacking}", remedy="name it in model")
        self.needs = (self.key, "classes")
        self.inputs, self.output, self.strength, self.mixup = inputs, output, strength, mixup
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.trained = [
            getattr(self.model, f"{name}_encoder"),
            getattr(self.model, f"{name}_projector"),
            self.model.class_head.heads[name],
        ]
        for module in self.trained:
            module.requires_grad_(True)
        encoder: Any = self.trained[0]
        # a front end that reads traces from the page is kept, and only the network after it is trained
        self.reads_traces = hasattr(encoder, "traces")
        if self.reads_traces:
            encoder.requires_grad_(False)
            encoder.body.requires_grad_(True)
        elif inputs == "picture":
            # convolutions on pictures are twice as fast this way on CPUs
            encoder.to(memory_format=torch.channels_last)
        self.branches = nn.ModuleList()
        if hasattr(encoder, "views"):
            classes, dropout = len(self.model.config.class_names), self.model.config.class_dropout
            self.branches.extend(_Branch(size, classes, dropout) for size in encoder.vector_widths)
        # in a list, so that it is not registered, and neither trained nor saved with this module
        self.teachers = [] if teacher is None else [load_frozen(teacher)]
        self.teacher_weight, self.measured_weight, self.seed = teacher_weight, measured_weight, run_seed(seed)
        self.partial = partial if inputs == "signal" else 0.0
        self.unknown_mv = unknown_mv if getattr(encoder.contract, "typical_mv", None) else 0.0
        self.kept: dict[str, dict[int, tuple[Tensor, ...]]] = {}
        self.seen: list[tuple[Tensor, ...]] = []

    def logits(self, batch: Tensor) -> Tensor:
        """(B, classes).

        Args:
            batch: (B, ...) of this input.
        """
        encoded = self.model.encode(**{self.key: batch})
        assert encoded.class_logits is not None  # for mypy: one input is always there
        return encoded.class_logits

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """Binary cross entropy over all classes, on augmented and mixed records.

        Args:
            batch: ``ecg`` or ``pixel_values``, ``classes``, ``index`` and, if measured, ``measured``.
            index: of the batch, not used.
        """
        classes = self.targets(batch)
        if self.reads_traces:
            loss = self._traces_loss(batch, classes)
        elif self.branches:
            loss = self._views_loss(batch, classes)
        else:
            x = batch[self.key]
            if few := round(self.partial * len(x)):
                x = torch.cat([in_part(x[:few]), x[few:]])
            x = (augment if self.inputs == "signal" else augment_pictures)(x, self.strength)
            x, classes = mix(self.mixup, x, classes)
            if self.inputs == "picture":
                x = x.contiguous(memory_format=torch.channels_last)
            loss = F.binary_cross_entropy_with_logits(self.logits(x).float(), classes)
        self.log("loss", loss, prog_bar=True, batch_size=len(classes))
        return loss

    @torch.no_grad()
    def _computed_once(
        self, name: str, batch: dict[str, Any], key: str, work: Callable[[Tensor], Sequence[Tensor]]
    ) -> list[Tensor]:
        """The results of a frozen part, computed once per record and kept in memory for later epochs.

        Args:
            name: of the results.
            batch: with ``index``, the positions of its records.
            key: of the input in the batch.
            work: some rows of the input -> one or more tensors of as many rows. It is called row by row, because sums
                over another number of rows may differ in their last bits, and a resumed run first meets a record in
                another batch.
        """
        kept: dict[int, tuple[Tensor, ...]] = self.kept.setdefault(name, {})
        for row, place in enumerate(batch["index"]):
            if place not in kept:
                kept[place] = tuple(part[0].float().cpu() for part in work(batch[key][row : row + 1]))
        parts = zip(*(kept[place] for place in batch["index"]), strict=True)
        return [torch.stack(part).to(batch[key].device) for part in parts]

    def targets(self, batch: dict[str, Any]) -> Tensor:
        """(B, classes): the labels, averaged with the teacher's probabilities if there is a teacher.

        Args:
            batch: see ``training_step``.
        """
        labels: Tensor = batch["classes"]
        for teacher in self.teachers:
            (soft,) = self._computed_once("soft labels", batch, "ecg", partial(_teacher_outputs, teacher))
            labels = (1 - self.teacher_weight) * labels + self.teacher_weight * soft
        return labels

    def _traces_loss(self, batch: dict[str, Any], classes: Tensor) -> Tensor:
        """Augments and mixes the traces instead of the pixels, because a blend of two pages is not a page."""
        encoder, projector, head = self.trained
        (traces,) = self._computed_once("traces", batch, self.key, lambda page: [encoder.traces(page)])
        traces, classes = mix(self.mixup, augment_traces(traces, self.strength), classes)
        tokens = projector(encoder.tokens(traces))
        return F.binary_cross_entropy_with_logits(head(pooled(tokens)).float(), classes)

    def _views_loss(self, batch: dict[str, Any], classes: Tensor) -> Tensor:
        """Each network learns labels and measured values by itself; the head on all of them labels and their mean.

        Networks that are trained independently make different errors, so their mean is better than each of them.
        """
        encoder, projector, head = self.trained
        rhythm, beat = self._computed_once("views", batch, self.key, encoder.views)
        if self.unknown_mv:
            others = self._computed_once("views without mV", batch, self.key, self._views_of_typical)
            unknown = torch.rand(len(rhythm), 1, 1, device=rhythm.device) < self.unknown_mv
            rhythm, beat = (torch.where(unknown, other, own) for own, other in zip((rhythm, beat), others, strict=True))
        if few := round(self.partial * len(rhythm)):  # the first ones: their order is random
            with torch.no_grad():
                parts = encoder.views(in_part(batch[self.key][:few]))
            rhythm, beat = (torch.cat([part, own[few:]]) for part, own in zip(parts, (rhythm, beat), strict=True))
        changed = []
        for _ in encoder.rhythms:
            changed += [
                augment(rhythm, self.strength, shared_leads=6),
                augment_beats(beat, encoder.before, self.strength),
            ]
        values = batch.get("measured", classes.new_full((len(classes), len(NAMES)), float("nan")))
        *changed, classes, values = mix(self.mixup, *changed, classes, values)
        parts = encoder.parts(list(zip(changed[::2], changed[1::2], strict=True)))
        # multiplied by the mask, because a boolean index would synchronise with the device
        known, loss, all_logits = values.isfinite(), classes.new_zeros(()), []
        values = values.nan_to_num()
        for branch, vector in zip(self.branches, encoder.vectors(parts), strict=True):
            logits, predicted = branch(vector)
            loss = loss + F.binary_cross_entropy_with_logits(logits.float(), classes)
            difference = F.smooth_l1_loss(predicted.float(), values, reduction="none") * known
            loss = loss + self.measured_weight * difference.sum() / known.sum().clamp(min=1)
            all_logits.append(logits.detach().float())
        joined = head(pooled(projector(encoder.join(parts).detach())))
        target = 0.5 * classes + 0.5 * torch.stack(all_logits).mean(0).sigmoid()
        return loss + F.binary_cross_entropy_with_logits(joined.float(), target)

    def _views_of_typical(self, ecg: Tensor) -> Sequence[Tensor]:
        """The views of records of which each lead has its typical size, as the signal contract gives it to them."""
        encoder = self.trained[0]
        size = torch.tensor(encoder.contract.typical_mv, device=ecg.device)[:, None]
        spread = ecg.std(-1, unbiased=False, keepdim=True)
        views: Sequence[Tensor] = encoder.views(torch.where(spread > 0, ecg / spread, 0.0) * size)
        return views

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Keep probabilities and labels for the metrics at the end of the epoch.

        Args:
            batch: see ``training_step``.
            index: of the batch, not used.
        """
        self.seen.append((self.logits(batch[self.key]).float().sigmoid(), batch["classes"]))

    def on_validation_epoch_end(self) -> None:
        """Log the macro ROC-AUC of the superclasses."""
        score, truth = self._pop_validation()
        self.log("val_macro_auc", macro_auc(truth, score), prog_bar=True, rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule over the whole run."""
        parameters = [parameter for module in [*self.trained, self.branches] for parameter in module.parameters()]
        return self.one_cycle(parameters, self.weight_decay, 0.2)

    @torch.no_grad()
    def on_fit_end(self) -> None:
        """Choose decision thresholds or the picture's weight in the vote on the validation records, and save.

        The model is saved also where nothing can be chosen, or if that fails.
        """
        self.eval()
        try:
            self._choose_thresholds()
        finally:
            if self.writes_output:
                model: Any = self.model
                save(model.to(memory_format=torch.contiguous_format), self.output)

    def _choose_thresholds(self) -> None:
        """The thresholds are those of the signal; a picture's logits are shifted so that they fit the picture too."""
        trainer: Any = self.trainer
        data = trainer.datamodule
        batches = trainer.val_dataloaders or (data.val_dataloader() if isinstance(data, FoldData) else ())
        several = isinstance(batches, list | tuple)
        signal = []
        for given in chain(*batches) if several else batches:
            batch = self.transfer_batch_to_device(given, self.device, 0)
            self.validation_step(batch, 0)
            signal += [
                teacher_probabilities(teacher, batch["ecg"])[:, self.judged].logit() for teacher in self.teachers
            ]
        if not self.seen:
            log.warning("no validation records: no thresholds were chosen")
            return
        score, truth = self._pop_validation()
        train = getattr(getattr(data, "train", None), "classes", None)
        chosen = choose_thresholds(truth, score, None if train is None else train[:, self.judged].mean(0))
        names = [self.model.config.class_names[column] for column in self.judged]
        if self.inputs == "signal":
            self.model.config.class_thresholds = dict(zip(names, chosen, strict=True))
        elif signal:
            share = choose_picture_weight(truth, self._of_all(signal), np.log(score / (1 - score)))
            before = {name: self.model.class_head.votes.get(name, 1.0) for name in self.model.class_head.heads}
            self.model.config.class_votes = votes_with_picture(before, share)
            limits: dict[str, float] = getattr(self.teachers[0].config, "class_thresholds", None) or {}
            for column, label, current in zip(self.judged, names, chosen, strict=True):
                wanted = limits.get(label, 0.5)
                self.trained[2][-1].bias[column] += np.log(wanted / (1 - wanted)) - np.log(current / (1 - current))

    @property
    def judged(self) -> list[int]:
        """Columns of the labels that figures and thresholds are of: the superclasses, or all where one is missing."""
        names = self.model.config.class_names
        wanted = SUPERCLASSES if set(SUPERCLASSES) <= set(names) else names
        return [names.index(name) for name in wanted]

    def _pop_validation(self) -> tuple[Any, Any]:
        """(score, truth) of the judged labels of all processes; they are then cleared."""
        score, truth = (self._of_all(parts).astype(float) for parts in zip(*self.seen, strict=True))
        self.seen.clear()
        return score[:, self.judged], truth[:, self.judged]

    def _of_all(self, parts: Sequence[Tensor]) -> Any:
        """(records, labels) of all processes."""
        rows: Any = torch.cat(list(parts))
        if self.trainer.world_size > 1:
            gathered: Any = self.all_gather(rows)
            rows = gathered.flatten(0, 1)
        return rows.float().cpu().numpy()


class _Branch(nn.Module):
    """Labels and measured values from one network's vector; used in training only."""

    def __init__(self, size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(size), nn.Dropout(dropout)
        self.classes, self.measured = nn.Linear(size, classes), nn.Linear(size, len(NAMES))

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """(B, size) -> logits (B, classes), values (B, NAMES)."""
        normal = self.norm(vector)
        return self.classes(self.dropout(normal)), self.measured(normal)


def load_frozen(folder: str) -> Any:
    """A trained model for inference.

    Args:
        folder: of the model.
    """
    from ..checkpoints import load

    return load(folder).eval().requires_grad_(False)


def teacher_probabilities(teacher: Any, ecg: Tensor) -> Tensor:
    """The teacher's probabilities, computed on the device of the signals.

    Args:
        teacher: a model; it is not part of a Lightning module, so it is moved to the device here.
        ecg: (B, leads, samples).

    Returns:
        (B, classes).
    """
    probabilities: Tensor = teacher.to(ecg.device).classify(ecg=ecg)
    return probabilities


def _teacher_outputs(teacher: Any, ecg: Tensor) -> list[Tensor]:
    return [teacher_probabilities(teacher, ecg)]


def choose_picture_weight(truth: Any, signal: Any, picture: Any) -> float:
    """The picture's weight, 0.05-0.5, with the best macro ROC-AUC of both together.

    Args:
        truth: (records, classes), 0 or 1.
        signal: (records, classes), logits.
        picture: (records, classes), logits.
    """

    def auc(weight: float) -> float:
        return macro_auc(truth, (1 - weight) * signal + weight * picture)

    return max((0.05, 0.1, 0.2, 0.3, 0.4, 0.5), key=auc)


def votes_with_picture(votes: Mapping[str, float], share: float) -> dict[str, float]:
    """Give the picture a share of the vote; the other inputs keep their weights against each other.

    Args:
        votes: input -> weight.
        share: of the picture, 0-1.

    Returns:
        Input -> weight; they add up to 1.
    """
    others = sum(weight for name, weight in votes.items() if name != "vision")
    return {name: round((1 - share) * weight / others, 3) for name, weight in votes.items()} | {"vision": share}


def choose_thresholds(truth: Any, score: Any, share: Any = None) -> list[float]:
    """Decision thresholds: the prevalence of each class to a power that is the same for all classes.

    The power maximises the sum of macro F1 and balanced accuracy. With a few hundred records only one number can be
    chosen; a threshold per class would fit their noise.

    Args:
        truth: (records, classes), 0 or 1.
        score: (records, classes), probabilities.
        share: (classes,) prevalence of each class, best from the training records, which are more; that in ``truth``
            when None.

    Returns:
        A threshold per class.
    """
    share = (truth.mean(0) if share is None else np.asarray(share, float)).clip(0.01, 0.99)

    def quality(power: float) -> float:
        predicted = (score >= share**power).astype(float)
        return float(np.nan_to_num(macro_f1(truth, predicted) + balanced_accuracy(truth, predicted) / 100))

    best = max(np.linspace(0.5, 1.2, 15).tolist(), key=quality)
    return [round(float(limit), 3) for limit in share**best]
