"""Confidence intervals by resampling records."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def bootstrap(
    figure: Callable[[NDArray[np.intp]], float], n: int, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a statistic over resampled records.

    Args:
        figure: a function of the positions of the drawn records.
        n: number of records.
        rounds: of resampling.
        seed: of the draws.

    Returns:
        (low, high).
    """
    rng = np.random.default_rng(seed)
    values = np.array([figure(rng.integers(0, n, n)) for _ in range(rounds)])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
