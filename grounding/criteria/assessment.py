"""Evaluation of the knowledge base on a measurement: true, false, or not measurable with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import EcgError
from ..evidence import Evidence, Finding
from .expressions import Value, compiled, kleene_all, kleene_any, kleene_not, names
from .knowledge import CONTIGUOUS, Condition, FindingEntry, leads_of, load_knowledge
from .language import criterion_words, quantity_words
from .limits import ADULT_YEARS, Category, category, over_patients, rounded, shown
from .quantities import Quantities

if TYPE_CHECKING:
    from ..measurement.result import Measurement


# amplitudes, Q waves, ST and T depend on age in children; the criteria of these groups are for adults
FOR_ADULTS = frozenset({"hypertrophy", "infarction", "ischaemia", "voltage"})


@dataclass
class _Outcome:
    """Result of one condition: its truth value, the quantities it read, and why it is unknown."""

    holds: bool | None
    read: dict[tuple[str | None, str], None] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class Assessment:
    """The findings of one measurement, computed once and used by everything that writes, checks or displays.

    Attributes:
        measurement: the measurement.
        findings: name -> Finding, for every entry of the knowledge base.
        quantities: the values that criteria read, each with its evidence.
    """

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        self.quantities = Quantities(measurement)
        self.findings: dict[str, Finding] = {}
        for entry in load_knowledge().values():
            self.findings[entry.name] = self._finding(entry)
        for name in measurement.uncertainty:
            self._doubt(name)

    def _doubt(self, name: str) -> None:
        """Mark the findings that change if an interval is as short or as long as its uncertainty allows."""
        m = self.measurement
        value, uncertainty = m.intervals[name], m.uncertainty[name]
        if value is None:
            return
        words = f"{quantity_words(name)} is {shown(value, 'ms', uncertainty)}, which reaches over the limit"
        for end in (value - uncertainty, value + uncertainty):
            other = Assessment(replace(m, intervals={**m.intervals, name: end}, uncertainty={}))
            for key, finding in other.findings.items():
                current = self.findings[key]
                if finding.present != current.present and current.doubt is None:
                    self.findings[key] = replace(current, doubt=words)

    def is_borderline(self, quantity: str) -> bool:
        """Whether the category of an interval is not the same over the whole range of its uncertainty.

        Args:
            quantity: name of an interval.
        """
        m = self.measurement
        value, uncertainty = m.intervals.get(quantity), m.uncertainty.get(quantity)
        if value is None or uncertainty is None:
            return False
        words = {
            category(quantity, rounded(x, "ms"), m.sex, m.age).word
            for x in (value - uncertainty, value, value + uncertainty)
        }
        return len(words) > 1

    def category(self, quantity: str) -> Category:
        """The category of a global value for this patient; empty where it was not measured.

        Args:
            quantity: ``pr``, ``qtc_fridericia``, ``axis``, ...
        """
        value, reason = self.quantities.value(None, quantity)
        if not isinstance(value, float):
            return Category("", reason)
        return category(quantity, value, self.measurement.sex, self.measurement.age)

    def _finding(self, entry: FindingEntry) -> Finding:
        m = self.measurement
        outcome = self._condition(entry, entry.when)
        present, reasons = outcome.holds, outcome.reasons
        read = {(None, name): None for name in entry.shows} | dict(outcome.read)
        if entry.unless is not None:
            excluding = self._condition(entry, entry.unless)
            if excluding.holds is True:
                present, reasons = None, [entry.unless_reason]
                read |= excluding.read
        if entry.group in FOR_ADULTS and m.age is not None and m.age < ADULT_YEARS:
            present, reasons = None, [f"its criterion is one for adults, and the patient is {m.age:g} years old"]
        evidence = [self.quantities.evidence(lead, name) for lead, name in read]
        evidence += [part for part in outcome.evidence if part not in evidence]
        return Finding(
            name=entry.name,
            present=present,
            criterion=criterion_words(entry.name, m.sex, m.age),
            evidence=tuple(evidence),
            source=entry.source,
            label=entry.label,
            group=entry.group,
            reason=None if present is not None else "; ".join(dict.fromkeys(reasons)) or "not measurable",
        )

    def _condition(self, entry: FindingEntry, condition: Condition) -> _Outcome:
        if isinstance(condition, str):
            return self._expression(entry, condition, None)
        if "leads" in condition:
            return self._leads(entry, condition)
        if "finding" in condition:
            other = self.findings[condition["finding"]]
            reason = [f"{other.label}: {other.reason}"] if other.present is None else []
            return _Outcome(other.present, evidence=list(other.evidence), reasons=reason)
        key = next(name for name in ("all", "any", "none") if name in condition)
        parts = [self._condition(entry, part) for part in condition[key]]
        held = [part.holds for part in parts]
        holds = kleene_all(held) if key == "all" else kleene_any(held)
        if key == "none":
            holds = kleene_not(holds)
        # the decisive parts are the evidence: the true ones of a true "any", the false ones of a false "all"
        wanted: tuple[bool | None, ...] = (True, False)
        if key == "any" and holds is True:
            wanted = (True,)
        elif key == "all" and holds is False:
            wanted = (False,)
        shown = [part for part in parts if part.holds in wanted] if holds is not None else parts
        return _Outcome(holds, *_merged(shown), [r for part in parts if part.holds is None for r in part.reasons])

    def _expression(self, entry: FindingEntry, text: str, lead: str | None) -> _Outcome:
        reasons: list[str] = []
        limits = entry.all_limits
        read = [(named or lead, name) for named, name in names(text)]
        used = [limits[name] for _, name in read if name in limits]
        criterion = compiled(text)

        def decide(sex: str | None, age: float | None) -> bool | None:
            def value_of(named: str | None, name: str) -> Value:
                at = named or lead
                if name in limits:
                    limit = limits[name].value(at, sex, age)
                    if limit is None:
                        reasons.append(
                            f"no limit is known for a patient of {age:g} years"
                            if age is not None
                            else "no limit is known"
                        )
                    return limit
                value, reason = self.quantities.value(at, name)
                if value is None and reason:
                    reasons.append(reason)
                return value

            holds = criterion(value_of)
            return None if holds is None else bool(holds)

        m = self.quantities.measurement
        holds, depends = over_patients(used, m.sex, m.age, decide)
        keys = {(at, name): None for at, name in read if name not in limits}
        return _Outcome(holds, keys, [], ([depends] if depends else reasons) if holds is None else [])

    def _leads(self, entry: FindingEntry, condition: Mapping[str, Any]) -> _Outcome:
        need = int(condition.get("at_least", 1))
        states = {lead: self._expression(entry, condition["where"], lead) for lead in leads_of(condition)}
        truth = {lead: state.holds for lead, state in states.items()}
        holds = enough_leads(truth, need, bool(condition.get("contiguous", False)))
        shown = [states[lead] for lead, held in truth.items() if held is True] if holds else list(states.values())
        return _Outcome(
            holds, *_merged(shown), [r for state in states.values() if state.holds is None for r in state.reasons]
        )

    def lead_states(self, entry: FindingEntry, leads: Iterable[str] = ()) -> dict[str, bool | None]:
        """Which leads show a finding whose rule is evaluated lead by lead.

        Args:
            entry: of the knowledge base.
            leads: to evaluate; by default those of the rule.

        Returns:
            Lead -> True, False or None; empty where the rule is not evaluated lead by lead.
        """
        for part in entry.parts():
            if not isinstance(part, str) and "leads" in part:
                asked = tuple(leads) or leads_of(part)
                return {lead: self._expression(entry, part["where"], lead).holds for lead in asked}
        return {}


def _merged(parts: Iterable[_Outcome]) -> tuple[dict[tuple[str | None, str], None], list[Evidence]]:
    read: dict[tuple[str | None, str], None] = {}
    evidence: list[Evidence] = []
    for part in parts:
        read |= part.read
        evidence += [item for item in part.evidence if item not in evidence]
    return read, evidence


def enough_leads(truth: Mapping[str, bool | None], need: int, contiguous: bool) -> bool | None:
    """Whether enough leads fulfil a condition.

    Args:
        truth: lead -> whether it fulfils the condition, None where unknown.
        need: how many must.
        contiguous: they must be neighbours.

    Returns:
        None where it depends on the unknown leads.
    """

    def count_leads(accept: tuple[bool | None, ...]) -> int:
        if not contiguous:
            return sum(held in accept for held in truth.values())
        best = 0
        for chain in CONTIGUOUS:
            run = 0
            for lead in chain:
                run = run + 1 if lead in truth and truth[lead] in accept else 0
                best = max(best, run)
        return best

    if count_leads((True,)) >= need:
        return True
    return None if count_leads((True, None)) >= need else False


def assess(measurement: Measurement) -> Assessment:
    """Evaluate the knowledge base; the result is kept with the measurement, and returned again at the next call.

    Args:
        measurement: of one recording.

    Raises:
        EcgError: ``measurement`` is not a Measurement.
        CriterionError: the knowledge base itself can't be read.

    Example:
        >>> from grounding import measure, read_record, sample_path
        >>> assessment = assess(measure(read_record(sample_path())))
        >>> assessment.findings["wide_qrs"].present, assessment.category("qrs").word
        (False, 'normal')
    """
    from ..measurement.result import Measurement

    if not isinstance(measurement, Measurement):
        raise EcgError(
            f"the measurement is {type(measurement).__name__}", remedy="pass what grounding.measure(record) gives"
        )
    if "assessment" not in measurement.derived:
        measurement.derived["assessment"] = Assessment(measurement)
    assessment: Assessment = measurement.derived["assessment"]
    return assessment


def find(measurement: Measurement) -> list[Finding]:
    """Evaluate every entry of the knowledge base.

    Args:
        measurement: of one recording.

    Returns:
        A ``Finding`` per entry; its ``present`` is True, False, or None with a reason where it can't be decided.

    Raises:
        CriterionError: the knowledge base itself can't be read.
    """
    return list(assess(measurement).findings.values())


def lead_states(measurement: Measurement, name: str) -> dict[str, bool | None]:
    """Which leads show a finding that is evaluated lead by lead.

    Args:
        measurement: of one recording.
        name: of the finding, such as ``st_elevation``.

    Returns:
        Lead -> True, False or None; empty where the rule is not evaluated lead by lead.
    """
    return assess(measurement).lead_states(load_knowledge()[name])
