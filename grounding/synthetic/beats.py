"""Times of the ventricular and atrial beats of a synthetic recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Rhythm = Literal["sinus", "af", "flutter", "avb1", "avb2_wenckebach", "avb2_mobitz2", "avb3", "paced"]
Conduction = Literal["normal", "rbbb", "lbbb"]

RHYTHMS: tuple[str, ...] = ("sinus", "af", "flutter", "avb1", "avb2_wenckebach", "avb2_mobitz2", "avb3", "paced")


@dataclass(frozen=True)
class Beat:
    """One ventricular beat; times in s."""

    qrs_s: float
    kind: str
    qrs_ms: float
    qt_ms: float
    conduction: str
    pr_ms: float | None = None


def timing(
    rhythm: str,
    conduction: str,
    ectopy: tuple[str, int] | None,
    block: tuple[int, ...],
    rr_s: float,
    rr_sd_ms: float,
    pr: float,
    qrs: float,
    qt: float,
    duration_s: float,
    rng: np.random.Generator,
) -> tuple[list[Beat], list[tuple[int, float, bool]]]:
    """Times of beats and P waves.

    Args:
        rhythm: one of ``RHYTHMS``.
        conduction: ``normal``, ``rbbb`` or ``lbbb``.
        ectopy: kind (``pvc``, ``pac``) and period in beats.
        block: with flutter, its waves per beat, repeated.
        rr_s: mean RR interval, s.
        rr_sd_ms: its standard deviation.
        pr: PR interval, ms.
        qrs: QRS duration, ms.
        qt: QT interval, ms.
        duration_s: length of the recording.
        rng: source of randomness.

    Returns:
        The beats, and P waves as (beat or -1, onset in s, ectopic).
    """
    beats: list[Beat] = []
    p_waves: list[tuple[int, float, bool]] = []
    shortest = qt / 1000 + 0.02

    def step() -> float:
        if rhythm == "af":
            return max(shortest, float(rr_s * rng.gamma(25.0, 1 / 25.0)))
        if block:
            return rr_s * len(block) / sum(block) * block[count % len(block)]
        return max(shortest, float(rr_s + rng.normal(0, rr_sd_ms / 1000))) if rr_sd_ms else rr_s

    now = float(rng.uniform(0.25, 0.25 + rr_s)) - rr_s  # onset of the next QRS
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
            if rhythm == "af" and beats:  # right after the T of the beat before
                at = beats[-1].qrs_s + shortest
                now = max(now, at + 0.3 * rr_s)
            beats.append(Beat(at, "premature_ventricular", wide, min(qt + 50, 1250 * rr_s), "lbbb"))
            now += step()  # the sinus rhythm continues undisturbed: a full compensatory pause
            continue
        if early:
            now -= 0.3 * rr_s
            p_onset = now - pr / 1000
        beats.append(
            Beat(
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
