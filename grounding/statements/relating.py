"""Check of relations: P to QRS, constancy of PR, waves held against each other, the direction of a wave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..criteria.knowledge import LEAD_GROUPS
from ..criteria.quantities import BEAT_KINDS
from ..evidence import Evidence
from ..record import STANDARD_LEADS
from .amplitudes import measured_depth, named
from .naming import AMPLITUDE_OF, DIRECTIONS
from .relations import DIRECTION, FORM, LARGER, LARGEST, P_QRS, PR_CONSTANT, QRS_P, RATIO, TRANSITION
from .times import ECTOPY
from .tolerances import ECTOPY_TOLERANCE_S

if TYPE_CHECKING:
    from ..criteria.quantities import Quantities
    from .parsed import ParsedStatement

_CHEST = LEAD_GROUPS["precordial"]
# share of beats with a P wave; between them a statement is neither supported nor contradicted
_ALL_BEATS, _SURELY_ALL, _SURELY_NOT_ALL = 0.9, 0.97, 0.8
# standard deviation of PR, ms: 95 % of 262 records of PTB-XL's folds 1 and 2 with P waves have up to 17
_CONSTANT_MS, _SURELY_CONSTANT_MS, _SURELY_VARYING_MS = 20.0, 12.0, 30.0
_CLEAR_MV, _CLEAR_SHARE = 0.05, 0.1  # by which one wave is clearly larger than another, whichever is more
RATIO_SHARE = 0.25
_EARLY, _LATE = 1.5, 4.5  # where R becomes as large as S, counted in chest leads
_SMALL_R_SHARE, _CLEAR_R_MV = 0.3, 0.2  # R behind the Q of a "QS", of the Q; R before the S that makes it none
_FLAT_MV = {"p": 0.02, "qrs": 0.05, "t": 0.02}  # smaller waves have no direction
_CLEAR_T_MV = 0.1


class Relation(NamedTuple):
    """What the recording says of a relation.

    Attributes:
        holds: whether it is so; None where that can't be told.
        clear: whether the contrary would be wrong, rather than a matter of reading.
        reason: for a reader.
        evidence: the values behind it.
    """

    holds: bool | None
    clear: bool
    reason: str
    evidence: Iterable[Evidence]


def relation(statement: ParsedStatement, quantities: Quantities) -> Relation:
    """Hold a relation against the recording.

    Args:
        statement: of kind ``relation``.
        quantities: of the measurement.
    """
    name, *rest = statement.subject
    if name in (P_QRS, QRS_P, PR_CONSTANT):
        return _of_p(name, quantities)
    if name == LARGER:
        return _larger(rest[0], rest[1], statement.word, quantities)
    if name == LARGEST:
        wave, lead = rest[0].split(":")
        return _largest(wave, lead, quantities)
    if name == RATIO:
        return _ratio(statement, quantities)
    if name == TRANSITION:
        return _transition(statement, quantities)
    if name == FORM:
        return _form(rest[0], statement.leads, quantities)
    return _direction(rest[0], statement, quantities)


def t_direction(statement: ParsedStatement) -> ParsedStatement:
    """The same said as a relation: the sign of the T wave, whatever a criterion of T inversion says of the lead.

    Args:
        statement: that T is positive or negative (its ``word``), a finding with leads.
    """
    denied = statement.negated != (statement.word == "up")  # "positive" is a denial of the inversion
    return replace(statement, kind="relation", subject=(DIRECTION, "t"), findings=(), negated=denied)


def times_of_ectopy(statement: ParsedStatement, quantities: Quantities) -> Relation | None:
    """Whether premature beats are there when they are said to be; of a denial, whether one is there at any time named.

    Args:
        statement: a finding with ``at_s``.
        quantities: of the measurement.

    Returns:
        None where there are no such beats at all, or none was looked for.
    """
    counts = [count for name, count in ECTOPY.items() if name in statement.findings[0]]
    wanted = {kind for count in counts for kind in BEAT_KINDS[count]}
    beats = zip(quantities.beats("r_s"), quantities.beats("type"), strict=True)
    known = [float(at) for at, kind in beats if kind in wanted]
    if not known:
        return None

    def there(low: float, high: float) -> bool:
        return any(low - ECTOPY_TOLERANCE_S <= at <= high + ECTOPY_TOLERANCE_S for at in known)

    missing = [low for low, high in statement.at_s if not there(low, high)]
    holds = len(missing) < len(statement.at_s) if statement.negated else not missing
    shown = ", ".join(f"{at:.1f} s" for at in known[:8])
    said = ", ".join(f"{at:.1f} s" for at in missing[:8])
    reason = f"none is at {said}, but at {shown}" if missing else f"measured at {shown}"
    return Relation(holds, True, reason, (quantities.evidence(None, counts[0]),))


def _of_p(name: str, quantities: Quantities) -> Relation:
    """Relations of P to QRS, and the constancy of PR, from one value each."""
    proof = quantities.evidence(None, {P_QRS: "dropped_beats", QRS_P: "p_share"}.get(name, "pr_sd_ms"))
    if not isinstance(proof.value, int | float):
        return Relation(None, False, f"it can't be told: {proof.reason}", (proof,))
    value = float(proof.value)
    if name == P_QRS:
        # one P wave without a QRS may be a misread wave
        return Relation(value == 0, value != 1, f"P waves that no QRS follows: {value:.0f}", (proof,))
    if name == QRS_P:
        clear = not _SURELY_NOT_ALL <= value < _SURELY_ALL
        return Relation(value >= _ALL_BEATS, clear, f"P waves before {100 * value:.0f} % of the beats", (proof,))
    clear = not _SURELY_CONSTANT_MS < value <= _SURELY_VARYING_MS
    return Relation(value <= _CONSTANT_MS, clear, f"standard deviation of the PR interval is {value:.0f} ms", (proof,))


class _Size(NamedTuple):
    """Size of a wave in mV (None where not measurable), what it is in words, and its evidence."""

    mv: float | None
    words: str
    evidence: list[Evidence]


def _size(wave: str, lead: str, quantities: Quantities) -> _Size:
    """Size of a wave; of a P or T wave with its sign. A QRS without S wave (QS, Qr) counts by its Q."""
    side = DIRECTIONS.get(wave)  # "ST depression in V5": how far it is on that side
    wave = AMPLITUDE_OF[wave] if side else wave
    value, proofs = measured_depth(quantities, wave, lead)
    if side and value is not None:
        return _Size(side * value, f"{named(proofs, wave)} in {lead} {value:.2f} mV", proofs)
    size = value if value is None or wave in ("p", "t") else abs(value)
    words = f"{named(proofs, wave)} in {lead}"
    return _Size(size, words if size is None else f"{words} {size:.2f} mV", proofs)


def _unknown(size: _Size) -> Relation:
    why = size.evidence[0].reason if size.evidence else None
    return Relation(None, False, f"{size.words} is not measurable: {why or 'it was not measured'}", size.evidence)


def _larger(first: str, second: str, sign: str, quantities: Quantities) -> Relation:
    (wave, lead), (other_wave, other_lead) = first.split(":"), second.split(":")
    one, other = _size(wave, lead, quantities), _size(other_wave, other_lead, quantities)
    if one.mv is None or other.mv is None:
        return _unknown(one if one.mv is None else other)
    a, b = (one.mv, other.mv) if sign == ">" else (other.mv, one.mv)
    clear = abs(a - b) > max(_CLEAR_MV, _CLEAR_SHARE * max(abs(a), abs(b)))
    return Relation(a > b, clear, f"{one.words}, {other.words}", [*one.evidence, *other.evidence])


def _largest(wave: str, lead: str, quantities: Quantities) -> Relation:
    """Whether a wave is largest in a lead; aVR, in which all is upside down, is left out."""
    found = {one: _size(wave, one, quantities) for one in STANDARD_LEADS if one != "aVR" or one == lead}
    here = found[lead]
    if here.mv is None:
        return _unknown(here)
    sizes = {one: size.mv for one, size in found.items() if size.mv is not None}
    best = max(sizes, key=lambda one: sizes[one])
    short = sizes[best] - here.mv
    holds = short <= 0.5 * _CLEAR_SHARE * sizes[best]
    clear = best == lead or short > max(_CLEAR_MV, _CLEAR_SHARE * sizes[best])
    if best == lead:
        return Relation(holds, clear, f"{here.words}, where it is largest", here.evidence)
    words = f"{here.words}, and the largest is {found[best].words}"
    return Relation(holds, clear, words, [*here.evidence, *found[best].evidence])


def _ratio(statement: ParsedStatement, quantities: Quantities) -> Relation:
    number = statement.number
    assert number is not None
    ratio, words, evidence = r_and_s(statement.leads[0], quantities)
    if ratio is None:
        return Relation(None, False, words, evidence)
    stated = number.low
    near = abs(ratio - stated) <= RATIO_SHARE * max(stated, min(ratio, 10.0))
    holds = {"<": ratio < stated, ">": ratio > stated}.get(number.compare, near)
    more = f", a ratio of {ratio:.2f}" if ratio < float("inf") else ""
    return Relation(holds, not near or not number.compare, words + more, evidence)


def r_and_s(lead: str, quantities: Quantities) -> tuple[float | None, str, list[Evidence]]:
    """The R wave of a lead over its S wave; a QRS without S wave (QS, Qr) counts by its Q.

    Args:
        lead: a standard lead.
        quantities: of the measurement.

    Returns:
        The ratio (infinite where there is no S wave, None where it isn't known), both waves in words or why it isn't
        known, and the evidence.
    """
    r, s = _size("r", lead, quantities), _size("s", lead, quantities)
    if r.mv is None or s.mv is None:
        unknown = _unknown(r if r.mv is None else s)
        return None, unknown.reason, list(unknown.evidence)
    evidence = [*r.evidence, *s.evidence]
    if r.mv == s.mv == 0:
        return None, f"there is neither an R nor an S wave in {lead}", evidence
    return r.mv / s.mv if s.mv else float("inf"), f"{r.words}, {s.words}", evidence


def _transition(statement: ParsedStatement, quantities: Quantities) -> Relation:
    """Whether R becomes as large as S in the chest leads named, or beside them; early (V2), late (V5)."""
    leads = statement.leads
    if not set(leads) <= set(_CHEST):
        return Relation(None, False, "the transition is looked for in the chest leads", ())
    place, where, evidence = transition(quantities)
    if place is None:
        return Relation(None, False, where, evidence)
    if leads:
        numbers = [_CHEST.index(lead) + 1 for lead in leads]
        spare = 0.5 if len(numbers) == 1 else 0.0
        away = max(0.0, min(numbers) - spare - place, place - max(numbers) - spare)
    else:
        away = max(0.0, place - _EARLY if statement.word == "early" else _LATE - place)
    return Relation(away <= 0, away > 1, f"R becomes as large as S {where}", evidence)


def transition(quantities: Quantities) -> tuple[float | None, str, list[Evidence]]:
    """Where R becomes as large as S in the chest leads.

    Args:
        quantities: of the measurement.

    Returns:
        The place counted in chest leads (3.5 is between V3 and V4; None where it isn't known), the same in words or why
        it isn't known, and R and S of the leads around it.
    """
    place, evidence = len(_CHEST) + 0.5, list[Evidence]()
    for number, lead in enumerate(_CHEST, 1):
        r, s = _size("r", lead, quantities), _size("s", lead, quantities)
        if r.mv is None or s.mv is None:
            unknown = _unknown(r if r.mv is None else s)
            return None, unknown.reason, list(unknown.evidence)
        evidence = [*evidence[-2:], *r.evidence[:1], *s.evidence[:1]]
        if r.mv >= s.mv:
            place = number - 0.5
            break
    after, before = int(place - 0.5), int(place + 0.5)
    where = "before V2" if after < 1 else "beyond V6" if before > 6 else f"between V{after} and V{before}"
    return place, where, evidence


def _form(form: str, leads: Sequence[str], quantities: Quantities) -> Relation:
    """Whether the QRS has a shape in every lead named; "QS" may have a small R behind its Q, as readers use it."""
    other, evidence = list[str](), list[Evidence]()
    clear = False
    for lead in leads:
        proof = quantities.evidence(lead, "qrs_form")
        if not isinstance(proof.value, str):
            return Relation(None, False, f"the shape of the QRS is not known in {lead}: {proof.reason}", (proof,))
        evidence.append(proof)
        r, q = _size("r", lead, quantities).mv or 0.0, _size("q", lead, quantities).mv or 0.0
        plain = proof.value.lower().replace("'", "")
        fits = plain[0] == "q" and r <= _SMALL_R_SHARE * q if form == "qs" else plain == form
        if not fits:
            other.append(f"{proof.value} in {lead}")
            clear = clear or (form == "qs" and plain[0] == "r" and r >= _CLEAR_R_MV)
    every = ", ".join(f"{part.value} in {part.leads[0]}" for part in evidence)
    return Relation(not other, not other or clear, f"the QRS is {', '.join(other) or every}", evidence)


def _direction(wave: str, statement: ParsedStatement, quantities: Quantities) -> Relation:
    """Whether a P or T wave or the QRS is upright in each lead named; of a region, in two of its leads."""
    up = statement.word == "up"
    right, wrong, evidence = list[tuple[str, str]](), list[tuple[str, str]](), list[Evidence]()
    largest, unknown = 0.0, None  # of those that are wrong; a lead in which it isn't known
    for lead in statement.leads:
        size = _net(lead, quantities) if wave == "qrs" else _size(wave, lead, quantities)
        if size.mv is None:
            if not statement.region:
                return _unknown(size)
            unknown = unknown or size
            continue
        evidence += size.evidence
        if abs(size.mv) > _FLAT_MV[wave]:
            largest = max(largest, size.mv if (size.mv > 0) != up else 0.0, key=abs)
            (right if (size.mv > 0) == up else wrong).append((lead, f"{size.mv:.2f} mV"))
    title = {"p": "P wave", "t": "T wave"}.get(wave, "QRS")
    if not evidence:
        return Relation(None, False, f"{title} is not measurable there", ())
    if unknown is not None and not wrong and len(right) < 2:
        return _unknown(unknown)
    if wrong:
        enough = 2 if len(statement.leads) < len(STANDARD_LEADS) else len(statement.leads)  # "in all leads"
        holds = statement.region and len(right) >= enough
        surely = wave != "t" or abs(largest) >= _CLEAR_T_MV  # readers differ on small T waves
        words = f"{title} is {'negative' if up else 'positive'} {_in_each(wrong)}"
        return Relation(holds, surely and not (right and statement.region), words, evidence)
    words = f"{title} is {'positive' if up else 'negative'} {_in_each(right)}" if right else f"{title} is flat there"
    every = len(right) == len(statement.leads) or (statement.region and len(right) >= 2)
    return Relation(every, every, words, evidence)


def _in_each(found: Sequence[tuple[str, str]]) -> str:
    """Leads with their values: each value right before its own lead, where there are several."""
    if len(found) == 1:
        return f"in {found[0][0]} ({found[0][1]})"
    return f"({', '.join(f'{value} in {lead}' for lead, value in found)})"


def _net(lead: str, quantities: Quantities) -> _Size:
    """The R wave less the deeper of Q and S, mV."""
    parts = [_size(wave, lead, quantities) for wave in ("r", "q", "s")]
    missing = next((part for part in parts if part.mv is None), None)
    if missing is not None:
        return missing
    r, q, s = (part.mv or 0.0 for part in parts)
    return _Size(r - max(q, s), f"net QRS in {lead}", [part.evidence[0] for part in parts])
