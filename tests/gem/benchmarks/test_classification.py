"""The figures agree with scikit-learn's, on random answers and on ties; the bootstrap brackets the value."""

from __future__ import annotations

import numpy as np
import pytest

from gem.benchmarks.classification import balanced_accuracy, bootstrap, macro_auc, macro_f1

metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = (rng.random((200, 5)) < [0.5, 0.2, 0.2, 0.1, 0.05]).astype(float)
    score = np.round(np.clip(truth * 0.3 + rng.random((200, 5)) * 0.7, 0, 1), 2)  # rounding makes ties
    return truth, score


def test_auc_equals_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    assert macro_auc(truth, score) == pytest.approx(metrics.roc_auc_score(truth, score, average="macro"))


def test_f1_and_balanced_accuracy_equal_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    said = (score > 0.5).astype(float)
    assert macro_f1(truth, said) == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    each = [metrics.balanced_accuracy_score(truth[:, c], said[:, c]) for c in range(5)]
    assert balanced_accuracy(truth, said) == pytest.approx(100 * np.mean(each))


def test_a_label_nobody_has_is_left_out(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    truth[:, 4] = 0
    assert macro_auc(truth, score) == pytest.approx(macro_auc(truth[:, :4], score[:, :4]))


def test_bootstrap_brackets_the_figure_and_repeats(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = answers
    value = macro_auc(truth, score)
    low, high = bootstrap(lambda rows: macro_auc(truth[rows], score[rows]), len(truth), rounds=200)
    assert low < value < high
    assert (low, high) == bootstrap(lambda rows: macro_auc(truth[rows], score[rows]), len(truth), rounds=200)
