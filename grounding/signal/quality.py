"""Signal quality: what in a recording must not be measured, per lead and for the record as a whole.

The thresholds are round figures chosen from the behaviour of electrodes, cables and converters; they are not fitted.
docs/readers.md reports how well they separate acceptable from unacceptable recordings. Nothing is filtered or repaired
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..deferred import DeferredTable
from ..lead_algebra import einthoven_error
from ..leads import recognise
from ..record import ECGRecord, fill_missing, lead_groups
from ..small_arrays import row_median
from .gaps import LONGEST_BRIDGED_S, Spans, merged, presence, spans_of
from .limits import clipped_share, large_windows, saturated_windows, windows_with
from .pacing import pacing_spikes

if TYPE_CHECKING:
    import pandas as pd

QUALITY_COLUMNS = ("lead", "usable", "issues", "unusable_spans_s")
WINDOW_S, NOISE_WINDOW_S = 0.5, 0.2
FLAT_MV = 0.01  # a window with a smaller range holds no ECG; twice the usual step of the converter
LOW_MV, IMPLAUSIBLE_MV = 0.1, 10.0
BASELINE_MV = 1.5
NOISE_MV, UNUSABLE_NOISE_MV, MAINS_MV = 0.08, 0.4, 0.05
ALGEBRA_MV = 0.1
WILD_SHARE = 0.3  # of a block's windows: the whole block is lost
CLIPPED_SHARE, MISSING_SHARE, FLAT_SHARE = 0.002, 0.2, 0.8
LOST_CONTACT_WINDOWS = 5  # 2.5 s: longer than the RR interval of a slow escape rhythm
CONSTANT_SHARE = 0.9  # of a window's samples equal to the one before: a converter never gives that for a real signal
MIN_DURATION_S = 2.0
# usable time that a lead needs: most of a column (2 or 2.5 s) of a printed page
MIN_GOOD_S, MIN_GOOD_SHARE = 1.5, 0.5
BLOCK_S = 10.0  # noise and amplitude are judged in blocks of 10 s
NO_SPANS: Spans = merged(())
PAUSE_LEADS = 3  # three or more leads that are flat together show a cardiac pause; one or two may be disconnected


class Examination(NamedTuple):
    """The table and issues of ``assess``, and what ``measure`` needs besides.

    ``mains_mv`` (leads,) is the mains amplitude, ``spikes`` the sample numbers of pacing spikes, ``bad`` the unusable
    spans of each lead in samples.
    """

    leads: DeferredTable
    issues: tuple[str, ...]
    mains_mv: NDArray[np.float64]
    spikes: NDArray[np.intp]
    bad: tuple[Spans, ...]


@dataclass(frozen=True, eq=False)
class _LeadFigures:
    """Per-lead numbers, each (leads,), in mV or as a share."""

    missing: NDArray[np.float64]
    flat: NDArray[np.float64]
    flat_run: NDArray[np.int64]
    amplitude: NDArray[np.float64]
    largest: NDArray[np.float64]
    wander: NDArray[np.float64]
    jump: NDArray[np.float64]
    noise: NDArray[np.float64]
    mains: NDArray[np.float64]
    clipped: NDArray[np.float64]
    still: NDArray[np.bool_]  # (leads, windows of 0.5 s)
    constant: NDArray[np.bool_]  # (leads, windows)
    noisy_block: NDArray[np.bool_]  # (leads, blocks of 10 s)
    wild: NDArray[np.bool_]  # (leads, windows): an amplitude that no heart has
    wild_block: NDArray[np.bool_]  # (leads, blocks)
    large: NDArray[np.bool_]  # (leads, windows): far more than the lead's usual amplitude
    saturated: NDArray[np.bool_]  # (leads, windows): at a limit of the amplifier for longer than a QRS


def assess(record: ECGRecord) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Judge each lead, and the record.

    Args:
        record: any recording; without voltages (``record.has_millivolts`` False) the leads are scaled to a typical ECG
            first and amplitudes are not judged.

    Returns:
        A DataFrame with a row per lead (``lead``, ``usable``, ``issues``, ``unusable_spans_s``) and the issues of the
        record.

        Lead issues: ``missing`` (more than 20 % of the samples), ``gaps`` (fewer), ``flat`` (four fifths without
        activity), ``lead_off`` (2.5 s or more without activity), ``clipped``, ``saturated`` (0.1 s or more at its
        limit), ``noise`` (muscle or converter), ``heavy_noise``, ``mains`` (50 or 60 Hz), ``baseline`` (wander over 1.5
        mV), ``implausible_amplitude`` (over 10 mV within half a second), ``low_amplitude`` (under 0.1 mV), ``no_ecg``
        (by its name a pulse wave, respiration or the like, in a recording that also has ECGs). Missing, flat and
        lead-off stretches can't be used, nor can half seconds that are saturated or of an implausible amplitude, what
        is next to them and far larger than the lead's beats, and blocks of 10 s with heavy noise or mostly implausible
        amplitudes; a lead is usable where at least 1.5 s are left (half of a recording under 3 s).

        Record issues: ``lead_algebra_broken`` (I + III is not II, or aVR is not -(I + II) / 2), ``limb_leads_swapped``
        (arms: I is the mirror image of V6), ``identical_leads``, ``pacing_spikes`` (needs 400 Hz), ``too_short`` (under
        2 s), ``no_usable_lead``.

    Example:
        >>> from grounding import read_record, sample_path
        >>> leads, issues = assess(read_record(sample_path("ptbxl_13")))
        >>> bool(leads["usable"].all()), issues
        (True, ())
    """
    found = examine(record)
    return found.leads.frame(), found.issues


