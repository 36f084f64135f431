"""Train the part of the classification head that takes measured values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..data.augmentation import mix
from ..data.samples import SUPERCLASSES
from ..fusion.heads import MeasuredHead, with_flags
from ..measured import LEADS, NAMES, needs_millivolts
from ..metrics.multilabel import macro_auc
from .start import save, start
from .tuning import SeededSteps

MIN_SPREAD = (
    1e-4  # in the unit of a value; smaller ones are rounding errors, and not far from float16's smallest number
)


class MeasuredClassification(SeededSteps):
    """Trains the networks that classify measured values; the rest of the model is not changed.

    Each network gets the records of a batch with its own noise, its own missing values and mixed in its own way.

    Args:
        init: folder or name of a saved model, see ``gem.training.start.start``.
        model: arguments of ``GemConfig``, see ``gem.training.start.start``.
        output: folder that the trained model is saved to.
        hidden: channels of a network's hidden layers.
        members: number of networks.
        vote: weight of the measured values where the signal encoder has the rest, 0-1.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        dropout: dropout rate behind the hidden layers.
        mixup: parameter of the beta distribution; 0 for no mixup.
        noise: standard deviation, in units of each value's own spread.
        missing_group: probability that all values of a group are missing: of a lead, the P wave, the T wave or of
            everything that needs millivolts.
        missing_value: probability that one value is missing.
        missing_all: probability that everything is missing.
        seed: of the random numbers of each step, so that a resumed run equals an uninterrupted one.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        output: str = "gem-nano",
        hidden: int = 128,
        members: int = 4,
        vote: float = 0.6,
        learning_rate: float = 2e-3,
        weight_decay: float = 1.0,
        dropout: float = 0.4,
        mixup: float = 0.4,
        noise: float = 0.1,
        missing_group: float = 0.1,
        missing_value: float = 0.05,
        missing_all: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        measured = {"names": list(NAMES), "hidden": hidden, "members": members}
        self.model = start(init, {**(model or {}), "measured": measured})
        self.model.requires_grad_(False)
        self.output, self.vote, self.seed = output, vote, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.mixup, self.noise = mixup, noise
        self.missing_group, self.missing_value, self.missing_all = missing_group, missing_value, missing_all
        self.head.requires_grad_(True)
        self.head.dropout = dropout
        self.head.train()
        self.register_buffer("groups", torch.from_numpy(missing_together(NAMES)), persistent=False)
        self.seen: list[tuple[Tensor, Tensor]] = []

    @property
    def head(self) -> MeasuredHead:
        """The part of the model that learns."""
        head = self.model.class_head.heads["measured"]
        assert isinstance(head, MeasuredHead)  # for mypy
        return head

    def on_fit_start(self) -> None:
        """Take the normalisation from the training records."""
        trainer: Any = self.trainer
        centre, scale = centre_and_scale(trainer.datamodule.train.inputs["measured_values"])
        self.head.centre.copy_(torch.from_numpy(centre))
        self.head.scale.copy_(torch.from_numpy(scale))

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """Binary cross entropy over all classes, the mean over the networks.

        Args:
            batch: ``measured_values`` and ``classes``.
            index: of the batch, not used.
        """
        head = self.head
        values = head.normalised(batch["measured_values"]).expand(head.members, -1, -1)  # (members, B, values)
        values = values + self.noise * torch.randn_like(values)
        x = with_flags(values.masked_fill(self.missing(values), float("nan")))
        x, classes = mix(self.mixup, x.flatten(0, 1), batch["classes"].repeat(head.members, 1))
        logits = head.networks(x.unflatten(0, (head.members, -1)))
        loss = F.binary_cross_entropy_with_logits(logits.flatten(0, 1).float(), classes)
        self.log("loss", loss, prog_bar=True, batch_size=len(batch["classes"]))
        return loss

    def missing(self, values: Tensor) -> Tensor:
        """Which values go missing, at random.

        Args:
            values: (members, B, values).

        Returns:
            (members, B, values) bool.
        """
        groups: Any = self.groups
        gone = torch.rand(*values.shape[:2], len(groups), device=values.device) < self.missing_group
        everything = torch.rand(*values.shape[:2], 1, device=values.device) < self.missing_all
        missing: Tensor = (gone.float() @ groups > 0) | (torch.rand_like(values) < self.missing_value) | everything
        return missing

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Collect probabilities and labels for the figures at the end of the epoch.

        Args:
            batch: as in training.
            index: of the batch, not used.
        """
        self.seen.append((self.head(batch["measured_values"]).float().sigmoid(), batch["classes"]))

    def on_validation_epoch_end(self) -> None:
        """Log the macro ROC-AUC of the superclasses, from the measured values alone."""
        score, truth = (torch.cat(parts).cpu().numpy().astype(float) for parts in zip(*self.seen, strict=True))
        self.seen.clear()
        columns = slice(len(SUPERCLASSES))
        self.log("val_macro_auc", macro_auc(truth[:, columns], score[:, columns]), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle schedule over the whole run."""
        return self.one_cycle(self.head.parameters(), self.weight_decay, 0.2)

    def on_fit_end(self) -> None:
        """Set the weight in the vote, and save the model."""
        encoders = [name for name in self.model.class_head.heads if name != "measured"]
        votes = dict.fromkeys(encoders, 1.0) | (self.model.config.class_votes or {})
        signal = votes.get("ecg", 1.0) + votes.pop("measured", 0.0)
        votes["measured"] = self.vote * signal
        if "ecg" in votes:
            votes["ecg"] = (1 - self.vote) * signal
        self.model.config.class_votes, self.model.class_head.votes = votes, dict(votes)
        save(self.model, self.output)


def missing_together(names: Sequence[str]) -> NDArray[np.float32]:
    """Values that go missing together in recordings.

    Args:
        names: of the values.

    Returns:
        (groups, names), 1 where a value belongs to a group: the leads, the P wave, the T wave, and what needs
        millivolts.
    """
    last = [name.split()[-1] for name in names]  # without the lead
    rows = [[name.startswith(f"{lead} ") for name in names] for lead in LEADS]
    rows.append([name.startswith(("p_", "pr_")) for name in last])
    rows.append([name.startswith(("t_", "qt", "qrs_t_")) for name in last])
    rows.append([needs_millivolts(name) for name in names])
    return np.array(rows, np.float32)


def centre_and_scale(values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median and spread of each value, robust to outliers.

    The spread is that of the middle half of the records, or of their middle nine tenths or all of them where most
    records have the same value. It is at least 1 % of the centre, and both are float16 numbers: weights saved in half
    precision then normalise as in training. A value that hardly varies gets a spread of 1.

    Args:
        values: (records, values), NaN where something was not measured.

    Returns:
        (values,) each; 0 and 1 for a value that no record has.
    """
    centre, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
    for column in range(values.shape[1]):
        known = values[np.isfinite(values[:, column]), column].astype(np.float64)
        if not len(known):
            continue
        low, first, middle, third, high = np.percentile(known, [5, 25, 50, 75, 95])
        spread = float(known.std())
        robust = ((third - first) / 1.349, (high - low) / 3.29)  # each the standard deviation of a normal distribution
        found = next((one for one in robust if one > 0.2 * spread), spread)
        centre[column], scale[column] = middle, max(found, 0.01 * abs(middle)) if found > MIN_SPREAD else 1.0
    return centre.astype(np.float16).astype(np.float32), scale.astype(np.float16).astype(np.float32)
