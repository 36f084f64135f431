"""The tables and values of a Measurement, computed from the boundaries of one record."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deferred import DeferredTable
from ..delineation.features import FS_HZ, without_mains
from ..delineation.fusion import clinical_boundaries, corrected_qt, frontal_axis, interquartile_mean, row_medians
from ..delineation.types import Array, Boundaries
from ..record import ECGRecord, fill_missing, lead_groups
from ..signal.gaps import Spans, in_turn
from .atrial import ATRIAL_KEYS, atrial_rhythm
from .columns import (
    BEAT_COLUMNS,
    EXTENT_COLUMNS,
    INTERVALS,
    LEAD_FEATURE_COLUMNS,
    LEAD_SUMMARY_COLUMNS,
    RHYTHM,
    WAVE_COLUMNS,
)
from .result import Measurement, usual_beats
from .rhythm import Rhythm
from .shapes import median_beats, segments, summarise
from .wave_tables import MS, WaveTables

Signal = NDArray[np.float32]

RHYTHM_NAMES = (*RHYTHM, *ATRIAL_KEYS)
LEVEL_SAMPLES = 4  # 16 ms
# leads I and aVF from two limb leads, by Einthoven's law
FRONTAL: dict[tuple[str, str], Callable[[Array, Array], tuple[Array, Array]]] = {
    ("I", "II"): lambda one, two: (one, two - one / 2),
    ("I", "III"): lambda one, three: (one, three + one / 2),
    ("II", "III"): lambda two, three: (two - three, (two + three) / 2),
    ("I", "aVF"): lambda one, avf: (one, avf),
}
# of RR intervals, against their median: the range from quartile to quartile of a regular rhythm, and the difference
# from which an interval is no usual one. On a page a beat may be lost or seen twice, most of all where a lead ends
REGULAR_RANGE, UNUSUAL_RR = 0.15, 0.2
LOWEST_NOTCHED_HZ = 125.0
MIN_DELINEATED_HZ = 90.0  # at lower sampling rates wave boundaries are not reliable


class Assembly:
    """The tables and values of one record.

    Args:
        record: the recording.
        signal: (leads, samples) at 250 Hz.
        present: (leads, samples), where each lead can be used.
        quality: a row per lead, as in ``Measurement.quality``.
        issues: of the record as a whole.
        found: boundaries per lead.
        extents: boundaries of every beat over the leads, from ``fuse``.
        name: of the delineator.
        rhythm: types of the beats, atrial rhythm.
        p_known: (beats,) whether the recording shows if there is a P wave before the beat.
        rr: (beats - 1,) samples at 250 Hz from beat to beat, NaN where there is a gap between them.
        no_lead_spans: (n, 2) samples at 250 Hz in which no lead can be used.
        missing_waves: for ``p`` and ``t``, why there are no such waves, where they were removed.
        hum: (leads,) from which the mains is removed.
    """

    def __init__(
        self,
        record: ECGRecord,
        signal: Signal,
        present: NDArray[np.bool_],
        quality: DeferredTable,
        issues: tuple[str, ...],
        found: Boundaries,
        extents: dict[str, Array],
        name: str,
        rhythm: Rhythm,
        p_known: NDArray[np.bool_],
        rr: Array,
        no_lead_spans: Spans,
        missing_waves: dict[str, str],
        hum: NDArray[np.bool_],
    ) -> None:
        self.record, self.signal, self.present, self.quality, self.issues = record, signal, present, quality, issues
        self.usable: NDArray[np.bool_] = np.asarray(present.any(axis=1))
        self.whole: NDArray[np.bool_] = np.asarray(present.all(axis=1))
        self.found, self.extents, self.name, self.missing_waves, self.no_lead_spans = (
            found,
            extents,
            name,
            missing_waves,
            no_lead_spans,
        )
        self.edges = edges = clinical_boundaries(found, extents)
        self.to_fs = record.fs / FS_HZ
        self.hum = hum & (record.fs > LOWEST_NOTCHED_HZ)
        self.reasons: dict[str, str] = {}
        self.beats = found.beats
        self.rr_prev = np.concatenate([[np.nan], rr * MS])
        self.rr_next = np.concatenate([rr * MS, [np.nan]])
        self.rhythm, self.types = rhythm, rhythm.types
        self.normal = usual_beats(self.types, np.isfinite(edges["t_offset"] - edges["qrs_onset"]))
        self.has_p = np.isfinite(edges["p_onset"])
        self.p_known = p_known

    def result(self) -> Measurement:
        """The finished Measurement."""
        per_beat = self._per_beat(self.edges)
        extents = self._intervals(self._per_beat(self.extents))
        intervals = self._intervals(per_beat)
        summary = self._summary()
        axes = self._axes()
        rr_ms = intervals["rr"]
        if rr_ms is None:
            self.reasons["heart_rate"] = self.reasons["rr"]
        beats = {
            "beat": np.arange(len(self.beats)),
            "r_sample": self.beats * self.to_fs,
            "r_s": self.beats / FS_HZ,
            "rr_prev_ms": self.rr_prev,
            "rr_next_ms": self.rr_next,
            "type": self.types,
            "p_present": self.has_p,
            "p_known": self.p_known,
            **per_beat,
            **{edge: values * self.to_fs for edge, values in self.edges.items()},
            **{EXTENT_COLUMNS[edge]: values * self.to_fs for edge, values in self.extents.items()},
        }
        method = (
            f"{self.name} delineation, boundaries by the clinical definition over {int(self.usable.sum())} leads, "
            "mean of the middle half of the beats"
        )
        methods = dict.fromkeys((*INTERVALS, *RHYTHM_NAMES, "heart_rate"), method)
        methods |= {
            "axis": "net area of the QRS in I and aVF, over the level before it",
            "axis_p": "net area of P in I and aVF",
            "axis_t": "net area of T in I and aVF",
        }
        meta = self.record.meta
        forms = [row.get("st_form") for row in summary]
        waves = WaveTables(
            self.signal, self.record.leads, self.found, self.to_fs, self.rr_prev, self.rr_next, forms
        ).tables()
        tables = {
            "waves": waves["waves"],
            "beats": DeferredTable(beats),
            "lead_features": waves["lead_features"],
            "lead_summary": _summary_table(summary),
            "quality": self.quality,
        }
        return Measurement.deferred(
            tables,
            record_id=self.record.record_id,
            fs=self.record.fs,
            leads=self.record.leads,
            duration_s=self.record.duration_s,
            intervals=intervals,
            extents=extents,
            heart_rate=None if rr_ms is None else 60000.0 / rr_ms,
            axes=axes,
            rhythm=self._rhythm(per_beat),
            issues=self.issues,
            reasons=self.reasons,
            methods=methods,
            has_millivolts=self.record.has_millivolts,
            age=meta.get("age"),
            sex=meta.get("sex"),
        )

    def _per_beat(self, edges: dict[str, Array]) -> dict[str, Array]:
        return {
            "pr_ms": (edges["qrs_onset"] - edges["p_onset"]) * MS,
            "p_ms": (edges["p_offset"] - edges["p_onset"]) * MS,
            "qrs_ms": (edges["qrs_offset"] - edges["qrs_onset"]) * MS,
            "qt_ms": (edges["t_offset"] - edges["qrs_onset"]) * MS,
        }

    def _intervals(self, per_beat: dict[str, Array]) -> dict[str, float | None]:
        out: dict[str, float | None] = dict.fromkeys(INTERVALS)
        rr = self.rr_prev[np.isfinite(self.rr_prev)]
        # the mean, since the rate counts all beats; the median RR would ignore pauses and early beats
        out["rr"] = float((_usual(rr) if in_turn(self.present) else rr).mean()) if rr.size else None
        if out["rr"] is None:
            one = len(self.beats) == 1
            self.reasons["rr"] = "only one beat was found" if one else "something is missing between any two beats"
        if self.record.fs < MIN_DELINEATED_HZ:
            for name in INTERVALS[1:]:
                self.reasons[name] = f"at {self.record.fs:g} Hz wave boundaries can't be told"
            return out
        share = _share(self.has_p, self.p_known & self.normal)
        for name, least in (("pr", 0.5), ("p", 0.5), ("qrs", 0.0), ("qt", 0.0)):
            values = per_beat[f"{name}_ms"][self.normal]
            values = values[np.isfinite(values)]
            if name in ("pr", "p") and share < least:
                found = f"a P wave was found before {share:.0%} of the beats only"
                self.reasons[name] = self.missing_waves.get("p", found)
            elif values.size == 0:
                found = f"the boundaries of {'the T wave' if name == 'qt' else 'the wave'} were not found"
                self.reasons[name] = self.missing_waves.get("t", found) if name == "qt" else found
            else:
                out[name] = interquartile_mean(values)
        out |= corrected_qt(out["qt"], out["rr"])
        for name in INTERVALS:
            if out[name] is None:
                self.reasons.setdefault(name, self.reasons.get("qt" if "qt" in name else "rr", "not measured"))
        return out

    def _summary(self) -> list[dict[str, Any]]:
        """Amplitudes and shapes of each lead's median beat, at the record's own sampling rate."""
        onsets, ends = self.extents["qrs_onset"], self.extents["qrs_offset"]
        chosen = np.flatnonzero(self.normal & np.isfinite(onsets))
        at = (onsets[chosen] * self.to_fs).round().astype(int)
        qrs = float(_median((ends - onsets)[chosen])) * MS
        edges = np.stack([table[:, chosen, column] for table in (self.found.p, self.found.t) for column in (0, 2)])
        apart = (edges - onsets[chosen]).reshape(4 * self.record.n_leads, len(chosen))  # chosen may be none
        spans: Any = (row_medians(apart) * MS).reshape(2, 2, -1).transpose(0, 2, 1).tolist()
        medians = self._median_beats(at, onsets[chosen], ends[chosen]) if len(at) else {}
        return [
            {"lead": lead, **summarise(medians[row], self.record.fs, qrs, tuple(spans[0][row]), tuple(spans[1][row]))}
            if row in medians
            else {"lead": lead}
            for row, lead in enumerate(self.record.leads)
        ]

    def _median_beats(self, at: NDArray[np.intp], onsets: Array, ends: Array) -> dict[int, Array]:
        """The median beat of each usable lead, by its row; leads without a gap are computed together.

        Args:
            at: (n,) QRS onsets in samples of the record.
            onsets: (n,) the same at 250 Hz.
            ends: (n,) QRS ends at 250 Hz.
        """
        out: dict[int, Array] = {}
        together = np.flatnonzero(self.usable & self.whole)
        for group in lead_groups(len(together), self.record.n_samples):
            beats = median_beats(self._samples(together[group]), at, self.record.fs)
            if beats is not None:
                out |= dict(zip(together[group].tolist(), beats, strict=True))
        for row in np.flatnonzero(self.usable & ~self.whole).tolist():
            signal = self._samples(np.array([row]))
            index = (np.arange(signal.shape[1]) / self.to_fs).astype(np.intp)
            signal[0, ~self.present[row, np.minimum(index, self.present.shape[1] - 1)]] = np.nan
            beats = median_beats(signal, at[self._shows_both_ends(row, onsets, ends)], self.record.fs)
            if beats is not None:
                out[row] = beats[0]
        return out

    def _samples(self, rows: NDArray[np.intp]) -> Signal:
        """Leads (rows, samples) at the record's rate: gaps bridged, and without the mains where there is much of it."""
        signal = fill_missing(self.record.signal[rows])
        for place, row in enumerate(rows):
            if self.hum[row]:
                signal[place] = without_mains(signal[place], self.record.fs)
        return signal

    def _axes(self) -> dict[str, float | None]:
        out: dict[str, float | None] = dict.fromkeys(("p", "qrs", "t"))
        pairs = self._frontal_pairs()
        for wave in out:
            key = "axis" if wave == "qrs" else f"axis_{wave}"
            nets = self._nets(wave, pairs)
            if not pairs:
                self.reasons[key] = "it needs two usable limb leads with a common voltage scale"
            elif nets is None:
                self.reasons[key] = f"no {wave.upper()} wave with both boundaries"
            elif math.hypot(*nets) < 1e-9:
                self.reasons[key] = "the wave has no net area"
            else:
                out[wave] = frontal_axis(*nets)
        return out

    def _frontal_pairs(self) -> list[tuple[str, str]]:
        """Pairs of limb leads that give the frontal axis; none without a common voltage scale, as in z-scores."""
        if not self.record.has_millivolts:
            return []
        have = {lead for row, lead in enumerate(self.record.leads) if self.usable[row]}
        return [pair for pair in FRONTAL if set(pair) <= have]

    def _nets(self, wave: str, pairs: list[tuple[str, str]]) -> tuple[float, float] | None:
        """Net area of a wave in I and aVF from two limb leads: medians over common beats, else over each lead's own."""
        for one, two in pairs:
            a, b = self._net((one, two), wave)
            if np.isfinite(a + b).any():
                net_i, net_avf = row_medians(np.stack(FRONTAL[one, two](a, b))).tolist()
                return net_i, net_avf
            if np.isfinite(a).any() and np.isfinite(b).any():
                x, y = FRONTAL[one, two](row_medians(a[None]), row_medians(b[None]))
                return float(x[0]), float(y[0])
        return None

    def _shows_both_ends(self, row: int, begin: Array, end: Array) -> NDArray[np.bool_]:
        """Whether a lead was recorded at both ends of stretches (n,)."""
        if self.whole[row]:
            return np.ones(len(begin), bool)
        last = self.present.shape[1] - 1
        ends = (np.clip(np.nan_to_num(x), 0, last).astype(np.intp) for x in (begin, end))
        return np.asarray(np.logical_and.reduce([self.present[row, x] for x in ends]))

    def _net(self, names: tuple[str, str], wave: str) -> Array:
        """Mean of a wave between its boundaries, (2, beats); NaN in beats that are not usual or that the lead lacks.

        P and T are relative to the line between their boundaries; QRS is relative to the 16 ms before its onset, so
        that an elevated ST segment does not change it.
        """
        from_onset = wave == "qrs"
        begin, end = self.extents[f"{wave}_onset"], self.extents[f"{wave}_offset"]
        known = self.normal & np.isfinite(begin) & np.isfinite(end)
        leads = [self.record.leads.index(name) for name in names]
        chosen = np.stack([known & self._shows_both_ends(row, begin, end) for row in leads])
        rows, beats = np.nonzero(chosen)
        areas = [np.empty(0)]
        for part in segments(self.signal, np.take(leads, rows), begin[beats] - LEVEL_SAMPLES * from_onset, end[beats]):
            before = np.arange(part.values.shape[1]) < LEVEL_SAMPLES * from_onset
            inside = part.inside & ~before
            level = part.values[:, before].mean(axis=1) if from_onset else (part.values[:, 0] + part.last_value) / 2
            areas.append((part.values * inside).sum(axis=1) / np.maximum(inside.sum(axis=1), 1) - level)
        out = np.full(chosen.shape, np.nan)
        out[chosen] = np.concatenate(areas)
        return out

    def _rhythm(self, per_beat: dict[str, Array]) -> dict[str, float | None]:
        out: dict[str, float | None] = dict.fromkeys(RHYTHM_NAMES)
        rr = self.rr_prev[np.isfinite(self.rr_prev)]
        out["p_share"] = _share(self.has_p, self.p_known)
        out["af_probability"], out["flutter_probability"] = self.rhythm.fibrillation, self.rhythm.flutter
        if rr.size >= 2:
            out |= {
                "rr_min_ms": float(rr.min()),
                "rr_max_ms": float(rr.max()),
                "rr_sd_ms": float(rr.std(ddof=1)),
                "rr_cv": float(rr.std(ddof=1) / rr.mean()),
                "rmssd_ms": float(np.sqrt(np.mean(np.diff(rr) ** 2))),
            }
        pr = per_beat["pr_ms"][np.isfinite(per_beat["pr_ms"])]
        if pr.size >= 3:
            out["pr_sd_ms"] = float(pr.std(ddof=1))
        values, reasons = atrial_rhythm(self.extents, self.found.p_mean, self.no_lead_spans, self.rhythm.flutter_bpm)
        out |= values
        for name, value in out.items():
            if value is None:
                self.reasons[name] = reasons.get(name, "too few beats")
        return out