def examine(record: ECGRecord) -> Examination:
    """``assess``, with what ``measure`` needs besides.

    Args:
        record: any recording.
    """
    signal = _millivolts(record)
    features = _features(signal, record.fs)
    bad = _bad_stretches(signal, features, record)
    channels = recognise(record.leads)
    some_ecg = any(channel.kind in ("lead", "ecg") for channel in channels)
    foreign = [some_ecg and channel.kind == "other" for channel in channels]
    issues = _lead_issues(features, record.has_millivolts)
    rows = [
        (
            name,
            not foreign[row] and _good_s(spans, record) >= min(MIN_GOOD_S, MIN_GOOD_SHARE * record.duration_s),
            ("no_ecg",) * foreign[row] + issues[row],
            tuple((round(float(a) / record.fs, 3), round(float(b) / record.fs, 3)) for a, b in spans),
        )
        for row, (name, spans) in enumerate(zip(record.leads, bad, strict=True))
    ]
    columns = (list(values) for values in zip(*rows, strict=True))
    table = DeferredTable(dict(zip(QUALITY_COLUMNS, columns, strict=True)))
    good_leads = {}
    for row, (name, usable, *_) in enumerate(rows):
        if usable:
            good_leads[name] = signal[row]
            if len(bad[row]):
                good_leads[name] = np.where(
                    presence(bad[row : row + 1], record.n_samples)[0], signal[row], np.float32(np.nan)
                )
    spikes = pacing_spikes(list(good_leads.values()), record.fs)
    return Examination(table, _record_issues(record, good_leads, spikes), features.mains, spikes, bad)


def _good_s(bad: Spans, record: ECGRecord) -> float:
    return record.duration_s - float((bad[:, 1] - bad[:, 0]).sum()) / record.fs


