"""The signal contract of an encoder: the input that its weights were trained on, and its preparation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding import STANDARD_LEADS, ECGRecord
from grounding.record import canonical_lead, fill_missing
from grounding.signal.gaps import spans_of

from ..errors import GemConfigError, GemInputError
from ..untrusted import check_arguments

INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
NORMALIZATIONS = ("none", "zscore", "zscore_all", "minmax")
MAX_HZ, MAX_SAMPLES = 100_000, 1 << 22  # samples of a window
MISSING_S = 0.5  # of a lead, seconds, that are zeros for the encoder, as a missing lead is; shorter gaps are bridged
INT16_NORMALIZATIONS = ("none", "zscore")  # those that the device can apply to int16 samples, lead by lead


def lead_names(count: int) -> tuple[str, ...]:
    """Lead names for a checkpoint that stores only their number: the standard order, or the eight independent leads.

    Args:
        count: number of leads.

    Raises:
        GemConfigError: fewer than 1 or more than 12.

    Example:
        >>> lead_names(3)
        ('I', 'II', 'III')
    """
    if not 1 <= count <= len(STANDARD_LEADS):
        raise GemConfigError(f"{count} leads", remedy="an encoder takes 1 to 12 of the standard leads")
    return INDEPENDENT if count == len(INDEPENDENT) else STANDARD_LEADS[:count]


@dataclass(frozen=True)
class SignalContract:
    """What an ECG encoder was trained on; travels in the config beside the weights.

    Attributes:
        fs_hz: sampling rate, Hz.
        n_samples: length of the window, samples.
        leads: lead order, by name.
        bandpass_hz: (low, high) corner of a zero-phase Butterworth filter, or None.
        filter_order: its order.
        notch_hz: mains frequency taken out before it (quality factor 30), or None.
        baseline_s: window of a running median that is subtracted after it, seconds, or None.
        normalization: ``"none"`` (millivolts), ``"zscore"`` per lead, ``"zscore_all"`` over all leads together, or
            ``"minmax"`` to 0..1 over all leads.
        typical_mv: one value per lead: the standard deviation, mV, to which each lead of a record without a mV scale is
            brought, for encoders whose input is in mV; such a record loses its amplitudes, and ``changes`` reports it.
            None refuses such records.
        missing_leads: ``"zero"`` fills a lead the record lacks with zeros, ``"error"`` refuses the record.
        licence: of the weights.
        paper: that describes them.
        checksum: of their file.
    """

    fs_hz: float = 500.0
    n_samples: int = 5000
    leads: tuple[str, ...] = STANDARD_LEADS
    bandpass_hz: tuple[float, float] | None = None
    filter_order: int = 3
    notch_hz: float | None = None
    baseline_s: float | None = None
    normalization: str = "none"
    typical_mv: tuple[float, ...] | None = None
    missing_leads: str = "zero"
    licence: str = ""
    paper: str = ""
    checksum: str = ""

    def __post_init__(self) -> None:
        if self.normalization not in NORMALIZATIONS:
            raise GemConfigError(
                f"unknown normalization {self.normalization!r}", remedy=f"use one of {', '.join(NORMALIZATIONS)}"
            )
        if self.fs_hz <= 0 or self.n_samples <= 0 or not self.leads:
            raise GemConfigError("a signal contract needs a positive rate and length and at least one lead")
        if not 1 <= self.fs_hz <= MAX_HZ or self.n_samples > MAX_SAMPLES or len(set(self.leads)) < len(self.leads):
            raise GemConfigError(
                f"a signal contract of {len(self.leads)} leads x {self.n_samples} samples at {self.fs_hz:g} Hz",
                remedy=f"leads that differ, at most {MAX_SAMPLES} samples, 1 to {MAX_HZ} Hz",
            )
        if self.missing_leads not in ("zero", "error"):
            raise GemConfigError(f"unknown missing_leads {self.missing_leads!r}", remedy="use zero or error")
        if self.typical_mv is not None:
            fits = len(self.typical_mv) == len(self.leads) and all(0 < size < 100 for size in self.typical_mv)
            if self.normalization != "none" or not fits:
                raise GemConfigError(
                    "a signal contract whose typical_mv can't be used",
                    remedy="one number of mV for each lead, more than 0, and normalization none",
                )
        low, high = self.bandpass_hz or (0.1, 0.2)
        notch = self.notch_hz if self.notch_hz is not None else 0.1
        if (
            not 0 < low < min(high, 0.49 * self.fs_hz)
            or not 0 < notch < self.fs_hz / 2
            or not 1 <= self.filter_order <= 10
        ):
            raise GemConfigError(
                "a signal contract with a filter that can't be made", remedy="check its corners, Hz, and order"
            )
        if self.baseline_s is not None and not 0 < self.baseline_s <= 10:
            raise GemConfigError(f"a running median over {self.baseline_s} s", remedy="more than 0, at most 10 s")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SignalContract:
        """Read a contract from a config.

        Args:
            values: as ``to_dict`` writes them; missing keys have their defaults.

        Raises:
            GemConfigError: an unknown key, or a value that can't be used.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise GemConfigError(
                f"a signal contract has no {', '.join(unknown)}", remedy=f"it has {', '.join(sorted(known))}"
            )
        check_arguments(cls, values, "a signal contract")
        clean = dict(values)
        for key in ("leads", "bandpass_hz", "typical_mv"):
            if clean.get(key) is not None:
                clean[key] = tuple(clean[key])
        return cls(**clean)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def steps(self) -> tuple[tuple[str, str], ...]:
        """What ``execute`` does to a recording, in its order: the name of each step and its settings in words.

        Example:
            >>> for name, what in SignalContract(fs_hz=125, n_samples=1250, bandpass_hz=(0.5, 40)).steps():
            ...     print(f"{name}: {what}")
            leads: I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6, by name; zeros where one is missing
            gaps: bridged by straight lines; zeros from 0.5 s on
            rate: 125 Hz
            bandpass: 0.5-40 Hz, order 3, forwards and backwards
            window: the first 10 s, 1250 samples; zeros behind a shorter recording
            unit: mV; a recording without is refused
        """
        absent = "zeros where one is missing" if self.missing_leads == "zero" else "refused where one is missing"
        out = [
            ("leads", f"{', '.join(self.leads)}, by name; {absent}"),
            ("gaps", f"bridged by straight lines; zeros from {MISSING_S:g} s on"),
            ("rate", f"{self.fs_hz:g} Hz"),
        ]
        if self.notch_hz is not None:
            out.append(("notch", f"{self.notch_hz:g} Hz, quality factor 30"))
        if self.bandpass_hz is not None:
            low, high = self.bandpass_hz
            out.append(("bandpass", f"{low:g}-{high:g} Hz, order {self.filter_order}, forwards and backwards"))
        if self.baseline_s is not None:
            out.append(("baseline", f"running median over {self.baseline_s:g} s taken off"))
        seconds = self.n_samples / self.fs_hz
        out.append(("window", f"the first {seconds:g} s, {self.n_samples} samples; zeros behind a shorter recording"))
        out.append(("unit", self._unit()))
        return tuple(out)

    def _unit(self) -> str:
        if self.normalization == "zscore":
            return "each lead with mean 0 and standard deviation 1"
        if self.normalization == "zscore_all":
            return "all leads together with mean 0 and standard deviation 1"
        if self.normalization == "minmax":
            return "all leads together scaled to 0..1"
        return "mV; a recording without is " + (
            "refused" if self.typical_mv is None else "given each lead's typical size"
        )

    def execute(self, record: ECGRecord, compat: bool = False) -> tuple[NDArray[np.float32], list[str]]:
        """Bring a recording to what the encoder expects.

        Args:
            record: any recording.
            compat: do what the published code does: rows in file order, no resampling, no filter, NaN and Inf -> 0,
                cut or zero-padded on the right. The normalization stays, it is part of the published input.

        Returns:
            (leads, n_samples) float32, and one line for each thing that was filled in or cut.

        Raises:
            GemInputError: the lead count, leads or units don't fit.
        """
        signal, rows, notes = self._prepared(record, compat)
        # normalised before padding, so that the statistics are those of the recorded samples
        filled = np.zeros((len(self.leads), self.n_samples), np.float32)
        filled[rows, : signal.shape[1]] = self._normalize(signal)
        return filled, notes

    def execute_int16(self, record: ECGRecord, compat: bool = False) -> tuple[NDArray[np.int16], list[str]]:
        """``execute`` without the normalization, as int16: half the bytes of float32 to copy to the device.

        Args:
            record: any recording.
            compat: as in ``execute``.

        Returns:
            (leads, n_samples) in uV, -32768 where the encoder sees zeros; and the notes of ``execute``.

        Raises:
            GemConfigError: the normalization is over all leads.
            GemInputError: as in ``execute``, or the samples don't fit 16 bits.
        """
        from ..kernels.int16_samples import MISSING, UNITS_PER_MV

        if self.normalization not in INT16_NORMALIZATIONS:
            raise GemConfigError(
                f"int16 samples can't be normalized with {self.normalization!r}", remedy="pass float samples"
            )
        signal, rows, notes = self._prepared(record, compat)
        units = np.rint(signal * UNITS_PER_MV)
        if np.abs(units).max(initial=0) > -MISSING - 1:
            largest, unit = np.abs(signal).max(), record.meta.get("units", "mV")
            raise GemInputError(
                f"a sample of {largest:.5g} {unit} is more than 16 bits of uV hold",
                where=record.record_id,
                remedy="pass float samples",
            )
        filled = np.full((len(self.leads), self.n_samples), MISSING, np.int16)
        filled[rows, : signal.shape[1]] = units
        return filled, notes

    def changes(self, record: ECGRecord) -> list[str]:
        """How the encoder's input differs from the recording.

        Args:
            record: any recording.

        Returns:
            One line each for missing leads, interpolated samples, another length and another rate.
        """
        names = [canonical_lead(name) for name in self.leads]
        absent = [name for name in names if name not in record.leads]
        notes = []
        if self.typical_mv is not None and not record.has_millivolts:
            notes.append(
                f"the samples are in {record.meta.get('units')}, not in mV: each lead was given the size that is "
                "typical of it, so that a high or low voltage can't be seen"
            )
        if absent:
            notes.append(f"lead {', '.join(absent)} is not in the record: the encoder sees zeros there")
        rows = [record.leads.index(name) for name in names if name in record.leads]
        missing = np.mean([np.isnan(record.signal[row]).mean() for row in rows]) if rows else 0.0
        if missing > 0:
            notes.append(
                f"{missing:.1%} of the samples are missing: bridged by straight lines, zeros from {MISSING_S:g} s on"
            )
        window_s = self.n_samples / self.fs_hz
        if abs(record.duration_s - window_s) > 0.5 / self.fs_hz:
            verb = "cut to" if record.duration_s > window_s else "padded with zeros to"
            notes.append(f"{record.duration_s:g} s were {verb} {window_s:g} s")
        if record.fs != self.fs_hz:
            notes.append(f"resampled from {record.fs:g} to {self.fs_hz:g} Hz")
        return notes

    def _prepared(self, record: ECGRecord, compat: bool) -> tuple[NDArray[np.floating[Any]], list[int], list[str]]:
        """The leads that the record has (at most n_samples long), their rows in the contract's order, and notes."""
        notes: list[str]
        if compat:
            if record.n_leads != len(self.leads):
                raise GemInputError(
                    f"{record.n_leads} leads where {len(self.leads)} are expected",
                    where=record.record_id,
                    remedy="without compat=True leads are taken by name",
                )
            notes = []
            if record.fs != self.fs_hz:
                notes.append(
                    f"{record.fs:g} Hz where {self.fs_hz:g} Hz are expected: "
                    "not resampled, as the published code does not"
                )
                warnings.warn(
                    f"{record.record_id or 'the recording'}: {notes[0]}; leave compat out, or resample first",
                    stacklevel=3,
                )
            finite = np.nan_to_num(record.signal, nan=0.0, posinf=0.0, neginf=0.0)
            return self._window(finite), list(range(len(self.leads))), notes
        if self.normalization == "none" and self.typical_mv is None and not record.has_millivolts:
            raise GemInputError(
                f"the samples are in {record.meta.get('units')}, the encoder expects mV",
                where=record.record_id,
                remedy="pass the recording in mV, uV or V",
            )
        names = [canonical_lead(name) for name in self.leads]
        present = [name for name in names if name in record.leads]
        absent = [name for name in names if name not in record.leads]
        if not present or (absent and self.missing_leads == "error"):
            raise GemInputError(
                f"the encoder needs lead {', '.join(absent)}",
                where=record.record_id,
                remedy=f"the record has {', '.join(record.leads)}",
            )
        notes = self.changes(record)
        picked = record.select(present)
        # 2 s more than the window, so that the filter's edge effects lie outside it
        longest = int(np.ceil((self.n_samples / self.fs_hz + 2.0) * picked.fs))
        signal = fill_missing(picked.signal[:, :longest])
        clean = ECGRecord.from_array(signal, picked.fs, present, record_id=record.record_id).resample(self.fs_hz).signal
        clean = self._filter(clean)
        clean, rows = clean[:, : self.n_samples], [names.index(name) for name in present]
        gone = self._not_recorded(picked, clean.shape[1])
        if self.typical_mv is not None and not record.has_millivolts:
            part = np.maximum((~gone).mean(axis=1, keepdims=True), 1e-6)  # of the lead that was recorded
            clean = _unit_variance(np.where(gone, 0.0, clean)) * np.sqrt(part) * np.array(self.typical_mv)[rows, None]
        return np.where(gone, 0.0, clean), rows, notes

    def _not_recorded(self, record: ECGRecord, samples: int) -> NDArray[np.bool_]:
        """(leads, samples): where nothing was recorded for ``MISSING_S`` and more; shorter gaps are bridged."""
        least = round(MISSING_S * record.fs)
        gone = np.isnan(record.signal[:, : int(np.ceil(samples / self.fs_hz * record.fs)) + least])
        long = np.zeros_like(gone)
        for lead, flags in enumerate(gone):
            for first, last in spans_of(flags, least):
                long[lead, first:last] = True
        at = (np.arange(samples) * record.fs / self.fs_hz).round().astype(int)
        return long[:, at.clip(0, gone.shape[1] - 1)]

    def _filter(self, signal: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        from scipy.signal import butter, iirnotch, medfilt, sosfiltfilt, tf2sos

        padding = min(signal.shape[1] - 1, int(2 * self.fs_hz))
        steps: list[NDArray[np.floating[Any]]] = []
        if self.notch_hz is not None:
            steps.append(tf2sos(*iirnotch(self.notch_hz, 30, self.fs_hz)))
        if self.bandpass_hz is not None:
            low, high = self.bandpass_hz
            band = (low, min(high, 0.49 * self.fs_hz))
            steps.append(butter(self.filter_order, band, btype="bandpass", fs=self.fs_hz, output="sos"))
        for step in steps:
            signal = sosfiltfilt(step, signal, axis=1, padlen=padding)
        if self.baseline_s is not None:
            window = int(self.baseline_s * self.fs_hz) // 2 * 2 + 1
            signal = signal - np.stack([medfilt(lead, window) for lead in signal])
        return signal

    def _window(self, signal: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        cut = signal[:, : self.n_samples]
        return np.pad(cut, ((0, 0), (0, self.n_samples - cut.shape[1])))

    def _normalize(self, signal: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        if self.normalization == "zscore":
            signal = _unit_variance(signal)
        elif self.normalization == "zscore_all":
            spread = float(signal.std())
            signal = (signal - signal.mean()) / (spread if spread >= 1e-6 else np.inf)
        elif self.normalization == "minmax":
            low, high = float(signal.min()), float(signal.max())
            signal = (signal - low) / (high - low if high > low else 1.0)
        return np.ascontiguousarray(signal, dtype=np.float32)


def _unit_variance(signal: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """(leads, samples), each lead with mean 0 and standard deviation 1; a flat lead is zero."""
    spread = signal.std(axis=1, keepdims=True)
    # a flat lead holds rounding noise only, which must not be scaled up
    scaled: NDArray[np.floating[Any]] = (signal - signal.mean(axis=1, keepdims=True)) / np.where(
        spread < 1e-6, np.inf, spread
    )
    return scaled
