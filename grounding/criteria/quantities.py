"""The quantities that criteria read: global values, counts of beats, values of each lead's median beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .._version import __version__
from ..evidence import Evidence
from .expressions import Value
from .limits import Values, rounded, unit_of

if TYPE_CHECKING:
    from ..measurement.result import Measurement

RECORD_QUANTITIES = frozenset({"age", "sex", "has_millivolts"})
NO_VOLTAGE = "the recording carries no millivolts"
_QRS_PARTS = ("q_mv", "r_mv", "s_mv", "r2_mv", "s2_mv")
_WAVE_OF = {"p": "P", "t": "T"}


class _NameOfLeadValue(NamedTuple):
    """What the name of a lead's value says: the column, its wave, and whether it is a share or in millivolts."""

    column: str
    wave: str
    relative: bool
    in_millivolts: bool


@lru_cache(maxsize=1024)
def _name_of_lead_value(name: str) -> _NameOfLeadValue:
    if name.endswith("_rel"):
        wave = name.removesuffix("_rel")
        return _NameOfLeadValue(f"{wave}_mv", wave, True, False)
    return _NameOfLeadValue(name, name.rsplit("_", 1)[0], False, name.endswith("_mv"))


class Quantities:
    """The values of one measurement, by the names that criteria use.

    Names are ``heart_rate``, ``axis``, ``axis_p``, ``axis_t``, the intervals, the keys of ``rhythm``, those of
    ``DERIVED``, and for a lead the columns of ``lead_summary``. ``x_rel`` is the amplitude ``x_mv`` as a share of the
    lead's largest QRS deflection, which needs no millivolts.

    Args:
        measurement: of one recording.
    """

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        column = measurement.column
        self.usable = dict(zip(column("quality", "lead"), map(bool, column("quality", "usable")), strict=True))
        self._row = {lead: row for row, lead in enumerate(column("lead_summary", "lead"))}
        self._columns = set(measurement.table("lead_summary").columns)
        self._summary: dict[str, list[Value]] = {}
        self._parts: dict[str, list[float | None]] = {}
        self._beats: dict[str, list[Any]] = {}
        self._spans: dict[tuple[str, str], tuple[tuple[float, float], ...]] = {}
        self._evidence: dict[tuple[str | None, str], Evidence] = {}
        self._cache: dict[tuple[str | None, str], tuple[Value, str | None]] = {}

    def values(self, lead: str | None, sex: str | None, age: float | None) -> Values:
        """What criteria read, for a patient of a sex and an age; not kept here, since it refers to this.

        Args:
            lead: the lead in question, or ``None``.
            sex: ``"female"``, ``"male"`` or ``None``.
            age: years, or ``None``.
        """
        return Values(self._read, lead, sex, age)

    def _read(self, lead: str | None, name: str) -> Value:
        found = self._cache.get((lead, name))
        return self.value(lead, name)[0] if found is None else found[0]

    def beats(self, column: str) -> list[Any]:
        """A column of ``Measurement.beats`` as Python values; columns are converted when they are first read.

        Args:
            column: its name.
        """
        if column not in self._beats:
            self._beats[column] = self.measurement.column("beats", column) if self.measurement.n_beats else []
        return self._beats[column]

    def _cell(self, lead: str, name: str) -> Value:
        """A value of ``Measurement.lead_summary``; None where there is none, or the table has no such column."""
        column = self._summary.get(name)
        if column is None:
            raw = self.measurement.column("lead_summary", name) if name in self._columns else []
            # most are finite numbers, whose difference to themselves is 0
            column = [x if x.__class__ is float and x - x == 0.0 else _clean(x) for x in raw]
            self._summary[name] = column
        return column[self._row[lead]] if column else None

    def value(self, lead: str | None, name: str) -> tuple[Value, str | None]:
        """One value.

        Args:
            lead: ``None`` for a value of the record; age, sex and ``has_millivolts`` are the same in every lead.
            name: of the quantity.

        Returns:
            The value, rounded as texts show it, and, if it is None, the reason.
        """
        key = (lead, name)
        found = self._cache.get(key)
        if found is None:
            of_lead = lead and name not in RECORD_QUANTITIES
            value, reason = self._lead_value(lead, name) if of_lead else self._global_value(name)
            found = (rounded(value, unit_of(name)) if isinstance(value, float) else value), reason
            self._cache[key] = found
        return found

    def _global_value(self, name: str) -> tuple[Value, str | None]:
        m = self.measurement
        if name in DERIVED:
            return DERIVED[name](self)
        if name in ("age", "sex"):
            known: Value = getattr(m, name)
            return known, None if known is not None else f"the record does not say the patient's {name}"
        if name == "has_millivolts":
            return m.has_millivolts, None
        if name.startswith("issue_"):
            return name.removeprefix("issue_") in m.issues, None
        source: Mapping[str, float | None]
        if name == "heart_rate":
            value: float | None = m.heart_rate
        elif name == "axis" or name.startswith("axis_"):
            value = m.axes.get(name.removeprefix("axis_") if name != "axis" else "qrs")
        else:
            source = m.intervals if name in m.intervals else m.rhythm
            value = source.get(name)
        if value is None or not math.isfinite(value):
            return None, f"{name} is not measurable: {m.reasons.get(name, 'not measured')}"
        return float(value), None

    def _lead_value(self, lead: str | None, name: str) -> tuple[Value, str | None]:
        assert lead is not None
        if lead not in self._row:
            return None, f"lead {lead} was not recorded"
        if not self.usable.get(lead, True):
            return None, f"lead {lead} is not usable"
        named = _name_of_lead_value(name)
        if named.relative:
            if name == "net_rel":
                net = self._net(lead)
                return net, None if net is not None else f"no QRS was measured in lead {lead}"
            size = max((abs(part) for part in self._qrs_parts(lead) if part is not None), default=None)
            value = self._cell(lead, named.column)
            if size is None or not isinstance(value, float) or size == 0:
                return self._absent(lead, named.wave)
            return value / size, None
        if name not in self._columns:
            return None, f"{name} is not measured"
        if named.in_millivolts and not self.measurement.has_millivolts:
            return None, NO_VOLTAGE
        cell = self._cell(lead, name)
        return (cell, None) if cell is not None else self._absent(lead, named.wave)

    def _qrs_parts(self, lead: str) -> list[float | None]:
        """Amplitudes of Q, R, S, R' and S' in a lead, None where absent."""
        if lead not in self._parts:
            cells = (self._cell(lead, part) for part in _QRS_PARTS)
            self._parts[lead] = [cell if isinstance(cell, float) else None for cell in cells]
        return self._parts[lead]

    def _net(self, lead: str) -> float | None:
        """The largest R less the deepest negative deflection, as a share of the larger of the two."""
        q, r, s, r2, s2 = (abs(part or 0.0) for part in self._qrs_parts(lead))
        up, down = max(r, r2), max(q, s, s2)
        return (up - down) / max(up, down) if max(up, down) > 0 else None

    def _absent(self, lead: str, wave: str) -> tuple[Value, str | None]:
        """The value of a missing wave: 0 for a part of a measured QRS, else None with the reason."""
        if wave in ("q", "r", "s", "r2", "s2") and any(part is not None for part in self._qrs_parts(lead)):
            return 0.0, None
        return None, f"{wave} is not measurable in lead {lead}"

    def evidence(self, lead: str | None, name: str) -> Evidence:
        """The evidence of one value.

        Args:
            lead: ``None`` for a value of the record.
            name: of the quantity.
        """
        key = (lead, name)
        if key not in self._evidence:
            self._evidence[key] = self._new_evidence(lead, name)
        return self._evidence[key]

    def _new_evidence(self, lead: str | None, name: str) -> Evidence:
        m, (value, reason) = self.measurement, self.value(lead, name)
        if (
            lead is None
            and name not in DERIVED
            and name not in ("age", "sex", "has_millivolts")
            and not name.startswith("issue_")
        ):
            try:
                return m.evidence(name)
            except KeyError:
                return Evidence(m.record_id, name, None, version=__version__, reason=reason)
        if lead is None:
            indices = self.marked(name)
            spans = tuple(span for index in indices if (span := self.beat_span(index)))
            return Evidence(
                m.record_id, name, value, "", (), indices, spans, "from the measured beats", __version__, reason
            )
        unit = unit_of(name)
        shown = round(value, 3) if isinstance(value, float) else value
        return Evidence(
            record_id=m.record_id,
            quantity=name,
            value=shown,
            unit=unit,
            leads=(lead,),
            spans_s=self.spans(lead, name),
            method="median beat",
            version=__version__,
            reason=None if value is not None else reason,
        )

    def spans(self, lead: str, name: str) -> tuple[tuple[float, float], ...]:
        """Where a value was read: the spans in seconds of the wave it belongs to, one per beat.

        Args:
            lead: the lead.
            name: of the quantity.
        """
        head = name.split("_")[0]
        wave = _WAVE_OF.get(head, "ST" if head.startswith("st") or head == "j" else "QRS")
        if (lead, wave) not in self._spans:
            self._spans[(lead, wave)] = self._spans_of(lead, wave)
        return self._spans[(lead, wave)]

    def _spans_of(self, lead: str, wave: str) -> tuple[tuple[float, float], ...]:
        fs = self.measurement.fs
        if wave == "ST":  # from the end of the QRS to the end of the T
            ends = {beat: offset for beat, _, offset in self._waves.get((lead, "QRS"), ())}
            pairs = [(ends.get(beat, math.nan), offset) for beat, _, offset in self._waves.get((lead, "T"), ())]
        else:
            pairs = [(onset, offset) for _, onset, offset in self._waves.get((lead, wave), ())]
        return tuple(
            (round(first / fs, 3), round(last / fs, 3))
            for first, last in pairs
            if math.isfinite(first) and math.isfinite(last) and last > first
        )

    @cached_property
    def _waves(self) -> dict[tuple[str, str], list[tuple[Any, float, float]]]:
        """(beat, onset, offset) of every wave, by lead and kind; samples."""
        column = self.measurement.column
        found: dict[tuple[str, str], list[tuple[Any, float, float]]] = {}
        for lead, wave, beat, onset, offset in zip(
            *(column("waves", name) for name in ("lead", "wave", "beat", "onset", "offset")), strict=True
        ):
            found.setdefault((lead, wave), []).append((beat, onset, offset))
        return found

    def marked(self, name: str) -> tuple[int, ...]:
        """Indices of the beats that a count includes.

        Args:
            name: a key of ``BEAT_KINDS``.
        """
        kinds = BEAT_KINDS.get(name, ())
        return tuple(
            int(beat) for beat, kind in zip(self.beats("beat"), self.beats("type"), strict=True) if kind in kinds
        )

    def beat_span(self, index: int) -> tuple[float, float] | None:
        """Start and end of a beat's QRS, s; 0.1 s around its R where the boundaries are not known.

        Args:
            index: of the beat.
        """
        numbers = [int(beat) for beat in self.beats("beat")]
        if index not in numbers:
            return None
        row, fs = numbers.index(index), self.measurement.fs
        first, last = (_number(self.beats(name)[row]) for name in ("qrs_onset", "qrs_offset"))
        if first is not None and last is not None:
            return round(first / fs, 3), round(last / fs, 3)
        r_s = float(self.beats("r_s")[row])
        return round(r_s - 0.05, 3), round(r_s + 0.05, 3)


