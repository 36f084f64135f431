"""Synthetic 12-lead ECGs whose every boundary is known exactly, for tests and for training delineators.

A dipole turns in the frontal and horizontal planes; every wave is a bump that is zero outside its onset and offset.
Noise is made at the nine electrodes, so that I + III = II, aVR = -(I + II) / 2 and the rest hold with and without it.
The shapes are our own and plain; they are not a model of the heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import EcgSignalError
from .record import MAX_FS_HZ, MIN_FS_HZ, STANDARD_LEADS, ECGRecord, canonical_lead

if TYPE_CHECKING:
    import pandas as pd

Rhythm = Literal["sinus", "af", "flutter", "avb1", "avb2_wenckebach", "avb2_mobitz2", "avb3", "paced"]
Conduction = Literal["normal", "rbbb", "lbbb"]
Array = NDArray[np.float64]

RHYTHMS: tuple[str, ...] = ("sinus", "af", "flutter", "avb1", "avb2_wenckebach", "avb2_mobitz2", "avb3", "paced")
MAX_SYNTHETIC_SAMPLES = 20_000_000

# Electrodes in the order RA LA LL V1..V6; each standard lead is a difference of them (Wilson's terminal is the limb
# electrodes' mean).
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
# The dipole has four parts: left and foot for the limb leads (Einthoven), front and left for the chest leads, which
# look along these angles of the horizontal plane (0 left, 90 front). The second "left" is apart from the first so that
# a frontal axis of -90 leaves V5 and V6 as they are.
_CHEST_DEG, _CHEST_GAIN = np.array([115, 90, 70, 50, 25, 0]), np.array([0.9, 1.3, 1.3, 1.25, 1.1, 0.9])
_LEAD_DEG = np.array([0, 60, 120, -150, -30, 90])
_LEAD_GAIN = np.array([1, 1, 1, 3**-0.5 * 1.5, 3**-0.5 * 1.5, 3**-0.5 * 1.5])
_DIPOLE = np.zeros((12, 4))
_DIPOLE[:6, 0] = _LEAD_GAIN * np.cos(np.deg2rad(_LEAD_DEG))
_DIPOLE[:6, 1] = _LEAD_GAIN * np.sin(np.deg2rad(_LEAD_DEG))
_DIPOLE[6:, 3] = _CHEST_GAIN * np.cos(np.deg2rad(_CHEST_DEG))
_DIPOLE[6:, 2] = _CHEST_GAIN * np.sin(np.deg2rad(_CHEST_DEG))


@dataclass(frozen=True, eq=False)
class Truth:
    """What is in a synthetic recording, exactly.

    Attributes:
        fs: Hz; positions below are samples at this rate, with fractions.
        waves: DataFrame, a row per wave: ``beat wave onset peak offset``; ``wave`` is ``P``, ``QRS`` or ``T``, ``peak``
            the largest dipole. The boundaries hold in every lead in which the wave shows. A P wave that is not
            conducted has ``beat`` -1. Waves cut by the recording's ends are left out.
        beat_types: per beat ``normal``, ``premature_ventricular``, ``premature_supraventricular``, ``escape`` or
            ``paced``.
        intervals: means in ms over the dominant beats: ``rr`` (over all beats) ``pr qrs qt p``, ``None`` where there is
            none.
        heart_rate: ventricular, bpm.
        axis: frontal QRS axis of the dominant beats, degrees.
        st_mv: ST level of the dominant beats in every lead, constant from the J point to the onset of T.
        rhythm, conduction: as asked for.
        spikes: samples at which pacing spikes begin.
        clean: (12, samples) mV without noise, mains and baseline.
    """

    fs: float
    waves: pd.DataFrame
    beat_types: tuple[str, ...]
    intervals: Mapping[str, float | None]
    heart_rate: float
    axis: float
    st_mv: Mapping[str, float]
    rhythm: str
    conduction: str
    spikes: NDArray[np.int64]
    clean: NDArray[np.float32]


@dataclass(frozen=True)
class _Beat:
    """One ventricular beat; times in s."""

    qrs_s: float
    kind: str
    qrs_ms: float
    qt_ms: float
    conduction: str
    pr_ms: float | None = None


def synthesize(
    rate_bpm: float | None = None,
    pr_ms: float | None = None,
    qrs_ms: float | None = None,
    qt_ms: float | None = None,
    axis_deg: float = 45.0,
    *,
    p_ms: float = 100.0,
    rhythm: Rhythm = "sinus",
    conduction: Conduction = "normal",
    ectopy: tuple[Literal["pvc", "pac"], int] | None = None,
    block: tuple[int, ...] = (),
    st_mv: Mapping[str, float] | None = None,
    rr_sd_ms: float = 0.0,
    noise_snr_db: float | None = None,
    mains_mv: float = 0.0,
    mains_hz: float = 50.0,
    baseline_mv: float = 0.0,
    fs: float = 500.0,
    duration_s: float = 10.0,
    seed: int = 0,
) -> tuple[ECGRecord, Truth]:
    """Make a 12-lead recording with exactly known contents.

    Args:
        rate_bpm: ventricular rate, 20-250; 70 by default, 40 for ``avb3``. With second-degree block, the atrial rate.
        pr_ms: PR interval; 160 by default, 240 for ``avb1``. The first one of a Wenckebach period, which then grows by
            60 and 30 ms.
        qrs_ms: QRS duration; 90 by default, 140 for blocks and escape beats, 160 when paced.
        qt_ms: QT interval; by default 400 ms at 60 bpm, following the cube root of RR, and longer by half of what a
            wide QRS adds.
        axis_deg: frontal QRS axis, -180 to 180 degrees.
        p_ms: P duration.
        rhythm: ``sinus``, ``af`` (irregular, fibrillation waves, no P), ``flutter`` (regular, saw-tooth near 300/min,
            no P), ``avb1``, ``avb2_wenckebach`` (4:3), ``avb2_mobitz2`` (3:2), ``avb3`` (escape rhythm, P waves on
            their own at 85/min), ``paced`` (ventricular, no P).
        conduction: ``normal``, ``rbbb`` or ``lbbb``.
        ectopy: ``("pvc", 4)`` makes every fourth beat a premature ventricular one, ``("pac", 4)`` an atrial one; sinus
            rhythms, ventricular ones in ``af`` too.
        block: with ``flutter``, how many of its waves go to one beat, over and over: ``(2, 4)`` alternates;
            ``rate_bpm`` is then the mean one. Always the same number, and a rate of the waves near 300/min, where it is
            empty.
        st_mv: ST level per lead, mV, e.g. ``{"II": 0.2, "III": 0.25}``; limb leads that are not named follow from lead
            algebra.
        rr_sd_ms: standard deviation of RR, ms, for the rhythms that have a regular one.
        noise_snr_db: white noise, as the ratio of the clean leads' mean variance to the noise's.
        mains_mv, mains_hz: mean amplitude over the leads, and frequency, of mains interference.
        baseline_mv: mean half span over the leads of a baseline wander below 0.5 Hz.
        fs: sampling rate, Hz.
        duration_s: length, s.
        seed: fixes everything that is random: RR, noise, and the shape of the waves (their sizes vary by about a
            fifth).

    Returns:
        The recording (12 standard leads, mV) and its truth.

    Raises:
        EcgSignalError: the values can't be had together, e.g. a QT longer than the RR interval.

    Example:
        >>> record, truth = synthesize(rate_bpm=60, pr_ms=200, axis_deg=-30)
        >>> record.n_leads, truth.intervals["pr"], truth.axis
        (12, 200.0, -30.0)
    """
    if rhythm not in RHYTHMS or conduction not in ("normal", "rbbb", "lbbb"):
        raise _bad(f"unknown rhythm {rhythm!r} or conduction {conduction!r}", f"rhythms: {', '.join(RHYTHMS)}")
    if not (MIN_FS_HZ <= fs <= MAX_FS_HZ and duration_s >= 1 and fs * duration_s <= MAX_SYNTHETIC_SAMPLES):
        raise _bad(f"{duration_s:g} s at {fs:g} Hz", f"take {MIN_FS_HZ:g}-{MAX_FS_HZ:g} Hz and 1 s or more")
    rate_bpm = rate_bpm if rate_bpm is not None else 40.0 if rhythm == "avb3" else 70.0
    if not 20 <= rate_bpm <= 250:
        raise _bad(f"a rate of {rate_bpm:g} bpm", "take 20-250")
    where = {"pvc": ("sinus", "avb1", "af"), "pac": ("sinus", "avb1")}
    if ectopy is not None and (rhythm not in where.get(ectopy[0], ()) or ectopy[1] < 2):
        raise _bad(
            f"ectopy {ectopy!r} with rhythm {rhythm!r}",
            "take ('pvc', n) or ('pac', n) with n >= 2, in sinus or avb1; ('pvc', n) in af too",
        )
    if block and (rhythm != "flutter" or min(block) < 1):
        raise _bad(f"block {block!r} with rhythm {rhythm!r}", "take whole numbers from 1, with flutter")
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise _bad(f"seed {seed!r}", "give a whole number of 0 or more") from None
    wide = conduction != "normal" or rhythm == "avb3"
    qrs = qrs_ms if qrs_ms is not None else 160.0 if rhythm == "paced" else 140.0 if wide else 90.0
    rr_s = 60 / rate_bpm
    qt = qt_ms if qt_ms is not None else 400.0 * rr_s ** (1 / 3) + 0.5 * max(0.0, qrs - 90)
    pr = pr_ms if pr_ms is not None else 240.0 if rhythm == "avb1" else 160.0
    shortest_rr_s = rr_s * len(block) * min(block) / sum(block) if block else rr_s
    if not 20 <= qrs <= 300 or qt < qrs + 120 or qt / 1000 >= shortest_rr_s or not 40 <= p_ms <= pr <= 600:
        raise _bad(
            f"RR {1000 * shortest_rr_s:.0f}, P {p_ms:g}, PR {pr:g}, QRS {qrs:g}, QT {qt:.0f} ms",
            "QRS is 20-300 ms, QT at least QRS + 120 and less than RR, P 40 ms to PR, PR at most 600",
        )
    waves_per_s = sum(block) / len(block) / rr_s if block else max(1, round(5.0 * rr_s)) / rr_s
    beats, p_onsets = _timing(rhythm, conduction, ectopy, block, rr_s, rr_sd_ms, pr, qrs, qt, duration_s, rng)
    shape = 1 + 0.2 * np.clip(rng.normal(size=12), -1.5, 1.5)
    st = _st_levels(st_mv or {})
    time = np.arange(round(fs * duration_s)) / fs
    dipole = np.zeros((len(time), 4))
    extra = np.zeros((12, len(time)))
    rows: list[tuple[int, str, float, float, float]] = []
    spikes = []
    for number, beat in enumerate(beats):
        peak = _add_qrs(dipole, time, fs, beat, axis_deg, shape)
        end = beat.qrs_s + beat.qrs_ms / 1000
        rows.append((number, "QRS", beat.qrs_s, peak, end))
        t_off = beat.qrs_s + beat.qt_ms / 1000
        t_on = max(end + 0.06, t_off - 0.19 * shape[4]) if beat.qt_ms - beat.qrs_ms > 120 else end + 0.06
        rows.append((number, "T", t_on, _add_t(dipole, time, fs, beat, t_on, t_off, axis_deg, shape), t_off))
        if beat.kind in ("normal", "paced", "escape"):
            _add_st(extra, time, fs, st, beat.qrs_s + 0.7 * beat.qrs_ms / 1000, end, t_on, t_off)
        if beat.kind == "paced":
            first = round((beat.qrs_s - 0.002) * fs)
            if 0 <= first < len(time):
                spikes.append(first)
    for number, onset, small in p_onsets:
        rows.append(
            (number, "P", onset, _add_p(dipole, time, fs, onset, p_ms / 1000, small, shape), onset + p_ms / 1000)
        )
    if rhythm in ("af", "flutter"):
        dipole += _atrial_waves(time, rhythm, waves_per_s, rng)
    clean = _DIPOLE @ dipole.T + extra
    for first in spikes:
        clean[:, first : first + max(1, round(0.002 * fs))] += (_DIPOLE @ np.array([-0.6, -0.9, -0.3, -0.6]))[:, None]
    signal = clean + _disturbances(clean, time, noise_snr_db, mains_mv, mains_hz, baseline_mv, rng)
    record = ECGRecord.from_array(
        signal,
        fs,
        STANDARD_LEADS,
        record_id=f"synthetic_{rhythm}_{seed}",
        meta={"synthetic": True, "format": "synthetic"},
    )
    truth = _truth(rows, beats, fs, len(time), axis_deg, st, rhythm, conduction, np.array(spikes, np.int64), clean)
    return record, truth


def _bad(what: str, remedy: str) -> EcgSignalError:
    return EcgSignalError(f"can't make {what}", where="synthesize", remedy=remedy)


def _timing(
    rhythm: str, conduction: str, ectopy: tuple[str, int] | None, block: tuple[int, ...], rr_s: float, rr_sd_ms: float, pr: float, qrs: float,
    qt: float, duration_s: float, rng: np.random.Generator,
) -> tuple[list[_Beat], list[tuple[int, float, bool]]]:  # fmt: skip
    """The beats, and P waves as (beat or -1, onset in s, ectopic)."""
    beats: list[_Beat] = []
    p_waves: list[tuple[int, float, bool]] = []
    shortest = qt / 1000 + 0.02

    def step() -> float:
        if rhythm == "af":
            return max(shortest, float(rr_s * rng.gamma(25.0, 1 / 25.0)))
        if block:
            return rr_s * len(block) / sum(block) * block[count % len(block)]
        return max(shortest, float(rr_s + rng.normal(0, rr_sd_ms / 1000))) if rr_sd_ms else rr_s

    now = float(rng.uniform(0.25, 0.25 + rr_s)) - rr_s  # QRS or, with block, conducted QRS onset
    kind = {"paced": "paced", "avb3": "escape"}.get(rhythm, "normal")
    shape = "lbbb" if rhythm == "paced" else conduction if rhythm != "avb3" or conduction != "normal" else "lbbb"
    has_p = rhythm in ("sinus", "avb1", "avb2_wenckebach", "avb2_mobitz2")
    count = 0
    while now < duration_s:
        count += 1
        turn = count % (4 if rhythm == "avb2_wenckebach" else 3 if rhythm == "avb2_mobitz2" else 1 << 30)
        longer = {2: 60.0, 3: 90.0}.get(turn, 0.0) if rhythm == "avb2_wenckebach" else 0.0
        p_onset = now - pr / 1000
        if rhythm.startswith("avb2") and turn == 0:  # the dropped beat
            p_waves.append((-1, p_onset, False))
            now += step()
            continue
        early = ectopy is not None and count % ectopy[1] == 0
        if early and ectopy is not None and ectopy[0] == "pvc":
            wide = max(150.0, qrs + 30)
            at = now - 0.35 * rr_s
            if rhythm == "af" and beats:  # after the T of the beat before, whenever the next would have come
                at = beats[-1].qrs_s + shortest
                now = max(now, at + 0.3 * rr_s)
            beats.append(_Beat(at, "premature_ventricular", wide, min(qt + 50, 1250 * rr_s), "lbbb"))
            now += step()  # the next sinus beat comes when it would have come: a full compensatory pause
            continue
        if early:
            now -= 0.3 * rr_s
            p_onset = now - pr / 1000
        beats.append(
            _Beat(
                now + longer / 1000,
                "premature_supraventricular" if early else kind,
                qrs,
                qt,
                shape,
                pr + longer if has_p else None,
            )
        )
        if has_p:
            p_waves.append((len(beats) - 1, p_onset, early))
        now += step()
    if rhythm == "avb3":
        atrial = 60 / 85
        onset = float(rng.uniform(0, atrial))
        while onset < duration_s:
            p_waves.append((-1, onset, False))
            onset += atrial
    return beats, p_waves


def _slice(time: Array, fs: float, start: float, end: float) -> slice:
    return slice(max(0, int(np.ceil(start * fs))), max(0, min(len(time), int(np.floor(end * fs)) + 1)))


def _bump(u: Array, start: float, end: float, power: float) -> Array:
    """sin^power between start and end, zero elsewhere."""
    inside = (u > start) & (u < end)
    return np.where(inside, np.sin(np.pi * np.clip((u - start) / (end - start), 0, 1)) ** power, 0.0)


def _add_qrs(dipole: Array, time: Array, fs: float, beat: _Beat, axis_deg: float, shape: Array) -> float:
    """Add one QRS; its waves lie along the axis, a sideways part without net area opens the loop. Returns the peak's time."""
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


