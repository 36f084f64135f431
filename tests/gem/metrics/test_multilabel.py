"""The figures agree with scikit-learn's, on random answers and on ties; the bootstrap brackets the value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gem.errors import GemInputError
from gem.metrics import MultilabelMetric, metrics
from gem.metrics.multilabel import MacroAUROC, balanced_accuracy, calibration_error, macro_auc, macro_f1

reference = pytest.importorskip("sklearn.metrics")


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = (rng.random((200, 5)) < [0.5, 0.2, 0.2, 0.1, 0.05]).astype(float)
    score = np.round(np.clip(truth * 0.3 + rng.random((200, 5)) * 0.7, 0, 1), 2)  # rounding makes ties
    return truth, score


def test_auc_equals_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    assert macro_auc(truth, score) == pytest.approx(reference.roc_auc_score(truth, score, average="macro"))


def test_f1_and_balanced_accuracy_equal_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    said = (score > 0.5).astype(float)
    assert macro_f1(truth, said) == pytest.approx(reference.f1_score(truth, said, average="macro"))
    each = [reference.balanced_accuracy_score(truth[:, c], said[:, c]) for c in range(5)]
    assert balanced_accuracy(truth, said) == pytest.approx(100 * np.mean(each))


def test_a_label_nobody_has_is_left_out(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    truth[:, 4] = 0
    assert macro_auc(truth, score) == pytest.approx(macro_auc(truth[:, :4], score[:, :4]))


@pytest.mark.parametrize("name", metrics.list())
def test_every_metric_has_an_interval_that_brackets_it_and_repeats(
    name: str, answers: tuple[np.ndarray, np.ndarray]
) -> None:
    truth, score = answers
    metric = metrics[name](np.full(5, 0.4))
    for rows in (slice(0, 90), slice(90, 200)):  # as batches come
        metric.update(score[rows], truth[rows])
    low, high = metric.interval(200)
    assert low < float(metric.compute()) < high
    assert metric.interval(200) == (low, high)


@pytest.mark.parametrize("name", metrics.list())
def test_all_rounds_at_once_are_what_each_round_alone_gives(name: str, answers: tuple[np.ndarray, np.ndarray]) -> None:
    """Rounds in which nobody has the rarest label are among them."""
    truth, score = answers
    truth[:, 4] = 0
    truth[:2, 4] = 1
    said = (score >= 0.4).astype(float)
    rng = np.random.default_rng(0)
    times = np.stack([np.bincount(rng.integers(0, 200, 200), minlength=200) for _ in range(30)])
    assert (times[:, :2].sum(1) == 0).any()
    metric = metrics[name](0.4)
    together = metric.resampled(score, truth, said, times)
    alone = MultilabelMetric.resampled(metric, score, truth.astype(int), said.astype(int), times)
    assert together == pytest.approx(alone, abs=1e-4 if metric.percent else 1e-6)


@pytest.mark.parametrize("name", ["macro_auc", "macro_f1", "balanced_accuracy"])
def test_unknown_labels_are_left_out(name: str, answers: tuple[np.ndarray, np.ndarray]) -> None:
    """Label by label, in the figure and in its interval; a label of which nothing is known does not count."""
    truth, score = answers
    unknown = truth.copy()
    unknown[::3, 0] = np.nan
    unknown[:, 4] = np.nan
    metric = metrics[name]()
    metric.update(score, unknown)
    each = []
    for column in range(4):
        rows = np.isfinite(unknown[:, column])
        alone = metrics[name]()
        alone.update(score[rows, column : column + 1], truth[rows, column : column + 1])
        each.append(float(alone.compute()))
    assert float(metric.compute()) == pytest.approx(np.mean(each))
    low, high = metric.interval(100)
    assert low < float(metric.compute()) < high
    assert metric.higher_is_better


def test_what_a_metric_cannot_take_is_refused(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    truth[0, 0] = np.nan

    class Exact(MultilabelMetric):
        def figure(self, score: Any, truth: Any, predicted: Any) -> Any:
            return (predicted == truth).all(1).double().mean()

    metric = Exact()
    metric.update(score, truth)
    with pytest.raises(GemInputError, match="not known"):
        metric.compute()
    with pytest.raises(GemInputError, match="shape"):
        MacroAUROC().update(score, truth[:, :3])
    assert calibration_error(truth, score) == pytest.approx(calibration_error(truth.ravel()[1:], score.ravel()[1:]))
    with pytest.raises(GemInputError, match="neither 0 nor 1"):
        MacroAUROC().update(score, np.full_like(score, 0.5))
    with pytest.raises(GemInputError, match="no number"):
        MacroAUROC().update(np.full_like(score, np.nan), truth)
    with pytest.raises(GemInputError, match="no records"):
        MacroAUROC().compute()
    nothing = MacroAUROC()
    nothing.update(score, np.full_like(score, np.nan))
    assert np.isnan(float(nothing.compute()))
