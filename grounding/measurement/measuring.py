"""``measure``: from an ECGRecord to a Measurement. Each value or a reason; implausible values are not clipped."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..deferred import DeferredTable
from ..delineation import delineators
from ..delineation.averaged_p import add_p_waves
from ..delineation.doubt import doubtful
from ..delineation.existence import drop_unclear_waves
from ..delineation.features import FS_HZ, without_mains
from ..delineation.fusion import beat_shapes, drop_disagreeing, fuse, mean_correlation, steepness
from ..delineation.learned import WEIGHTS
from ..delineation.paced import mark_paced
from ..delineation.types import Array, Boundaries
from ..errors import EcgSignalError
from ..processes import end_with_parent
from ..record import ECGRecord, fill_missing, signal_at
from ..signal.gaps import Spans, crosses, in_turn, presence, spans_without_leads
from ..signal.quality import examine, typical_gain
from ..small_arrays import row_median
from .assembly import Assembly, empty_measurement
from .atrial import p_known
from .gain import ISSUE, USUAL_MV, is_plausible, without_voltages
from .result import Measurement
from .rhythm import RhythmFeatures, Weights, read_rhythm, rhythm_features
from .second_opinion import other_delineator, uncertainty_ms

Signal = NDArray[np.float32]

MIN_DURATION_S = 1.0
# beats that are less alike and less steep than this are noise; the correlation needs five beats
MIN_MEAN_CORRELATION, MIN_COMPARED_BEATS = 0.1, 5
MIN_STEEPNESS = 1.3
NOTCHED_MV = 0.01  # mains amplitude from which it is removed; 99 % of LUDB, PTB-XL and CinC leads are below 0.0085 mV


def measure(record: ECGRecord, delineator: str = "auto", second_opinion: bool = False) -> Measurement:
    """Measure a recording.

    Args:
        record: any leads, any rate; ``record.meta["age"]`` and ``["sex"]`` are carried over.
        delineator: a name in ``delineators``; ``"auto"`` takes ``learned`` where its weights are, else ``classical``.
        second_opinion: also measure with the other of ``learned`` and ``classical``, and derive the ``uncertainty`` of
            each interval from their difference. It takes about a second per ten seconds of recording.

    Returns:
        Measurement. What can't be measured is ``None`` with an entry in ``reasons``; so is everything in a record
        without beats.

    Raises:
        EcgRegistryError: no delineator has that name.
        EcgSignalError: ``record`` is not an ECGRecord.
        EcgError: ``second_opinion`` with a delineator other than these two, or the learned one has no weights.

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
    if not first.n_beats:
        return first
    return replace(first, uncertainty=uncertainty_ms(name, first.intervals, _measured(record, other).intervals))


def _measured(record: ECGRecord, delineator: str) -> Measurement:
    delineated = bounded(record, delineator)
    if isinstance(delineated, Measurement):
        return delineated
    rhythm = read_rhythm(features_of_rhythm(delineated))
    if rhythm.averaged is not None and "p" not in delineated.missing_waves:
        add_p_waves(
            rhythm.averaged,
            delineated.found,
            delineated.extents,
            delineated.signal,
            np.asarray(delineated.present.any(axis=1)),
        )
    return Assembly(
        delineated.record,
        delineated.signal,
        delineated.present,
        delineated.quality,
        delineated.issues,
        delineated.found,
        delineated.extents,
        delineated.delineator,
        rhythm,
        delineated.p_known,
        delineated.rr,
        delineated.no_lead_spans,
        delineated.missing_waves,
        delineated.hum,
    ).result()


class Delineated(NamedTuple):
    """A recording with the boundaries of its waves; positions are samples at 250 Hz.

    Attributes:
        record: the recording.
        quality: a row per lead, as in ``Measurement.quality``.
        issues: of the record as a whole.
        delineator: its name.
        signal: (leads, samples).
        present: (leads, samples), where each lead can be used.
        found: boundaries per lead.
        extents: boundaries of every beat over the leads, from ``fuse``.
        rr: (beats - 1,), NaN where there is a gap between two beats.
        paced: (beats,) whether the beat follows a pacing spike.
        p_known: (beats,) whether the recording shows if there is a P wave before the beat.
        no_lead_spans: (n, 2), stretches in which no lead can be used.
        missing_waves: for ``p`` and ``t``, why there are no such waves, where they were removed.
        hum: (leads,) with so much of the mains that it is removed.
    """

    record: ECGRecord
    quality: DeferredTable
    issues: tuple[str, ...]
    delineator: str
    signal: Signal
    present: NDArray[np.bool_]
    found: Boundaries
    extents: dict[str, Array]
    rr: Array
    paced: NDArray[np.bool_]
    p_known: NDArray[np.bool_]
    no_lead_spans: Spans
    missing_waves: dict[str, str]
    hum: NDArray[np.bool_]


def features_of_rhythm(delineated: Delineated, weights: Weights | None = None) -> RhythmFeatures:
    """``rhythm_features`` of a recording.

    Args:
        delineated: from ``bounded``.
        weights: of the scores; ``None`` for the bundled ones.
    """
    usable = np.asarray(delineated.present.any(axis=1))
    names = tuple(lead for lead, used in zip(delineated.record.leads, usable, strict=True) if used)
    signal, present = delineated.signal, delineated.present
    if not usable.all():
        signal, present = signal[usable], present[usable]
    return rhythm_features(
        signal,
        names,
        delineated.found,
        delineated.extents,
        delineated.rr,
        delineated.paced,
        delineated.p_known,
        None if present.all() else present,
        weights,
    )


