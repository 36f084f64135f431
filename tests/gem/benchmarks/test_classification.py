"""The figures agree with scikit-learn's, on random answers and on ties; the bootstrap brackets the value."""

from __future__ import annotations

import numpy as np
import pytest

from gem.benchmarks.classification import (
    abstention,
    asserted,
    balanced_accuracy,
    bootstrap,
    calibration_error,
    macro_auc,
    macro_f1,
    reliability,
)

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


def test_reliability_counts_every_answer_once_and_the_error_is_the_distance() -> None:
    truth, score = np.array([0.0, 1, 1, 1, 0, 1]), np.array([0.0, 0.1, 0.15, 0.95, 0.85, 1.0])
    rows = reliability(truth, score)
    assert [(row["low"], row["n"], row["true"]) for row in rows] == [(0, 1, 0), (0.1, 2, 1), (0.8, 1, 0), (0.9, 2, 1)]
    assert calibration_error(truth, score) == pytest.approx((0 + 2 * 0.875 + 0.85 + 2 * 0.025) / 6)
    perfect = np.repeat([0.0, 1.0], 5)
    assert calibration_error(perfect, perfect) == 0
    assert calibration_error(1 - perfect, perfect) == 1


def test_what_is_asserted_is_counted_by_how_sure_it_is() -> None:
    truth = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    score = np.array([[0.6, 0.49], [0.5, 0.9], [0.7, 1.0]])
    rows = asserted(truth, score)
    assert [(row["low"], row["high"], row["n"], row["true"]) for row in rows] == [
        (0.5, 0.7, 2, 0.5),
        (0.7, 0.9, 1, 1.0),
        (0.9, 1.0, 2, 1.0),
    ]
    assert rows[1]["interval"] == (1.0, 1.0)


def test_the_least_sure_records_are_left_out_first() -> None:
    truth = np.array([[1.0], [1.0], [0.0], [0.0]])
    score = np.array([[0.9], [0.45], [0.55], [0.1]])
    told = abstention(truth, score, shares=(1.0, 0.5))
    assert told == {"share": [1.0, 0.5], "accuracy": [0.5, 1.0], "exact": [0.5, 1.0]}
