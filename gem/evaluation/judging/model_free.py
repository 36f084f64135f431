"""The judge without a model: the criteria of grounded ECG understanding from claims, evidence and knowledge base.

Every mark has a cause that can be looked up: a claim of the answer with its verdict on the recording itself, or a
finding of the reference. Marks are on GEM's scales; those of the last three criteria are not rounded to its four steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grounding import STANDARD_LEADS, check, find
from grounding.statements.parsing import read_statements

from ...metrics.texts import stated_findings

if TYPE_CHECKING:
    from grounding import Claim, Finding, Measurement
    from grounding.statements.parsed import ParsedStatement

# step of a systematic reading -> quantities, and groups of findings in the knowledge base, that belong to it
STEPS: Mapping[str, frozenset[str]] = {
    "rate": frozenset({"heart_rate", "rr", "rate"}),
    "rhythm": frozenset({"rhythm", "rhythm_regularity", "p"}),
    "axis": frozenset({"axis"}),
    "pr": frozenset({"pr"}),
    "qrs": frozenset({"qrs", "conduction"}),
    "qt": frozenset({"qt", "qtc", "qtc_fridericia", "qtc_bazett"}),
    "waves": frozenset({"q", "r", "s", "st", "t", "voltage", "hypertrophy", "infarction", "ischaemia"}),
}
_FEATURES = frozenset({"number", "amplitude", "category", "regularity", "relation"})


@dataclass(frozen=True)
class _Said:
    """A statement of a text and the verdict on it."""

    statement: ParsedStatement
    claim: Claim

    @property
    def names(self) -> frozenset[str]:
        """Quantities, or findings."""
        return frozenset(self.statement.subject) | {name for group in self.statement.findings for name in group}


def model_free_marks(text: str, reference: str, measurement: Measurement) -> dict[str, tuple[float, ...]]:
    """The marks of an interpretation, by criterion, as a judge of ``GROUNDED`` gives them.

    Args:
        text: the interpretation.
        reference: of the same recording.
        measurement: of the recording.

    Example:
        >>> import grounding
        >>> measured = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_286")))
        >>> marks = model_free_marks("Left bundle branch block.", "Sinus rhythm. Left bundle branch block.", measured)
        >>> marks["DiagnosisAccuracy"]
        (2.0, 0.0)
    """
    said = _said(text, measurement)
    findings = {finding.name: finding for finding in find(measurement)}
    leads = {lead: [one.claim.verdict for one in said if lead in one.statement.leads] for lead in STANDARD_LEADS}
    wanted = _said(reference, measurement)
    return {
        "DiagnosisAccuracy": tuple(_diagnoses(said, text, reference)),
        "AnalysisCompleteness": tuple(_features(said, wanted)),
        "AnalysisRelevance": tuple(_points(said, len(wanted))),
        "LeadAssessmentCoverage": tuple(float(bool(verdicts)) for verdicts in leads.values()),
        "LeadAssessmentAccuracy": tuple(_lead(verdicts) for verdicts in leads.values()),
        "ECGFeatureGrounding": (_grounding(said),),
        "EvidenceBasedReasoning": (_reasoning(said, findings),),
        "ClinicalDiagnosticFidelity": (_process(said, findings),),
    }


def _said(text: str, measurement: Measurement) -> list[_Said]:
    claims = {(claim.start, claim.end, claim.kind): claim for claim in check(text, measurement)}
    out = []
    for one in read_statements(text):
        claim = claims.get((one.start, one.end, one.kind))
        claim = claim or next((c for (a, b, _), c in claims.items() if (a, b) == (one.start, one.end)), None)
        if claim is not None and one.kind != "other" and not one.exclusion:
            out.append(_Said(one, claim))
    return out


def _diagnoses(said: Sequence[_Said], text: str, reference: str) -> Iterable[float]:
    """2: named and supported by the recording; 1: named; 0: missing, or invented against the recording."""
    named, wanted = stated_findings(text), stated_findings(reference)
    for group in wanted:
        if not any(set(group) & set(other) for other in named):
            yield 0.0
            continue
        verdicts = {one.claim.verdict for one in said if set(group) & one.names and not one.statement.negated}
        yield 2.0 if "supported" in verdicts and "contradicted" not in verdicts else 1.0
    for group in named:
        if not any(set(group) & set(other) for other in wanted):
            verdicts = {one.claim.verdict for one in said if set(group) & one.names and not one.statement.negated}
            if "contradicted" in verdicts:
                yield 0.0
    if not wanted:  # nothing that the knowledge base knows
        yield 2.0 if not any(one.claim.verdict == "contradicted" for one in said) and said else 0.0


def _features(said: Sequence[_Said], wanted: Sequence[_Said]) -> Iterable[float]:
    """1 for each statement of the reference whose subject and leads the answer has right by the recording."""
    for one in wanted:
        about = [
            other
            for other in said
            if one.names & other.names
            and one.statement.kind == other.statement.kind
            and one.statement.negated == other.statement.negated
            and (not one.statement.leads or set(one.statement.leads) & set(other.statement.leads))
        ]
        verdicts = {other.claim.verdict for other in about}
        yield float(bool(verdicts) and "contradicted" not in verdicts)
    if not wanted:
        yield float(bool(said))


def _points(said: Sequence[_Said], expected: int) -> Iterable[float]:
    """2 for each supported point, 1 where the recording does not tell, 0 against it or missing."""
    worth = {"supported": 2.0, "contradicted": 0.0}
    yield from (worth.get(one.claim.verdict, 1.0) for one in said)
    yield from [0.0] * max(expected - len(said), 0 if said else 1)


def _lead(verdicts: Sequence[str]) -> float:
    if not verdicts or "contradicted" in verdicts:
        return 0.0
    return 2.0 if set(verdicts) == {"supported"} else 1.0


def _grounding(said: Sequence[_Said]) -> float:
    """Share of the statements about features that the recording supports, %."""
    features = [one for one in said if one.statement.kind in _FEATURES or one.statement.leads]
    return 100.0 * sum(one.claim.verdict == "supported" for one in features) / len(features) if features else 0.0


def _reasoning(said: Sequence[_Said], findings: Mapping[str, Finding]) -> float:
    """How far stated diagnoses are there by their criteria, with the criteria's quantities named, too, %."""
    quantities = {
        _root(proof.quantity)
        for one in said
        if one.statement.kind in _FEATURES and one.claim.verdict == "supported"
        for proof in one.claim.evidence
    }
    stated = [one for one in said if one.statement.kind == "finding" and not one.statement.negated]
    worth = []
    for one in stated:
        there = [findings[name] for name in one.names if name in findings and findings[name].present]
        if one.claim.verdict != "supported" or not there:
            worth.append(0.0)
            continue
        backed = any(_root(proof.quantity) in quantities for finding in there for proof in finding.evidence)
        worth.append(1.0 if backed else 0.5)
    return 100.0 * sum(worth) / len(worth) if worth else 0.0


def _root(quantity: str) -> str:
    """The interval or wave of a quantity: ``p`` of ``p_share``, ``qtc`` of ``qtc_fridericia``."""
    return quantity.partition("_")[0].rstrip("2")


def _process(said: Sequence[_Said], findings: Mapping[str, Finding]) -> float:
    """Share of the steps of a systematic reading that are there and not against the recording, %."""
    verdicts: dict[str, set[str]] = {step: set() for step in (*STEPS, "conclusion")}
    for one in said:
        groups = {findings[name].group for name in one.names if name in findings}
        for step, about in STEPS.items():
            if about & (one.names | groups):
                verdicts[step].add(one.claim.verdict)
        if one.statement.kind == "finding" and not one.statement.negated:
            verdicts["conclusion"].add(one.claim.verdict)
    worth = [0.0 if not found else 0.5 if "contradicted" in found else 1.0 for found in verdicts.values()]
    return 100.0 * sum(worth) / len(worth)