BEAT_KINDS: dict[str, tuple[str, ...]] = {
    "pvc_count": ("premature_ventricular",),
    "pac_count": ("premature_supraventricular",),
    "paced_share": ("paced",),
    "escape_count": ("escape",),
    "wide_share": ("wide",),
    "bigeminy_run": ("premature_ventricular", "premature_supraventricular"),
    "trigeminy_run": ("premature_ventricular", "premature_supraventricular"),
}

_NO_BEATS = "no beats were found"


def _count(*kinds: str) -> Callable[[Quantities], tuple[Value, str | None]]:
    def counted(q: Quantities) -> tuple[Value, str | None]:
        types = q.beats("type")
        return (sum(kind in kinds for kind in types), None) if types else (None, _NO_BEATS)

    return counted


def _share(*kinds: str) -> Callable[[Quantities], tuple[Value, str | None]]:
    def shared(q: Quantities) -> tuple[Value, str | None]:
        types = q.beats("type")
        return (sum(kind in kinds for kind in types) / len(types), None) if types else (None, _NO_BEATS)

    return shared


def _pattern(period: int) -> Callable[[Quantities], tuple[Value, str | None]]:
    """Longest run of groups of ``period - 1`` ordinary beats and one premature beat."""

    def run(q: Quantities) -> tuple[Value, str | None]:
        premature = _premature(q)
        if not premature:
            return None, _NO_BEATS
        best = 0
        for start in range(len(premature)):
            count, at = 0, start
            while (
                at + period <= len(premature)
                and not any(premature[at : at + period - 1])
                and premature[at + period - 1]
            ):
                count, at = count + 1, at + period
            best = max(best, count)
        return best, None

    return run