def _bad_stretches(signal: NDArray[np.float32], f: _LeadFigures, record: ECGRecord) -> tuple[Spans, ...]:
    """Unusable spans of each lead, samples."""
    n, window, block = record.n_samples, _length(signal, WINDOW_S, record.fs), round(BLOCK_S * record.fs)
    still_together = f.still.all(axis=0) if len(signal) >= PAUSE_LEADS else np.zeros(f.still.shape[1], bool)
    out = []
    wild = f.wild & record.has_millivolts
    suspect = (
        (f.missing > 0) | f.still.any(axis=1) | f.noisy_block.any(axis=1) | wild.any(axis=1) | f.saturated.any(axis=1)
    )
    for row, lead in enumerate(signal):
        found: list[tuple[int, int]] = []
        if not suspect[row]:
            out.append(NO_SPANS)
            continue
        missing = ~np.isfinite(lead)
        if missing.any():
            found += spans_of(missing, max(1, round(LONGEST_BRIDGED_S * record.fs))).tolist()
        if f.flat[row] >= FLAT_SHARE and f.constant[row].mean() < FLAT_SHARE:
            found.append((0, n))  # nothing but faint noise
        else:
            # in a cardiac pause all leads are flat, but noise keeps them from being constant
            off = f.still[row] & (f.constant[row] | ~still_together)
            for first, last in spans_of(off, LOST_CONTACT_WINDOWS):
                found.append(_exact_span(lead, first * window, n if last == len(off) else last * window, window))
        broken = wild[row] | f.saturated[row] | (f.large[row] & windows_with(missing, window, len(wild[row])))
        for first, last in spans_of(broken | f.large[row]):  # an artefact begins before and ends after its worst
            if broken[first:last].any():
                found.append((first * window, n if last == len(broken) else last * window))
        for flags in (f.noisy_block[row], f.wild_block[row] & record.has_millivolts):
            last_block = len(flags) - 1
            found += [
                (int(k) * block if last_block else 0, n if k == last_block else int(k + 1) * block)
                for k in np.flatnonzero(flags)
            ]
        out.append(_merge_across_short_gaps(merged(found), n, window))
    return tuple(out)


def _exact_span(lead: NDArray[np.float32], first: int, last: int, window: int) -> tuple[int, int]:
    """Extend a flat stretch found in whole windows to the samples where the lead moves."""
    inside = lead[first:last].astype(np.float64)
    level = np.median(inside[np.isfinite(inside)]) if np.isfinite(inside).any() else 0.0
    with np.errstate(invalid="ignore"):
        before = np.abs(lead[max(0, first - window) : first] - level) > FLAT_MV / 2
        after = np.abs(lead[last : last + window] - level) > FLAT_MV / 2
    begin = first - int(np.argmax(before[::-1])) if before.any() else max(0, first - window)
    end = last + int(np.argmax(after)) if after.any() else min(len(lead), last + window)
    return begin, end


def _merge_across_short_gaps(bad: Spans, n: int, shortest: int) -> Spans:
    """Join spans where the usable stretch between them is too short to show a beat."""
    if not len(bad):
        return bad
    good_leads = np.stack([np.append(0, bad[:, 1]), np.append(bad[:, 0], n)], axis=1)
    crumbs = good_leads[(good_leads[:, 1] - good_leads[:, 0] < shortest) & (good_leads[:, 1] > good_leads[:, 0])]
    return merged(np.concatenate([bad, crumbs]))