def _add_t(
    dipole: Array, time: Array, fs: float, beat: _Beat, onset: float, offset: float, axis_deg: float, shape: Array
) -> float:
    """Add one T wave, skewed to the right; against the QRS where conduction is not normal."""
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


def _add_p(dipole: Array, time: Array, fs: float, onset: float, length: float, ectopic: bool, shape: Array) -> float:
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


def _add_st(
    extra: Array, time: Array, fs: float, st: Array, rise: float, j_point: float, t_on: float, t_off: float
) -> None:
    """Add the ST level: it rises in the last third of the QRS, is constant from J to the T onset and is gone at the T offset."""
    part = _slice(time, fs, rise, t_off)
    t = time[part]
    up = np.sin(0.5 * np.pi * np.clip((t - rise) / (j_point - rise), 0, 1)) ** 2
    down = np.cos(0.5 * np.pi * np.clip((t - t_on) / (t_off - t_on), 0, 1)) ** 2
    extra[:, part] += st[:, None] * (up * down)


def _atrial_waves(time: Array, rhythm: str, waves_per_s: float, rng: np.random.Generator) -> Array:
    """Fibrillation (wandering 5-8 Hz) or flutter (saw-tooth, n:1) as a dipole (samples, 4)."""
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


def _st_levels(st_mv: Mapping[str, float]) -> Array:
    """ST level of all twelve leads from the ones named."""
    named = {canonical_lead(name): float(value) for name, value in st_mv.items()}
    unknown = sorted(set(named) - set(STANDARD_LEADS))
    if unknown or not all(np.isfinite(value) for value in named.values()):
        raise _bad(f"ST levels {dict(st_mv)!r}", "name standard leads and finite mV")
    out = np.zeros(12)
    limb = [row for row in range(6) if STANDARD_LEADS[row] in named]
    if limb:
        # all limb leads follow from I and II
        basis = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
        wanted = np.array([named[STANDARD_LEADS[row]] for row in limb])
        solution = np.linalg.lstsq(basis[limb], wanted, rcond=None)[0]
        if np.abs(basis[limb] @ solution - wanted).max() > 1e-6:
            raise _bad(f"ST levels {dict(st_mv)!r}", "the limb leads' levels must obey I + III = II")
        out[:6] = basis @ solution
    for row in range(6, 12):
        out[row] = named.get(STANDARD_LEADS[row], 0.0)
    return out


