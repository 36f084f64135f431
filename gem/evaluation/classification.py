"""Superclass probabilities on PTB-XL, and figures of them: every registered metric, calibration, abstention."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from grounding import ECGRecord, EcgSignalError
from grounding.facts.opinion import BANDS
from grounding.paper import Page, draw

from ..data.corpus import labels_of
from ..data.samples import SUPERCLASSES, Sample
from ..errors import GemInputError
from ..metrics import metrics
from ..metrics.bootstrap import bootstrap

if TYPE_CHECKING:
    from ..modeling import GemForConditionalGeneration

INPUTS = ("both", "signal", "picture", "pixels")
# the model's tensors that each choice of inputs gives it; what is measured in the signal belongs to the signal. With
# "picture", signal and measured values are those that are read off the page
TENSORS = {
    "both": ("ecg", "pixel_values", "image_sizes", "measured"),
    "signal": ("ecg", "measured"),
    "picture": ("ecg", "ecg_mask", "pixel_values", "image_sizes", "measured"),
    "pixels": ("pixel_values", "image_sizes"),
    "signal_encoder": ("ecg",),
    "measured": ("measured",),
}
EDGES = tuple(np.linspace(0, 1, 11).round(1).tolist())  # bands of probability
Array = NDArray[np.float64]


def targets(samples: Sequence[Sample], labels: Sequence[str] = SUPERCLASSES) -> Array:
    """Superclass labels as numbers.

    Args:
        samples: the records.
        labels: superclasses.

    Returns:
        (records, labels), 0 or 1.
    """
    return np.array([[label in sample.superclasses for label in labels] for sample in samples], np.float64)


def probabilities(
    model: GemForConditionalGeneration, samples: Sequence[Sample], inputs: str = "both", batch_size: int = 16
) -> Array:
    """Class probabilities from the classification head, (records, superclasses).

    Args:
        model: a model with ``.processor`` and a classification head that has the superclasses.
        samples: the records.
        inputs: which inputs the model gets: ``"both"``; ``"signal"``, which comes with what is measured in it, if the
            model takes that (``"signal_encoder"`` and ``"measured"`` are the two apart); ``"picture"``, of which a
            model of signals gets the traces as they are read off the page (``Page.read``) as well; or ``"pixels"``,
            which the picture encoder sees alone.
        batch_size: records per batch.

    Raises:
        GemInputError: unknown ``inputs``, or the head lacks a superclass.
    """
    return sigmoid(class_logits(model, samples, inputs, batch_size)[:, superclass_columns(model)])


def superclass_columns(model: GemForConditionalGeneration) -> list[int]:
    """The columns of the superclasses in the head's output.

    Args:
        model: a model with a classification head.

    Raises:
        GemInputError: the head lacks a superclass.
    """
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
    """Logits of all classes of the classification head.

    Args:
        model: as in ``probabilities``.
        samples: as in ``probabilities``.
        inputs: as in ``probabilities``.
        batch_size: as in ``probabilities``.

    Returns:
        (records, classes).

    Raises:
        GemInputError: unknown ``inputs``.
    """
    return logits_by_inputs(model, samples, [inputs], batch_size)[inputs]


def logits_by_inputs(
    model: GemForConditionalGeneration, samples: Sequence[Sample], choices: Sequence[str], batch_size: int = 16
) -> dict[str, Array]:
    """``class_logits`` for several choices of inputs; each record is read, measured and drawn only once.

    Args:
        model: as in ``probabilities``.
        samples: as in ``probabilities``.
        choices: each as ``inputs`` in ``probabilities``.
        batch_size: as in ``probabilities``.

    Returns:
        Choice -> (records, classes); NaN where a record has none of these inputs.

    Raises:
        GemInputError: unknown inputs.
    """
    rows: dict[str, list[Array]] = {choice: [] for choice in choices}
    for start in range(0, len(samples), batch_size):
        records = [sample.record for sample in samples[start : start + batch_size]]
        for choice, block in batch_logits(model, records, choices).items():
            rows[choice].append(block)
    return {choice: np.concatenate(blocks) for choice, blocks in rows.items()}


def batch_logits(
    model: GemForConditionalGeneration,
    records: Sequence[ECGRecord],
    choices: Sequence[str],
    pages: Sequence[Page] | None = None,
) -> dict[str, Array]:
    """Logits of all classes for one batch.

    Args:
        model: as in ``probabilities``.
        records: of the batch.
        choices: each as ``inputs`` in ``probabilities``.
        pages: on which the records are drawn; None draws them.

    Returns:
        Choice -> (records, classes); NaN where a record has none of these inputs.

    Raises:
        GemInputError: unknown inputs.
    """
    unknown = [choice for choice in choices if choice not in TENSORS]
    if unknown:
        raise GemInputError(f"unknown inputs {unknown[0]!r}", remedy=f"use one of {', '.join(TENSORS)}")
    wanted = {name for choice in choices if choice != "picture" for name in TENSORS[choice]}
    drawn: Sequence[Page] = []
    if "pixel_values" in wanted or "picture" in choices:
        drawn = [draw(record) for record in records] if pages is None else pages
    inputs = model.processor(
        record=records,
        picture=[page.image for page in drawn] or False,
        measurement=None if "measured" in wanted else False,
    )
    page_alone = {name: inputs[name] for name in TENSORS["pixels"] if name in inputs}
    read = [_read(page) for page in drawn] if "picture" in choices and model.config.ecg_encoder is not None else []
    if any(record is not None for record in read):
        page_alone |= model.processor(record=read, picture=False)
    out = {}
    for choice in choices:
        there = page_alone if choice == "picture" else inputs
        given = {name: there[name] for name in TENSORS[choice] if name in there}
        with torch.inference_mode():
            out[choice] = np.asarray(model.classify(**given).double().logit(1e-12).cpu(), np.float64)
    return out


def _read(page: Page) -> ECGRecord | None:
    """What is read off a page; None where no trace is seen, so that the pixels speak alone."""
    try:
        return page.read()
    except EcgSignalError:
        return None


def sigmoid(logits: Array) -> Array:
    """Probabilities of logits.

    Args:
        logits: of any shape.
    """
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def class_targets(samples: Sequence[Sample], labels: Sequence[str]) -> Array:
    """Labels as numbers, for any classes of the head, see ``gem.data.corpus.labels_of``.

    Args:
        samples: the records.
        labels: classes.

    Returns:
        (records, labels), 0 or 1.
    """
    return np.array([[label in there for label in labels] for there in map(labels_of, samples)], np.float64)


def _share(counts: Array, rows: NDArray[np.intp]) -> float:
    """The fraction of hits among answers over some records, from (2, records) counts of both; NaN without answers."""
    hits, answers = counts[:, rows].sum(1)
    return float(hits / answers) if answers else float("nan")


def reliability(truth: Array, score: Array, edges: Sequence[float] = EDGES) -> list[dict[str, Any]]:
    """Calibration: predicted probability and observed frequency, a row for each band of probabilities that occurs.

    Args:
        truth: (n,) 0 or 1.
        score: (n,) probabilities.
        edges: of the bands, ascending; the last one belongs to the band below it.

    Returns:
        ``low``, ``high``, ``n``, ``said`` (mean predicted probability) and ``true`` (observed frequency).
    """
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, -1, len(edges) - 2)
    place = np.where(score > edges[-1], -1, place)
    out = []
    for band in range(len(edges) - 1):
        rows = place == band
        if rows.any():
            row = {"low": edges[band], "high": edges[band + 1], "n": int(rows.sum())}
            out.append({**row, "said": float(score[rows].mean()), "true": float(truth[rows].mean())})
    return out


def abstention(truth: Array, score: Array, shares: Sequence[float] = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)) -> dict[str, Any]:
    """Accuracy (of probabilities of at least one half) when the least certain records are left unanswered.

    The certainty of a record is the mean distance of its probabilities from one half.

    Args:
        truth: (records, classes), 0 or 1.
        score: (records, classes), probabilities.
        shares: fractions of the records that are answered.

    Returns:
        ``share`` answered, ``accuracy`` over all their classes, and ``exact``: the fraction with all classes right.
    """
    right = (score >= 0.5) == (truth > 0.5)
    order = np.argsort(-np.abs(score - 0.5).mean(1), kind="stable")
    kept = [order[: max(1, round(share * len(order)))] for share in shares]
    accuracy = [float(right[rows].mean()) for rows in kept]
    return {"share": list(shares), "accuracy": accuracy, "exact": [float(right[rows].all(1).mean()) for rows in kept]}


def asserted(truth: Array, score: Array) -> list[dict[str, Any]]:
    """How often the diagnoses that an explanation asserts (probability at least one half) are right, by its wording.

    Args:
        truth: (records, classes), 0 or 1, of the classes that explanations have words for.
        score: (records, classes), probabilities.

    Returns:
        The rows of ``reliability``, a band for each wording of certainty, with ``interval``, 95 % by resampling
        records.
    """
    edges = sorted({*(least for least, _ in BANDS), 1.0})
    rows = reliability(truth.ravel(), score.ravel(), edges)
    for row in rows:
        within = (score >= row["low"]) & ((score < row["high"]) | (row["high"] == 1.0))
        counts = np.stack([(within * truth).sum(1), within.sum(1)])
        row["interval"] = bootstrap(partial(_share, counts), len(truth))
    return rows


def thresholds(model: GemForConditionalGeneration) -> Array:
    """The model's decision thresholds for the superclasses, chosen in its training; 0.5 if it has none.

    Args:
        model: the model.
    """
    stored: dict[str, float] = getattr(model.config, "class_thresholds", None) or {}
    return np.array([stored.get(label, 0.5) for label in SUPERCLASSES])


def figures(
    score: Array, truth: Array, thresholds: Array, rounds: int = 1000
) -> dict[str, tuple[float, tuple[float, float]]]:
    """Value and 95 % bootstrap interval of every registered metric.

    Args:
        score: (records, labels), probabilities.
        truth: (records, labels), 0 or 1.
        thresholds: (labels,), decision thresholds.
        rounds: of resampling.

    Returns:
        Metric -> (value, (low, high)).
    """
    out = {}
    for name in metrics:
        metric = metrics[name](thresholds)
        metric.update(score, truth)
        out[name] = (float(metric.compute()), metric.interval(rounds))
    return out
