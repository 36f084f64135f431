"""From a file's channels to a record: selection of ECG leads, their names, units and sampling rate.

This is the only place where these are decided, for every format. A reader returns the content of the file
(``Channels``: names, units and samples as stored); ``to_record`` does the rest, with the options that all readers have
(``Options``):

1. **Selection.** ``leads=`` selects or names the channels. Without it, channels that are ECGs by name are kept, and the
   others are listed in ``meta["warnings"]``; if none is, channels with unknown names are kept, with a warning.
2. **Names.** They get the standard spelling (``grounding.leads``); repeated and missing names are numbered, with a
   warning. ``meta["channel_names"]`` maps our name to the file's where they differ.
3. **Units.** If a unit is blank, unknown or no voltage, ``meta["units"]`` is ``"unknown"`` or ``"adu"``, with a
   warning; millivolts are never assumed silently. ``units=`` overrides the file.
4. **Rate.** The kept channels are resampled to the highest of their rates; ``fs=`` overrides the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgSignalError
from ..lead_algebra import derive_limb_leads
from ..leads import STANDARD_LEADS, Channel, canonical_lead, no_lead_warning, recognise
from ..record import ECGRecord, checked_age, checked_rate, checked_sex
from ..units import UNITS_MV, UNITS_WITHOUT_VOLTAGE, millivolts_per, text_of, unit_kind
from .bounds import add_warnings
from .rates import one_rate

Samples = NDArray[Any] | Callable[[], NDArray[Any]]


@dataclass
class Channels:
    """The content of a file as stored, before channels are selected, named, scaled or resampled.

    Attributes:
        names: as in the file, text or bytes; None or blank where a channel has none.
        signals: one (samples,) array per channel, NaN where a sample is missing; or a function that returns it, which
            is called only for channels that are kept.
        rates: Hz, of all or one per channel; None where it is not in the file.
        units: of all or one per channel, as in the file; None or blank where there is none. A reader passes the default
            of its format, if there is one, and ``"adu"`` where the gain is unknown.
        meta: ``age``, ``sex``, ``comments``, ``warnings``, ...
        complete_limb_leads: compute III, aVR, aVL and aVF from I and II if they are missing, as the format intends; of
            the eight independent leads of a 12-lead ECG in millivolts they are computed in every format.
        labelled: channels of a table with a unit in their name or below it; ``units=`` applies to the others.
        word: what the format calls a channel, in messages.
    """

    names: Sequence[object]
    signals: Sequence[Samples] | NDArray[Any]
    rates: float | Sequence[float] | None
    units: object | Sequence[object] = None
    meta: dict[str, Any] = field(default_factory=dict)
    complete_limb_leads: bool = False
    labelled: frozenset[int] = frozenset()
    word: str = "channel"


@dataclass(frozen=True)
class Options:
    """The options of every reader, which override the file (but see ``Channels.labelled``).

    Attributes:
        fs: sampling rate, Hz (the highest, where channels differ).
        leads: channels to take, in this order; or, if the file has none of these names, names for all channels.
        units: unit of the samples: ``"mV"``, ``"uV"``, ``"V"``, ``"nV"``, ``"zscore"``, ``"adu"``.
        age: years.
        sex: ``"female"`` or ``"male"``.
    """

    fs: float | None = None
    leads: Sequence[str] | None = None
    units: str | None = None
    age: float | None = None
    sex: str | None = None

    def check(self, where: str) -> Options:
        """The same options, checked and converted.

        Args:
            where: the file, for errors.

        Raises:
            EcgSignalError: an option can't be used.
        """
        fs = None if self.fs is None else checked_rate(self.fs, where)
        leads = self.leads
        try:
            if isinstance(leads, str):  # as on a command line
                leads = [name.strip() for name in leads.split(",")] if "," in leads else leads.split()
            leads = None if leads is None else tuple(str(name) for name in leads)
        except TypeError:
            raise EcgSignalError(f"leads is {leads!r}", where=where, remedy="give a list of names") from None
        if leads is not None and (not leads or len(set(leads)) < len(leads)):
            raise EcgSignalError(f"leads is {list(leads)}", where=where, remedy="name each lead once")
        if self.units is not None and millivolts_per(self.units) is None and _without_voltage(self.units) is None:
            known = ", ".join(sorted({*UNITS_MV, *UNITS_WITHOUT_VOLTAGE}))
            raise EcgSignalError(f"unknown unit {self.units!r}", where=where, remedy=f"use one of {known}")
        return Options(fs, leads, self.units, checked_age(self.age, where), checked_sex(self.sex, where))


OPTIONS = tuple(item.name for item in fields(Options))


def to_record(channels: Channels, options: Options, where: str, record_id: str) -> ECGRecord:
    """Make a record from a file's channels.

    Args:
        channels: from the reader.
        options: from the user, checked.
        where: the file, for errors.
        record_id: the record's name.

    Raises:
        EcgSignalError: no channel is an ECG, a requested lead is missing, or the rate is not known.
    """
    meta = dict(channels.meta)
    kept = _choose(channels, options, meta, where)
    scales, unit = _scales(channels, kept, options, meta, where)
    kept = [item for item in kept if item[0] in scales]
    rows = [row for row, _ in kept]
    samples = (_samples(channels.signals[row]) for row in rows)
    signal, rate = one_rate(samples, _rates(channels, rows, options, where), [scales[row] for row in rows], meta, where)
    names = [name for _, name in kept]
    renamed = {name: given for row, name in kept if (given := text_of(channels.names[row])) != name}
    if renamed:
        meta["channel_names"] = renamed
    if channels.complete_limb_leads or (unit == "mV" and _are_the_eight(names)):
        names, signal = _completed(names, signal, options, meta)
    said = {key: value for key, value in (("age", options.age), ("sex", options.sex)) if value is not None}
    record = ECGRecord(signal, rate, tuple(names), record_id, {**meta, **said, "units": unit})
    if not any(np.isfinite(row).any() for row in record.signal):
        raise EcgSignalError("no sample is a finite number", where=where, remedy="check the file, gain and offset")
    return record


def with_options(record: ECGRecord, options: Options, where: str) -> ECGRecord:
    """Apply the common options to a record that a reader returned instead of channels.

    Args:
        record: from the reader.
        options: from the user, checked.
        where: the file, for errors.
    """
    if options == Options():
        return record
    units = record.meta.get("units", "mV")
    channels = Channels(record.leads, record.signal, record.fs, units, dict(record.meta))
    return to_record(channels, replace(options, leads=options.leads or record.leads), where, record.record_id)


def _choose(channels: Channels, options: Options, meta: dict[str, Any], where: str) -> list[tuple[int, str]]:
    """(row, name) of every channel that is kept."""
    known = recognise(channels.names)
    if not known:
        raise EcgSignalError(f"there is no {channels.word}", where=where, remedy="choose an ECG recording")
    if options.leads is None:
        kept = _ecgs(channels, known, options, meta, where)
        names = _distinct([known[row].name for row in kept], kept, channels.word, meta)
        add_warnings(meta, *no_lead_warning(names))
        return list(zip(kept, names, strict=True))
    return _selected(channels, known, tuple(options.leads), options, where)


def _ecgs(
    channels: Channels, known: Sequence[Channel], options: Options, meta: dict[str, Any], where: str
) -> list[int]:
    """The rows that are ECGs, by name or, if no name is known, by unit; the others are listed in a warning."""
    rows = list(range(len(known)))
    measures = {row for row in rows if unit_kind(_unit(channels, row)) == "quantity"}  # mmHg, %, bpm
    kept = [row for row in rows if known[row].kind in ("lead", "ecg") and row not in measures]
    kept = kept or [row for row in rows if known[row].kind == "unknown" and row not in measures]
    if not kept and options.units is not None:
        kept = [row for row in rows if known[row].kind != "other"]
    if not kept:
        what = "signal is a voltage" if measures else f"{channels.word} is a lead by its name"
        raise EcgSignalError(
            f"no {what}: {_listed([_named(channels, row) for row in rows])}",
            where=where,
            remedy=f"choose an ECG recording, or take a {channels.word} as one with leads= and units=",
        )
    for reason, left in (
        ("not voltages, left out", [row for row in rows if row not in kept and row in measures]),
        ("no ECG by name, left out", [row for row in rows if row not in kept and row not in measures]),
    ):
        if left:
            add_warnings(meta, f"{reason}: {_listed([_named(channels, row) for row in left])}")
    return kept


def _selected(
    channels: Channels, known: Sequence[Channel], leads: tuple[str, ...], options: Options, where: str
) -> list[tuple[int, str]]:
    """The channels that ``leads=`` selects by name; or all channels, or all ECGs, with the names it gives."""
    every = list(range(len(known)))
    names = _distinct([channel.name for channel in known], every, channels.word, {})
    places = [_find(name, channels, names) for name in leads]
    if all(place is not None for place in places) and len(set(places)) == len(places):
        return [(place, names[place]) for place in places if place is not None]
    for rows in (every, _ecgs_or_empty(channels, known, options, where)):
        if len(rows) == len(leads) and all(
            place is None or place == row for place, row in zip(places, rows, strict=True)
        ):
            partly = any(place is not None for place in places)
            if partly and any(p is None and known[row].kind == "lead" for p, row in zip(places, rows, strict=True)):
                continue  # some names are in the file and one contradicts it: probably a mistake
            given = recognise(leads)
            return [(row, channel.name) for row, channel in zip(rows, given, strict=True)]
    unit = options.units if options.units is not None else _unit(channels, 0)
    eight = _are_the_eight(names) and millivolts_per(unit) is not None
    if (channels.complete_limb_leads or eight) and {"I", "II"} <= set(names):
        derivable = {*names, *STANDARD_LEADS[2:6]}
        if all(
            place is not None or canonical_lead(name) in derivable for place, name in zip(places, leads, strict=True)
        ):
            return [(row, names[row]) for row in _ecgs(channels, known, options, {}, where)]
    missing = [name for name, place in zip(leads, places, strict=True) if place is None]
    available = _listed([f"{names[row]!r}" if " " in names[row] else names[row] for row in every])
    what = (
        f"there is no {channels.word} {', '.join(missing)}"
        if missing
        else f"leads {', '.join(leads)} name one {channels.word} twice"
    )
    raise EcgSignalError(
        what, where=where, remedy=f"there are {available}; leads= picks some of them, or names all {len(every)}"
    )


def _ecgs_or_empty(channels: Channels, known: Sequence[Channel], options: Options, where: str) -> list[int]:
    try:
        return _ecgs(channels, known, options, {}, where)
    except EcgSignalError:
        return []


def _find(name: str, channels: Channels, names: Sequence[str]) -> int | None:
    """The channel with a name: our name, the file's, or another spelling of the lead."""
    in_file = [text_of(raw).lower() for raw in channels.names]
    for wanted, available in ((name, names), (name.strip().lower(), in_file), (canonical_lead(name), names)):
        if wanted in available:
            return available.index(wanted)
    return None


