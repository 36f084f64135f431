"""ECGRecord: leads x samples in millivolts, with the names and the sampling rate they were recorded at."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import EcgSignalError

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MIN_FS_HZ, MAX_FS_HZ = 20.0, 100_000.0
SAMPLES_AT_ONCE = 400_000  # a minute of 12 leads at 500 Hz

# How many millivolts one unit is. "zscore" and "adu" carry no voltage: see ECGRecord.has_millivolts.
UNITS_MV = {
    "mv": 1.0,
    "millivolt": 1.0,
    "uv": 1e-3,
    "µv": 1e-3,
    "μv": 1e-3,
    "microvolt": 1e-3,
    "v": 1e3,
    "volt": 1e3,
    "nv": 1e-6,
}
UNITS_WITHOUT_VOLTAGE = {"zscore", "adu", "au", "unknown"}

_CANONICAL = {name.lower(): name for name in STANDARD_LEADS}


def canonical_lead(name: str) -> str:
    """The field's spelling of a lead name.

    Example:
        >>> canonical_lead("AVR"), canonical_lead("ii"), canonical_lead("MDC_ECG_LEAD_V1"), canonical_lead("Lead III")
        ('aVR', 'II', 'V1', 'III')
    """
    text = re.sub(r"^(mdc_ecg_lead_|ecg[ _]+|lead[ _-]+)", "", name.strip(), flags=re.IGNORECASE)
    return _CANONICAL.get(text.lower(), text)


@dataclass(frozen=True, eq=False)
class ECGRecord:
    """A recording in memory.

    Attributes:
        signal: float32 (leads, samples), millivolts; NaN where a sample is missing.
        fs: sampling rate, Hz.
        leads: lead names, one per row of ``signal``, in the field's spelling (``aVR``, ``V1``).
        record_id: a name for the recording, used in every piece of evidence.
        meta: what the file said beside the samples (``age``, ``sex``, ``units``, ``format``, ``comments``, ``warnings``, ...).

    Example:
        >>> record = ECGRecord.from_array(np.zeros((2, 1000)), fs=500, leads=["I", "II"])
        >>> record.duration_s, record.leads
        (2.0, ('I', 'II'))
    """

    signal: NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    record_id: str = "record"
    meta: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_array(
        cls,
        signal: ArrayLike,
        fs: float,
        leads: Sequence[str],
        units: str = "mV",
        record_id: str = "record",
        meta: Mapping[str, Any] | None = None,
    ) -> ECGRecord:
        """Check and take a recording from memory.

        Args:
            signal: (leads, samples), in ``units``.
            fs: sampling rate, Hz.
            leads: one name per row.
            units: ``"mV"``, ``"uV"``, ``"V"``, ``"nV"``; or ``"zscore"`` / ``"adu"`` where the voltage is not known.
            record_id: a name for the recording.
            meta: anything else worth keeping.

        Raises:
            EcgSignalError: the array is not (leads, samples), is empty, has no finite sample, or the names, rate or units don't fit.
        """
        where = record_id
        try:
            with np.errstate(over="ignore"):  # beyond float32 is infinite, and so missing
                array = np.asarray(signal, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise EcgSignalError(
                f"the signal is not numeric ({error})", where=where, remedy="pass a (leads, samples) array of numbers"
            ) from None
        names = tuple(canonical_lead(str(name)) for name in leads)
        if array.ndim != 2:
            raise EcgSignalError(
                f"the signal has {array.ndim} axes, not 2",
                where=where,
                remedy="pass an array of shape (leads, samples)",
            )
        if array.shape[0] != len(names):
            turned = " (it looks transposed: pass signal.T)" if array.shape[1] == len(names) else ""
            raise EcgSignalError(
                f"{array.shape[0]} rows but {len(names)} lead names{turned}", where=where, remedy="name every row once"
            )
        if array.size == 0:
            raise EcgSignalError("the recording is empty", where=where, remedy="check that the file was fully written")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise EcgSignalError(
                f"lead {', '.join(repeated)} is there more than once", where=where, remedy="keep one row per lead"
            )
        try:
            rate = float(fs)
        except (TypeError, ValueError):
            rate = float("nan")
        if not MIN_FS_HZ <= rate <= MAX_FS_HZ:
            raise EcgSignalError(
                f"sampling rate {fs} Hz is outside {MIN_FS_HZ:g}-{MAX_FS_HZ:g} Hz",
                where=where,
                remedy="give the rate in Hz",
            )
        unit = units.strip().lower()
        if unit not in UNITS_MV and unit not in UNITS_WITHOUT_VOLTAGE:
            raise EcgSignalError(
                f"unknown unit {units!r}",
                where=where,
                remedy=f"use one of {', '.join(sorted(UNITS_MV | dict.fromkeys(UNITS_WITHOUT_VOLTAGE, 1.0)))}",
            )
        if not np.isfinite(array).any():
            raise EcgSignalError("no sample is a finite number", where=where, remedy="check the file, gain and offset")
        with np.errstate(over="ignore", invalid="ignore"):
            array = array * np.float32(UNITS_MV.get(unit, 1.0))
        array[~np.isfinite(array)] = np.nan
        info = {**(meta or {}), "units": "mV" if unit in UNITS_MV else unit}
        return cls(np.ascontiguousarray(array, dtype=np.float32), rate, names, record_id, info)

    @property
    def n_leads(self) -> int:
        return int(self.signal.shape[0])

    @property
    def n_samples(self) -> int:
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.fs

    @property
    def has_millivolts(self) -> bool:
        """False where the amplitudes carry no voltage (z-scored or raw converter units)."""
        return bool(self.meta.get("units", "mV") == "mV")

    def lead(self, name: str) -> NDArray[np.float32]:
        """One lead, (samples,), mV.

        Raises:
            EcgSignalError: the record has no such lead.
        """
        one: NDArray[np.float32] = self.signal[self._index(name)]
        return one

    def select(self, leads: Iterable[str]) -> ECGRecord:
        """The named leads, in the order given. Raises EcgSignalError when one is missing."""
        names = tuple(canonical_lead(name) for name in leads)
        return replace(
            self, signal=np.ascontiguousarray(self.signal[[self._index(name) for name in names]]), leads=names
        )

    def standard(self) -> ECGRecord:
        """The twelve standard leads in the standard order; a lead the record lacks is a row of NaN."""
        signal = np.full((len(STANDARD_LEADS), self.n_samples), np.nan, np.float32)
        for row, name in enumerate(STANDARD_LEADS):
            if name in self.leads:
                signal[row] = self.signal[self.leads.index(name)]
        return replace(self, signal=signal, leads=STANDARD_LEADS)

    def crop(self, start_s: float, end_s: float) -> ECGRecord:
        """The stretch from ``start_s`` to ``end_s`` (seconds from the beginning)."""
        first, last = max(0, round(start_s * self.fs)), min(self.n_samples, round(end_s * self.fs))
        if last <= first:
            raise EcgSignalError(
                f"nothing lies between {start_s:g} s and {end_s:g} s",
                where=self.record_id,
                remedy=f"the record is {self.duration_s:g} s long",
            )
        return replace(self, signal=np.ascontiguousarray(self.signal[:, first:last]))

    def resample(self, fs: float) -> ECGRecord:
        """The same recording at another sampling rate (polyphase filter; NaN stretches stay NaN)."""
        if not MIN_FS_HZ <= fs <= MAX_FS_HZ:
            raise EcgSignalError(
                f"sampling rate {fs} Hz is outside {MIN_FS_HZ:g}-{MAX_FS_HZ:g} Hz",
                where=self.record_id,
                remedy="give the rate in Hz",
            )
        if fs == self.fs:
            return self
        from fractions import Fraction

        from scipy.signal import resample_poly

        ratio = Fraction(fs / self.fs).limit_denominator(10_000)
        n_out = math.ceil(self.n_samples * ratio)
        out = np.empty((self.n_leads, n_out), np.float32)
        for rows in lead_groups(self.n_leads, self.n_samples):
            part = self.signal[rows]
            missing = ~np.isfinite(part)
            filled = fill_missing(part) if missing.any() else part
            # resample_poly assumes zeros outside: take each lead's ends as a line off first, so that no step rings at the edges
            out[rows] = resample_poly(
                filled.astype(np.float64), ratio.numerator, ratio.denominator, axis=1, padtype="line"
            )[:, :n_out]
            if missing.any():
                source = np.minimum((np.arange(n_out) / float(ratio)).round().astype(int), self.n_samples - 1)
                out[rows][missing[:, source]] = np.nan
        return replace(self, signal=out, fs=float(fs))

    def _index(self, name: str) -> int:
        key = canonical_lead(name)
        if key not in self.leads:
            raise EcgSignalError(
                f"there is no lead {name}", where=self.record_id, remedy=f"the record has {', '.join(self.leads)}"
            )
        return self.leads.index(key)

    def __repr__(self) -> str:
        return f"ECGRecord({self.record_id!r}, {self.n_leads} leads x {self.duration_s:g} s at {self.fs:g} Hz, leads={' '.join(self.leads)})"


def lead_groups(n_leads: int, n_samples: int) -> Iterator[slice]:
    """All leads of a short recording, or a few at a time of a long one, so that what work needs beside it stays bounded.

    Example:
        >>> list(lead_groups(12, 5000)), len(list(lead_groups(12, 1_800_000)))
        ([slice(0, 12, None)], 12)
    """
    group = max(1, SAMPLES_AT_ONCE // max(n_samples, 1))
    return (slice(row, min(n_leads, row + group)) for row in range(0, n_leads, group))


def fill_missing(signal: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """A copy of (leads, samples) with NaN stretches bridged by a straight line; a lead without a finite sample becomes zero."""
    out = np.array(signal)
    position = np.arange(out.shape[-1])
    for row in out:
        bad = ~np.isfinite(row)
        if bad.all():
            row[:] = 0.0
        elif bad.any():
            row[bad] = np.interp(position[bad], position[~bad], row[~bad])
    return out
