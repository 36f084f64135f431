"""Two things at a time: NumPy, SciPy and the networks let other threads run while they count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")
THREADS = 2


def in_threads(function: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
    """``list(map(function, *arguments))`` in two threads.

    Args:
        function: that leaves its arguments as they are.
        arguments: of each call, as in ``map``.

    Raises:
        Exception: what the first call that fails raises.

    Example:
        >>> in_threads(pow, (2, 3, 4), (1, 2, 3))
        [2, 9, 64]
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, *arguments))
