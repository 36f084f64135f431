"""The median beat of a recording: what boundaries of the whole recording are shown on, and moved by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..delineation.fusion import interquartile_mean
from ..errors import EcgSignalError
from .shapes import AFTER_S, BEFORE_S, median_beats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..record import ECGRecord

MARGIN_S = 0.08  # shown before the P wave and after the T wave
MOST_BEATS = 1000  # of a long recording; the median of more is the same


@dataclass(frozen=True, eq=False)
class MedianBeat:
    """The sample-wise median of the usual beats, aligned at the QRS onset.

    Attributes:
        signal: float32 (leads, samples), mV relative to the 16 ms before the QRS onset; NaN where a lead is not usable.
        fs: sampling rate, Hz.
        leads: their names.
        r_sample: where R is, in samples from the start; boundaries are counted from here.
        n_beats: how many beats it is the median of.
    """

    signal: NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    r_sample: float
    n_beats: int

    @property
    def time_ms(self) -> NDArray[np.float64]:
        """(samples,) ms after R."""
        return (np.arange(self.signal.shape[1], dtype=np.float64) - self.r_sample) * (1000.0 / self.fs)


class Measured(Protocol):
    """What is read of a ``grounding.Measurement``, which can plot its median beat and so is not imported here."""

    @property
    def record_id(self) -> str:
        """The recording."""

    @property
    def fs(self) -> float:
        """Its sampling rate, Hz."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Its leads."""

    @property
    def duration_s(self) -> float:
        """Its length, s."""

    @property
    def intervals(self) -> Mapping[str, float | None]:
        """Global values, ms."""

    def column(self, table: str, name: str) -> list[Any]:
        """A column of a table: of ``beats`` or of ``quality``."""

    @property
    def usual(self) -> NDArray[np.bool_]:
        """(beats,) those on which intervals are measured."""

    @property
    def boundaries(self) -> dict[str, float | None]:
        """Of the median beat, ms after R."""

    @property
    def original(self) -> Measured:
        """What was measured before any boundary was moved by hand."""


def median_beat(record: ECGRecord, measurement: Measured) -> MedianBeat:
    """The median beat of a recording.

    It is made of the beats on which intervals are measured, at the record's own sampling rate. Boundaries that a person
    moved do not change it.

    Args:
        record: the recording.
        measurement: of this recording.

    Returns:
        The median beat, from before the P wave to after the T wave, of at most 1000 beats.

    Raises:
        EcgSignalError: the measurement is of another recording, or has no beat with a QRS onset.

    Example:
        >>> from grounding import measure, median_beat, read_record, sample_path
        >>> record = read_record(sample_path())
        >>> beat = median_beat(record, measure(record))
        >>> beat.signal.shape[0], beat.n_beats > 5
        (12, True)
    """
    source = measurement.original
    check_same(record, source)
    usual = source.usual
    onsets = np.array(source.column("beats", "qrs_first_onset"), np.float64)[usual]
    r_samples = np.array(source.column("beats", "r_sample"), np.float64)[usual]
    known = np.isfinite(onsets)
    if not known.any():
        raise EcgSignalError(
            "there is no beat with a QRS onset", where=record.record_id, remedy="see measurement.reasons['qrs']"
        )
    at = onsets[known].round().astype(np.intp)
    r_after_onset = interquartile_mean(r_samples[known] - at)
    at = at[np.unique(np.linspace(0, len(at) - 1, min(len(at), MOST_BEATS)).astype(np.intp))]
    before_s = max(BEFORE_S, (source.intervals["pr"] or 0.0) / 1000 + MARGIN_S)
    after_s = max(AFTER_S, (source.intervals["qt"] or 0.0) / 1000 + MARGIN_S)
    before, after = int(before_s * record.fs), int(after_s * record.fs)
    rows = []
    for signal in _usable_leads(record, source):
        # the first and the last beat may go beyond the recording, which is as if nothing were recorded there
        padded = np.pad(signal, (before, after), constant_values=np.nan)
        beats = median_beats(padded[None], at + before, record.fs, before_s, after_s)
        rows.append(np.full(before + after, np.nan) if beats is None else beats[0])
    return MedianBeat(np.asarray(rows, np.float32), record.fs, record.leads, before + r_after_onset, len(at))


def check_same(record: ECGRecord, measurement: Measured) -> None:
    """Check that a measurement is of a recording.

    Args:
        record: the recording.
        measurement: that should be of it.

    Raises:
        EcgSignalError: name, leads, sampling rate or length differ.
    """
    mine = (record.record_id, record.leads, record.fs)
    theirs = (measurement.record_id, measurement.leads, measurement.fs)
    if mine != theirs or abs(record.duration_s - measurement.duration_s) > 1 / record.fs:
        raise EcgSignalError(
            f"the measurement is of {measurement.record_id}: {len(measurement.leads)} leads, "
            f"{measurement.duration_s:g} s at {measurement.fs:g} Hz",
            where=record.record_id,
            remedy="pass the record that was measured",
        )


def _usable_leads(record: ECGRecord, measurement: Measured) -> list[NDArray[np.float32]]:
    """Each lead, (samples,), NaN in the stretches in which it is not usable."""
    leads, good, unusable = (measurement.column("quality", name) for name in ("lead", "usable", "unusable_spans_s"))
    usable, spans = dict(zip(leads, good, strict=True)), dict(zip(leads, unusable, strict=True))
    out = []
    for row, lead in enumerate(record.leads):
        signal = record.signal[row].copy()
        if not usable.get(lead, True):
            signal[:] = np.nan
        for start, end in spans.get(lead, ()):
            signal[int(start * record.fs) : int(np.ceil(end * record.fs))] = np.nan
        out.append(signal)
    return out