def _premature(q: Quantities) -> list[bool]:
    return [str(kind).startswith("premature") for kind in q.beats("type")]


def _n_beats(q: Quantities) -> tuple[Value, str | None]:
    return len(q.beats("type")), None


def _n_leads(q: Quantities) -> tuple[Value, str | None]:
    return sum(q.usable.get(lead, True) for lead in q.measurement.leads), None


def _r_progression(q: Quantities) -> tuple[Value, str | None]:
    """R progression without a scale: the largest R / (R + S) of V1 to V3."""
    shares = []
    for lead in ("V1", "V2", "V3", "V4"):
        r, s = q.value(lead, "r_rel")[0], q.value(lead, "s_rel")[0]
        if isinstance(r, float) and isinstance(s, float) and lead != "V4":
            shares.append(abs(r) / max(abs(r) + abs(s), 1e-9))
    return (max(shares), None) if len(shares) == 3 else (None, "V1-V3 are not all measurable")


def _p_share(q: Quantities) -> tuple[Value, str | None]:
    share = q.measurement.rhythm.get("p_share")
    if share is None:
        known = [bool(seen) for seen in q.beats("p_present") if seen is not None and seen == seen]
        share = sum(known) / len(known) if known else None
    return (
        (float(share), None)
        if share is not None
        else (None, q.measurement.reasons.get("p_share", "P waves could not be judged"))
    )


