"""The waves of a synthetic recording, as a dipole and its projection on the leads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .beats import Beat

Array = NDArray[np.float64]

# The dipole has four components: left and foot for the limb leads (Einthoven), front and left for the chest leads,
# whose directions are these angles in the horizontal plane (0 left, 90 front). The two "left" components are separate,
# so that a frontal axis of -90 does not change V5 and V6.
_CHEST_DEG, _CHEST_GAIN = np.array([115, 90, 70, 50, 25, 0]), np.array([0.9, 1.3, 1.3, 1.25, 1.1, 0.9])
_LEAD_DEG = np.array([0, 60, 120, -150, -30, 90])
_LEAD_GAIN = np.array([1, 1, 1, 3**-0.5 * 1.5, 3**-0.5 * 1.5, 3**-0.5 * 1.5])
DIPOLE = np.zeros((12, 4))
DIPOLE[:6, 0] = _LEAD_GAIN * np.cos(np.deg2rad(_LEAD_DEG))
DIPOLE[:6, 1] = _LEAD_GAIN * np.sin(np.deg2rad(_LEAD_DEG))
DIPOLE[6:, 3] = _CHEST_GAIN * np.cos(np.deg2rad(_CHEST_DEG))
DIPOLE[6:, 2] = _CHEST_GAIN * np.sin(np.deg2rad(_CHEST_DEG))


def _slice(time: Array, fs: float, start: float, end: float) -> slice:
    return slice(max(0, int(np.ceil(start * fs))), max(0, min(len(time), int(np.floor(end * fs)) + 1)))


def _bump(u: Array, start: float, end: float, power: float) -> Array:
    """sin(x) ** power between start and end, zero elsewhere."""
    inside = (u > start) & (u < end)
    return np.where(inside, np.sin(np.pi * np.clip((u - start) / (end - start), 0, 1)) ** power, 0.0)


def add_qrs(dipole: Array, time: Array, fs: float, beat: Beat, axis_deg: float, shape: Array) -> float:
    """Add one QRS along the axis, with a perpendicular part without net area, which opens the loop.

    Args:
        dipole: (samples, 4), changed in place.
        time: (samples,), s.
        fs: Hz.
        beat: its time, width and conduction.
        axis_deg: frontal axis.
        shape: (12,) factors of the wave sizes, about 1.

    Returns:
        Time of the peak, s.
    """
    length = beat.qrs_ms / 1000
    part = _slice(time, fs, beat.qrs_s, beat.qrs_s + length)
    angle = np.deg2rad(axis_deg if beat.kind != "premature_ventricular" else axis_deg + 120)
    size = shape[0] * (1.5 if beat.kind == "premature_ventricular" else 1.0)

    def waves(u: Array) -> tuple[Array, Array, Array]:
        side = 0.18 * shape[1] * (_bump(u, 0, 0.5, 1.5) - _bump(u, 0.5, 1, 1.5))
        if beat.conduction == "rbbb":
            along = -0.08 * _bump(u, 0, 0.2, 1.2) + 1.1 * _bump(u, 0.1, 0.55, 1.5) - 0.35 * _bump(u, 0.5, 1, 1.2)
            front = (
                0.35 * _bump(u, 0, 0.3, 1.2) - 0.6 * _bump(u, 0.2, 0.55, 1.5) + 0.9 * shape[2] * _bump(u, 0.45, 1, 1.2)
            )
        elif beat.conduction == "lbbb":
            along = 0.9 * _bump(u, 0, 0.6, 1.2) + 0.9 * _bump(u, 0.35, 1, 1.2)
            front = 0.1 * _bump(u, 0, 0.15, 1.2) - 1.3 * shape[2] * _bump(u, 0.08, 1, 1.2)
        else:
            along = (
                -0.12 * shape[3] * _bump(u, 0, 0.3, 1.2)
                + 1.3 * _bump(u, 0.2, 0.75, 1.5)
                - 0.18 * _bump(u, 0.65, 1, 1.2)
            )
            front = 0.45 * _bump(u, 0, 0.45, 1.2) - 1.0 * shape[2] * _bump(u, 0.35, 1, 1.2)
        return size * along, size * side, size * front

    along, side, front = waves((time[part] - beat.qrs_s) / length)
    left = 0.8 * along if beat.kind != "premature_ventricular" else -0.4 * along
    frontal = [along * np.cos(angle) - side * np.sin(angle), along * np.sin(angle) + side * np.cos(angle)]
    dipole[part] += np.stack([*frontal, front, left], axis=1)
    grid = np.linspace(0, 1, 101)
    return float(beat.qrs_s + length * grid[np.argmax(sum(part**2 for part in waves(grid)))])


def add_t(
    dipole: Array, time: Array, fs: float, beat: Beat, onset: float, offset: float, axis_deg: float, shape: Array
) -> float:
    """Add one T wave, skewed to the right; opposite to the QRS in left bundle branch block.

    Args:
        dipole: (samples, 4), changed in place.
        time: (samples,), s.
        fs: Hz.
        beat: its kind and conduction.
        onset: s.
        offset: s.
        axis_deg: frontal axis of the QRS.
        shape: (12,) factors of the wave sizes, about 1.

    Returns:
        Time of the peak, s.
    """
    part = _slice(time, fs, onset, offset)
    wide = beat.conduction != "normal"
    angle = np.deg2rad(axis_deg + 180 if wide and beat.conduction == "lbbb" else 0.5 * (axis_deg + 45))
    if beat.kind == "premature_ventricular":
        angle = np.deg2rad(axis_deg - 60)
    height = 0.3 * shape[5] * (1.2 if wide else 1.0)
    front, left = {"rbbb": (-0.3, 0.7), "lbbb": (1.2, -0.6)}.get(beat.conduction, (0.8, 0.8))
    vector = height * np.array([np.cos(angle), np.sin(angle), front, left])
    skew = 1.25
    u = np.clip((time[part] - onset) / (offset - onset), 0, 1) ** skew
    dipole[part] += _bump(u, 0, 1, 1.6)[:, None] * vector
    return float(onset + (offset - onset) * 0.5 ** (1 / skew))


def add_p(dipole: Array, time: Array, fs: float, onset: float, length: float, ectopic: bool, shape: Array) -> float:
    """Add one P wave.

    Args:
        dipole: (samples, 4), changed in place.
        time: (samples,), s.
        fs: Hz.
        onset: s.
        length: s.
        ectopic: smaller, and with another axis.
        shape: (12,) factors of the wave sizes, about 1.

    Returns:
        Time of the peak, s.
    """
    part = _slice(time, fs, onset, onset + length)
    u = (time[part] - onset) / length
    bump = _bump(u, 0, 1, 1.4)
    size = 0.13 * shape[6] * (0.8 if ectopic else 1.0)
    angle = np.deg2rad(20.0 if ectopic else 55.0)
    dipole[part, 0] += size * np.cos(angle) * bump
    dipole[part, 1] += size * np.sin(angle) * bump
    dipole[part, 3] += 0.6 * size * bump
    dipole[part, 2] += 0.6 * size * (_bump(u, 0, 0.6, 1.4) - 0.7 * _bump(u, 0.4, 1, 1.4))
    return float(onset + length / 2)


def add_st(
    extra: Array, time: Array, fs: float, st: Array, rise: float, j_point: float, t_on: float, t_off: float
) -> None:
    """Add the ST level, which is constant from the J point to the T onset and returns to zero at the T offset.

    Args:
        extra: (12, samples), mV, changed in place.
        time: (samples,), s.
        fs: Hz.
        st: (12,) ST level of each lead, mV.
        rise: where it begins, inside the QRS, s.
        j_point: s.
        t_on: onset of T, s.
        t_off: offset of T, s.
    """
    part = _slice(time, fs, rise, t_off)
    t = time[part]
    up = np.sin(0.5 * np.pi * np.clip((t - rise) / (j_point - rise), 0, 1)) ** 2
    down = np.cos(0.5 * np.pi * np.clip((t - t_on) / (t_off - t_on), 0, 1)) ** 2
    extra[:, part] += st[:, None] * (up * down)


def atrial_waves(time: Array, rhythm: str, waves_per_s: float, rng: np.random.Generator) -> Array:
    """Fibrillatory waves (5-8 Hz with a drifting phase) or flutter waves (saw-tooth).

    Args:
        time: (samples,), s.
        rhythm: ``af`` or ``flutter``.
        waves_per_s: rate of flutter waves.
        rng: source of randomness.

    Returns:
        Dipole (samples, 4).
    """
    if rhythm == "flutter":
        phase = (time * waves_per_s + rng.uniform()) % 1.0
        saw = np.where(phase < 0.7, phase / 0.7, (1 - phase) / 0.3) - 0.5
        return np.asarray(0.2 * saw[:, None] * np.array([-0.2, -1.0, 0.5, -0.2]), dtype=np.float64)
    out = np.zeros((len(time), 4))
    for _ in range(3):
        wander = np.interp(
            time, np.arange(0, time[-1] + 2, 1.0), rng.normal(size=int(time[-1] + 2) + 1)[: int(np.ceil(time[-1] + 2))]
        )
        wave = np.sin(2 * np.pi * rng.uniform(5, 8) * time + 1.5 * wander + rng.uniform(0, 6.3))
        out += 0.03 * wave[:, None] * rng.normal([0.2, 0.6, 1.0, 0.2], 0.2)
    return out
