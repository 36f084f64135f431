"""A long recording measured part by part: in bounded memory, with results that can be used while it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..deferred import DeferredTable
from ..errors import EcgError
from ..processes import results_in_order
from ..record import ECGRecord
from .columns import BEAT_COLUMNS, EXTENT_COLUMNS, LEAD_FEATURE_COLUMNS, WAVE_COLUMNS
from .measuring import measure
from .result import Measurement

if TYPE_CHECKING:
    import pandas as pd

PART_S = 600.0
OVERLAP_S = 10.0  # on either side, so that every beat has neighbours; a filter's start has faded by then
POSITIONS = ("r_sample", *EXTENT_COLUMNS, *EXTENT_COLUMNS.values())


class Part(NamedTuple):
    """A part of a long recording.

    Attributes:
        start_s: where the part begins in the recording, s; between two beats.
        end_s: where it ends, s.
        offset_s: where the time of ``measurement`` begins in the recording, s.
        measurement: of the part and the overlap with its neighbours, in its own time: intervals, rhythm and quality of
            these minutes, for ``find`` and ``check``.
        beats: as ``Measurement.beats``: the beats of the part, counted and placed in the whole recording.
        waves: as ``Measurement.waves``, likewise.
        lead_features: as ``Measurement.lead_features``, likewise.
    """

    start_s: float
    end_s: float
    offset_s: float
    measurement: Measurement
    beats: pd.DataFrame
    waves: pd.DataFrame
    lead_features: pd.DataFrame


def measure_parts(
    record: ECGRecord, part_s: float = PART_S, delineator: str = "auto", n_jobs: int | None = None
) -> Iterator[Part]:
    """Measure a long recording, such as a day of Holter, part by part.

    Memory depends on the length of a part, not on that of the recording. Quality, whether P waves are the rule, and the
    beat that others are compared with are judged within each part, so that a few values differ from those of
    ``measure``, which judges the whole recording by one rule.

    Args:
        record: any leads, any rate, any length.
        part_s: about how long a part is, s.
        delineator: as in ``measure``.
        n_jobs: processes; -1 for all cores; ``None`` for the setting of ``joblib.parallel_config``, by default one.

    Yields:
        The parts, in order.

    Raises:
        EcgError: parts shorter than a minute, or as in ``measure``.

    Example:
        >>> from grounding import measure_parts, read_record, sample_path
        >>> [(part.start_s, part.end_s, len(part.beats)) for part in measure_parts(read_record(sample_path()))]
        [(0.0, 10.0, 14)]
    """
    if not part_s >= 6 * OVERLAP_S:
        raise EcgError(f"parts of {part_s:g} s", remedy=f"take {6 * OVERLAP_S:g} s or more")
    n = max(1, round(record.duration_s / part_s))
    ends = [k * part_s for k in range(1, n)] + [record.duration_s]
    spans = [
        (max(0.0, start - OVERLAP_S), min(record.duration_s, end + OVERLAP_S))
        for start, end in zip([0.0, *ends[:-1]], ends, strict=True)
    ]
    measured = results_in_order(measure, ((record.crop(*span), delineator) for span in spans), n_jobs)
    start, n_beats = 0, 0
    for measurement, (first_s, last_s), end_s in zip(measured, spans, ends, strict=True):
        first, last = round(first_s * record.fs), min(record.n_samples, round(last_s * record.fs))
        end = last if end_s == record.duration_s else _between_beats(measurement, first, round(end_s * record.fs), last)
        part = _part(measurement, first, start, end, n_beats)
        start, n_beats = end, n_beats + len(part.beats)
        yield part


def _between_beats(measurement: Measurement, first: int, near: int, last: int) -> int:
    """The middle between the beats on either side of a sample; both parts that meet there find the same beats."""
    beats = np.asarray(measurement.column("beats", "r_sample"), np.float64) + first
    before = float(beats[beats <= near].max(initial=2 * near - last))
    after = float(beats[beats > near].min(initial=last))
    return round((before + after) / 2)


def _part(measurement: Measurement, first: int, start: int, end: int, n_beats: int) -> Part:
    """The part from one sample to another of a measurement that begins at the sample ``first``."""
    fs = measurement.fs
    place = np.asarray(measurement.column("beats", "r_sample"), np.float64) + first
    kept = np.flatnonzero((place >= start) & (place < end))
    number = np.full(len(place), -1)
    number[kept] = n_beats + np.arange(len(kept))

    def of_part(table: str, names: tuple[str, ...], moved: Mapping[str, float]) -> pd.DataFrame:
        columns = measurement.table(table)
        if isinstance(columns, DeferredTable):
            columns = columns.columns
        beat = number[np.asarray(columns["beat"], np.intp)]
        there = beat >= 0
        out: dict[str, Any] = {}
        for name in names:
            values = columns[name]
            out[name] = list(compress(values, there)) if isinstance(values, list) else np.asarray(values)[there]
            if name in moved:
                out[name] = out[name] + moved[name]
        return DeferredTable(out | {"beat": beat[there]}).frame()

    return Part(
        start / fs,
        end / fs,
        first / fs,
        measurement,
        of_part("beats", BEAT_COLUMNS, {**dict.fromkeys(POSITIONS, first), "r_s": first / fs}),
        of_part("waves", WAVE_COLUMNS, dict.fromkeys(("onset", "peak", "offset"), first)),
        of_part("lead_features", LEAD_FEATURE_COLUMNS, {}),
    )
