"""The tables with a row per lead and beat, which are made when someone asks for them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deferred import Columns, DeferredColumns, DeferredTable
from ..delineation.features import FS_HZ
from ..delineation.types import Array, Boundaries
from ..record import SAMPLES_AT_ONCE
from .shapes import segments

MS = 1000.0 / FS_HZ
BOUNDARY_COLUMNS = ("onset", "peak", "offset")


class WaveTables:
    """``waves`` and ``lead_features`` of one record.

    Args:
        signal: (leads, samples) at 250 Hz.
        leads: their names.
        found: boundaries per lead; the peaks that are missing there are added to it.
        to_fs: samples of the record per sample at 250 Hz.
        rr_prev: (beats,) interval before each beat, ms, NaN where not known.
        rr_next: (beats,) interval after each beat, likewise.
        st_forms: form of the ST segment of each lead's median beat.
    """

    def __init__(
        self,
        signal: NDArray[np.float32],
        leads: tuple[str, ...],
        found: Boundaries,
        to_fs: float,
        rr_prev: Array,
        rr_next: Array,
        st_forms: list[Any],
    ) -> None:
        self.signal, self.leads, self.found, self.to_fs = signal, leads, found, to_fs
        self.rr_prev, self.rr_next, self.st_forms = rr_prev, rr_next, st_forms
        self.has_peaks = False

    def tables(self) -> dict[str, DeferredTable]:
        """Both tables; of a long recording they are made at once, since its signal is larger than they are."""
        makers = {"waves": self._waves, "lead_features": self._features}
        if self.signal.size > SAMPLES_AT_ONCE:
            return {name: DeferredTable(dict(make())) for name, make in makers.items()}
        return {name: DeferredTable(make) for name, make in makers.items()}

    def _add_peaks(self) -> None:
        """Peak of every wave: the largest deviation from the line between its boundaries."""
        if self.has_peaks:
            return
        self.has_peaks = True
        for table in (self.found.p, self.found.qrs, self.found.t):
            whole = np.isfinite(table[:, :, 0]) & np.isfinite(table[:, :, 2])
            rows, beats = np.nonzero(whole & np.isnan(table[:, :, 1]))
            for part in segments(self.signal, rows, table[rows, beats, 0], table[rows, beats, 2]):
                slope = (part.last_value - part.values[:, 0]) / np.maximum(part.length - 1, 1)
                bump = part.values - part.values[:, :1] - slope[:, None] * np.arange(part.values.shape[1])
                peak = part.first + np.where(part.inside, np.abs(bump), -1.0).argmax(axis=1)
                table[rows[part.chosen], beats[part.chosen], 1] = peak

    def _waves(self) -> Columns:
        n_leads, n_beats = self.found.qrs.shape[:2]
        columns = {
            "lead": np.repeat(np.asarray(self.leads, object), n_beats * 3),
            "beat": np.tile(np.repeat(np.arange(n_beats), 3), n_leads),
            "wave": np.tile(np.asarray(["P", "QRS", "T"], object), n_leads * n_beats),
        }
        return DeferredColumns(columns, {name: partial(self._places, at) for at, name in enumerate(BOUNDARY_COLUMNS)})

    def _places(self, at: int) -> Array:
        """The column ``BOUNDARY_COLUMNS[at]`` of ``waves``: evidence needs all but the peaks, which take longest."""
        if BOUNDARY_COLUMNS[at] == "peak":
            self._add_peaks()
        parts = [table[:, :, at] for table in (self.found.p, self.found.qrs, self.found.t)]
        return np.asarray(np.stack(parts, axis=2).reshape(-1) * self.to_fs)

    def _features(self) -> dict[str, Any]:
        """GEM's fourteen features per lead and beat; amplitudes are relative to the level at the beat's QRS onset."""
        self._add_peaks()
        n_leads, n_beats = self.found.qrs.shape[:2]
        p, qrs, t = self.found.p, self.found.qrs, self.found.t
        base = self._sample(qrs[:, :, 0])
        low, high = np.full((n_leads, n_beats), np.nan), np.full((n_leads, n_beats), np.nan)
        rows, beats = np.nonzero(np.isfinite(qrs[:, :, 0]) & np.isfinite(qrs[:, :, 2]))
        for part in segments(self.signal, rows, qrs[rows, beats, 0], qrs[rows, beats, 2]):
            place = rows[part.chosen], beats[part.chosen]
            low[place] = np.where(part.inside, part.values, np.inf).min(axis=1)
            high[place] = np.where(part.inside, part.values, -np.inf).max(axis=1)
        qt = (t[:, :, 2] - qrs[:, :, 0]) * MS
        rr = np.tile(self.rr_prev, (n_leads, 1))
        with np.errstate(invalid="ignore"):
            columns = {
                "lead": np.repeat(np.asarray(self.leads, object), n_beats),
                "beat": np.tile(np.arange(n_beats), n_leads),
                "heart_rate_bpm": 60000.0 / rr,
                "rr_prev_ms": rr,
                "rr_next_ms": np.tile(self.rr_next, (n_leads, 1)),
                "p_amplitude_mv": self._sample(p[:, :, 1]) - base,
                "p_duration_ms": (p[:, :, 2] - p[:, :, 0]) * MS,
                "pr_interval_ms": (qrs[:, :, 0] - p[:, :, 0]) * MS,
                "qrs_amplitude_mv": high - low,
                "qrs_duration_ms": (qrs[:, :, 2] - qrs[:, :, 0]) * MS,
                "t_amplitude_mv": self._sample(t[:, :, 1]) - base,
                "t_duration_ms": (t[:, :, 2] - t[:, :, 0]) * MS,
                "st_duration_ms": (t[:, :, 0] - qrs[:, :, 2]) * MS,
                "st_form": np.repeat(np.asarray(self.st_forms, object), n_beats),
                "qt_interval_ms": qt,
                "qtc_interval_ms": qt / np.sqrt(rr / 1000.0),
            }
        return {name: np.asarray(values).reshape(-1) for name, values in columns.items()}

    def _sample(self, where: Array) -> Array:
        """The signal at (leads, beats) positions; NaN stays NaN."""
        known, n = np.isfinite(where), self.signal.shape[1]
        index = np.minimum(np.maximum(np.where(known, where, 0), 0), n - 1).astype(np.intp)
        index += np.arange(len(where))[:, None] * n
        return np.where(known, np.take(self.signal, index), np.nan)