def _disturbances(
    clean: Array,
    time: Array,
    snr_db: float | None,
    mains_mv: float,
    mains_hz: float,
    baseline_mv: float,
    rng: np.random.Generator,
) -> Array:
    """Noise, mains and baseline wander made at the electrodes."""
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


def _truth(
    rows: list[tuple[int, str, float, float, float]],
    beats: list[_Beat],
    fs: float,
    samples: int,
    axis_deg: float,
    st: Array,
    rhythm: str,
    conduction: str,
    spikes: NDArray[np.int64],
    clean: Array,
) -> Truth:
    import pandas as pd

    last = (samples - 1) / fs
    whole = [row for row in rows if row[2] >= 0 and row[4] <= last]
    # beats whose QRS is inside are numbered anew from 0
    kept = sorted(number for number, wave, *_ in whole if wave == "QRS")
    new = {number: index for index, number in enumerate(kept)}
    table = pd.DataFrame(
        [(new.get(n, -1), wave, a * fs, p * fs, b * fs) for n, wave, a, p, b in whole if wave == "P" or n in new],
        columns=["beat", "wave", "onset", "peak", "offset"],
    ).sort_values("onset", ignore_index=True)
    inside = [beats[number] for number in kept]
    main = [beat for beat in inside if beat.kind in ("normal", "paced", "escape")]
    rr = np.diff([beat.qrs_s for beat in inside]) * 1000
    prs = [beat.pr_ms for beat in main if beat.pr_ms is not None]
    p_length = [(b - a) * 1000 for _, wave, a, _, b in whole if wave == "P"]

    def mean(values: list[float] | NDArray[np.float64]) -> float | None:
        return round(float(np.mean(values)), 6) if len(values) else None

    intervals = {
        "rr": mean(rr),
        "pr": mean(prs),
        "qrs": mean([b.qrs_ms for b in main]),
        "qt": mean([b.qt_ms for b in main]),
        "p": mean(p_length),
    }
    rate = 60_000 / intervals["rr"] if intervals["rr"] else float("nan")
    return Truth(
        fs=fs,
        waves=table,
        beat_types=tuple(beat.kind for beat in inside),
        intervals=intervals,
        heart_rate=rate,
        axis=float((axis_deg + 180) % 360 - 180),
        st_mv=dict(zip(STANDARD_LEADS, st.tolist(), strict=True)),
        rhythm=rhythm,
        conduction=conduction,
        spikes=spikes,
        clean=clean.astype(np.float32),
    )
