"""The type of a delineator: a function from leads to the boundaries of P, QRS and T in every lead and beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..registry import Registry

Array = NDArray[np.float64]


class Boundaries(NamedTuple):
    """What a delineator returns; positions are samples at 250 Hz, NaN where a wave is absent.

    Attributes:
        beats: (n,) R positions.
        p: (leads, n, 3) onset, peak and offset of P.
        qrs: (leads, n, 3) of QRS.
        t: (leads, n, 3) of T.
        inside: (3, samples), probability that the sample is inside the P, QRS, T of the record; ``None`` where the
            method does not give it.
        p_mean: (samples,), mean over the leads of the probability of P; ``None`` where the method does not give it.
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
    """Empty tables of P, QRS and T.

    Args:
        n_leads: number of leads.
        n_beats: number of beats.

    Returns:
        Three arrays (leads, beats, 3), all NaN.
    """
    p, qrs, t = (np.full((n_leads, n_beats, 3), np.nan) for _ in range(3))
    return p, qrs, t
