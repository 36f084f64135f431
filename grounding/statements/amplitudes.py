"""Check of stated amplitudes in single leads, and of their sums."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..evidence import Evidence
from ..record import STANDARD_LEADS
from .tolerances import AMPLITUDE_TOLERANCES, APPROXIMATE_FACTOR, SUM_TOLERANCE_MV

if TYPE_CHECKING:
    from ..criteria.quantities import Quantities
    from .parsed import ParsedStatement

_COLUMNS = {
    "st": ("j_mv", "st60_mv"),
    "p": ("p_mv",),
    "q": ("q_mv",),
    "r": ("r_mv", "r2_mv"),
    "s": ("s_mv", "s2_mv"),
    "t": ("t_mv",),
}
_SUMS = {"sokolow": (("s:V1",), ("r:V5", "r:V6")), "cornell": (("r:aVL",), ("s:V3",))}


def measured_amplitude(quantities: Quantities, wave: str, lead: str) -> tuple[float | None, list[Evidence]]:
    """The measured amplitude of a wave in a lead.

    Args:
        quantities: of the measurement.
        wave: ``st``, ``p``, ``q``, ``r``, ``s`` or ``t``.
        lead: a standard lead.

    Returns:
        mV, or None; and the evidence. The ST amplitude is that of the J point or 60 ms after it, whichever is smaller.
    """
    proofs = [quantities.evidence(lead, column) for column in _COLUMNS[wave]]
    values = [float(proof.value) for proof in proofs if isinstance(proof.value, int | float)]
    if not values:
        return None, proofs[:1]
    pick = min(values, key=abs) if wave == "st" else max(values, key=abs)
    return pick, [
        proof for proof in proofs if isinstance(proof.value, int | float) and abs(float(proof.value) - pick) < 1e-3
    ] or proofs[:1]


def measured_sum(quantities: Quantities, name: str) -> tuple[float | None, list[Evidence], str]:
    """The measured sum of two amplitudes.

    Args:
        quantities: of the measurement.
        name: ``sokolow`` or ``cornell``.

    Returns:
        mV, or None; the evidence; and why it is None.
    """
    return _sum(_SUMS[name], quantities)


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
    if not leads and wave in ("st", "t"):
        # "ST elevation of 2 mm": in the lead in which it is largest
        leads = tuple(lead for lead in STANDARD_LEADS if lead != "aVR")
    if not leads:
        return None, "the amplitude's lead is not named", ()
    found = {lead: measured_amplitude(quantities, wave, lead) for lead in leads}
    known = {lead: value for lead, (value, _) in found.items() if value is not None}
    if not known:
        lead = leads[0]
        return None, f"{wave.upper()} amplitude is not measurable: {found[lead][1][0].reason}", found[lead][1]
    floor, share = AMPLITUDE_TOLERANCES[wave]
    best = min(
        known, key=lambda lead: min(abs(abs(known[lead]) - abs(number.low)), abs(abs(known[lead]) - abs(number.high)))
    )
    if not statement.leads:
        best = max(known, key=lambda lead: abs(known[lead]))
    size = abs(known[best])
    fits = _fits(size, abs(number.low), abs(number.high), max(floor, share * size) * factor, number.compare)
    return fits, f"measured {wave.upper()} amplitude in {best} is {known[best]:.2f} mV", found[best][1]


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
            value, evidence = measured_amplitude(quantities, wave, lead) if lead else (None, [])
            if value is None:
                where = lead or "a lead that is not named"
                return None, evidence, f"{wave.upper()} amplitude is not measurable in {where}"
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
