"""Measurement: every value of one recording, or the reason why it is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..deferred import WithTables
from ..errors import EcgFormatError
from ..evidence import Evidence
from ..signal.quality import QUALITY_COLUMNS
from ..tables import measurement_table
from .columns import BEAT_COLUMNS, LEAD_FEATURE_COLUMNS, LEAD_SUMMARY_COLUMNS, WAVE_COLUMNS
from .edits import (
    BETWEEN,
    BOUNDARIES,
    Edit,
    affected_by,
    boundaries_of,
    check_order,
    checked_changes,
    edited_beats,
    edited_intervals,
    edited_rhythm,
    explained,
    same_place,
)
from .plain import plain, rows_of
from .plots import plot_measurement, plot_median_beat

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ..record import ECGRecord

ENOUGH_NATIVE = 3  # beats without a spike: with so many, intervals are measured on them and not on the paced beats


@dataclass(frozen=True, eq=False)
class Measurement(WithTables):
    """What was measured in one recording.

    Attributes:
        record_id: the recording.
        fs: its sampling rate, Hz: the unit of every position below.
        leads: its leads.
        duration_s: its length, s.
        has_millivolts: False where amplitudes carry no voltage, as the record says or its QRS complexes tell (issue
            ``implausible_gain``); then every ``*_mv`` value is in the record's own arbitrary units.
        intervals: global values in ms, ``None`` where not measurable:
            ``rr pr qrs qt qtc_bazett qtc_fridericia qtc_framingham qtc_hodges p``. They follow the clinical definition,
            as criteria assume (docs/measurement.md): a wave begins and ends where it does in a typical lead.
        extents: the same names, from the first onset to the last end over the leads.
        uncertainty: name of an interval -> half the width in ms of the range that holds its true value nine times in
            ten; only with ``measure(..., second_opinion=True)``.
        heart_rate: ventricular rate, bpm, or ``None``.
        axes: frontal axes in degrees, keys ``p qrs t``, ``None`` where not measurable.
        waves: a row per lead, beat and wave: ``lead beat wave onset peak offset``; ``wave`` is ``P``, ``QRS`` or ``T``;
            samples at ``fs``, NaN where absent.
        beats: a row per beat (``BEAT_COLUMNS``): R position, RR before and after, ``type`` (``normal``,
            ``premature_supraventricular``, ``premature_ventricular``, ``paced``, ``wide``), whether there is a P wave
            (``p_present``) and whether the recording shows that (``p_known``; it may begin after the first P wave),
            boundaries by the clinical definition (``qrs_onset``) and over all leads (``qrs_first_onset``,
            ``qrs_last_offset``), samples at ``fs``, and intervals.
        lead_features: a row per lead and beat with GEM's fourteen features (``LEAD_FEATURE_COLUMNS``).
        lead_summary: a row per lead with the median beat's amplitudes (relative to the QRS onset), durations and shape
            words (``LEAD_SUMMARY_COLUMNS``).
        rhythm: RR and P statistics, ``None`` where not measurable:
            ``rr_min_ms rr_max_ms rr_sd_ms rr_cv rmssd_ms p_share pr_sd_ms``, ``af_probability`` and
            ``flutter_probability`` (of atrial fibrillation and flutter), ``atrial_rate_bpm`` (of P or flutter waves),
            ``p_per_qrs``, ``dropped_beats`` (P waves that no QRS follows), ``pr_trend_ms`` (change per beat).
        quality: a row per lead: ``lead usable issues unusable_spans_s``. ``issues`` is a tuple of words such as
            ``flat``, ``clipped``, ``noise``, ``missing``, ``lead_off``; ``unusable_spans_s`` is a tuple of (start, end)
            in seconds that were left out.
        issues: what is wrong with the record as a whole (``lead_algebra_broken``, ``limb_leads_swapped``,
            ``pacing_spikes``, ``implausible_gain``, ...).
        reasons: name of a missing value -> why it is missing.
        methods: name of a value -> how it was measured.
        age: of the patient, years, if it is in the record.
        sex: ``"female"`` or ``"male"``, if it is in the record.
        edits: boundaries that a person moved, see ``edited``; empty where all was measured.
        measured: what was measured before the first edit; ``None`` where there are no edits. ``original`` gives it.
        derived: a cache for what is computed from this measurement, such as its assessment; not part of ``to_dict`` and
            not pickled.
    """

    record_id: str
    fs: float
    leads: tuple[str, ...]
    duration_s: float
    intervals: Mapping[str, float | None]
    heart_rate: float | None
    axes: Mapping[str, float | None]
    waves: pd.DataFrame
    beats: pd.DataFrame
    lead_features: pd.DataFrame
    lead_summary: pd.DataFrame
    rhythm: Mapping[str, float | None]
    quality: pd.DataFrame
    extents: Mapping[str, float | None] = field(default_factory=dict)
    uncertainty: Mapping[str, float] = field(default_factory=dict)
    issues: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)
    has_millivolts: bool = True
    age: float | None = None
    sex: str | None = None
    edits: tuple[Edit, ...] = ()
    measured: Measurement | None = field(default=None, repr=False)
    derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "derived": {}}  # the cache can be computed again

    @property
    def n_beats(self) -> int:
        """Number of beats."""
        return self.n_rows("beats")

    @property
    def axis(self) -> float | None:
        """Frontal QRS axis, degrees, or ``None`` (see ``reasons["axis"]``)."""
        return self.axes.get("qrs")

    @property
    def original(self) -> Measurement:
        """What was measured, before any boundary was moved by hand."""
        return self if self.measured is None else self.measured

    @property
    def boundaries(self) -> dict[str, float | None]:
        """The boundaries that the global intervals lie between, in ms after the R of the median beat.

        ``p_onset p_offset qrs_onset qrs_offset t_offset``; negative before R, ``None`` where not measurable.
        """
        source = self.original
        onset, r_sample = source._beat_column("qrs_onset"), source._beat_column("r_sample")
        usual = source.usual
        out = boundaries_of(source.intervals, onset[usual], r_sample[usual], self.fs)
        return out | {edit.boundary: edit.to_ms for edit in self.edits}

    def edited(self, boundaries: Mapping[str, float | None]) -> Measurement:
        """The measurement with boundaries moved by hand.

        The intervals that rest on a moved boundary are computed again, all others stay as they are. The boundary moves
        in all beats on which intervals were measured, so that evidence points at its new place. A boundary that was not
        measured is set there in each; with a P onset these beats have a P wave (``rhythm["p_share"]``). Extents,
        amplitudes, all else of the rhythm and the boundaries of single leads (``waves``) stay as they were measured,
        and a value that a person set has no ``uncertainty``.

        Args:
            boundaries: name, as in ``boundaries`` -> its new place, ms after the R of the median beat; ``None`` says
                that it can't be told. Earlier edits are kept; a boundary that is moved back to where it was measured
                is no longer edited.

        Returns:
            A measurement with ``edits``, and with ``methods`` that tell them; ``original`` once nothing is edited.

        Raises:
            EcgError: no boundary has that name, the place is no number or beyond the beat, boundaries would not be in
                order or R would be outside its QRS, or no beat was found.

        Example:
            >>> from grounding import measure, read_record, sample_path
            >>> m = measure(read_record(sample_path()))
            >>> wider = m.edited({"qrs_offset": m.boundaries["qrs_offset"] + 20})
            >>> round(wider.intervals["qrs"] - m.intervals["qrs"], 6), wider.original is m
            (20.0, True)
        """
        source = self.original
        changes = checked_changes(boundaries, self.record_id)
        measured = source.boundaries
        wanted = {edit.boundary: edit.to_ms for edit in self.edits} | changes
        edits = tuple(
            Edit(name, measured[name], wanted[name])
            for name in BOUNDARIES
            if name in wanted and not same_place(measured[name], wanted[name])
        )
        if not edits:
            return source
        moved = [edit.boundary for edit in edits]
        places = measured | {edit.boundary: edit.to_ms for edit in edits}
        beats = edited_beats(source.beats, edits, source.usual, self.fs, self.record_id)
        check_order(places, source.intervals.get("rr"), self.record_id)
        affected = affected_by(moved)
        intervals = edited_intervals(source.intervals, places, moved)
        reasons = dict(source.reasons)
        for name in affected:
            if intervals[name] is not None:
                reasons.pop(name, None)
            elif source.intervals.get(name) is not None:
                reasons[name] = "a person said that its boundary can't be told"
        return replace(
            source,
            intervals=intervals,
            beats=beats,
            rhythm=edited_rhythm(source.rhythm, beats, edits),
            reasons=reasons,
            methods=explained(source.methods, edits),
            uncertainty={name: value for name, value in source.uncertainty.items() if name not in affected},
            edits=edits,
            measured=source,
        )

    def evidence(self, quantity: str) -> Evidence:
        """The evidence of a global value.

        Args:
            quantity: ``heart_rate``, ``axis``, ``axis_p``, ``axis_t``, an interval, or a key of ``rhythm``.

        Raises:
            KeyError: no value has that name.
        """
        value, unit = self._global(quantity)
        beats, spans = self._place(quantity)
        if "usable_leads" not in self.derived:
            judged = list(zip(self.column("quality", "lead"), self.column("quality", "usable"), strict=True))
            self.derived["usable_leads"] = tuple(lead for lead, flag in judged if flag) if judged else self.leads
        usable: tuple[str, ...] = self.derived["usable_leads"]
        limb = ("I", "II", "III", "aVR", "aVL", "aVF")
        leads = tuple(name for name in limb if name in usable) if quantity.startswith("axis") else usable
        return Evidence(
            record_id=self.record_id,
            quantity=quantity,
            value=value,
            unit=unit,
            leads=leads,
            beats=beats,
            spans_s=spans,
            method=self.methods.get(quantity, ""),
            version=__version__,
            reason=None if value is not None else self.reasons.get(quantity, "not measured"),
            uncertainty=None if value is None else self.uncertainty.get(quantity),
        )

    def _global(self, quantity: str) -> tuple[float | None, str]:
        if quantity == "heart_rate":
            return self.heart_rate, "bpm"
        if quantity == "axis" or quantity.startswith("axis_"):
            return self.axes[quantity.removeprefix("axis_") if quantity != "axis" else "qrs"], "deg"
        if quantity in self.intervals:
            return self.intervals[quantity], "ms"
        value = self.rhythm[quantity]
        return value, "ms" if quantity.endswith("_ms") else "bpm" if quantity.endswith("_bpm") else ""

    def _place(self, quantity: str) -> tuple[tuple[int, ...], tuple[tuple[float, float], ...]]:
        """Indices of the beats that a global value was read from, and their spans in seconds."""
        if quantity.startswith("axis") and self.measured is not None:
            return self.measured._place(quantity)  # a moved boundary does not change the axis
        columns = {**BETWEEN, "axis": BETWEEN["qrs"]}
        key = "qt" if quantity.startswith("qtc") else quantity
        if key not in columns or not self.n_beats:
            return (), ((0.0, round(self.duration_s, 3)),)
        places: dict[str, tuple[tuple[int, ...], tuple[tuple[float, float], ...]]] = self.derived.setdefault(
            "places", {}
        )
        if key not in places:
            places[key] = self._place_of(columns[key])
        return places[key]

    def _place_of(self, columns: tuple[str, str]) -> tuple[tuple[int, ...], tuple[tuple[float, float], ...]]:
        first, last = (self._beat_column(name) for name in columns)
        kept = self.usual & ~np.isnan(first) & ~np.isnan(last)
        spans = tuple(
            (round(a / self.fs, 3), round(b / self.fs, 3))
            for a, b in zip(first[kept].tolist(), last[kept].tolist(), strict=True)
        )
        return tuple(map(int, self._beat_column("beat")[kept].tolist())), spans

    @property
    def usual(self) -> NDArray[np.bool_]:
        """(beats,) those on which intervals are measured; a moved boundary does not change which they are."""
        if self.measured is not None:
            return self.measured.usual
        if "usual_beats" not in self.derived:
            whole = ~(np.isnan(self._beat_column("qrs_onset")) | np.isnan(self._beat_column("t_offset")))
            self.derived["usual_beats"] = usual_beats(self.column("beats", "type"), whole)
        usual: NDArray[np.bool_] = self.derived["usual_beats"]
        return usual

    def _beat_column(self, name: str) -> NDArray[np.float64]:
        """A column of ``beats`` as numbers, (beats,), NaN where there is none; it is converted once."""
        columns: dict[str, NDArray[np.float64]] = self.derived.setdefault("beat_columns", {})
        if name not in columns:
            columns[name] = np.array(self.column("beats", name), np.float64)
        return columns[name]

    def plot(
        self,
        record: ECGRecord,
        ax: Axes | None = None,
        layout: str = "3x4",
        *,
        evidence: str | Evidence | Iterable[str | Evidence] = (),
        **options: Any,
    ) -> Axes:
        """Plot the recording on ECG paper with the P, QRS and T that were found in every lead and beat.

        Args:
            record: that was measured.
            ax: as in ``ECGRecord.plot``.
            layout: as in ``ECGRecord.plot``.
            evidence: names of global values (``"pr"``) or evidence, which is shaded; waves are marked only without it.
            **options: ``leads``, ``rhythm`` and ``start_s`` of ``ECGRecord.plot``.

        Returns:
            The axes.

        Raises:
            EcgError: matplotlib is missing, an option can't be used, or no value has such a name.
            EcgSignalError: the record is another one.
        """
        return plot_measurement(self, record, ax, layout, evidence, options)

    def plot_median_beat(
        self, record: ECGRecord, ax: Axes | None = None, *, leads: str | Sequence[str] | None = None
    ) -> Axes:
        """Plot the median beat with its boundaries and intervals; a boundary moved by hand also where it was measured.

        Args:
            record: that was measured.
            ax: matplotlib axes; a new figure where ``None``.
            leads: which leads, with their names; all of them, unnamed, where ``None``.

        Returns:
            The axes; x is ms after R.

        Raises:
            EcgError: matplotlib is missing.
            EcgSignalError: the record is another one, lacks a lead, or has no beat.
        """
        return plot_median_beat(self, record, ax, leads)

    def to_dict(self, tables: bool = True) -> dict[str, Any]:
        """A JSON-ready dictionary, in which NaN is ``None``.

        If a boundary was moved by hand, ``edits`` names it, and ``measured`` has what that changed, as it was before.

        Args:
            tables: include the tables with a row per beat: ``beats``, ``waves``, ``lead_features``.
        """
        out: dict[str, Any] = {
            "record_id": self.record_id,
            "fs_hz": self.fs,
            "leads": list(self.leads),
            "duration_s": self.duration_s,
            "has_millivolts": self.has_millivolts,
            "age": self.age,
            "sex": self.sex,
            "heart_rate_bpm": self.heart_rate,
            "intervals_ms": dict(self.intervals),
            "extents_ms": dict(self.extents),
            "uncertainty_ms": dict(self.uncertainty),
            "axes_deg": dict(self.axes),
            "rhythm": dict(self.rhythm),
            "issues": list(self.issues),
            "reasons": dict(self.reasons),
            "methods": dict(self.methods),
            "version": __version__,
        }
        out = {key: plain(value) for key, value in out.items()}
        names = ("quality", "lead_summary", *(("beats", "waves", "lead_features") if tables else ()))
        out |= {name: rows_of(self.table(name)) for name in names}
        if self.measured is not None:
            before = self.measured.to_dict(tables=False)
            before |= {"beats": rows_of(self.measured.table("beats"))} if tables else {}
            out["edits"] = [edit.to_dict() for edit in self.edits]
            out["measured"] = {name: value for name, value in before.items() if value != out[name]}
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measurement:
        """The measurement that ``to_dict`` wrote.

        Args:
            data: from ``to_dict``, directly or through JSON; tables that it lacks are empty.

        Raises:
            EcgFormatError: the dictionary is not one of a measurement.

        Example:
            >>> from grounding import Measurement, measure, read_record, sample_path
            >>> m = measure(read_record(sample_path()))
            >>> Measurement.from_dict(m.to_dict()).intervals == m.intervals
            True
        """
        import pandas as pd

        tables = {
            "waves": WAVE_COLUMNS,
            "beats": BEAT_COLUMNS,
            "lead_features": LEAD_FEATURE_COLUMNS,
            "lead_summary": LEAD_SUMMARY_COLUMNS,
            "quality": QUALITY_COLUMNS,
        }
        try:
            frames = {name: pd.DataFrame(data.get(name, []), columns=list(columns)) for name, columns in tables.items()}
            for name in frames:  # None is NaN in a column of numbers, and stays None in a column of words
                for column in frames[name].columns:
                    values = frames[name][column]
                    if values.isna().any() and all(isinstance(value, int | float) for value in values.dropna()):
                        frames[name][column] = values.astype(float)
            frames["quality"]["issues"] = [tuple(issues) for issues in frames["quality"]["issues"]]
            spans = [tuple(map(tuple, spans)) for spans in frames["quality"]["unusable_spans_s"]]
            frames["quality"]["unusable_spans_s"] = pd.Series(spans, dtype=object)
            edits = tuple(Edit.from_dict(part) for part in data.get("edits", ()))
            before = {name: value for name, value in data.items() if name not in ("edits", "measured")}
            return cls(
                edits=edits,
                measured=cls.from_dict({**before, **data["measured"]}) if edits else None,
                record_id=data["record_id"],
                fs=float(data["fs_hz"]),
                leads=tuple(data["leads"]),
                duration_s=float(data["duration_s"]),
                intervals=dict(data["intervals_ms"]),
                extents=dict(data["extents_ms"]),
                uncertainty=dict(data.get("uncertainty_ms", {})),
                heart_rate=data["heart_rate_bpm"],
                axes=dict(data["axes_deg"]),
                rhythm=dict(data["rhythm"]),
                issues=tuple(data["issues"]),
                reasons=dict(data["reasons"]),
                methods=dict(data["methods"]),
                has_millivolts=bool(data["has_millivolts"]),
                age=data["age"],
                sex=data["sex"],
                **frames,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EcgFormatError(
                f"this is not a measurement as to_dict writes it ({type(error).__name__}: {error})",
                remedy="pass the whole dictionary",
            ) from error

    def _repr_html_(self) -> str:
        return measurement_table(self)

    def __repr__(self) -> str:
        def show(value: float | None, unit: str, about: float | None = None) -> str:
            spread = "" if about is None else f" +- {about:.0f}"
            return "not measured" if value is None else f"{value:.0f}{spread} {unit}"

        values = ", ".join(
            f"{name.upper()} {show(self.intervals.get(name), 'ms', self.uncertainty.get(name))}"
            for name in ("pr", "qrs", "qt")
        )
        rate, axis = show(self.heart_rate, "bpm"), show(self.axis, "deg")
        moved = f", moved by hand: {', '.join(edit.boundary for edit in self.edits)}" if self.edits else ""
        return f"Measurement({self.record_id!r}, rate {rate}, {values}, axis {axis}, {self.n_beats} beats{moved})"


def usual_beats(types: Iterable[str], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The beats on which intervals are measured: the normal ones, or all where there are none.

    A rhythm that is paced or wide throughout is measured as it is. Among paced beats there must be three normal ones.

    Args:
        types: of each beat, as in ``Measurement.beats``.
        whole: (beats,) with a QRS and a T, which an atrial spike taken for a beat does not have.

    Returns:
        (beats,).
    """
    kinds = np.array(list(types), dtype=object)
    normal = kinds == "normal"
    enough = (normal & whole).sum() >= ENOUGH_NATIVE if (kinds == "paced").any() else normal.any()
    return normal if enough else np.ones(len(kinds), bool)
