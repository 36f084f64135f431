"""A file's channels become a record: which of them are ECG leads, what they are called, and what their samples are in.

This is the one place where that is decided, for every format. A reader says what the file holds (``Channels``: names,
units and samples as they are stored); ``to_record`` does the rest, with the options that every reader has
(``Options``):

1. **Which.** ``leads=`` picks or names the channels. Without it, where some are ECGs by name the others are left out
and named
   in ``meta["warnings"]``; where none is, those whose name says nothing are kept, with a warning.
2. **Names.** The field's spelling (``grounding.leads``); doubled and missing names are numbered, with a warning.
   ``meta["channel_names"]`` maps our name to the file's where they differ.
3. **Units.** A unit that is blank, odd or no voltage gives a record whose ``meta["units"]`` is ``"unknown"`` or
``"adu"``, with a
   warning, never millivolts in silence; ``units=`` says it instead of the file.
4. **Rate.** The kept channels are brought to the highest of their rates; ``fs=`` says it instead of the file.
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
    """What a file holds, as it is stored: before anything is chosen, named, scaled or resampled.

    Attributes:
        names: the file's own, text or bytes; None or blank where a channel has none.
        signals: one (samples,) array per channel, NaN where a sample is missing, or a function that gives it, called
            for the kept ones alone.
        rates: Hz, of all or one per channel; None where the file does not tell.
        units: of all or one per channel, as the file writes them; None or blank where it gives none. A reader whose
            format has a default passes that, and ``"adu"`` where the gain is said to be unknown.
        meta: ``age``, ``sex``, ``comments``, ``warnings``, ...
        complete_limb_leads: III, aVR, aVL and aVF are computed from I and II where the file, as its format has it,
            leaves them out.
        labelled: channels of a table whose unit stands in their own name or under it: ``units=`` is for the others.
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
    """What a user can say about any file; each wins over what the file says (but see ``Channels.labelled``).

    Attributes:
        fs: sampling rate, Hz (the highest, where channels differ).
        leads: channels to take, in this order; or, where none of these is there, names for all of them.
        units: what the samples are in: ``"mV"``, ``"uV"``, ``"V"``, ``"nV"``, ``"zscore"``, ``"adu"``.
        age: years.
        sex: ``"female"`` or ``"male"``.
    """

    fs: float | None = None
    leads: Sequence[str] | None = None
    units: str | None = None
    age: float | None = None
    sex: str | None = None

    def check(self, where: str) -> Options:
        """The same, in the right types. Raises EcgSignalError where an option can't be used."""
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
    """The record that a file's channels are.

    Args:
        channels: what the reader found.
        options: what the user said, checked.
        where: the file, for errors.
        record_id: the record's name.

    Raises:
        EcgSignalError: no channel is an ECG, a lead that was asked for is not there, or the rate is not known.
    """
    meta = dict(channels.meta)
    kept = _choose(channels, options, meta, where)
    scales, unit = _scales(channels, kept, options, meta, where)
    kept = [item for item in kept if item[0] in scales]
    rows = [row for row, _ in kept]
    samples = (_samples(channels.signals[row]) for row in rows)
    signal, rate = one_rate(samples, _rates(channels, rows, options, where), [scales[row] for row in rows], meta, where)
    names = [name for _, name in kept]
    own = {name: text_of(channels.names[row]) for row, name in kept}
    renamed = {name: given for name, given in own.items() if given != name}
    if renamed:
        meta["channel_names"] = renamed
    if channels.complete_limb_leads:
        names, signal = _completed(names, signal, options, meta)
    said = {key: value for key, value in (("age", options.age), ("sex", options.sex)) if value is not None}
    record = ECGRecord(signal, rate, tuple(names), record_id, {**meta, **said, "units": unit})
    if not any(np.isfinite(row).any() for row in record.signal):
        raise EcgSignalError("no sample is a finite number", where=where, remedy="check the file, gain and offset")
    return record


def with_options(record: ECGRecord, options: Options, where: str) -> ECGRecord:
    """A record that a reader made by itself, with what the user said about it."""
    if options == Options():
        return record
    units = record.meta.get("units", "mV")
    channels = Channels(record.leads, record.signal, record.fs, units, dict(record.meta))
    return to_record(channels, replace(options, leads=options.leads or record.leads), where, record.record_id)


def _choose(channels: Channels, options: Options, meta: dict[str, Any], where: str) -> list[tuple[int, str]]:
    """(row, name) of every channel to keep."""
    known = recognise(channels.names)
    if not known:
        raise EcgSignalError(f"there is no {channels.word}", where=where, remedy="choose an ECG recording")
    if options.leads is None:
        kept = _ecgs(channels, known, options, meta, where)
        names = _distinct([known[row].name for row in kept], kept, channels.word, meta)
        add_warnings(meta, *no_lead_warning(names))
        return list(zip(kept, names, strict=True))
    return _asked_for(channels, known, tuple(options.leads), options, where)


def _ecgs(
    channels: Channels, known: Sequence[Channel], options: Options, meta: dict[str, Any], where: str
) -> list[int]:
    """The rows that are ECGs, by name and, where no name tells, by unit; the others are named in a warning."""
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


