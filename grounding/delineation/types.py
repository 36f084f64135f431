"""What a delineator is: a function from leads to the boundaries of P, QRS and T in every lead and beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..registry import Registry

Array = NDArray[np.float64]


class Boundaries(NamedTuple):
    """``beats`` (n,) R positions and ``p``, ``qrs``, ``t`` (leads, n, 3) onset, peak, offset: samples at 250 Hz, NaN where absent.

    Where the method knows it: ``inside`` (3, samples), the probability that a sample lies in the P, QRS, T of the
    record, and ``p_mean`` (samples,), the mean over the leads of the probability that it lies in a P.
    """

    beats: NDArray[np.intp]
    p: Array
    qrs: Array
    t: Array
    inside: NDArray[np.floating[Any]] | None = None
    p_mean: NDArray[np.floating[Any]] | None = None


Delineator = Callable[[NDArray[np.floating[Any]]], Boundaries]
delineators: Registry[Delineator] = Registry("delineator", "grounding.delineators")


def no_waves(n_leads: int, n_beats: int) -> tuple[Array, Array, Array]:
    """Tables of P, QRS and T (leads, beats, 3) in which no wave is there: all NaN."""
    p, qrs, t = (np.full((n_leads, n_beats, 3), np.nan) for _ in range(3))
    return p, qrs, t