def _distinct(names: Sequence[str], rows: Sequence[int], word: str, meta: dict[str, Any]) -> list[str]:
    """The names, with missing and repeated ones numbered, and a warning about them."""
    out: list[str] = []
    taken, given, last = set[str](), set(names), dict[str, int]()
    for name, row in zip(names, rows, strict=True):
        base = name or f"lead {row + 1}"
        new, number = base, last.get(base, 1)
        while new in taken or (new != name and new in given):
            number += 1
            new = f"{base} {number}"
        last[base] = number
        taken.add(new)
        out.append(new)
    missing = [new for name, new in zip(names, out, strict=True) if not name]
    doubled = [new for name, new in zip(names, out, strict=True) if name and new != name]
    if missing:
        add_warnings(meta, f"{len(missing)} of {len(names)} {word}s have no name, numbered: {_listed(missing)}")
    if doubled:
        add_warnings(meta, f"{word}s of the same name, numbered: {_listed(doubled)}")
    return out


def _scales(
    channels: Channels, kept: Sequence[tuple[int, str]], options: Options, meta: dict[str, Any], where: str
) -> tuple[dict[int, float], str]:
    """The factor of each channel's samples, by row, and the record's unit.

    If only some channels are voltages the others are left out, since a record has one unit.
    """
    if options.units is not None:
        scale = millivolts_per(options.units)
        if scale is None:
            return {row: 1.0 for row, _ in kept}, _without_voltage(options.units) or "unknown"
        labelled = {row: millivolts_per(_unit(channels, row)) for row, _ in kept if row in channels.labelled}
        return {row: labelled.get(row) or scale for row, _ in kept}, "mV"
    volts = {row: millivolts_per(_unit(channels, row)) for row, _ in kept}
    scales = {row: scale for row, scale in volts.items() if scale is not None}
    if len(scales) == len(kept):
        return scales, "mV"
    odd = [(row, name) for row, name in kept if row not in scales]
    words = {"": "none", "adu": "adu, not calibrated"}
    unit_words = _listed(
        dict.fromkeys(words.get(text, text) for text in (text_of(_unit(channels, row)) for row, _ in odd))
    )
    whose = f"the unit of {_listed([name for _, name in odd])} is no voltage ({unit_words})"
    if scales:
        add_warnings(meta, f"{whose}, left out; take them with leads= and units=")
        return scales, "mV"
    units = {_without_voltage(_unit(channels, row)) or "unknown" for row, _ in odd}
    unit = units.pop() if len(units) == 1 else "unknown"
    if unit != "zscore":
        add_warnings(meta, f"not millivolts: {whose}; pass units= if you know it")
    return dict.fromkeys((row for row, _ in odd), 1.0), unit


