"""What is made of several waves: sums, the R/S ratio, where R outgrows S, shapes; and the recording's own extent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._version import __version__
from ..criteria import shown
from ..evidence import Evidence
from ..record import STANDARD_LEADS
from ..statements.amplitudes import measured_sum
from ..statements.relating import r_and_s, transition
from ..statements.relations import FORM, RATIO, TRANSITION

if TYPE_CHECKING:
    from ..criteria.quantities import Quantities

SUMS = {"sokolow": "Sokolow-Lyon index", "cornell": "Cornell voltage"}
BEATS, LENGTH, RATE, LEADS = "number of beats", "length of the recording", "sampling rate", "set of leads"
SHAPES = {
    FORM: "qrs_form",
    "shape of the P wave": "p_form",
    "shape of the T wave": "t_form",
    "shape of the ST segment": "st_form",
}
DERIVED = frozenset({*SUMS, *SHAPES, RATIO, TRANSITION, BEATS, LENGTH, RATE, LEADS})


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
    if name in SHAPES:
        shapes = [quantities.evidence(lead, SHAPES[name]) for lead in leads]
        known = [f"{proof.value} in {proof.leads[0]}" for proof in shapes if isinstance(proof.value, str)]
        return name, ", ".join(known), shapes[0].reason or "", tuple(shapes)
    if name in (BEATS, LENGTH, RATE, LEADS):
        return _of_recording(name, quantities)
    total, proofs, why = measured_sum(quantities, name)
    if total is None:
        return SUMS[name], "", why, tuple(proofs)
    proof = Evidence(
        quantities.measurement.record_id, name, round(total, 3), "mV", method="sum of amplitudes", version=__version__
    )
    return SUMS[name], shown(total, "mV"), "", (proof, *proofs)


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if math.isfinite(ratio) else "infinite"


def _of_recording(name: str, quantities: Quantities) -> tuple[str, str, str, tuple[Evidence, ...]]:
    m = quantities.measurement
    if name == BEATS:
        why = quantities.value(None, "heart_rate")[1] or "no beat was found"
        proof = Evidence(
            m.record_id, "beats", m.n_beats, beats=tuple(range(m.n_beats)), method="beats found", version=__version__
        )
        return name, str(m.n_beats) if m.n_beats else "", why, (proof,)
    absent = [lead for lead in STANDARD_LEADS if lead not in m.leads]
    missing = f"{', '.join(absent)} missing" if absent else "none of the twelve missing"
    value, unit, text = {
        LENGTH: (round(m.duration_s, 3), "s", f"{m.duration_s:.1f} s"),
        RATE: (m.fs, "Hz", f"{m.fs:g} Hz"),
        LEADS: (len(m.leads), "", f"{len(m.leads)} ({', '.join(m.leads)}; {missing})"),
    }[name]
    proof = Evidence(m.record_id, name, value, unit, leads=tuple(m.leads), method="the recording", version=__version__)
    return name, text, "", (proof,)
