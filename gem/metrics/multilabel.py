"""Multilabel metrics with bootstrap intervals, on top of torchmetrics.

References:
    PULSE and GEM report the "AUC" of hard 0/1 answers, which is balanced accuracy and has this name here.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multilabel_auroc,
    multilabel_f1_score,
    multilabel_stat_scores,
)
from torchmetrics.utilities import dim_zero_cat

from grounding.registry import Registry

from ..errors import GemInputError

Array = NDArray[np.float64]
metrics: Registry[type[MultilabelMetric]] = Registry("metric", "gem.metrics")


def register_metric(name: str) -> Any:
    """Add a metric class; ``gem evaluate classification`` reports it like the others.

    Args:
        name: of the metric.

    Example:
        >>> @register_metric("exact_match")
        ... class ExactMatch(MultilabelMetric):
        ...     def figure(self, score, truth, predicted):
        ...         return (predicted == truth).all(1).double().mean()
        >>> metric = ExactMatch()
        >>> metric.update([[0.9, 0.2], [0.4, 0.3]], [[1, 0], [1, 0]])
        >>> float(metric.compute())
        0.5
        >>> del metrics._entries["exact_match"]
    """
    return metrics.register(name=name)


class MultilabelMetric(Metric):
    """Base of the metrics over records and labels; a subclass defines ``figure``.

    It works in Lightning modules and over several processes.

    Args:
        threshold: smallest probability of a positive prediction; one number, or one per label.
        **options: see ``torchmetrics.Metric``.

    Attributes:
        percent: whether the figure is in percent.
        unknown: what becomes of records whose label is not known (NaN): ``"by_label"`` leaves them out label by label,
            for figures that are means over labels; ``"pooled"``, for figures that count all labels together; and
            ``"refused"``.
    """

    full_state_update = False
    percent: ClassVar[bool] = False
    unknown: ClassVar[Literal["by_label", "pooled", "refused"]] = "refused"
    scores: list[Tensor]
    truths: list[Tensor]
    threshold: Tensor

    def __init__(self, threshold: ArrayLike = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.register_buffer("threshold", torch.as_tensor(np.asarray(threshold), dtype=torch.float64), persistent=False)
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("truths", default=[], dist_reduce_fx="cat")

    def figure(self, score: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
        """The figure, a scalar, of all records.

        Args:
            score: (records, labels) probabilities, float64.
            truth: (records, labels) 0 or 1.
            predicted: (records, labels) 0 or 1, the thresholded predictions.
        """
        raise NotImplementedError

    def resampled(self, score: Array, truth: Array, predicted: Array, times: NDArray[np.intp]) -> Array:
        """The figure for resampled records.

        Args:
            score: see ``figure``.
            truth: see ``figure``.
            predicted: see ``figure``.
            times: (rounds, records), how often each record is drawn.

        Returns:
            (rounds,).
        """
        parts = [torch.from_numpy(np.asarray(part)) for part in (score, truth, predicted)]
        rows = [torch.from_numpy(np.repeat(np.arange(len(score)), one)) for one in times]
        return np.array([float(self.figure(*(part[row] for part in parts))) for row in rows])

    def update(self, score: Any, truth: Any) -> None:
        """Add records.

        Args:
            score: (records, labels) probabilities, tensor or array.
            truth: (records, labels) 0 or 1, NaN where it is not known.

        Raises:
            GemInputError: the two differ in shape, a score is NaN, or a label is neither 0, 1 nor NaN.
        """
        scores, truths = (torch.as_tensor(part).detach().double() for part in (score, truth))
        if scores.shape != truths.shape or scores.dim() != 2:
            raise GemInputError(
                f"scores of the shape {tuple(scores.shape)} and labels of {tuple(truths.shape)}",
                where=type(self).__name__,
                remedy="(records, labels) for both",
            )
        if scores.isnan().any() or not ((truths == 0) | (truths == 1) | truths.isnan()).all():
            what = "a score that is no number" if scores.isnan().any() else "a label that is neither 0 nor 1"
            raise GemInputError(what, where=type(self).__name__, remedy="NaN is for labels that are not known")
        self.scores.append(scores)
        self.truths.append(truths)

    def compute(self) -> Tensor:
        """The figure of all records so far.

        Raises:
            GemInputError: a label is not known, and the figure needs all of them.
        """
        values = [self.figure(score, truth.long(), said) for score, truth, said, _ in self._parts()]
        if not values:  # nothing is known
            return torch.tensor(torch.nan, dtype=torch.float64)
        return values[0] if len(values) == 1 else torch.stack(values).nanmean()

    def _parts(self) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Scores, labels, predictions, and which records they are of; one part for each label if some are unknown."""
        if not len(self.scores):
            raise GemInputError("no records were given", where=type(self).__name__, remedy="call update first")
        score, truth = dim_zero_cat(self.scores), dim_zero_cat(self.truths)
        predicted, known = self._predicted(score), ~truth.isnan()
        if known.all():
            return [(score, truth, predicted, torch.arange(len(score), device=score.device))]
        if self.unknown == "refused":
            raise GemInputError("a label is not known (NaN)", where=type(self).__name__, remedy="leave the record out")
        if self.unknown == "pooled":
            rows = known.nonzero()[:, 0]
            return [(score[known][:, None], truth[known][:, None], predicted[known][:, None], rows)]
        parts = []
        for column, there in enumerate(known.T):
            rows = there.nonzero()[:, 0]
            label = slice(column, column + 1)
            if len(rows):
                parts.append((score[rows, label], truth[rows, label], predicted[rows, label], rows))
        return parts

    def interval(self, rounds: int = 1000, seed: int = 0) -> tuple[float, float]:
        """95 % percentile interval of the figure over resampled records.

        Args:
            rounds: of resampling.
            seed: of the draws.

        Returns:
            (low, high).
        """
        rng = np.random.default_rng(seed)
        n = sum(map(len, self.scores))
        times = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(rounds)])
        each = []
        for *given, rows in self._parts():
            score, truth, predicted = (np.asarray(part.cpu(), np.float64) for part in given)
            each.append(self.resampled(score, truth, predicted, times[:, rows.cpu().numpy()]))
        values = _mean_of_known(np.stack(each, axis=1))
        low, high = np.nanpercentile(values, [2.5, 97.5])
        return float(low), float(high)

    def _predicted(self, score: Tensor) -> Tensor:
        return (score >= self.threshold.to(score.device)).long()


