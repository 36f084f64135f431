"""Amplitudes in single leads, and sums of them, as texts state them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..evidence import Evidence
from ..record import STANDARD_LEADS
from .tolerances import AMPLITUDE_TOLERANCES, APPROXIMATE, SUM_TOLERANCE_MV

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
    """The amplitude of a wave in a lead, mV; of the ST segment the smaller one of J point and 60 ms, with its sign."""
    proofs = [quantities.evidence(lead, column) for column in _COLUMNS[wave]]
    values = [float(proof.value) for proof in proofs if isinstance(proof.value, int | float)]
    if not values:
        return None, proofs[:1]
    pick = min(values, key=abs) if wave == "st" else max(values, key=abs)
    return pick, [
        proof for proof in proofs if isinstance(proof.value, int | float) and abs(float(proof.value) - pick) < 1e-3
    ] or proofs[:1]


def hold_amplitude(statement: ParsedStatement, quantities: Quantities) -> tuple[bool | None, str, Iterable[Evidence]]:
    """Whether a stated amplitude is the measured one; None where it can't be told."""
    number = statement.number
    assert number is not None
    subject = statement.subject
    slack = APPROXIMATE if number.approximate else 1.0
    if subject[0] in _SUMS or len(subject) > 1:
        return _hold_sum(statement, quantities, slack)
    wave = subject[0]
    leads = statement.leads
    if not leads and wave in ("st", "t"):
        leads = tuple(
            lead for lead in STANDARD_LEADS if lead != "aVR"
        )  # "ST elevation of 2 mm": wherever it is largest
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
    fits = _fits(size, abs(number.low), abs(number.high), max(floor, share * size) * slack, number.compare)
    return fits, f"measured {wave.upper()} amplitude in {best} is {known[best]:.2f} mV", found[best][1]


def _hold_sum(
    statement: ParsedStatement, quantities: Quantities, slack: float
) -> tuple[bool | None, str, Iterable[Evidence]]:
    number = statement.number
    assert number is not None
    parts = _SUMS.get(statement.subject[0]) or tuple((part,) for part in statement.subject)
    total, proofs = 0.0, []
    for choices in parts:
        sizes = []
        for choice in choices:
            wave, lead = choice.split(":")
            value, evidence = measured_amplitude(quantities, wave, lead) if lead else (None, [])
            if value is None:
                return (
                    None,
                    f"{wave.upper()} amplitude is not measurable in {lead or 'a lead that is not named'}",
                    evidence,
                )
            sizes.append((abs(value), evidence))
        size, evidence = max(sizes, key=lambda pair: pair[0])
        total += size
        proofs += evidence
    low, high = abs(number.low), abs(number.high)
    fits = _fits(total, low, high, max(SUM_TOLERANCE_MV, 0.1 * total) * slack, number.compare)
    return fits, f"the measured sum is {total:.2f} mV", proofs


def _fits(size: float, low: float, high: float, tolerance: float, compare: str) -> bool:
    if compare == ">":
        return round(size, 2) >= low
    if compare == "<":
        return round(size, 2) <= high
    return low - tolerance <= size <= high + tolerance
