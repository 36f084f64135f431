"""The rhythm of a recording: the type of each beat, and the probabilities of atrial fibrillation and flutter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..delineation.averaged_p import AveragedP, averaged_p
from ..delineation.features import FS_HZ
from ..delineation.fusion import row_medians
from ..delineation.types import Array, Boundaries
from ..small_arrays import median, quantile
from .ectopy import (
    SUPRAVENTRICULAR,
    VENTRICULAR,
    Comparison,
    beat_types,
    compare,
    resembling_paced,
    supraventricular_features,
    ventricular_features,
)
from .flutter import RegularWaves, regular_waves

Weights = Mapping[str, Mapping[str, float]]
MODEL = Path(__file__).parent / "weights" / "rhythm.json"
ATRIAL_LEADS = ("II", "III", "aVF", "V1")
ATRIAL = (
    "irregularity",
    "spread",
    "p_share",
    "p_clearness",
    "waves_explained",
    "waves_likeness",
    "waves_rate",
    "qrs_width",
)
MIN_INTERVALS, AT_ONCE = 2, 30  # intervals between usual beats; over more than 30 the rate itself changes
LAGS = (1, 2, 3)  # beats: in bigeminy (trigeminy) an interval resembles the second (third) one after it
P_IS_THE_RULE = 0.9  # share of beats with a P wave, from which flutter is not searched
USUAL_FLUTTER_BPM = 285.0
CLEARNESS = (1.0, 40.0)


class RhythmFeatures(NamedTuple):
    """Features from which the rhythm is classified.

    Attributes:
        beats: each beat compared with the usual one.
        ventricular: (beats, features), in the order of ``VENTRICULAR``.
        is_ventricular: (beats,).
        is_paced: (beats,).
        atrial: (8,), in the order of ``ATRIAL``; ``None`` with too few usual beats.
        waves: regular atrial waves; ``None`` where they were not searched or not found.
        averaged: P waves in the average beat.
    """

    beats: Comparison
    ventricular: Array
    is_ventricular: NDArray[np.bool_]
    is_paced: NDArray[np.bool_]
    atrial: Array | None
    waves: RegularWaves | None
    averaged: AveragedP | None


class Rhythm(NamedTuple):
    """The rhythm of a recording.

    Attributes:
        types: of each beat, as in ``Measurement.beats``.
        fibrillation: probability of atrial fibrillation; ``None`` with too few beats.
        flutter: probability of atrial flutter, likewise.
        flutter_bpm: rate of the atrial waves, where flutter is more probable than not.
        averaged: P waves in the average beat; ``None`` where there are none or the rhythm excludes them.
    """

    types: list[str]
    fibrillation: float | None
    flutter: float | None
    flutter_bpm: float | None
    averaged: AveragedP | None


def rhythm_features(
    signal: NDArray[np.floating[Any]],
    names: tuple[str, ...],
    found: Boundaries,
    edges: dict[str, Array],
    rr: Array,
    paced: NDArray[np.bool_],
    p_known: NDArray[np.bool_],
    present: NDArray[np.bool_] | None = None,
    weights: Weights | None = None,
) -> RhythmFeatures:
    """Compute the features from which the rhythm is classified.

    Args:
        signal: (usable leads, samples) at 250 Hz, mV.
        names: of these leads.
        found: boundaries per lead.
        edges: boundaries of every beat, from ``fuse``.
        rr: (beats - 1,) samples from beat to beat, NaN where there is a gap between them.
        paced: (beats,) whether the beat follows a pacing spike, from ``mark_paced``.
        p_known: (beats,) whether the recording shows if there is a P wave before the beat.
        present: (usable leads, samples), where a lead was recorded; ``None``: everywhere.
        weights: of the scores; ``None`` for the bundled ones.
    """
    of = compare(signal, found, rr, present)
    has_p = np.isfinite(edges["p_onset"])
    paced = resembling_paced(signal, found.beats, paced, present)
    beats = ventricular_features(of, has_p, found.beats, signal.shape[1])
    ventricular = (scores("ventricular", beats, weights) > 0) & ~paced
    averaged = averaged_p(signal, names, edges, of.rr, ~ventricular)
    atrial, waves = _atrial(signal, names, of, edges, ventricular, has_p & p_known, p_known, averaged)
    return RhythmFeatures(of, beats, ventricular, paced, atrial, waves, averaged)


def _atrial(
    signal: NDArray[np.floating[Any]],
    names: tuple[str, ...],
    of: Comparison,
    edges: dict[str, Array],
    ventricular: NDArray[np.bool_],
    has_p: NDArray[np.bool_],
    p_known: NDArray[np.bool_],
    averaged: AveragedP | None,
) -> tuple[Array | None, RegularWaves | None]:
    usual = ~ventricular
    rr = of.rr[usual & np.append(False, usual[:-1])]
    rr = rr[np.isfinite(rr)]
    if len(rr) < MIN_INTERVALS:
        return None, None
    middle = median(rr)
    steps = [median(np.abs(rr[lag:] - rr[:-lag])) for lag in LAGS if len(rr) > lag + 1]
    irregularity = min(steps, default=abs(float(rr[1] - rr[0]))) / middle
    parts = np.array_split(rr, len(rr) // AT_ONCE) if len(rr) >= 2 * AT_ONCE else [rr]
    spread = median(np.array([quantile(part, 0.75) - quantile(part, 0.25) for part in parts])) / middle
    share = float(has_p[p_known & usual].mean()) if (p_known & usual).any() else 0.0
    waves = None
    rows = [row for row, name in enumerate(names) if name in ATRIAL_LEADS]
    if share < P_IS_THE_RULE and rows:
        t_end = _median(edges["t_offset"] - edges["qrs_onset"])
        t_end = min(t_end if np.isfinite(t_end) else 0.4 * FS_HZ, 0.6 * middle)
        waves = regular_waves(signal[rows], edges["qrs_onset"], edges["qrs_offset"], t_end, usual)
    clearness = np.clip(averaged.clearness, *CLEARNESS) if averaged is not None else 2.0
    explained, lag_correlation = (waves.explained, waves.lag_correlation) if waves is not None else (0.0, 0.0)
    rate = 60.0 * waves.rate_hz if waves is not None else USUAL_FLUTTER_BPM
    features = (
        np.log(irregularity + 0.01),
        np.log(spread + 0.01),
        share,
        np.log(clearness),
        explained,
        lag_correlation,
        abs(rate - USUAL_FLUTTER_BPM) / 50.0,
        np.clip(_median(of.width_ms), 60.0, 200.0) / 30.0,
    )
    return np.array(features, np.float64), waves


def read_rhythm(of: RhythmFeatures, weights: Weights | None = None) -> Rhythm:
    """Classify the beats and the atrial rhythm.

    Args:
        of: from ``rhythm_features``.
        weights: of the scores; ``None`` for the bundled ones.
    """
    fibrillation = flutter = None
    if of.atrial is not None:
        fibrillation, flutter = atrial_probabilities(of.atrial[None], weights)[0].tolist()
    irregular = fibrillation is not None and flutter is not None and max(fibrillation, flutter) >= 0.5
    supraventricular = scores("supraventricular", supraventricular_features(of.beats, of.is_ventricular), weights) > 0
    supraventricular &= ~(of.is_ventricular | np.append(False, of.is_ventricular[:-1])) & (not irregular)
    types = beat_types(of.beats, of.is_ventricular, supraventricular, of.is_paced)
    rate_bpm = 60.0 * of.waves.rate_hz if of.waves is not None and flutter is not None and flutter >= 0.5 else None
    rr = of.beats.rr[np.isfinite(of.beats.rr)]
    averaged = of.averaged
    if averaged is not None and (irregular or of.is_paced.any() or not len(rr)):
        averaged = None
    if averaged is not None and not averaged.is_clear(60.0 * FS_HZ / median(rr), _median(of.beats.width_ms)):
        averaged = None
    return Rhythm(types, fibrillation, flutter, rate_bpm, averaged)


def scores(kind: str, features: Array, weights: Weights | None = None) -> Array:
    """Score each beat with the learned weights.

    Args:
        kind: ``"ventricular"`` or ``"supraventricular"``.
        features: (n, features) of that kind.
        weights: of the scores; ``None`` for the bundled ones.

    Returns:
        (n,); above 0 the beat is of that kind.
    """
    of_kind = (weights or _shipped())[kind]
    names = VENTRICULAR if kind == "ventricular" else SUPRAVENTRICULAR
    return np.asarray(of_kind["constant"] + features @ np.array([of_kind[name] for name in names]))


def atrial_probabilities(features: Array, weights: Weights | None = None) -> Array:
    """Probabilities of atrial fibrillation and flutter.

    Args:
        features: (n, 8), a row per recording, in the order of ``ATRIAL``.
        weights: of the model; ``None`` for the bundled ones.

    Returns:
        (n, 2): fibrillation, flutter.
    """
    loaded = weights or _shipped()
    by_kind = np.array([[loaded[kind][name] for name in ("constant", *ATRIAL)] for kind in ("fibrillation", "flutter")])
    logits = np.zeros((len(features), 3))
    logits[:, 1:] = by_kind[:, 0] + features @ by_kind[:, 1:].T
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds[:, 1:] / odds.sum(axis=1, keepdims=True))


@lru_cache(maxsize=1)
def _shipped() -> Weights:
    loaded: Weights = json.loads(MODEL.read_text(encoding="utf-8"))["weights"]
    return loaded


def _median(values: Array) -> float:
    return float(row_medians(values[None])[0])
