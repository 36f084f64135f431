"""What is made of several waves: sums, the R/S ratio, where R outgrows S, shapes of the QRS, the number of beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._version import __version__
from ..criteria import shown
from ..evidence import Evidence
from ..statements.amplitudes import measured_sum
from ..statements.relating import r_and_s, transition
from ..statements.relations import FORM, RATIO, TRANSITION

if TYPE_CHECKING:
    from ..criteria.quantities import Quantities

_SUMS = {"sokolow": "Sokolow-Lyon index", "cornell": "Cornell voltage"}
BEATS = "number of beats"
DERIVED = frozenset({*_SUMS, RATIO, TRANSITION, FORM, BEATS})


def derived_value(
    name: str, leads: Sequence[str], quantities: Quantities
) -> tuple[str, str, str, tuple[Evidence, ...]]:
    """One of ``DERIVED``.

    Args:
        name: of it.
        leads: of a shape, or the R/S ratio; of that V1 where none is named.
        quantities: of the measurement.

    Returns:
        Its words, its value in words (``""`` where there is none), why there is none, and the evidence.
    """
    if name == TRANSITION:
        place, words, evidence = transition(quantities)
        return TRANSITION, "" if place is None else words, words, tuple(evidence)
    if name == RATIO:
        found = {lead: r_and_s(lead, quantities) for lead in leads or ["V1"]}
        known = [
            f"{_ratio(ratio)} in {lead} ({words})" for lead, (ratio, words, _) in found.items() if ratio is not None
        ]
        proofs = [part for _, _, parts in found.values() for part in parts]
        return RATIO, ", ".join(known), next(words for _, words, _ in found.values()), tuple(proofs)
    if name == FORM:
        shapes = [quantities.evidence(lead, "qrs_form") for lead in leads]
        known = [f"{proof.value} in {proof.leads[0]}" for proof in shapes if isinstance(proof.value, str)]
        return FORM, ", ".join(known), shapes[0].reason or "", tuple(shapes)
    if name == BEATS:
        count, why = quantities.measurement.n_beats, quantities.value(None, "heart_rate")[1]
        every = tuple(range(count))
        proof = Evidence(
            quantities.measurement.record_id, "beats", count, beats=every, method="beats found", version=__version__
        )
        return BEATS, str(count) if count else "", why or "no beat was found", (proof,)
    total, proofs, why = measured_sum(quantities, name)
    if total is None:
        return _SUMS[name], "", why, tuple(proofs)
    proof = Evidence(
        quantities.measurement.record_id, name, round(total, 3), "mV", method="sum of amplitudes", version=__version__
    )
    return _SUMS[name], shown(total, "mV"), "", (proof, *proofs)


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if math.isfinite(ratio) else "infinite"