def _asked_for(
    channels: Channels, known: Sequence[Channel], leads: tuple[str, ...], options: Options, where: str
) -> list[tuple[int, str]]:
    """The channels that ``leads=`` picks by their names, or all (or all ECGs) under the names it gives."""
    every = list(range(len(known)))
    names = _distinct([channel.name for channel in known], every, channels.word, {})
    places = [_find(name, channels, names) for name in leads]
    if all(place is not None for place in places) and len(set(places)) == len(places):
        return [(place, names[place]) for place in places if place is not None]
    for rows in (every, _ecgs_or_none(channels, known, options, where)):
        if len(rows) == len(leads) and all(
            place is None or place == row for place, row in zip(places, rows, strict=True)
        ):
            partly = any(place is not None for place in places)
            if partly and any(p is None and known[row].kind == "lead" for p, row in zip(places, rows, strict=True)):
                continue  # some names are the file's and one contradicts it: that is a slip
            given = recognise(leads)
            return [(row, channel.name) for row, channel in zip(rows, given, strict=True)]
    if channels.complete_limb_leads and {"I", "II"} <= set(names):
        derivable = {*names, *STANDARD_LEADS[2:6]}
        if all(
            place is not None or canonical_lead(name) in derivable for place, name in zip(places, leads, strict=True)
        ):
            return [(row, names[row]) for row in _ecgs(channels, known, options, {}, where)]
    missing = [name for name, place in zip(leads, places, strict=True) if place is None]
    there = _listed([f"{names[row]!r}" if " " in names[row] else names[row] for row in every])
    what = (
        f"there is no {channels.word} {', '.join(missing)}"
        if missing
        else f"leads {', '.join(leads)} name one {channels.word} twice"
    )
    raise EcgSignalError(
        what, where=where, remedy=f"there are {there}; leads= picks some of them, or names all {len(every)}"
    )


def _ecgs_or_none(channels: Channels, known: Sequence[Channel], options: Options, where: str) -> list[int]:
    try:
        return _ecgs(channels, known, options, {}, where)
    except EcgSignalError:
        return []


def _find(name: str, channels: Channels, names: Sequence[str]) -> int | None:
    """The channel of a name: ours, the file's, or one that means the same lead."""
    own = [text_of(raw).lower() for raw in channels.names]
    for here, there in ((name, names), (name.strip().lower(), own), (canonical_lead(name), names)):
        if here in there:
            return there.index(here)
    return None


def _distinct(names: Sequence[str], rows: Sequence[int], word: str, meta: dict[str, Any]) -> list[str]:
    """The names, with missing and doubled ones numbered and a warning about them."""
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
    """What a sample of each channel is to be multiplied by, and the record's unit.

    Where only some channels are voltages the others are left out, since a record has one unit.
    """
    if options.units is not None:
        scale = millivolts_per(options.units)
        if scale is None:
            return {row: 1.0 for row, _ in kept}, _without_voltage(options.units) or "unknown"
        own = {row: millivolts_per(_unit(channels, row)) for row, _ in kept if row in channels.labelled}
        return {row: own.get(row) or scale for row, _ in kept}, "mV"
    volts = {row: millivolts_per(_unit(channels, row)) for row, _ in kept}
    scales = {row: scale for row, scale in volts.items() if scale is not None}
    if len(scales) == len(kept):
        return scales, "mV"
    odd = [(row, name) for row, name in kept if row not in scales]
    words = {"": "none", "adu": "adu, not calibrated"}
    told = _listed(dict.fromkeys(words.get(text, text) for text in (text_of(_unit(channels, row)) for row, _ in odd)))
    whose = f"the unit of {_listed([name for _, name in odd])} is no voltage ({told})"
    if scales:
        add_warnings(meta, f"{whose}, left out; take them with leads= and units=")
        return scales, "mV"
    units = {_without_voltage(_unit(channels, row)) or "unknown" for row, _ in odd}
    unit = units.pop() if len(units) == 1 else "unknown"
    if unit != "zscore":
        add_warnings(meta, f"not millivolts: {whose}; pass units= if you know it")
    return dict.fromkeys((row for row, _ in odd), 1.0), unit


def _without_voltage(unit: object) -> str | None:
    """The record's word for a unit that is no voltage; None where the unit is blank or odd."""
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
    own = [float(rates[row]) for row in rows]
    top = max(own)
    return own if options.fs is None or not top > 0 else [rate / top * options.fs for rate in own]


def _completed(
    names: list[str], signal: NDArray[np.float32], options: Options, meta: dict[str, Any]
) -> tuple[list[str], NDArray[np.float32]]:
    """The limb leads that I and II imply beside the others, in the standard order; where leads were asked for, those."""
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
    return f"{text_of(channels.names[row]) or f'{channels.word} {row + 1}'}{f' ({unit})' if kind in ('quantity', 'odd') else ''}"


def _listed(names: Iterable[str], most: int = 12) -> str:
    """Names for a message, a long list cut."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
