"""The figures of superclasses that benchmarks tell, each with its 95 % interval over resampled records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gem.evaluation.classification import Array
from gem.metrics.bootstrap import bootstrap
from gem.metrics.multilabel import balanced_accuracy, macro_auc, macro_f1


def with_interval(figure: Callable[[NDArray[np.intp]], float], records: int) -> list[float]:
    """Value on all records, lower and upper bound.

    Args:
        figure: of the positions of the records that count.
        records: how many there are.
    """
    return [figure(np.arange(records)), *bootstrap(figure, records)]


def of_superclasses(truth: Array, score: Array, answers: Array) -> dict[str, list[float]]:
    """``macro_auc``, ``macro_f1`` and ``balanced_accuracy``.

    Args:
        truth: (records, superclasses), 0 or 1.
        score: (records, superclasses), by which records are ranked.
        answers: (records, superclasses), 0 or 1, by thresholds.
    """
    asked: dict[str, Callable[[Any], float]] = {
        "macro_auc": lambda rows: macro_auc(truth[rows], score[rows]),
        "macro_f1": lambda rows: macro_f1(truth[rows], answers[rows]),
        "balanced_accuracy": lambda rows: balanced_accuracy(truth[rows], answers[rows]),
    }
    return {name: with_interval(figure, len(truth)) for name, figure in asked.items()}


def exact(truth: Array, chances: Array) -> list[float]:
    """Share of records whose labels are those with a probability of 0.5 or more.

    Args:
        truth: (records, superclasses), 0 or 1.
        chances: (records, superclasses).
    """
    hits = ((chances >= 0.5) == (truth > 0.5)).all(1)
    return with_interval(lambda rows: float(hits[rows].mean()), len(truth))
