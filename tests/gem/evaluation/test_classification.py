"""Reliability, abstention and what is asserted, counted on answers small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gem.evaluation.classification import abstention, asserted, reliability
from gem.metrics.multilabel import calibration_error


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