def _usual(rr: Array) -> Array:
    """The RR intervals (n,) without those that differ much from the others, where these are alike."""
    low, middle, high = np.quantile(rr, (0.25, 0.5, 0.75))
    regular = high - low < REGULAR_RANGE * middle
    return rr[np.abs(rr - middle) < UNUSUAL_RR * middle] if regular else rr


def _share(flags: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(flags[among].mean()) if among.any() else 0.0


def _median(values: Array) -> float:
    return float(row_medians(values[None])[0])


def _summary_table(rows: list[dict[str, Any]]) -> DeferredTable:
    """The table of leads; a lead that was not measured has its name only."""
    return DeferredTable({name: [row.get(name, math.nan) for row in rows] for name in LEAD_SUMMARY_COLUMNS})


def empty_measurement(record: ECGRecord, quality: DeferredTable, issues: tuple[str, ...], why: str) -> Measurement:
    """A Measurement without values, with the same reason for each.

    Args:
        record: the recording.
        quality: a row per lead, as in ``Measurement.quality``.
        issues: of the record as a whole.
        why: the reason.
    """
    rhythm = dict.fromkeys(RHYTHM_NAMES)
    names = (*INTERVALS, *rhythm, "heart_rate", "axis", "axis_p", "axis_t")
    empty = {"waves": WAVE_COLUMNS, "beats": BEAT_COLUMNS, "lead_features": LEAD_FEATURE_COLUMNS}
    tables = {name: DeferredTable(dict.fromkeys(columns, np.empty(0, object))) for name, columns in empty.items()}
    return Measurement.deferred(
        tables | {"lead_summary": _summary_table([{"lead": lead} for lead in record.leads]), "quality": quality},
        record_id=record.record_id,
        fs=record.fs,
        leads=record.leads,
        duration_s=record.duration_s,
        intervals=dict.fromkeys(INTERVALS),
        extents=dict.fromkeys(INTERVALS),
        heart_rate=None,
        axes=dict.fromkeys(("p", "qrs", "t")),
        rhythm=rhythm,
        issues=issues,
        reasons=dict.fromkeys(names, why),
        has_millivolts=record.has_millivolts,
        age=record.meta.get("age"),
        sex=record.meta.get("sex"),
    )
