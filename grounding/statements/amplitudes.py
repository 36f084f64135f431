"""Check of stated amplitudes in single leads, and of their sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..evidence import Evidence
from ..record import STANDARD_LEADS
from .naming import DIRECTIONS, LEAD_TIMES, ST_POINTS
from .tolerances import AMPLITUDE_TOLERANCES, APPROXIMATE_FACTOR, SUM_TOLERANCE_MV, T_NEGATIVE_MV
from .topics import wave_topic

if TYPE_CHECKING:
    from ..criteria.quantities import Quantities
    from .numbers import Number
    from .parsed import ParsedStatement

_COLUMNS = {
    "st": ("j_mv", "st60_mv"),
    "j": ("j_mv",),
    "st40": ("st40_mv",),
    "st60": ("st60_mv",),
    "st80": ("st80_mv",),
    "p": ("p_mv",),
    "q": ("q_mv",),
    "r": ("r_mv", "r2_mv"),
    "s": ("s_mv", "s2_mv"),
    "r2": ("r2_mv",),
    "s2": ("s2_mv",),
    "t": ("t_mv",),
    "q_ms": ("q_ms",),
    "r_peak_time_ms": ("r_peak_time_ms",),
}
_EITHER_SIGN = ST_POINTS | {"p", "t"}  # a stated minus is meant; other waves have their sign by their name
_SUMS = {"sokolow": (("s:V1",), ("r:V5", "r:V6")), "cornell": (("r:aVL",), ("s:V3",))}


def measured_amplitude(quantities: Quantities, wave: str, lead: str) -> tuple[float | None, list[Evidence]]:
    """The measured amplitude of a wave in a lead.

    Args:
        quantities: of the measurement.
        wave: ``st``, ``p``, ``q``, ``r``, ``s`` or ``t``; a point of the ST segment (``j``, ``st60``), a second wave
            (``r2``), or a time within the QRS (``q_ms``, ``r_peak_time_ms``).
        lead: a standard lead.

    Returns:
        mV (ms of a time), or None; and the evidence. The ST amplitude is that of the J point or 60 ms after it,
        whichever is smaller.
    """
    values, proofs = _measured(quantities, wave, lead)
    if not values:
        return None, proofs[:1]
    return _picked((min if wave == "st" else max)(values, key=abs), proofs)


def measured_depth(quantities: Quantities, wave: str, lead: str) -> tuple[float | None, list[Evidence]]:
    """As ``measured_amplitude``, but a QRS without S wave (QS, Qr) counts by its Q where its S is meant.

    Args:
        quantities: of the measurement.
        wave: as there.
        lead: a standard lead.
    """
    value, proofs = measured_amplitude(quantities, wave, lead)
    return measured_amplitude(quantities, "q", lead) if wave == "s" and value == 0 else (value, proofs)


def named(proofs: Sequence[Evidence], wave: str) -> str:
    """What was measured, in words: the Q amplitude where it stands for an S wave.

    Args:
        proofs: from ``measured_depth``.
        wave: that was meant.
    """
    by_q = wave == "s" and any(proof.quantity == "q_mv" for proof in proofs)
    return wave_topic("q" if by_q else wave)


def _measured(quantities: Quantities, wave: str, lead: str) -> tuple[list[float], list[Evidence]]:
    """Every value that a wave may be measured by, and the evidence of all."""
    proofs = [quantities.evidence(lead, column) for column in _COLUMNS[wave]]
    return [float(proof.value) for proof in proofs if isinstance(proof.value, int | float)], proofs


def _picked(value: float, proofs: list[Evidence]) -> tuple[float, list[Evidence]]:
    equal = [
        proof for proof in proofs if isinstance(proof.value, int | float) and abs(float(proof.value) - value) < 1e-3
    ]
    return value, equal or proofs[:1]


def measured_sum(quantities: Quantities, name: str) -> tuple[float | None, list[Evidence], str]:
    """The measured sum of two amplitudes.

    Args:
        quantities: of the measurement.
        name: ``sokolow`` or ``cornell``.

    Returns:
        mV, or None; the evidence; and why it is None.
    """
    return _sum(_SUMS[name], quantities)


def negative_t(quantities: Quantities, leads: Iterable[str]) -> list[str]:
    """The leads in which the T wave is negative, whatever a criterion of T inversion says of them.

    Args:
        quantities: of the measurement.
        leads: to look at.
    """
    sizes = {lead: measured_amplitude(quantities, "t", lead)[0] for lead in leads}
    return [lead for lead, mv in sizes.items() if mv is not None and mv <= T_NEGATIVE_MV]


def verify_amplitude(statement: ParsedStatement, quantities: Quantities) -> tuple[bool | None, str, Iterable[Evidence]]:
    """Compare a stated amplitude with the measured one.

    Args:
        statement: of kind ``amplitude``.
        quantities: of the measurement.

    Returns:
        Whether they agree, None where that can't be decided; the reason, and the evidence.
    """
    number = statement.number
    assert number is not None
    subject = statement.subject
    factor = APPROXIMATE_FACTOR if number.approximate else 1.0
    if subject[0] in _SUMS or len(subject) > 1:
        return _verify_sum(statement, quantities, factor)
    wave = subject[0]
    leads = statement.leads
    if not leads and wave in ST_POINTS | {"t"}:
        # "ST elevation of 2 mm": in the lead in which it is largest
        leads = tuple(lead for lead in STANDARD_LEADS if lead != "aVR")
    if not leads:
        return None, "the amplitude's lead is not named", ()
    found = {lead: _nearest(quantities, wave, lead, number) for lead in leads}
    known = {lead: value for lead, (value, _) in found.items() if value is not None}
    if not known:
        lead = leads[0]
        return None, f"{wave_topic(wave)} is not measurable: {found[lead][1][0].reason}", found[lead][1]
    floor, share = AMPLITUDE_TOLERANCES[wave]
    side = DIRECTIONS.get(statement.word)
    sizes = {lead: abs(value) if side is None else max(0.0, side * value) for lead, value in known.items()}
    best = min(known, key=lambda lead: _distance(sizes[lead], number))
    if not statement.leads:
        best = max(known, key=lambda lead: sizes[lead])
    size = sizes[best]
    tolerance = max(floor, share * size) * factor
    if number.high < 0 < known[best] and wave in _EITHER_SIGN:
        fits = known[best] <= number.high + tolerance
    elif number.plus and known[best] < 0 and wave in _EITHER_SIGN:
        fits = known[best] >= number.low - tolerance
    else:
        fits = _fits(size, abs(number.low), abs(number.high), tolerance, number.compare)
    shown = f"{known[best]:.0f} ms" if wave in LEAD_TIMES else f"{known[best]:.2f} mV"
    return fits, f"measured {named(found[best][1], wave)} in {best} is {shown}", found[best][1]


def _nearest(quantities: Quantities, wave: str, lead: str, number: Number) -> tuple[float | None, list[Evidence]]:
    """The measured amplitude; of an ST segment without a point, the J point or 60 ms after it: whichever was meant."""
    values, proofs = _measured(quantities, wave, lead)
    if wave == "s" and not number.compare and not any(values) and not number.low:
        return measured_amplitude(quantities, wave, lead)  # "S 0 mm": there is none, whatever its Q
    if wave != "st" or not values or number.compare:
        return measured_depth(quantities, wave, lead)
    return _picked(min(values, key=lambda value: _distance(value, number)), proofs)


def _distance(value: float, number: Number) -> float:
    """How far a size is from the nearer end of what is stated."""
    return min(abs(abs(value) - abs(number.low)), abs(abs(value) - abs(number.high)))


def _verify_sum(
    statement: ParsedStatement, quantities: Quantities, factor: float
) -> tuple[bool | None, str, Iterable[Evidence]]:
    number = statement.number
    assert number is not None
    parts = _SUMS.get(statement.subject[0]) or tuple((part,) for part in statement.subject)
    total, proofs, why = _sum(parts, quantities)
    if total is None:
        return None, why, proofs
    low, high = abs(number.low), abs(number.high)
    fits = _fits(total, low, high, max(SUM_TOLERANCE_MV, 0.1 * total) * factor, number.compare)
    return fits, f"the measured sum is {total:.2f} mV", proofs


def _sum(parts: tuple[tuple[str, ...], ...], quantities: Quantities) -> tuple[float | None, list[Evidence], str]:
    """The sum of the largest of each part's choices, such as ``s:V1``; None, with the reason, where one is missing."""
    total, proofs = 0.0, []
    for choices in parts:
        sizes = []
        for choice in choices:
            wave, lead = choice.split(":")
            value, evidence = measured_depth(quantities, wave, lead) if lead else (None, [])
            if value is None:
                where = lead or "a lead that is not named"
                return None, evidence, f"{wave_topic(wave)} is not measurable in {where}"
            sizes.append((abs(value), evidence))
        size, evidence = max(sizes, key=lambda pair: pair[0])
        total += size
        proofs += evidence
    return total, proofs, ""


def _fits(size: float, low: float, high: float, tolerance: float, compare: str) -> bool:
    if compare == ">":
        return round(size, 2) >= low
    if compare == "<":
        return round(size, 2) <= high
    return low - tolerance <= size <= high + tolerance