@register_metric("macro_auc")
class MacroAUROC(MultilabelMetric):
    """Mean over labels of the ROC-AUC; labels that all or no records have are left out, NaN if none is left.

    Example:
        >>> metric = MacroAUROC()
        >>> metric.update([[0.1], [0.1], [0.9]], [[0], [1], [1]])
        >>> float(metric.compute())
        0.75
    """

    unknown = "by_label"
    higher_is_better = True

    def figure(self, score: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
        """See ``MultilabelMetric.figure``."""
        mixed = (truth.sum(0) > 0) & (truth.sum(0) < len(truth))
        if not mixed.any():
            return torch.tensor(torch.nan, dtype=torch.float64)
        score, truth = score[:, mixed], truth[:, mixed]
        if truth.shape[1] == 1:  # torchmetrics needs at least two labels
            score, truth = score.repeat(1, 2), truth.repeat(1, 2)
        value: Tensor = multilabel_auroc(score, truth, truth.shape[1], average="macro", validate_args=False)
        return value.double()

    def resampled(self, score: Array, truth: Array, predicted: Array, times: NDArray[np.intp]) -> Array:
        """See ``MultilabelMetric.resampled``; all rounds at once, which is much faster than torchmetrics for each."""
        values = []
        for column in range(score.shape[1]):
            order = np.argsort(score[:, column], kind="stable")
            ordered = score[order, column]
            starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
            drawn, there = times[:, order].astype(np.float64), truth[order, column]
            positive = np.add.reduceat(drawn * there, starts, axis=1)
            negative = np.add.reduceat(drawn * (1 - there), starts, axis=1)
            below = np.cumsum(negative, axis=1) - negative / 2  # ties count one half
            pairs = positive.sum(1) * negative.sum(1)
            values.append(np.divide((positive * below).sum(1), pairs, out=np.full(len(times), np.nan), where=pairs > 0))
        return _mean_of_known(np.stack(values, axis=1))


@register_metric("macro_f1")
class MacroF1(MultilabelMetric):
    """Mean over labels of the F1 score; labels that are neither present nor predicted are left out."""

    unknown = "by_label"
    higher_is_better = True

    def figure(self, score: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
        """See ``MultilabelMetric.figure``."""
        known = (truth.sum(0) + predicted.sum(0)) > 0
        values = multilabel_f1_score(*_two_labels(predicted, truth), average="none", validate_args=False)[
            : truth.shape[1]
        ]
        return values[known].double().mean()

    def resampled(self, score: Array, truth: Array, predicted: Array, times: NDArray[np.intp]) -> Array:
        """See ``MultilabelMetric.resampled``."""
        hit, there, answered = times @ (truth * predicted), times @ truth, times @ predicted
        with np.errstate(invalid="ignore"):
            return _mean_of_known(2 * hit / (there + answered))


@register_metric("balanced_accuracy")
class BalancedAccuracy(MultilabelMetric):
    """Mean over labels of (sensitivity + specificity) / 2, in percent, which PULSE and GEM call AUC."""

    unknown = "by_label"
    higher_is_better = True
    percent = True

    def figure(self, score: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
        """See ``MultilabelMetric.figure``."""
        counts = multilabel_stat_scores(*_two_labels(predicted, truth), average="none", validate_args=False)
        hit, false, correct, missed, _ = counts[: truth.shape[1]].double().T
        values = (hit / (hit + missed) + correct / (correct + false)) / 2
        mean: Tensor = 100 * values.nanmean()
        return mean

    def resampled(self, score: Array, truth: Array, predicted: Array, times: NDArray[np.intp]) -> Array:
        """See ``MultilabelMetric.resampled``."""
        with np.errstate(invalid="ignore"):
            sensitivity = times @ (truth * predicted) / (times @ truth)
            specificity = times @ ((1 - truth) * (1 - predicted)) / (times @ (1 - truth))
        return 100 * _mean_of_known((sensitivity + specificity) / 2)


class CalibrationError(MultilabelMetric):
    """Expected calibration error of one label, or of all labels pooled.

    The mean difference between predicted probability and observed frequency in ten bands, weighted by their size.

    Example:
        >>> metric = CalibrationError()
        >>> metric.update([[0.55], [0.55], [0.55], [0.95]], [[0], [1], [1], [1]])
        >>> round(float(metric.compute()), 4)
        0.1
    """

    unknown = "pooled"
    higher_is_better = False

    def figure(self, score: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
        """See ``MultilabelMetric.figure``."""
        return binary_calibration_error(score.reshape(-1), truth.reshape(-1), n_bins=10, validate_args=False).double()


def macro_auc(truth: ArrayLike, score: ArrayLike) -> float:
    """``MacroAUROC`` of arrays (records, labels)."""
    return _value(MacroAUROC(), truth, score)


def macro_f1(truth: ArrayLike, predicted: ArrayLike) -> float:
    """``MacroF1`` of arrays (records, labels), ``predicted`` 0 or 1."""
    return _value(MacroF1(), truth, predicted)


def balanced_accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """``BalancedAccuracy`` of arrays (records, labels), ``predicted`` 0 or 1; percent."""
    return _value(BalancedAccuracy(), truth, predicted)


def calibration_error(truth: ArrayLike, score: ArrayLike) -> float:
    """``CalibrationError`` of arrays of any shape."""
    return _value(CalibrationError(), np.reshape(truth, (-1, 1)), np.reshape(score, (-1, 1)))


def _value(metric: MultilabelMetric, truth: ArrayLike, score: ArrayLike) -> float:
    metric.update(np.asarray(score, np.float64), np.asarray(truth))
    return float(metric.compute())


def _two_labels(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, int]:
    """Predictions, labels and the number of labels for torchmetrics, which needs at least two labels."""
    if truth.shape[1] == 1:
        predicted, truth = predicted.repeat(1, 2), truth.repeat(1, 2)
    return predicted, truth, truth.shape[1]


def _mean_of_known(values: Array) -> Array:
    """Mean (rounds,) of (rounds, labels) over the labels that have a value; NaN if none has."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(1)
    mean: Array = np.divide(total, known.sum(1), out=np.full(len(values), np.nan), where=known.any(1))
    return mean