def _without_voltage(unit: object) -> str | None:
    """The name in ``meta["units"]`` of a unit that is no voltage; None where the unit is blank or unknown."""
    text = text_of(unit).lower()
    if text in UNITS_WITHOUT_VOLTAGE:
        return text
    if unit_kind(unit) != "no voltage":
        return None
    return "zscore" if text.replace("-", "").startswith("zscore") else "adu"


def _rates(channels: Channels, rows: Sequence[int], options: Options, where: str) -> list[float]:
    rates = channels.rates
    if rates is None or isinstance(rates, (int, float)):
        rate = options.fs if options.fs is not None else rates
        if rate is None:
            raise EcgSignalError(
                "the sampling rate is not in the file", where=where, remedy="pass fs= in Hz, e.g. fs=500"
            )
        return [float(rate)] * len(rows)
    stored = [float(rates[row]) for row in rows]
    top = max(stored)
    return stored if options.fs is None or not top > 0 else [rate / top * options.fs for rate in stored]


def _are_the_eight(names: Sequence[str]) -> bool:
    """Whether the leads are those that a 12-lead ECG is stored by: the others follow from I and II."""
    return set(names) & set(STANDARD_LEADS) == {*STANDARD_LEADS[:2], *STANDARD_LEADS[6:]}


def _completed(
    names: list[str], signal: NDArray[np.float32], options: Options, meta: dict[str, Any]
) -> tuple[list[str], NDArray[np.float32]]:
    """Add the limb leads that follow from I and II, in standard order; or only the requested leads."""
    asked = [canonical_lead(name) for name in options.leads or ()]
    if asked and set(asked) <= set(names):
        return names, signal
    leads = dict(zip(names, signal, strict=True))
    derived = [name for name in derive_limb_leads(leads) if not asked or name in asked]
    if derived:
        meta["derived_leads"] = tuple(derived)
    order = asked or [n for n in STANDARD_LEADS if n in leads] + [n for n in leads if n not in STANDARD_LEADS]
    return (order, np.stack([leads[name] for name in order])) if derived else (names, signal)


def _samples(signal: Samples) -> NDArray[Any]:
    return np.asarray(signal() if callable(signal) else signal)


def _unit(channels: Channels, row: int) -> object:
    units = channels.units
    return units if units is None or isinstance(units, (str, bytes)) else units[row]  # type: ignore[index]


def _named(channels: Channels, row: int) -> str:
    unit = text_of(_unit(channels, row))
    kind = unit_kind(unit)
    name = text_of(channels.names[row]) or f"{channels.word} {row + 1}"
    return f"{name} ({unit})" if kind in ("quantity", "odd") else name


def _listed(names: Iterable[str], limit: int = 12) -> str:
    """Names for a message; a long list is shortened."""
    every = list(names)
    return ", ".join(every[:limit]) + (f" and {len(every) - limit} more" if len(every) > limit else "")
