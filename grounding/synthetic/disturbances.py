"""Noise, mains and baseline wander, which arise at the electrodes of a synthetic recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Electrodes in the order RA LA LL V1..V6. Each row is a standard lead, a difference between electrodes (Wilson's
# central terminal is the mean of the limb electrodes).
_W = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0]) / 3
_ELECTRODES = np.array(
    [
        [-1, 1, 0, *[0] * 6],
        [-1, 0, 1, *[0] * 6],
        [0, -1, 1, *[0] * 6],
        [1, -0.5, -0.5, *[0] * 6],
        [-0.5, 1, -0.5, *[0] * 6],
        [-0.5, -0.5, 1, *[0] * 6],
        *[np.eye(9)[3 + k] - _W for k in range(6)],
    ]
)


def disturbances(
    clean: Array,
    time: Array,
    snr_db: float | None,
    mains_mv: float,
    mains_hz: float,
    baseline_mv: float,
    rng: np.random.Generator,
) -> Array:
    """Noise, mains and baseline wander, generated at the electrodes.

    Args:
        clean: (12, samples), mV.
        time: (samples,), s.
        snr_db: ratio of the clean leads' mean variance to the noise's; ``None`` for no noise.
        mains_mv: mean amplitude of mains over the leads.
        mains_hz: its frequency.
        baseline_mv: mean half range of baseline wander over the leads.
        rng: source of randomness.

    Returns:
        (12, samples), mV.
    """
    total = np.zeros_like(clean)
    if snr_db is not None:
        noise = _ELECTRODES @ rng.normal(size=(9, len(time)))
        total += noise * np.sqrt(clean.var(axis=1).mean() / noise.var(axis=1).mean() / 10 ** (snr_db / 10))
    if mains_mv:
        phases = rng.uniform(0, 2 * np.pi, (9, 1))
        hum = _ELECTRODES @ np.sin(2 * np.pi * mains_hz * time + phases)
        total += hum * mains_mv / (np.sqrt(2) * hum.std(axis=1).mean())
    if baseline_mv:
        slow = sum(
            rng.uniform(0.3, 1, (9, 1))
            * np.sin(2 * np.pi * rng.uniform(0.05, 0.5, (9, 1)) * time + rng.uniform(0, 6.3, (9, 1)))
            for _ in range(3)
        )
        wander = _ELECTRODES @ slow
        total += wander * baseline_mv / (0.5 * np.ptp(wander, axis=1).mean())
    return np.asarray(total, dtype=np.float64)