def quality_score(record: ECGRecord) -> float:
    """How well a recording can be read, from 0 (unreadable) to 1.

    The worst lead counts four fifths and the mean over leads one fifth: one bad lead is enough to reject a recording.
    A lead's penalty is the largest of these: the share of flat samples, of missing samples, ten times the share of
    clipped ones, and r^2 / (1 + r^2) for the ratio r of the largest baseline step between half seconds to 0.5 mV, of
    the noise to 0.15 mV, of the largest range to 10 mV, and of 0.1 mV to the amplitude.

    Args:
        record: any recording.

    Returns:
        The score.
    """
    f = _features(_millivolts(record), record.fs)

    def over(value: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
        ratio = (value / limit) ** 2
        return ratio / (1 + ratio)

    bad = np.max(
        [
            f.flat,
            f.missing,
            np.minimum(10 * f.clipped, 1.0),
            over(f.jump, 0.5),
            over(f.noise, 0.15),
            over(f.largest, IMPLAUSIBLE_MV),
            1 - over(f.amplitude, LOW_MV),
        ],
        axis=0,
    )
    return max(0.0, float(1 - 0.8 * bad.max() - 0.2 * bad.mean()))


def _millivolts(record: ECGRecord) -> NDArray[np.float32]:
    """The signal (leads, samples) in mV; without voltages, scaled so that its median lead has a typical amplitude."""
    return record.signal if record.has_millivolts else record.signal * np.float32(typical_gain(record))


def typical_gain(record: ECGRecord, usual_mv: float = 0.2) -> float:
    """Gain that brings the record's median lead to a typical standard deviation.

    Args:
        record: any recording.
        usual_mv: standard deviation of a typical lead, mV.

    Returns:
        Millivolts per unit of the record; 1 where every lead is constant.
    """
    spread = np.array(
        [lead[np.isfinite(lead)].astype(np.float64).std() for lead in record.signal if np.isfinite(lead).any()]
    )
    alive = spread[spread > 0]
    return float(usual_mv / np.median(alive)) if alive.size else 1.0


def _length(signal: NDArray[Any], seconds: float, fs: float) -> int:
    """Samples of a window; the whole signal is one window where it is shorter."""
    return max(2, min(round(seconds * fs), int(signal.shape[1])))


def _windows(signal: NDArray[Any], length: int) -> NDArray[Any]:
    """(leads, windows, length); the whole signal is one window where it is shorter."""
    length = max(2, min(length, signal.shape[1]))
    count = signal.shape[1] // length
    return signal[:, : count * length].reshape(len(signal), count, length)


def _features(signal: NDArray[np.float32], fs: float) -> _LeadFigures:
    with np.errstate(over="ignore", invalid="ignore"):  # huge amplitudes become infinite
        parts = [_features_of(signal[rows], fs) for rows in lead_groups(*signal.shape)]
    if len(parts) == 1:
        return parts[0]
    return _LeadFigures(*(np.concatenate(values) for values in zip(*map(_values, parts), strict=True)))


def _values(features: _LeadFigures) -> tuple[NDArray[Any], ...]:
    return tuple(vars(features).values())


def _features_of(signal: NDArray[np.float32], fs: float) -> _LeadFigures:
    bad = ~np.isfinite(signal)
    some_bad = bool(bad.any())
    filled = fill_missing(signal) if some_bad else signal
    if filled.shape[1] < 8:
        filled = np.pad(filled, ((0, 0), (0, 8 - filled.shape[1])), mode="edge")
    parts = _windows(filled, round(WINDOW_S * fs))
    low, high = parts.min(axis=2), parts.max(axis=2)
    span, level = high - low, parts.mean(axis=2)
    # two windows (1 s) hold a whole beat above 60 bpm, and most of one below
    pair = np.maximum(span[:, :-1], span[:, 1:]) if span.shape[1] > 1 else span
    still = span < FLAT_MV
    rms = _bend_rms(filled, fs)
    constant = still.copy()
    for row in np.flatnonzero(still.any(axis=1)):
        constant[row] &= (np.diff(parts[row], axis=1) == 0).mean(axis=1) >= CONSTANT_SHARE
    n, block = filled.shape[1], round(BLOCK_S * fs)
    high_low = low.min(axis=1), high.max(axis=1)
    steps = np.abs(np.diff(level, axis=1)).max(axis=1) if level.shape[1] > 1 else np.zeros(len(level))
    return _LeadFigures(
        missing=bad.mean(axis=1) if some_bad else np.zeros(len(bad)),
        flat=still.mean(axis=1),
        flat_run=_longest_run(still),
        amplitude=row_median(pair).astype(np.float64),
        largest=span.max(axis=1).astype(np.float64),
        wander=np.ptp(level, axis=1).astype(np.float64),
        jump=steps.astype(np.float64),
        noise=np.asarray(_low_quantile(rms), dtype=np.float64),
        mains=_mains(filled, fs),
        clipped=clipped_share(filled, *high_low),
        still=still,
        constant=constant,
        noisy_block=np.stack([_low_quantile(x) > UNUSABLE_NOISE_MV for x in _blocks(rms, n, block)], axis=1),
        wild=span > IMPLAUSIBLE_MV,
        wild_block=np.stack([(x > IMPLAUSIBLE_MV).mean(axis=1) > WILD_SHARE for x in _blocks(span, n, block)], axis=1),
        large=large_windows(span, pair, FLAT_MV),
        saturated=saturated_windows(filled, *high_low, parts.shape[2], fs)[:, : parts.shape[1]],
    )


def _blocks(values: NDArray[Any], n_samples: int, block: int) -> list[NDArray[Any]]:
    """Windows (leads, windows) grouped into blocks of ``block`` samples; less than two blocks are one block."""
    count = max(1, n_samples // block)
    borders = [round(k * block * values.shape[1] / n_samples) for k in range(count)]
    return [values[:, a:b] for a, b in zip(borders, [*borders[1:], values.shape[1]], strict=True)]


def _longest_run(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Longest run of True in each row."""
    if not flags.any():
        return np.zeros(len(flags), np.int64)
    at = np.arange(1, flags.shape[1] + 1)
    last_false = np.maximum.accumulate(np.where(flags, 0, at), axis=1)
    return np.asarray((at - last_false).max(axis=1, initial=0), np.int64)


def _low_quantile(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """``np.quantile(values, 0.3, axis=1)`` to the last bit, in a fifth of its time."""
    place = 0.3 * (values.shape[1] - 1)
    low = int(place)
    high = min(low + 1, values.shape[1] - 1)
    if np.isnan(values).any():
        return np.asarray(np.quantile(values, 0.3, axis=1))
    ordered = np.partition(values, (low, high), axis=1)
    below, above, share = ordered[:, low], ordered[:, high], place - low
    step = above - below
    return np.asarray(below + step * share if share < 0.5 else above - step * (1 - share))


def _bend_rms(signal: NDArray[np.floating[Any]], fs: float) -> NDArray[np.float64]:
    """RMS of the second difference at about 250 Hz in windows of 0.2 s, (leads, windows), mV.

    In windows without a QRS this is muscle and converter noise.
    """
    step = max(1, round(fs / 250))
    coarse = signal
    if step > 1 and signal.shape[1] >= 3 * step:
        length = signal.shape[1] // step * step
        coarse = signal[:, :length:step] / np.float32(step)
        for shift in range(1, step):
            coarse += signal[:, shift:length:step] / np.float32(step)
    bend = coarse[:, 2:] - 2 * coarse[:, 1:-1] + coarse[:, :-2]
    return np.asarray(np.sqrt((_windows(bend, round(NOISE_WINDOW_S * fs / step)) ** 2).mean(axis=2)))


def _mains(signal: NDArray[np.floating[Any]], fs: float) -> NDArray[np.float64]:
    """Amplitude of the stronger of 50 and 60 Hz in quiet windows, mV; 0.2 s hold whole cycles of both."""
    tones = np.array([f for f in (50.0, 60.0) if f < 0.45 * fs])
    if not tones.size:
        return np.zeros(len(signal))
    bend = signal[:, 2:] - 2 * signal[:, 1:-1] + signal[:, :-2]  # removes the baseline and slow waves
    parts = _windows(bend, round(NOISE_WINDOW_S * fs))
    basis, gain = _tones(tones.tobytes(), parts.shape[2], fs)
    dots = (parts.reshape(-1, parts.shape[2]) @ basis.astype(signal.dtype)).reshape(*parts.shape[:2], 2, len(tones))
    amplitude = 2 / parts.shape[2] * np.hypot(dots[:, :, 0], dots[:, :, 1]) / gain
    return np.asarray(_low_quantile(amplitude).max(axis=1), dtype=np.float64)


@lru_cache(maxsize=8)
def _tones(tones_hz: bytes, length: int, fs: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines and sines of tones, (length, 2 * tones), and how much a second difference makes of them, (tones,)."""
    tones = np.frombuffer(tones_hz)
    phase = 2 * np.pi * np.outer(np.arange(length), tones) / fs
    return np.hstack([np.cos(phase), np.sin(phase)]), (2 * np.sin(np.pi * tones / fs)) ** 2


def _lead_issues(f: _LeadFigures, judge_amplitude: bool) -> list[tuple[str, ...]]:
    """The issues of each lead."""
    flat = f.flat >= FLAT_SHARE
    heavy = f.noisy_block.any(axis=1)
    tests = {
        "missing": f.missing > MISSING_SHARE,
        "gaps": (f.missing > 0) & (f.missing <= MISSING_SHARE),
        "flat": flat,
        "lead_off": ~flat & (f.flat_run >= LOST_CONTACT_WINDOWS),
        "clipped": f.clipped > CLIPPED_SHARE,
        "saturated": f.saturated.any(axis=1),
        "noise": (f.noise > NOISE_MV) & ~heavy,
        "heavy_noise": heavy,
        "mains": f.mains > MAINS_MV,
        "baseline": f.wander > BASELINE_MV,
        "implausible_amplitude": judge_amplitude & f.wild.any(axis=1),
        "low_amplitude": judge_amplitude & ~flat & (f.amplitude < LOW_MV),
    }
    found = np.stack(list(tests.values()), axis=1).tolist()
    return [tuple(name for name, has in zip(tests, row, strict=True) if has) for row in found]


def _record_issues(
    record: ECGRecord, good_leads: dict[str, NDArray[np.float32]], spikes: NDArray[np.intp]
) -> tuple[str, ...]:
    sparse = {name: lead[:: max(1, len(lead) // 2000)] for name, lead in good_leads.items()}  # enough for correlations
    tests = {
        "too_short": record.duration_s < MIN_DURATION_S,
        "no_usable_lead": not good_leads,
        "lead_algebra_broken": record.has_millivolts and _algebra_broken(sparse),
        "limb_leads_swapped": _arms_swapped(sparse),
        "identical_leads": _identical(list(good_leads.values())),
        "pacing_spikes": spikes.size > 0,
    }
    return tuple(name for name, found in tests.items() if found)


def _algebra_broken(good_leads: dict[str, NDArray[np.float32]]) -> bool:
    """Whether I + III = II or aVR = -(I + II) / 2 is violated.

    The tolerance is 0.1 mV or 15 % of the limb leads' span, more than leads with different filters deviate.
    """
    laws = []
    if {"I", "II", "III"} <= set(good_leads):
        laws.append((good_leads["I"], good_leads["II"], good_leads["III"]))
    if {"I", "II", "aVR"} <= set(good_leads):
        laws.append((good_leads["I"], -2 * good_leads["aVR"], good_leads["II"]))
    for one, two, three in laws:
        if np.ptp(one + three - two) <= ALGEBRA_MV:  # and not NaN: the percentiles below can't be larger
            continue
        error, span = einthoven_error(one, two, three)
        if error > max(ALGEBRA_MV, 0.15 * span):
            return True
    return False


def _arms_swapped(good_leads: dict[str, NDArray[np.float32]]) -> bool:
    """Right and left arm exchanged: lead I correlates negatively with V6, as it is and clipped at 2 SD (P and T)."""
    if not {"I", "V6"} <= set(good_leads):
        return False
    pair = np.stack([good_leads["I"], good_leads["V6"]], dtype=np.float64)
    if not np.isfinite(pair.sum()):
        pair = pair[:, np.isfinite(pair).all(axis=0)]
    if pair.shape[1] < 3:
        return False
    one, six = pair - pair.mean(axis=1, keepdims=True)
    # a median is at most a standard deviation from the mean: about medians, the correlation is lower by 1 at most
    if one @ six > 0.51 * np.sqrt((one @ one) * (six @ six)):
        return False
    pair -= np.median(pair, axis=1, keepdims=True)
    spread = pair.std(axis=1, keepdims=True)
    if not (spread > 0).all():
        return False
    whole = float((pair[0] * pair[1]).mean() / spread.prod())
    if whole >= -0.5:
        return False
    small = np.clip(pair, -2 * spread, 2 * spread)  # P and T waves count beside the QRS
    return float((small[0] * small[1]).mean() / small.std(axis=1).prod()) < -0.4


def _identical(leads: list[NDArray[np.float32]]) -> bool:
    """Two leads equal sample by sample."""
    few = [lead[:: max(1, len(lead) // 500)].tobytes() for lead in leads]
    return any(
        few[one] == few[two] and np.array_equal(leads[one], leads[two], equal_nan=True)
        for one in range(len(leads))
        for two in range(one)
    )
