"""What ``Measurement.plot`` and ``plot_median_beat`` show; ``grounding.plots`` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import EcgError, EcgSignalError
from ..evidence import Evidence
from ..leads import canonical_lead
from ..plots import mark_waves, plot_beat, plot_paper
from .median_beat import Measured, check_same, median_beat

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..record import ECGRecord


class MeasuredWaves(Measured, Protocol):
    """``Measured``, with the tables and evidence that are marked on paper."""

    @property
    def waves(self) -> Any:
        """A row per lead, beat and wave."""

    def evidence(self, quantity: str) -> Evidence:
        """The evidence of a global value."""


def plot_measurement(
    measurement: MeasuredWaves,
    record: ECGRecord,
    ax: Axes | None,
    layout: str,
    evidence: str | Evidence | Iterable[str | Evidence],
    options: Mapping[str, Any],
) -> Axes:
    """``Measurement.plot``.

    Args:
        measurement: of the record.
        record: the recording.
        ax: where to draw, or ``None``.
        layout: rows x columns.
        evidence: names of global values, or evidence.
        options: further ones of ``ECGRecord.plot``.

    Raises:
        EcgError: matplotlib is missing, an option can't be used, or no value has such a name.
        EcgSignalError: the record is another one.
    """
    check_same(record, measurement)
    given = [evidence] if isinstance(evidence, str | Evidence) else list(evidence)
    parts = []
    for one in given:
        try:
            parts.append(measurement.evidence(one) if isinstance(one, str) else one)
        except KeyError:
            raise EcgError(
                f"no value is called {one!r}",
                where=measurement.record_id,
                remedy=f"use heart_rate, axis, {', '.join(measurement.intervals)} or a key of rhythm",
            ) from None
    unknown = sorted(set(options) - {"leads", "rhythm", "start_s"})
    if unknown:
        raise EcgError(f"there is no option {unknown[0]!r}", where="plot", remedy="use leads, rhythm or start_s")
    axes, plane = plot_paper(record, ax, layout, evidence=parts, **options)
    if not parts:
        mark_waves(axes, plane, measurement.waves, measurement.fs)
    return axes


def plot_median_beat(
    measurement: Measured, record: ECGRecord, ax: Axes | None, leads: str | Sequence[str] | None
) -> Axes:
    """``Measurement.plot_median_beat``.

    Args:
        measurement: of the record.
        record: the recording.
        ax: where to draw, or ``None``.
        leads: to draw and to name, or ``None``.

    Raises:
        EcgError: matplotlib is missing.
        EcgSignalError: the record is another one, lacks a lead, or has no beat.
    """
    beat = median_beat(record, measurement)
    shown = None
    if leads is not None:
        names = [leads] if isinstance(leads, str) else list(leads)
        shown = [name if name in beat.leads else canonical_lead(name) for name in names]
        missing = [name for name in shown if name not in beat.leads]
        if missing or not shown:
            what = f"there is no lead {missing[0]}" if missing else "no lead is named"
            raise EcgSignalError(what, where=record.record_id, remedy=f"the record has {', '.join(beat.leads)}")
    return plot_beat(
        beat.time_ms,
        beat.signal,
        beat.leads,
        measurement.boundaries,
        measurement.original.boundaries,
        shown=shown,
        unit="mV" if record.has_millivolts else "arbitrary units",
        ax=ax,
    )
