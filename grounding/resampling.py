"""Another sampling rate by a polyphase filter, as SciPy's ``resample_poly``, a block of samples at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fractions import Fraction

Array = NDArray[np.float64]
SHORTEST_BLOCK, BLOCKS_AT_ONCE = 16, 512  # samples after resampling; blocks of all leads
LARGEST_MATRIX = 1 << 17  # values: ratios such as 4999 to 5000 need more


def resampled(leads: Array, ratio: Fraction) -> Array:
    """The leads at another rate; beyond their ends each continues the line between its first and its last sample.

    The samples of a block are products of one matrix, so that all blocks of all leads are multiplied at once. It is
    ``resample_poly(..., padtype="line")`` but for the order in which products are added, which shows in the 16th digit.

    Args:
        leads: (leads, samples), finite.
        ratio: of the new rate to the old one.

    Returns:
        (leads, samples x ratio, rounded up).
    """
    n = leads.shape[1]
    n_out = -(-n * ratio.numerator // ratio.denominator)
    matrix, before = _matrix(ratio.numerator, ratio.denominator)
    if matrix is None or n < 2:
        from scipy.signal import resample_poly

        low_pass = _low_pass(max(ratio.numerator, ratio.denominator))
        scipys: Array = resample_poly(
            leads, ratio.numerator, ratio.denominator, axis=1, window=low_pass, padtype="line"
        )
        return scipys[:, :n_out]
    length, block = matrix.shape
    blocks, step = -(-n_out // block), block * ratio.denominator // ratio.numerator
    longer = np.empty((len(leads), max((blocks - 1) * step + length, before + n)))
    longer[:, before : before + n] = leads
    slope = (leads[:, -1:] - leads[:, :1]) / (n - 1)
    longer[:, :before] = leads[:, :1] + slope * np.arange(-before, 0)
    longer[:, before + n :] = leads[:, -1:] + slope * np.arange(1, longer.shape[1] - before - n + 1)
    out = np.empty((len(leads), blocks, block))
    windows = np.lib.stride_tricks.as_strided(  # which overlap
        longer, (len(leads), blocks, length), (longer.strides[0], step * longer.itemsize, longer.itemsize)
    )
    at_once = max(1, BLOCKS_AT_ONCE // max(1, len(leads)))
    for first in range(0, blocks, at_once):
        part = windows[:, first : first + at_once]
        out[:, first : first + at_once] = (part.reshape(-1, length) @ matrix).reshape(*part.shape[:2], block)
    return out.reshape(len(leads), -1)[:, :n_out]


@lru_cache(maxsize=8)
def _matrix(up: int, down: int) -> tuple[Array | None, int]:
    """From the samples of a block (length,) to its new ones (block,), and how many are from before the block's first.

    ``None`` where the matrix would be too large.
    """
    half = 10 * max(up, down)  # samples at the common multiple of both rates, as ``resample_poly`` has them
    block, before = up * -(-SHORTEST_BLOCK // up), half // up
    length = ((block - 1) * down + half) // up + before + 1
    if length * block > LARGEST_MATRIX:
        return None, before
    taps = _low_pass(max(up, down)) * up
    place = half + np.arange(block) * down - (np.arange(length)[:, None] - before) * up
    return np.where((place >= 0) & (place <= 2 * half), taps[np.clip(place, 0, 2 * half)], 0.0), before


@lru_cache(maxsize=4)
def _low_pass(ratio: int) -> Array:
    """The filter that ``resample_poly`` would design in every call: for 4999 to 5000 that takes longer than its use."""
    from scipy.signal import firwin

    taps: Array = firwin(20 * ratio + 1, 1 / ratio, window=("kaiser", 5.0))
    return taps
