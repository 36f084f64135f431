"""``synthesize``: a 12-lead recording with exactly known contents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgSignalError
from ..record import MAX_FS_HZ, MIN_FS_HZ, STANDARD_LEADS, ECGRecord, canonical_lead
from .beats import RHYTHMS, Conduction, Rhythm, timing
from .disturbances import disturbances
from .truth import Truth, truth_of
from .waves import DIPOLE, add_p, add_qrs, add_st, add_t, atrial_waves

Array = NDArray[np.float64]
MAX_SYNTHETIC_SAMPLES = 20_000_000


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
            no P), ``avb1``, ``avb2_wenckebach`` (4:3), ``avb2_mobitz2`` (3:2), ``avb3`` (escape rhythm, independent P
            waves at 85/min), ``paced`` (ventricular, no P).
        conduction: ``normal``, ``rbbb`` or ``lbbb``.
        ectopy: ``("pvc", 4)`` makes every fourth beat a premature ventricular one, ``("pac", 4)`` an atrial one; sinus
            rhythms, ventricular ones in ``af`` too.
        block: with ``flutter``, the number of flutter waves per beat, repeated: ``(2, 4)`` alternates between 2:1 and
            4:1, and ``rate_bpm`` is the mean rate. If empty, the number is constant, for a flutter rate near 300/min.
        st_mv: ST level per lead, mV, e.g. ``{"II": 0.2, "III": 0.25}``; limb leads that are not named follow from lead
            algebra.
        rr_sd_ms: standard deviation of RR, ms, in the regular rhythms.
        noise_snr_db: white noise, as the ratio of the clean leads' mean variance to the noise's.
        mains_mv: mean amplitude of mains interference over the leads.
        mains_hz: its frequency.
        baseline_mv: mean half range over the leads of a baseline wander below 0.5 Hz.
        fs: sampling rate, Hz.
        duration_s: length, s.
        seed: of everything that is random: RR, noise, and the shape of the waves (their sizes vary by about a fifth).

    Returns:
        The recording (12 standard leads, mV) and its truth.

    Raises:
        EcgSignalError: the values exclude each other, e.g. a QT longer than the RR interval.

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
    beats, p_onsets = timing(rhythm, conduction, ectopy, block, rr_s, rr_sd_ms, pr, qrs, qt, duration_s, rng)
    shape = 1 + 0.2 * np.clip(rng.normal(size=12), -1.5, 1.5)
    st = _st_levels(st_mv or {})
    time = np.arange(round(fs * duration_s)) / fs
    dipole = np.zeros((len(time), 4))
    extra = np.zeros((12, len(time)))
    rows: list[tuple[int, str, float, float, float]] = []
    spikes = []
    for number, beat in enumerate(beats):
        peak = add_qrs(dipole, time, fs, beat, axis_deg, shape)
        end = beat.qrs_s + beat.qrs_ms / 1000
        rows.append((number, "QRS", beat.qrs_s, peak, end))
        t_off = beat.qrs_s + beat.qt_ms / 1000
        t_on = max(end + 0.06, t_off - 0.19 * shape[4]) if beat.qt_ms - beat.qrs_ms > 120 else end + 0.06
        rows.append((number, "T", t_on, add_t(dipole, time, fs, beat, t_on, t_off, axis_deg, shape), t_off))
        if beat.kind in ("normal", "paced", "escape"):
            add_st(extra, time, fs, st, beat.qrs_s + 0.7 * beat.qrs_ms / 1000, end, t_on, t_off)
        if beat.kind == "paced":
            first = round((beat.qrs_s - 0.002) * fs)
            if 0 <= first < len(time):
                spikes.append(first)
    for number, onset, small in p_onsets:
        rows.append(
            (number, "P", onset, add_p(dipole, time, fs, onset, p_ms / 1000, small, shape), onset + p_ms / 1000)
        )
    if rhythm in ("af", "flutter"):
        dipole += atrial_waves(time, rhythm, waves_per_s, rng)
    clean = DIPOLE @ dipole.T + extra
    for first in spikes:
        clean[:, first : first + max(1, round(0.002 * fs))] += (DIPOLE @ np.array([-0.6, -0.9, -0.3, -0.6]))[:, None]
    signal = clean + disturbances(clean, time, noise_snr_db, mains_mv, mains_hz, baseline_mv, rng)
    record = ECGRecord.from_array(
        signal,
        fs,
        STANDARD_LEADS,
        record_id=f"synthetic_{rhythm}_{seed}",
        meta={"synthetic": True, "format": "synthetic"},
    )
    truth = truth_of(rows, beats, fs, len(time), axis_deg, st, rhythm, conduction, np.array(spikes, np.int64), clean)
    return record, truth


def _bad(what: str, remedy: str) -> EcgSignalError:
    return EcgSignalError(f"can't make {what}", where="synthesize", remedy=remedy)


def _st_levels(st_mv: Mapping[str, float]) -> Array:
    """ST level of all twelve leads (12,), mV, from the named ones."""
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
