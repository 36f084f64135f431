"""Superclass classification on PTB-XL: macro ROC-AUC, macro F1, balanced accuracy, each with a bootstrap interval.

References:
    PULSE and GEM print the "AUC" of hard 0/1 answers, which is balanced accuracy: it is given here under its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grounding.facts import DIAGNOSES
from grounding.facts.opinion import BANDS

from ..errors import GemInputError
from .ptbxl import SUPERCLASSES, Sample

if TYPE_CHECKING:
    from ..modeling import GemForConditionalGeneration

INPUTS = ("both", "signal", "picture")
EDGES = tuple(np.linspace(0, 1, 11).round(1).tolist())  # bands of probability
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
    return _sigmoid(class_logits(model, samples, inputs, batch_size)[:, superclass_columns(model)])


def superclass_columns(model: GemForConditionalGeneration) -> list[int]:
    """Where the head's superclasses are. Raises GemInputError where one is not."""
    names = list(model.config.class_names)
    missing = [label for label in SUPERCLASSES if label not in names]
    if missing:
        raise GemInputError(
            f"the classification head has no {', '.join(missing)}", remedy="use a model trained on PTB-XL"
        )
    return [names.index(label) for label in SUPERCLASSES]


def class_logits(
    model: GemForConditionalGeneration, samples: Sequence[Sample], inputs: str = "both", batch_size: int = 16
) -> Array:
    """Logits of every class of the head, (records, classes); arguments and errors as in ``probabilities``."""
    if inputs not in INPUTS:
        raise GemInputError(f"unknown inputs {inputs!r}", remedy=f"use one of {', '.join(INPUTS)}")
    rows = []
    for start in range(0, len(samples), batch_size):
        records = [sample.record for sample in samples[start : start + batch_size]]
        encoded = model.processor(record=records, picture=False if inputs == "signal" else None)
        if inputs == "picture":
            encoded.pop("ecg", None)
        rows.append(model.classify(**encoded).double().logit(1e-12))
    return np.concatenate([np.asarray(block.cpu(), np.float64) for block in rows])


def _sigmoid(logits: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def class_targets(samples: Sequence[Sample], labels: Sequence[str]) -> Array:
    """0/1 of any classes of the head, (records, labels): superclasses, subclasses, form and rhythm."""
    merged = {"ISCA": "ISC", "ISCI": "ISC"}
    rows = []
    for sample in samples:
        words = {*sample.superclasses, *sample.subclasses, *sample.form, *sample.rhythm}
        there = {merged.get(word, word) for word in words}
        rows.append([label in there for label in labels])
    return np.array(rows, np.float64)


def _share(counts: Array, rows: NDArray[np.intp]) -> float:
    """Of (2, records) hits and answers, the share of hits over some records; NaN where nothing was answered."""
    hit, said = counts[:, rows].sum(1)
    return float(hit / said) if said else float("nan")


def reliability(truth: Array, score: Array, edges: Sequence[float] = EDGES) -> list[dict[str, Any]]:
    """How often what was given a probability is there, a row for each band of probabilities that occurs.

    Args:
        truth: (n,) 0 or 1.
        score: (n,) probabilities.
        edges: of the bands, rising; the last one belongs to the band below it.

    Returns:
        ``low``, ``high``, ``n``, ``said`` (mean probability) and ``true`` (share that is there).
    """
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, -1, len(edges) - 2)
    place = np.where(score > edges[-1], -1, place)
    out = []
    for band in range(len(edges) - 1):
        rows = place == band
        if rows.any():
            told = {"low": edges[band], "high": edges[band + 1], "n": int(rows.sum())}
            out.append({**told, "said": float(score[rows].mean()), "true": float(truth[rows].mean())})
    return out


def calibration_error(truth: Array, score: Array, edges: Sequence[float] = EDGES) -> float:
    """Expected calibration error: mean distance of probability and share, by bands, weighted by their records.

    Example:
        >>> round(calibration_error(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.55, 0.55, 0.55, 0.95])), 4)
        0.1
    """
    rows = reliability(truth, score, edges)
    return float(sum(row["n"] * abs(row["said"] - row["true"]) for row in rows) / len(truth))