def _ordinary_p_share(q: Quantities) -> tuple[Value, str | None]:
    """Share of beats with a P wave, premature ventricular ones left out: sinus rhythm goes on between them."""
    from ..measurement.atrial import P_BEFORE_S

    types = q.beats("type")
    if "premature_ventricular" not in types:
        return _p_share(q)
    seen = []
    for kind, present, onset in zip(types, q.beats("p_present"), q.beats("qrs_onset"), strict=True):
        begin = _number(onset)
        known = bool(present) or begin is None or begin >= P_BEFORE_S * q.measurement.fs
        if known and kind != "premature_ventricular":
            seen.append(bool(present))
    return (sum(seen) / len(seen), None) if seen else (None, "there are only premature ventricular beats")


def _normal_rr_cv(q: Quantities) -> tuple[Value, str | None]:
    """Coefficient of variation of the RR intervals that do not begin or end with a premature beat."""
    ordinary = []
    premature = _premature(q)
    for rr, before, this in zip(q.beats("rr_prev_ms")[1:], premature, premature[1:], strict=False):
        rr_ms = _number(rr)
        if rr_ms and not this and not before:
            ordinary.append(rr_ms)
    if len(ordinary) < 4:
        return None, "fewer than four RR intervals between ordinary beats"
    mean = sum(ordinary) / len(ordinary)
    return math.sqrt(sum((x - mean) ** 2 for x in ordinary) / len(ordinary)) / mean, None


DERIVED: dict[str, Callable[[Quantities], tuple[Value, str | None]]] = {
    "n_beats": _n_beats,
    "n_leads": _n_leads,
    "pvc_count": _count("premature_ventricular"),
    "pac_count": _count("premature_supraventricular"),
    "escape_count": _count("escape"),
    "paced_share": _share("paced"),
    "wide_share": _share("wide", "premature_ventricular", "paced"),
    "bigeminy_run": _pattern(2),
    "trigeminy_run": _pattern(3),
    "r_progression": _r_progression,
    "p_share": _p_share,
    "ordinary_p_share": _ordinary_p_share,
    "normal_rr_cv": _normal_rr_cv,
}


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _clean(value: Any) -> Value:
    return value if isinstance(value, str) and value else _number(value)