def bounded(record: ECGRecord, delineator: str = "auto") -> Delineated | Measurement:
    """Find the boundaries of a recording's waves.

    Args:
        record: as in ``measure``.
        delineator: as in ``measure``.

    Returns:
        The boundaries, or a Measurement without values where no beats are found.

    Raises:
        EcgRegistryError: no delineator has that name.
        EcgSignalError: ``record`` is not an ECGRecord.
    """
    if not isinstance(record, ECGRecord):
        raise EcgSignalError(
            f"the record is {type(record).__name__}", remedy="pass what grounding.read_record(path) gives"
        )
    name = ("learned" if WEIGHTS.is_file() else "classical") if delineator == "auto" else delineator
    run = delineators[name]
    quality, issues, mains_mv, spikes, bad = examine(record)
    usable = np.asarray(quality.columns["usable"], bool)
    if record.duration_s < MIN_DURATION_S or not usable.any():
        short = record.duration_s < MIN_DURATION_S
        why = (
            f"the record is {record.duration_s:.2g} s long" if short else "no lead is good enough: " + _issues(quality)
        )
        return empty_measurement(record, quality, issues, why)
    signal = signal_at(record, FS_HZ)
    if signal is record.signal or not np.isfinite(signal).all():
        signal = fill_missing(signal)  # a copy, in which short gaps are interpolated
    present = presence(bad, signal.shape[1], FS_HZ / record.fs)
    present[~usable] = False
    whole = bool(present[usable].all())
    if whole:
        signal -= row_median(signal)[:, None]
    else:
        parts = zip(signal, present, strict=True)
        signal -= np.stack([np.median(_present_samples(lead, part)) for lead, part in parts])[:, None]
    signal[~usable] = 0.0
    hum = usable & (mains_mv > NOTCHED_MV)
    for row in np.flatnonzero(hum):
        signal[row] = without_mains(signal[row])
    in_mv = signal if record.has_millivolts else signal * np.float32(typical_gain(record, USUAL_MV))
    if not whole and name == "learned" and in_turn(present):
        present &= ~doubtful(in_mv, present)
    found = run(in_mv if whole else np.where(present, in_mv, np.float32(np.nan)))
    if len(found.beats) == 0:
        return empty_measurement(record, quality, issues, "no QRS complex was found")
    leads, there_of_leads = (in_mv, present) if usable.all() else (in_mv[usable], present[usable])
    shapes = beat_shapes(leads, found.beats, None if whole else there_of_leads)
    noise = _why_noise(leads, found.beats, shapes)
    if noise is not None:
        return empty_measurement(record, quality, issues, noise)
    if record.has_millivolts and not is_plausible(leads, found.beats, there_of_leads, shapes):
        return _with_issue(bounded(without_voltages(record), name), ISSUE)  # delineators expect mV: once more, scaled
    words = quality.columns["issues"]
    noisy = [bool({"noise", "heavy_noise"} & set(row)) for row, used in zip(words, usable, strict=True) if used]
    no_lead_spans = spans_without_leads(present, FS_HZ)
    rr = np.where(crosses(found.beats[:-1], found.beats[1:], no_lead_spans), np.nan, np.diff(found.beats))
    extents = fuse(found, leads, rr, there_of_leads[:, found.beats].sum(axis=0), noisy=float(np.mean(noisy)) >= 0.5)
    found = drop_disagreeing(found, extents)
    missing_waves = drop_unclear_waves(found, extents, leads, there_of_leads)
    paced = mark_paced(found, extents, np.asarray(spikes * (FS_HZ / record.fs), np.float64))
    return Delineated(
        record,
        quality,
        issues,
        name,
        signal,
        present,
        found,
        extents,
        rr,
        paced,
        p_known(extents, no_lead_spans),
        no_lead_spans,
        missing_waves,
        hum,
    )


def _with_issue(result: Delineated | Measurement, issue: str) -> Delineated | Measurement:
    if isinstance(result, Measurement):
        return replace(result, issues=(*result.issues, issue))
    return result._replace(issues=(*result.issues, issue))


def _present_samples(lead: Signal, present: NDArray[np.bool_]) -> Signal:
    """The usable samples of a lead; all samples where none is usable."""
    return lead[present] if present.any() else lead


def _why_noise(leads: Signal, beats: NDArray[np.intp], shapes: Signal) -> str | None:
    """Why the detected beats are noise, or ``None``: noise is as steep elsewhere, and has no repeated shape."""
    if len(shapes) < MIN_COMPARED_BEATS and steepness(leads, beats) < MIN_STEEPNESS:
        return "what looks like a beat is no steeper than the rest: it is noise"
    if (
        len(shapes) >= MIN_COMPARED_BEATS
        and mean_correlation(shapes) < MIN_MEAN_CORRELATION
        and steepness(leads, beats) < MIN_STEEPNESS
    ):
        return "no shape repeats itself: what looks like beats is noise"
    return None


def measure_many(
    records: Iterable[ECGRecord | str | Path], delineator: str = "auto", n_jobs: int | None = None
) -> list[Measurement]:
    """``measure`` many recordings in parallel processes, with joblib.

    Args:
        records: recordings, or their files, which each worker reads itself.
        delineator: as in ``measure``.
        n_jobs: processes; -1 for all cores; ``None`` for the setting of ``joblib.parallel_config`` (which can also move
            the call to ``"dask"`` or ``"ray"``), by default one.

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


def _issues(quality: DeferredTable) -> str:
    words = sorted({issue for row in quality.columns["issues"] for issue in row})
    return ", ".join(words).replace("_", " ") or "too noisy"
