"""ECGRecord: leads x samples in millivolts, with lead names and sampling rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import EcgSignalError
from .leads import STANDARD_LEADS as STANDARD_LEADS
from .leads import canonical_lead as canonical_lead
from .leads import canonical_leads, no_lead_warning
from .resampling import resampled
from .units import UNITS_MV as UNITS_MV
from .units import UNITS_WITHOUT_VOLTAGE, millivolts_per, text_of

if TYPE_CHECKING:
    from fractions import Fraction

    from matplotlib.axes import Axes

    from .evidence import Evidence

MIN_FS_HZ, MAX_FS_HZ = 20.0, 100_000.0
MAX_AGE_YEARS = 300  # PTB-XL writes 300 for "over 89"
SAMPLES_AT_ONCE = 400_000  # a minute of 12 leads at 500 Hz


@dataclass(frozen=True, eq=False)
class ECGRecord:
    """A recording in memory.

    Attributes:
        signal: float32 (leads, samples), millivolts; NaN where a sample is missing.
        fs: sampling rate, Hz.
        leads: lead names, one per row of ``signal``, in standard spelling (``aVR``, ``V1``).
        record_id: a name for the recording, used in every piece of evidence.
        meta: what the file has besides the samples: ``age`` (years), ``sex`` (``"female"``, ``"male"``), ``units``,
            ``channel_names`` (our lead name -> the file's, where they differ), ``format``, ``comments``, ``warnings``,
            ...

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
        """Make a record from an array.

        Args:
            signal: (leads, samples), in ``units``.
            fs: sampling rate, Hz.
            leads: one name per row, in any usual spelling.
            units: ``"mV"``, ``"uV"``, ``"V"``, ``"nV"``; or ``"zscore"`` / ``"adu"`` where the voltage is not known.
            record_id: a name for the recording.
            meta: any other information.

        Raises:
            EcgSignalError: the array is not (leads, samples), is empty, has no finite sample, or the names, rate or
                units don't fit.
        """
        where = str(record_id)
        unit = text_of(units).lower()
        scale_mv = millivolts_per(unit)
        if scale_mv is None and unit not in UNITS_WITHOUT_VOLTAGE:
            known = ", ".join(sorted({*UNITS_MV, *UNITS_WITHOUT_VOLTAGE}))
            raise EcgSignalError(f"unknown unit {units!r}", where=where, remedy=f"use one of {known}")
        try:
            with np.errstate(over="ignore"):  # values beyond float32 become infinite, and then missing
                array = np.array(signal, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise EcgSignalError(
                f"the signal is not numeric ({error})", where=where, remedy="pass a (leads, samples) array of numbers"
            ) from None
        if scale_mv not in (None, 1.0):
            with np.errstate(over="ignore", invalid="ignore"):
                array *= np.float32(scale_mv)
        names = _names(leads, where)
        spelled = canonical_leads(names)
        meta = _checked_meta(meta, where)
        changed = {ours: name for ours, name in zip(spelled, names, strict=True) if ours != name}
        if changed and "channel_names" not in meta:
            meta["channel_names"] = changed
        if warning := no_lead_warning(spelled):
            meta["warnings"] = (*meta.get("warnings", ()), *warning)
        meta["units"] = unit if scale_mv is None else "mV"
        record = cls(array, fs, spelled, record_id, meta)
        if not np.isfinite(record.signal).any():
            raise EcgSignalError("no sample is a finite number", where=where, remedy="check the file, gain and offset")
        return record

    def __post_init__(self) -> None:
        """Check every field, so that ``ECGRecord(...)`` and ``dataclasses.replace`` give a usable record.

        Raises:
            EcgSignalError: as in ``from_array``, except that no sample need be finite: a part of a record may be all
                missing.
        """
        where = str(self.record_id)
        if not isinstance(self.record_id, str):
            raise EcgSignalError(f"record_id is {self.record_id!r}, not text", where=where, remedy="pass a str")
        leads = _names(self.leads, where)
        values = {
            "signal": _checked_signal(self.signal, leads, where),
            "fs": checked_rate(self.fs, where),
            "leads": leads,
            "record_id": self.record_id.encode("utf-8", "replace").decode("utf-8"),
            "meta": _checked_meta(self.meta, where),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def n_leads(self) -> int:
        """Number of leads."""
        return int(self.signal.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples per lead."""
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        """Length, s."""
        return self.n_samples / self.fs

    @property
    def has_millivolts(self) -> bool:
        """False where the amplitudes are no voltages (z-scores or raw converter units)."""
        return bool(self.meta.get("units", "mV") == "mV")

    def lead(self, name: str) -> NDArray[np.float32]:
        """One lead, (samples,), mV.

        Args:
            name: in any usual spelling.

        Raises:
            EcgSignalError: the record has no such lead.
        """
        one: NDArray[np.float32] = self.signal[self._index(name)]
        return one

    def select(self, leads: Iterable[str]) -> ECGRecord:
        """A record of some of the leads.

        Args:
            leads: their names, in the order of the result.

        Raises:
            EcgSignalError: one of them is missing.
        """
        rows = [self._index(name) for name in ([leads] if isinstance(leads, str) else leads)]
        return replace(
            self, signal=np.ascontiguousarray(self.signal[rows]), leads=tuple(self.leads[row] for row in rows)
        )

    def standard(self) -> ECGRecord:
        """A record of the twelve standard leads in standard order; a missing lead is a row of NaN."""
        signal = np.full((len(STANDARD_LEADS), self.n_samples), np.nan, np.float32)
        for row, name in enumerate(STANDARD_LEADS):
            if name in self.leads:
                signal[row] = self.signal[self.leads.index(name)]
        return replace(self, signal=signal, leads=STANDARD_LEADS)

    def crop(self, start_s: float, end_s: float) -> ECGRecord:
        """A part of the record.

        Args:
            start_s: seconds from the beginning.
            end_s: seconds from the beginning.

        Raises:
            EcgSignalError: no sample lies in between.
        """
        first, last = max(0, round(start_s * self.fs)), min(self.n_samples, round(end_s * self.fs))
        if last <= first:
            raise EcgSignalError(
                f"nothing lies between {start_s:g} s and {end_s:g} s",
                where=self.record_id,
                remedy=f"the record is {self.duration_s:g} s long",
            )
        return replace(self, signal=np.ascontiguousarray(self.signal[:, first:last]))

    def resample(self, fs: float) -> ECGRecord:
        """The same recording at another sampling rate, by a polyphase filter; missing stretches stay missing.

        Args:
            fs: Hz.

        Raises:
            EcgSignalError: the rate is out of range.
        """
        if not MIN_FS_HZ <= fs <= MAX_FS_HZ:
            raise EcgSignalError(
                f"sampling rate {fs} Hz is outside {MIN_FS_HZ:g}-{MAX_FS_HZ:g} Hz",
                where=self.record_id,
                remedy="give the rate in Hz",
            )
        return self if fs == self.fs else replace(self, signal=signal_at(self, fs), fs=float(fs))

    def plot(
        self,
        ax: Axes | None = None,
        layout: str = "3x4",
        *,
        leads: Sequence[str] | None = None,
        rhythm: str | Sequence[str] | None = "auto",
        start_s: float = 0.0,
        evidence: Evidence | Iterable[Evidence] = (),
    ) -> Axes:
        """Plot the recording on ECG paper with matplotlib, as lines that stay sharp in SVG and PDF.

        Args:
            ax: matplotlib axes, which become paper in mm; a new figure, true to scale, where ``None``.
            layout: rows x columns: ``"3x4"``, ``"6x2"``, ``"12x1"``, ``"1x1"``, ...
            leads: which leads, in order; the twelve standard ones where ``None``.
            rhythm: lead(s) of the rhythm strip, ``"auto"``, or ``None``.
            start_s: where the page begins, s; a row shows ten seconds.
            evidence: its leads and stretches are shaded.

        Returns:
            The axes.

        Raises:
            EcgError: matplotlib (extra ``notebook``) is missing, or layout, leads or evidence can't be used.
            EcgSignalError: nothing was recorded after ``start_s``.

        Example:
            >>> from grounding import measure, read_record, sample_path
            >>> record = read_record(sample_path())
            >>> axes = record.plot(evidence=measure(record).evidence("pr"))
            >>> axes.figure.savefig("ecg.pdf")  # doctest: +SKIP
        """
        from .plots import plot_paper

        return plot_paper(self, ax, layout, leads=leads, rhythm=rhythm, start_s=start_s, evidence=evidence)[0]

    def _index(self, name: str) -> int:
        key = name if name in self.leads else canonical_lead(name)
        if key not in self.leads:
            raise EcgSignalError(
                f"there is no lead {name}", where=self.record_id, remedy=f"the record has {', '.join(self.leads)}"
            )
        return self.leads.index(key)

    def _repr_html_(self) -> str:
        from .tables import record_table

        return record_table(self)

    def __repr__(self) -> str:
        size = f"{self.n_leads} leads x {self.duration_s:g} s at {self.fs:g} Hz"
        return f"ECGRecord({self.record_id!r}, {size}, leads={' '.join(self.leads)})"


def signal_at(record: ECGRecord, fs: float) -> NDArray[np.float32]:
    """The signal of ``ECGRecord.resample``.

    Args:
        record: any recording.
        fs: Hz; at the record's own rate the signal is not copied.

    Returns:
        (leads, samples); missing stretches stay missing.
    """
    if fs == record.fs:
        return record.signal
    ratio = _ratio(fs, record.fs)
    n_out = -(-record.n_samples * ratio.numerator // ratio.denominator)
    out = np.empty((record.n_leads, n_out), np.float32)
    for rows in lead_groups(record.n_leads, record.n_samples):
        part = record.signal[rows]
        missing = ~np.isfinite(part)
        some_missing = bool(missing.any())
        out[rows] = resampled((fill_missing(part) if some_missing else part).astype(np.float64), ratio)
        if some_missing:
            source = np.minimum((np.arange(n_out) / float(ratio)).round().astype(int), record.n_samples - 1)
            out[rows][missing[:, source]] = np.nan
    return out


@lru_cache(maxsize=8)
def _ratio(fs: float, of_hz: float) -> Fraction:
    from fractions import Fraction

    return Fraction(fs / of_hz).limit_denominator(10_000)


def lead_groups(n_leads: int, n_samples: int) -> Iterator[slice]:
    """Row slices for processing a few leads at a time, so that temporary arrays of long recordings stay small.

    Args:
        n_leads: number of rows.
        n_samples: samples per row.

    Returns:
        Consecutive slices; a single one for a short recording.

    Example:
        >>> list(lead_groups(12, 5000)), len(list(lead_groups(12, 1_800_000)))
        ([slice(0, 12, None)], 12)
    """
    group = max(1, SAMPLES_AT_ONCE // max(n_samples, 1))
    return (slice(row, min(n_leads, row + group)) for row in range(0, n_leads, group))


def finite_rows(signal: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which leads have no missing sample.

    Args:
        signal: (leads, samples), NaN or infinite where missing.

    Returns:
        (leads,).
    """
    parts = [np.isfinite(signal[rows]).all(axis=1) for rows in lead_groups(*signal.shape)]
    return np.concatenate(parts) if parts else np.empty(0, bool)


def fill_missing(signal: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Interpolate missing samples linearly.

    Args:
        signal: (leads, samples), NaN or infinite where missing.

    Returns:
        A copy without gaps; a lead without a finite sample is zero.
    """
    out = np.array(signal)
    for index in np.flatnonzero(~finite_rows(out)):
        row = out[index]
        bad = ~np.isfinite(row)
        if bad.all():
            row[:] = 0.0
        else:
            position = np.arange(len(row))
            row[bad] = np.interp(position[bad], position[~bad], row[~bad])
    return out


def _names(leads: Any, where: str) -> tuple[str, ...]:
    try:
        return (leads,) if isinstance(leads, str) else tuple(str(name) for name in leads)
    except TypeError:
        raise EcgSignalError(f"leads is {leads!r}", where=where, remedy="pass a name for every row") from None


def _checked_signal(signal: Any, leads: tuple[str, ...], where: str) -> NDArray[np.float32]:
    """float32 (leads, samples) without infinities; the same array where nothing has to be changed."""
    try:
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(signal, dtype=np.float32) if np.ndim(signal) else np.zeros((), np.float32)
    except (TypeError, ValueError) as error:
        raise EcgSignalError(
            f"the signal is not numeric ({error})", where=where, remedy="pass a (leads, samples) array of numbers"
        ) from None
    if array.ndim != 2:
        raise EcgSignalError(
            f"the signal has {array.ndim} axes, not 2", where=where, remedy="pass an array of shape (leads, samples)"
        )
    if array.shape[0] != len(leads):
        turned = " (it looks transposed: pass signal.T)" if array.shape[1] == len(leads) else ""
        raise EcgSignalError(
            f"{array.shape[0]} rows but {len(leads)} lead names{turned}", where=where, remedy="name every row once"
        )
    if array.size == 0:
        raise EcgSignalError("the recording is empty", where=where, remedy="check that the file was fully written")
    repeated = sorted({name for name in leads if leads.count(name) > 1}) if len(set(leads)) < len(leads) else []
    if repeated:
        raise EcgSignalError(
            f"lead {', '.join(repeated)} is there more than once",
            where=where,
            remedy="give every row a name of its own, such as ECG and ECG 2",
        )
    if not finite_rows(array).all() and np.isinf(array).any():
        array = np.where(np.isinf(array), np.float32(np.nan), array)
    return array


def checked_rate(fs: Any, where: str | None = None) -> float:
    """A sampling rate in Hz.

    Args:
        fs: a number, or what converts to one.
        where: for the error message.

    Raises:
        EcgSignalError: it is not a number from 20 to 100,000.

    Example:
        >>> checked_rate(500)
        500.0
    """
    try:
        rate = float(fs)
    except (TypeError, ValueError, OverflowError):
        rate = float("nan")
    if not MIN_FS_HZ <= rate <= MAX_FS_HZ:
        raise EcgSignalError(
            f"sampling rate {fs} Hz is outside {MIN_FS_HZ:g}-{MAX_FS_HZ:g} Hz",
            where=where,
            remedy="give the rate in Hz",
        )
    return rate


def _checked_meta(meta: Any, where: str) -> dict[str, Any]:
    """A copy with checked ``age``, ``sex`` and ``units``, which the criteria of findings depend on."""
    if meta is not None and not isinstance(meta, Mapping):
        raise EcgSignalError(f"meta is a {type(meta).__name__}", where=where, remedy="pass a dict")
    info = dict(meta or {})
    if "age" in info:
        info["age"] = checked_age(info["age"], where)
    if "sex" in info:
        info["sex"] = checked_sex(info["sex"], where)
    units = info.get("units", "mV")
    if units != "mV" and units not in UNITS_WITHOUT_VOLTAGE:
        raise EcgSignalError(
            f"meta's units are {units!r}", where=where, remedy="scale to mV, or use ECGRecord.from_array with units="
        )
    return info


def checked_age(age: Any, where: str | None = None) -> float | None:
    """Age in years; None where it is None or NaN.

    Args:
        age: a number, or what converts to one.
        where: for the error message.

    Raises:
        EcgSignalError: it is not a number from 0 to 300.

    Example:
        >>> checked_age(64), checked_age(float("nan"))
        (64.0, None)
    """
    try:
        years = float("nan") if age is None else float(age)
    except (TypeError, ValueError, OverflowError):
        years = -1.0
    if math.isnan(years):
        return None
    if not 0 <= years <= MAX_AGE_YEARS:
        raise EcgSignalError(f"age is {age!r}", where=where, remedy="give years from 0 to 130, or leave it out")
    return years


def checked_sex(sex: Any, where: str | None = None) -> str | None:
    """``"female"``, ``"male"``, or None where it is not known.

    Args:
        sex: ``"F"``, ``"m"``, ``"Female"`` and the like, or None.
        where: for the error message.

    Raises:
        EcgSignalError: it is something else.

    Example:
        >>> checked_sex("F"), checked_sex("male"), checked_sex(None)
        ('female', 'male', None)
    """
    known = {"f": "female", "female": "female", "m": "male", "male": "male"}
    if sex is None:
        return None
    if not isinstance(sex, str) or sex.strip().lower() not in known:
        raise EcgSignalError(f"sex is {sex!r}", where=where, remedy="give female or male, or leave it out")
    return known[sex.strip().lower()]