def abstention(truth: Array, score: Array, shares: Sequence[float] = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)) -> dict[str, Any]:
    """How right the answers (probability at least one half) are when the least sure records are left unanswered.

    A record is as sure as its classes are on average, by their distance from one half.

    Returns:
        ``share`` answered, ``accuracy`` over all classes of those, and ``exact``: the share of them with all classes right.
    """
    right = (score >= 0.5) == (truth > 0.5)
    order = np.argsort(-np.abs(score - 0.5).mean(1), kind="stable")
    kept = [order[: max(1, round(share * len(order)))] for share in shares]
    accuracy = [float(right[rows].mean()) for rows in kept]
    return {"share": list(shares), "accuracy": accuracy, "exact": [float(right[rows].all(1).mean()) for rows in kept]}


def asserted(truth: Array, score: Array) -> list[dict[str, Any]]:
    """Of what an explanation says (probability at least one half), the share that is there, for each of its words for how sure it is.

    Args:
        truth, score: (records, classes): those classes that an explanation has words for.

    Returns:
        The rows of ``reliability``, with ``interval``, 95 % by resampling records.
    """
    edges = sorted({*(least for least, _ in BANDS), 1.0})
    rows = reliability(truth.ravel(), score.ravel(), edges)
    for row in rows:
        within = (score >= row["low"]) & ((score < row["high"]) | (row["high"] == 1.0))
        counts = np.stack([(within * truth).sum(1), within.sum(1)])
        row["interval"] = bootstrap(partial(_share, counts), len(truth))
    return rows


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
        ``intervals``: the same with 95 % bootstrap bounds; ``n``; ``ece`` of each superclass for each input. For both inputs:
        ``per_class_auc`` of every class of the head that some records have, ``per_class_interval``, ``per_class_n``, ``reliability``,
        ``abstention``, and ``asserted``: see the functions of these names.
    """
    truth, limits = targets(samples), thresholds(model)
    out: dict[str, Any] = {
        "macro_auc": {},
        "macro_f1": {},
        "balanced_accuracy": {},
        "intervals": {},
        "n": len(samples),
        "ece": {},
    }
    names, columns = list(model.config.class_names), superclass_columns(model)
    for inputs in INPUTS:
        if model.config.vision_encoder is None and inputs == "picture":
            # a model without a picture encoder has nothing to say to a picture; "both" is then its signal alone
            for name in FIGURES:
                out[name][inputs] = out["intervals"].setdefault(name, {})[inputs] = None
            out["ece"][inputs] = None
            continue
        every = _sigmoid(class_logits(model, samples, inputs))
        score = every[:, columns]
        said = (score >= limits).astype(np.float64)
        figures = _figures(truth, score, said)
        for name, figure in figures.items():
            out[name][inputs] = figure(np.arange(len(samples)))
            out["intervals"].setdefault(name, {})[inputs] = bootstrap(figure, len(samples), rounds)
        apart = [calibration_error(truth[:, c], score[:, c]) for c in range(len(SUPERCLASSES))]
        out["ece"][inputs] = dict(zip(SUPERCLASSES, apart, strict=True))
        if inputs == "both":
            out |= _classes(class_targets(samples, names), every, names, rounds)
            out |= {"reliability": reliability(truth.ravel(), score.ravel()), "abstention": abstention(truth, score)}
    return out


def _classes(truth: Array, score: Array, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Figures of every class of the head."""
    out: dict[str, Any] = {"per_class_auc": {}, "per_class_interval": {}, "per_class_n": {}}
    for column, name in enumerate(names):
        there, said = truth[:, [column]], score[:, [column]]
        value = macro_auc(there, said)
        if not np.isnan(value):
            out["per_class_auc"][name] = value
            out["per_class_interval"][name] = bootstrap(_figures(there, said, said)["macro_auc"], len(truth), rounds)
            out["per_class_n"][name] = int(there.sum())
    worded = [column for column, name in enumerate(names) if name in DIAGNOSES]
    return {**out, "asserted": asserted(truth[:, worded], score[:, worded])}
