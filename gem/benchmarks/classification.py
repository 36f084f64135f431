"""Superclass classification on PTB-XL: macro ROC-AUC, macro F1, balanced accuracy, each with a bootstrap interval.

References:
    PULSE and GEM print the "AUC" of hard 0/1 answers, which is balanced accuracy: it is given here under its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GemInputError
from .ptbxl import SUPERCLASSES, Sample

if TYPE_CHECKING:
    from ..modeling import GemForConditionalGeneration

INPUTS = ("both", "signal", "picture")
FIGURES = ("macro_auc", "macro_f1", "balanced_accuracy")
Array = NDArray[np.float64]


def targets(samples: Sequence[Sample], labels: Sequence[str] = SUPERCLASSES) -> Array:
    """0/1 labels, (records, labels)."""
    return np.array([[label in sample.superclasses for label in labels] for sample in samples], np.float64)


def macro_auc(truth: Array, score: Array) -> float:
    """Mean over labels of the ROC-AUC; a label that all or none carry is left out, NaN if that leaves none.

    Example:
        >>> macro_auc(np.array([[0.0], [1.0], [1.0]]), np.array([[0.1], [0.1], [0.9]]))
        0.75
    """
    values = []
    for column in range(truth.shape[1]):
        positive = truth[:, column] > 0.5
        n_pos, n_neg = int(positive.sum()), int((~positive).sum())
        if n_pos and n_neg:
            ranks = _ranks(score[:, column])
            values.append((ranks[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))
    return float(np.mean(values)) if values else float("nan")


def macro_f1(truth: Array, predicted: Array) -> float:
    """Mean over labels of the F1 of hard answers; a label that is neither there nor predicted is left out."""
    hit, said, there = (truth * predicted).sum(0), predicted.sum(0), truth.sum(0)
    known = said + there > 0
    return float(np.mean(2 * hit[known] / (said + there)[known])) if known.any() else float("nan")


def balanced_accuracy(truth: Array, predicted: Array) -> float:
    """Mean over labels of (sensitivity + specificity) / 2, in percent: what PULSE and GEM call AUC."""
    there, absent = truth.sum(0), (1 - truth).sum(0)
    known = (there > 0) & (absent > 0)
    sensitivity = (truth * predicted).sum(0)[known] / there[known]
    specificity = ((1 - truth) * (1 - predicted)).sum(0)[known] / absent[known]
    return float(100 * np.mean((sensitivity + specificity) / 2)) if known.any() else float("nan")


def _ranks(values: Array) -> Array:
    """Ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(((last - counts + 1) + last) / 2.0, np.float64)[inverse]


def bootstrap(
    figure: Callable[[NDArray[np.intp]], float], n: int, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a figure over resampled records."""
    rng = np.random.default_rng(seed)
    values = np.array([figure(rng.integers(0, n, n)) for _ in range(rounds)])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def probabilities(
    model: GemForConditionalGeneration, samples: Sequence[Sample], inputs: str = "both", batch_size: int = 16
) -> Array:
    """Class probabilities from the classification head, (records, superclasses).

    Args:
        model: a model with ``.processor`` and a classification head that knows the superclasses.
        samples: what to classify.
        inputs: ``"both"``, ``"signal"`` or ``"picture"``: what the model is shown.
        batch_size: records at once.

    Raises:
        GemInputError: unknown ``inputs``, or the head lacks a superclass.
    """
    if inputs not in INPUTS:
        raise GemInputError(f"unknown inputs {inputs!r}", remedy=f"use one of {', '.join(INPUTS)}")
    names = list(model.config.class_names)
    missing = [label for label in SUPERCLASSES if label not in names]
    if missing:
        raise GemInputError(
            f"the classification head has no {', '.join(missing)}", remedy="use a model trained on PTB-XL"
        )
    columns = [names.index(label) for label in SUPERCLASSES]
    rows = []
    for start in range(0, len(samples), batch_size):
        records = [sample.record for sample in samples[start : start + batch_size]]
        encoded = model.processor(record=records, picture=False if inputs == "signal" else None)
        if inputs == "picture":
            encoded.pop("ecg", None)
        rows.append(model.classify(**encoded)[:, columns])
    return np.concatenate([np.asarray(block.float().cpu(), np.float64) for block in rows])


def thresholds(model: GemForConditionalGeneration) -> Array:
    """The model's own decision thresholds for the superclasses, chosen in its training; 0.5 where it has none."""
    stored: dict[str, float] = getattr(model.config, "class_thresholds", None) or {}
    return np.array([stored.get(label, 0.5) for label in SUPERCLASSES])


def _figures(truth: Array, score: Array, said: Array) -> dict[str, Callable[[NDArray[np.intp]], float]]:
    """Each figure as a function of the rows it is taken over."""

    def auc(rows: NDArray[np.intp]) -> float:
        return macro_auc(truth[rows], score[rows])

    def f1(rows: NDArray[np.intp]) -> float:
        return macro_f1(truth[rows], said[rows])

    def accuracy(rows: NDArray[np.intp]) -> float:
        return balanced_accuracy(truth[rows], said[rows])

    return dict(zip(FIGURES, (auc, f1, accuracy), strict=True))


def evaluate_classification(
    model: GemForConditionalGeneration, samples: Sequence[Sample], rounds: int = 1000
) -> dict[str, Any]:
    """All three figures for both inputs, signal only and picture only.

    Returns:
        ``macro_auc``, ``macro_f1``, ``balanced_accuracy``: each a mapping ``both``/``signal``/``picture`` -> value;
        ``intervals``: the same with 95 % bootstrap bounds; ``n``; ``per_class_auc`` for both inputs.
    """
    truth, limits = targets(samples), thresholds(model)
    out: dict[str, Any] = {"macro_auc": {}, "macro_f1": {}, "balanced_accuracy": {}, "intervals": {}, "n": len(samples)}
    for inputs in INPUTS:
        if model.config.vision_encoder is None and inputs == "picture":
            # a model without a picture encoder has nothing to say to a picture; "both" is then its signal alone
            for name in FIGURES:
                out[name][inputs] = out["intervals"].setdefault(name, {})[inputs] = None
            continue
        score = probabilities(model, samples, inputs)
        said = (score >= limits).astype(np.float64)
        figures = _figures(truth, score, said)
        for name, figure in figures.items():
            out[name][inputs] = figure(np.arange(len(samples)))
            out["intervals"].setdefault(name, {})[inputs] = bootstrap(figure, len(samples), rounds)
        if inputs == "both":
            columns = range(len(SUPERCLASSES))
            out["per_class_auc"] = {SUPERCLASSES[c]: macro_auc(truth[:, [c]], score[:, [c]]) for c in columns}
    return out
