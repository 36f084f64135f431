"""What the learned delineator sees: each lead at 250 Hz, scaled, beside two channels that all leads share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, iirnotch, sosfiltfilt

from ..record import lead_groups

FS_HZ = 250.0
_BAND = butter(2, (0.5, 40.0), btype="bandpass", fs=FS_HZ, output="sos")
MAINS_HZ, MAINS_Q = (50.0, 60.0), 30.0
BLOCK = int(10 * FS_HZ)  # samples: long recordings are scaled by stretches of 10 s, wherever they are cut into windows
LEAST_OF_USUAL = 0.05  # a stretch without a signal is not blown up to the size of the others


def without_mains(lead: NDArray[np.float32]) -> NDArray[np.float32]:
    """A lead (samples,) at 250 Hz in which mains was found, with 50 or 60 Hz, whichever is stronger, taken out (2 Hz wide, no delay)."""
    second = min(len(lead), int(FS_HZ))  # mains drifts: its phase holds for a second, not for an hour
    parts = lead[: len(lead) // second * second].reshape(-1, second)
    turns = np.outer(np.arange(second) / FS_HZ, MAINS_HZ)
    strength = np.abs(parts @ np.exp(-2j * np.pi * turns)).sum(axis=0)
    b, a = iirnotch(MAINS_HZ[int(np.argmax(strength))], MAINS_Q, FS_HZ)
    out: NDArray[np.float32] = filtfilt(b, a, lead, padlen=min(250, len(lead) - 1)).astype(np.float32)
    return out


def net_input(signal: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Channels for the network.

    Args:
        signal: (leads, samples) at 250 Hz, any unit, without NaN; a lead of zeros counts as missing.

    Returns:
        float32 (leads, 3, samples): the band-passed lead, the RMS over leads, the spatial velocity; each scaled robustly.
    """
    lead, _, shared = channels(signal)
    return stacked(lead, shared)


def stacked(lead: NDArray[np.float32], shared: NDArray[np.float32]) -> NDArray[np.float32]:
    """``net_input`` out of its parts."""
    out = np.empty((len(lead), 3, lead.shape[1]), np.float32)
    out[:, 0] = lead
    out[:, 1:] = shared
    return out


def channels(
    signal: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The parts of ``net_input``: scaled leads (leads, samples), their RMS (samples,) before scaling, RMS and velocity scaled (2, samples)."""
    n = signal.shape[1]
    lead = np.empty(signal.shape, np.float32)
    for rows in lead_groups(*signal.shape):
        lead[rows] = sosfiltfilt(_BAND, signal[rows], axis=1, padtype="odd", padlen=min(500, n - 1))
    alive = np.any(signal != 0, axis=1)
    _scale(lead)
    shared = np.zeros((2, n), np.float32)
    used = np.flatnonzero(alive) if alive.any() else np.arange(len(lead))
    for row in used:
        shared[0] += np.square(lead[row])
        shared[1] += np.square(_slope(lead[row]))
    shared /= np.float32(max(len(used), 1))
    np.sqrt(shared, out=shared)
    rms = shared[0].copy()
    _scale(shared)
    return lead, rms, shared


def _slope(lead: NDArray[np.float32]) -> NDArray[np.float32]:
    """``np.gradient``, without its checks."""
    out = np.zeros_like(lead)
    if len(lead) > 1:
        out[1:-1] = (lead[2:] - lead[:-2]) * np.float32(0.5)
        out[0], out[-1] = lead[1] - lead[0], lead[-1] - lead[-2]
    return out


def _scale(x: NDArray[np.float32]) -> None:
    """Divide (rows, samples) in place by a spread that one big beat or artefact does not move: half the 98th percentile of |x|.

    One spread for each 10 s, with straight lines between their middles; a recording under 20 s has one.
    """
    n = x.shape[1]
    begins = np.arange(max(1, n // BLOCK)) * BLOCK
    ends = np.append(begins[1:], n)
    spread = np.stack([_percentile(x[:, a:b]) for a, b in zip(begins, ends, strict=True)], axis=1)
    if len(begins) == 1:
        x /= np.maximum(spread, 1e-9) / 2.0
        return
    spread = np.maximum(spread, LEAST_OF_USUAL * np.median(spread, axis=1, keepdims=True))
    at = np.arange(n)
    for row, lead in enumerate(x):
        lead /= np.interp(at, (begins + ends) / 2, np.maximum(spread[row], 1e-9) / 2.0)


def _percentile(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 98th percentile of |x| along the last axis, as NumPy's own, in a fifth of the time."""
    place = 0.98 * (x.shape[1] - 1)
    low = int(place)
    high = min(low + 1, x.shape[1] - 1)
    ordered = np.partition(np.abs(x), (low, high), axis=1)
    found: NDArray[np.float32] = ordered[:, low] + np.float32(place - low) * (ordered[:, high] - ordered[:, low])
    return found
