"""measure: from an ECGRecord to a Measurement. Values or reasons; nothing is clipped to plausibility."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..delineation import delineators
from ..delineation.averaged_p import add_p_waves
from ..delineation.existence import drop_faint
from ..delineation.features import FS_HZ, without_mains
from ..delineation.fusion import agree, alike, beat_shapes, fuse, steepness
from ..delineation.learned import WEIGHTS
from ..delineation.paced import mark_paced
from ..delineation.types import Array, Boundaries
from ..errors import EcgSignalError
from ..processes import end_with_parent
from ..record import ECGRecord, fill_missing
from ..signal.gaps import Spans, crosses, hidden, presence
from ..signal.quality import examined, typical_gain
from .assembly import Assembly, nothing
from .atrial import p_known
from .result import Measurement
from .rhythm import RhythmFeatures, Weights, read_rhythm, rhythm_features
from .second_opinion import other_delineator, uncertainty_ms

Signal = NDArray[np.float32]

MIN_DURATION_S = 1.0
LEAST_ALIKE, ENOUGH_BEATS = 0.1, 5
LEAST_STEEP = 1.3
# Standard deviation of a lead that carries no voltage: z-scored copies of 45 PTB-XL recordings then get the QRS and QT
# of the originals (0.5 and -0.2 ms more on average); their own median lead has 0.15 mV.
USUAL_MV = 0.12
NOTCHED_MV = 0.01  # mains; 99 % of the leads of LUDB, PTB-XL and CinC Challenge have less than 0.0085


def measure(record: ECGRecord, delineator: str = "auto", second_opinion: bool = False) -> Measurement:
    """Measure a recording.

    Args:
        record: any leads, any rate; ``record.meta["age"]`` and ``["sex"]`` are carried over.
        delineator: a name in ``delineators``; ``"auto"`` takes ``learned`` where its weights are, else ``classical``.
        second_opinion: measure with the other of ``learned`` and ``classical`` too, and give each interval the
            ``uncertainty`` that their difference tells. It takes about a second for ten.

    Returns:
        Measurement. What can't be measured is ``None`` with an entry in ``reasons``; a record in which no beat is found
        is a result too.

    Raises:
        EcgRegistryError: no delineator has that name.
        EcgSignalError: this is no ECGRecord.
        EcgError: ``second_opinion`` is asked of another delineator than these two, or the learned one has no weights.

    Example:
        >>> from grounding import measure, read_record, sample_path
        >>> m = measure(read_record(sample_path()))
        >>> m.intervals["qt"] > m.intervals["qrs"] > 0
        True
    """
    name = ("learned" if WEIGHTS.is_file() else "classical") if delineator == "auto" else delineator
    if not second_opinion:
        return _measured(record, name)
    other = other_delineator(name)
    first = _measured(record, name)
    if not len(first.beats):
        return first
    return replace(first, uncertainty=uncertainty_ms(name, first.intervals, _measured(record, other).intervals))


def _measured(record: ECGRecord, delineator: str) -> Measurement:
    reading = bounded(record, delineator)
    if isinstance(reading, Measurement):
        return reading
    rhythm = read_rhythm(features_of_rhythm(reading))
    if rhythm.averaged is not None and "p" not in reading.faint:
        add_p_waves(
            rhythm.averaged, reading.found, reading.extents, reading.signal, np.asarray(reading.there.any(axis=1))
        )
    return Assembly(
        record,
        reading.signal,
        reading.there,
        reading.quality,
        reading.issues,
        reading.found,
        reading.extents,
        reading.delineator,
        rhythm,
        reading.p_known,
        reading.rr,
        reading.dark,
        reading.faint,
    ).result()


class Delineated(NamedTuple):
    """A recording with the boundaries of its waves.

    ``signal`` (leads, samples) at 250 Hz and ``there``, where each lead can be used; ``found``, boundaries per lead,
    and ``extents``, of all leads together; ``rr`` (beats - 1,) samples, NaN where something between two beats is
    missing; ``paced`` (beats,) those that follow a spike; ``p_known`` (beats,) those before which a P wave can be seen;
    ``dark``, stretches without any lead; ``faint``, why there is no such wave.
    """

    record: ECGRecord
    quality: Any
    issues: tuple[str, ...]
    delineator: str
    signal: Signal
    there: NDArray[np.bool_]
    found: Boundaries
    extents: dict[str, Array]
    rr: Array
    paced: NDArray[np.bool_]
    p_known: NDArray[np.bool_]
    dark: Spans
    faint: dict[str, str]


def features_of_rhythm(reading: Delineated, weights: Weights | None = None) -> RhythmFeatures:
    """``rhythm_features`` of a recording, with weights other than the shipped ones where they are given."""
    usable = np.asarray(reading.there.any(axis=1))
    names = tuple(lead for lead, used in zip(reading.record.leads, usable, strict=True) if used)
    signal, there = reading.signal, reading.there
    if not usable.all():
        signal, there = signal[usable], there[usable]
    return rhythm_features(
        signal,
        names,
        reading.found,
        reading.extents,
        reading.rr,
        reading.paced,
        reading.p_known,
        None if there.all() else there,
        weights,
    )


def bounded(record: ECGRecord, delineator: str = "auto") -> Delineated | Measurement:
    """The boundaries of a recording's waves; a Measurement without values where there are none to be found.

    Args:
        record, delineator: as in ``measure``.
    """
    if not isinstance(record, ECGRecord):
        raise EcgSignalError(
            f"the record is {type(record).__name__}", remedy="pass what grounding.read_record(path) gives"
        )
    name = ("learned" if WEIGHTS.is_file() else "classical") if delineator == "auto" else delineator
    run = delineators[name]
    quality, issues, mains_mv, spikes, bad = examined(record)
    usable = np.asarray(quality["usable"], bool)
    if record.duration_s < MIN_DURATION_S or not usable.any():
        short = record.duration_s < MIN_DURATION_S
        why = (
            f"the record is {record.duration_s:.2g} s long" if short else "no lead is good enough: " + _issues(quality)
        )
        return nothing(record, quality, issues, why)
    signal = record.resample(FS_HZ).signal
    if signal is record.signal or not np.isfinite(signal).all():
        signal = fill_missing(signal)  # a copy, in which short gaps are bridged
    there = presence(bad, signal.shape[1], FS_HZ / record.fs)
    there[~usable] = False
    whole = bool(there[usable].all())
    signal -= np.stack(
        [np.median(lead if whole else _some(lead, part)) for lead, part in zip(signal, there, strict=True)]
    )[:, None]
    signal[~usable] = 0.0
    for row in np.flatnonzero(usable & (mains_mv > NOTCHED_MV)):
        signal[row] = without_mains(signal[row])
    in_mv = signal if record.has_millivolts else signal * np.float32(typical_gain(record, USUAL_MV))
    found = run(in_mv if whole else np.where(there, in_mv, np.float32(np.nan)))
    if len(found.beats) == 0:
        return nothing(record, quality, issues, "no QRS complex was found")
    leads, there_of_leads = (in_mv, there) if usable.all() else (in_mv[usable], there[usable])
    shapes = beat_shapes(leads, found.beats, None if whole else there_of_leads)
    noise = _what_is_noise(leads, found.beats, shapes)
    if noise is not None:
        return nothing(record, quality, issues, noise)
    noisy = [bool({"noise", "heavy_noise"} & set(row)) for row in quality["issues"][usable]]
    dark = hidden(there, FS_HZ)
    rr = np.where(crosses(found.beats[:-1], found.beats[1:], dark), np.nan, np.diff(found.beats))
    extents = fuse(found, leads, rr, there_of_leads[:, found.beats].sum(axis=0), noisy=float(np.mean(noisy)) >= 0.5)
    found = agree(found, extents)
    faint = drop_faint(found, extents, leads, there_of_leads)
    paced = mark_paced(found, extents, np.asarray(spikes * (FS_HZ / record.fs), np.float64))
    return Delineated(
        record, quality, issues, name, signal, there, found, extents, rr, paced, p_known(extents, dark), dark, faint
    )


def _some(lead: Signal, there: NDArray[np.bool_]) -> Signal:
    """What is there of a lead; all of it where nothing is."""
    return lead[there] if there.any() else lead


def _what_is_noise(leads: Signal, beats: NDArray[np.intp], shapes: Signal) -> str | None:
    """Why what looks like beats is none, or ``None``: noise is as steep elsewhere, and does not look alike from beat to beat."""
    if len(shapes) < ENOUGH_BEATS and steepness(leads, beats) < LEAST_STEEP:
        return "what looks like a beat is no steeper than the rest: it is noise"
    if len(shapes) >= ENOUGH_BEATS and alike(shapes) < LEAST_ALIKE and steepness(leads, beats) < LEAST_STEEP:
        return "no shape repeats itself: what looks like beats is noise"
    return None


def measure_many(
    records: Iterable[ECGRecord | str | Path], delineator: str = "auto", n_jobs: int | None = None
) -> list[Measurement]:
    """``measure`` on many recordings in processes, through joblib.

    Args:
        records: recordings, or their files, which are then read where they are measured.
        delineator: as in ``measure``.
        n_jobs: processes; -1 for all cores; ``None`` for what ``joblib.parallel_config`` says (which also moves the
            same call to ``"dask"`` or ``"ray"``), and one where it says nothing.

    Returns:
        One Measurement for each, in their order.

    Raises:
        EcgError: a file can't be read, or no delineator has that name.
    """
    from joblib import Parallel, delayed

    worker = Parallel(n_jobs=n_jobs, initializer=end_with_parent, initargs=(os.getpid(),))
    return list(worker(delayed(_measure_one)(record, delineator) for record in records))


def _measure_one(record: ECGRecord | str | Path, delineator: str) -> Measurement:
    if not isinstance(record, ECGRecord):
        from ..readers import read_record

        record = read_record(record)
    return measure(record, delineator)


def _issues(quality: Any) -> str:
    words = sorted({issue for row in quality["issues"] for issue in row})
    return ", ".join(words).replace("_", " ") or "too noisy"
