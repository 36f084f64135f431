"""Resampling in blocks against SciPy's."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import resample_poly

from grounding import read_record, sample_path
from grounding.resampling import resampled


@pytest.mark.parametrize("fs", [100, 128, 360, 499.9, 977, 1000])
@pytest.mark.parametrize("samples", [2, 37, 5000])
def test_it_is_scipys_polyphase_filter(fs: float, samples: int) -> None:
    leads = read_record(sample_path()).signal[:3, :samples].astype(np.float64)
    ratio = Fraction(250 / fs).limit_denominator(10_000)
    want = resample_poly(leads, ratio.numerator, ratio.denominator, axis=1, window=("kaiser", 5.0), padtype="line")
    got = resampled(leads, ratio)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)


def test_a_single_sample_stays_what_it_is() -> None:
    assert resampled(np.array([[0.7]]), Fraction(2)).shape == (1, 2)
