from __future__ import annotations

import numpy as np
import pytest

from grounding.small_arrays import MOST_EXCHANGED, median, middle_two, quantile, row_median, row_quantiles


@pytest.mark.parametrize("size", [1, 2, 3, 10, 499])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_are_those_of_numpy_to_the_last_bit(size: int, kind: type) -> None:
    values = np.random.default_rng(size).normal(size=(4, size)).astype(kind)
    assert median(values) == float(np.median(values))
    assert median(values[0]) == float(np.median(values[0]))
    exact = values.astype(np.float64)
    for share in (0.0, 0.25, 0.3, 0.5, 0.75, 1.0):
        assert quantile(exact, share) == np.quantile(exact, share)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 499])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_have_the_values_of_numpy_to_the_last_bit(size: int, kind: type) -> None:
    values = np.random.default_rng(size).normal(size=(4, size)).astype(kind)
    np.testing.assert_array_equal(row_median(values), np.median(values, axis=1))
    shares = (0.005, 0.3, 0.995)
    np.testing.assert_array_equal(row_quantiles(values, shares), np.quantile(values, shares, axis=1))
    values[1, 0] = np.nan
    assert np.isnan(row_median(values)).tolist() == [False, True, False, False]


def test_a_missing_value_is_not_passed_over() -> None:
    values = np.array([1.0, np.nan, 3.0])
    assert np.isnan(median(values))
    assert np.isnan(quantile(values, 0.25))
    assert median(np.array([1.0, np.inf, np.inf])) == np.inf


@pytest.mark.parametrize("n", [*range(1, MOST_EXCHANGED + 2), 100])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_middle_two_are_those_of_sorted_values(n: int, kind: type) -> None:
    # whole numbers, so that some are equal
    values = np.random.default_rng(n).integers(0, 40, size=(n, 3, 500)).astype(kind)
    given = values.copy()
    ordered = np.sort(values, axis=0)
    low, high = middle_two(values)
    np.testing.assert_array_equal(low, ordered[(n - 1) // 2])
    np.testing.assert_array_equal(high, ordered[n // 2])
    assert low.dtype == kind
    np.testing.assert_array_equal(values, given)
