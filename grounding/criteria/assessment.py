"""Evaluation of the knowledge base on a measurement: true, false, or not measurable with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from ..errors import EcgError
from ..evidence import Evidence, Finding
from .expressions import kleene_all, kleene_any, kleene_not
from .findings import Findings
from .knowledge import CONTIGUOUS, Condition, FindingEntry, Rule, additions, leads_of, load_knowledge
from .language import criteria_words, quantity_words
from .limits import ADULT_YEARS, Category, Values, category, over_patients, rounded, shown
from .quantities import Quantities

if TYPE_CHECKING:
    from ..measurement.result import Measurement


# amplitudes, Q waves, ST and T depend on age in children; the criteria of these groups are for adults
FOR_ADULTS = frozenset({"hypertrophy", "infarction", "ischaemia", "voltage"})


@dataclass(slots=True)
class _Outcome:
    """Result of one condition.

    Attributes:
        holds: its truth value.
        read: the quantities that it read: those of a rule, and the lead in question.
        others: the findings that it referred to.
        reasons: why it is unknown.
    """

    holds: bool | None
    read: list[tuple[Rule, str | None]]
    others: list[Finding]
    reasons: list[str]


class _FindingsOf(Mapping[str, Finding]):
    """The findings of a measurement by their names; each is evaluated when it is first asked for.

    They don't refer to the ``Assessment`` that holds them, so that both are gone as soon as nobody uses them.
    """

    def __init__(self, measurement: Measurement, quantities: Quantities) -> None:
        self.measurement, self.quantities = measurement, quantities
        self.entries = load_knowledge()
        self.words = criteria_words(measurement.sex, measurement.age)
        self.known: dict[str, Finding] = {}
        self._values: dict[str | None, Values] = {}  # of each lead, for this patient
        self._if_other: dict[tuple[str | None, str | None, float | None], Values] = {}  # for one of a sex and an age

    def __getitem__(self, name: str) -> Finding:
        found = self.known.get(name)
        if found is None:
            found = self.known[name] = self._finding(self.entries[name], self.words[name])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _finding(self, entry: FindingEntry, words: str) -> Finding:
        m = self.measurement
        outcome = _condition(entry, "when")(self)
        present, reasons, read = outcome.holds, outcome.reasons, outcome.read
        if entry.unless is not None:
            excluding = _condition(entry, "unless")(self)
            if excluding.holds is True:
                present, reasons = None, [entry.unless_reason]
                read = read + excluding.read
        if entry.group in FOR_ADULTS and m.age is not None and m.age < ADULT_YEARS:
            present, reasons = None, [f"its criterion is one for adults, and the patient is {m.age:g} years old"]
        return Finding.deferred(
            partial(_collected, self.quantities, entry.shows, read, outcome.others),
            name=entry.name,
            present=present,
            criterion=words,
            source=entry.source,
            label=entry.label,
            group=entry.group,
            reason=None if present is not None else "; ".join(dict.fromkeys(reasons)) or "not measurable",
        )

    def holds(self, rule: Rule, lead: str | None) -> bool | None:
        """Whether an expression holds; ``lead`` is the lead in question, where there is one."""
        m = self.measurement
        if self._is_decided(rule):
            holds = rule.criterion(self._values_of(lead))
            return None if holds is None else bool(holds)
        return over_patients(rule.limits.values(), m.sex, m.age, partial(self._decide, rule, lead))[0]

    def _is_decided(self, rule: Rule) -> bool:
        """Whether the limits of a rule are the same for all that the patient may be."""
        m = self.measurement
        return (m.sex is not None or not rule.by_sex) and (m.age is not None or not rule.by_age)

    def _values_of(self, lead: str | None) -> Values:
        values = self._values.get(lead)
        if values is None:
            m = self.measurement
            values = self._values[lead] = self.quantities.values(lead, m.sex, m.age)
        return values

    def _decide(self, rule: Rule, lead: str | None, sex: str | None, age: float | None) -> bool | None:
        """Whether an expression holds if the patient is of this sex and age."""
        values = self._if_other.get((lead, sex, age))
        if values is None:
            values = self._if_other[lead, sex, age] = self.quantities.values(lead, sex, age)
        holds = rule.criterion(values)
        return None if holds is None else bool(holds)

    def _reasons(self, rule: Rule, lead: str | None) -> list[str]:
        """Why an expression is unknown: what it reads and has no value, in the order of the text."""
        m, reasons = self.measurement, []

        def decide(sex: str | None, age: float | None) -> bool | None:
            for named, name in rule.leaves:
                at = named or lead
                if name not in rule.limits:
                    value, reason = self.quantities.value(at, name)
                    reasons.extend([reason] if value is None and reason else [])
                elif rule.limits[name].value(at, sex, age) is None:
                    reasons.append(f"no limit is known{f' for a patient of {age:g} years' if age is not None else ''}")
            return self._decide(rule, lead, sex, age)

        depends = over_patients(rule.limits.values(), m.sex, m.age, decide)[1]
        return [depends] if depends else reasons

    def _expression(self, rule: Rule) -> _Outcome:
        holds = self.holds(rule, None)
        return _Outcome(holds, [(rule, None)], [], self._reasons(rule, None) if holds is None else [])

    def _leads(self, rule: Rule, leads: tuple[str, ...], need: int, contiguous: bool) -> _Outcome:
        truth: dict[str, bool | None] = {}
        if self._is_decided(rule):
            for lead in leads:
                held = rule.criterion(self._values_of(lead))
                truth[lead] = None if held is None else bool(held)
        else:
            truth = {lead: self.holds(rule, lead) for lead in leads}
        holds = enough_leads(truth, need, contiguous)
        shown: list[tuple[Rule, str | None]] = [(rule, lead) for lead, held in truth.items() if held or not holds]
        unknown = [lead for lead, held in truth.items() if held is None] if holds is None else []
        return _Outcome(holds, shown, [], [text for lead in unknown for text in self._reasons(rule, lead)])

    def _other(self, name: str) -> _Outcome:
        other = self[name]
        return _Outcome(other.present, [], [other], [f"{other.label}: {other.reason}"] if other.present is None else [])


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
        self.findings = _FindingsOf(measurement, self.quantities)
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
                    self.findings.known[key] = replace(current, doubt=words)

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

    def lead_states(self, entry: FindingEntry, leads: Iterable[str] = ()) -> dict[str, bool | None]:
        """Which leads show a finding whose rule is evaluated lead by lead.

        Args:
            entry: of the knowledge base.
            leads: to evaluate; by default those of the rule.

        Returns:
            Lead -> True, False or None; empty where the rule is not evaluated lead by lead.
        """
        part = entry.part_by_leads()
        if part is None:
            return {}
        rule = entry.rule(part["where"])
        return {lead: self.findings.holds(rule, lead) for lead in tuple(leads) or leads_of(part)}


@lru_cache(maxsize=1024)
def _condition(entry: FindingEntry, part: str) -> Callable[[_FindingsOf], _Outcome]:
    """The condition ``when`` or ``unless`` of an entry as a function, made once per process."""
    return _compiled(entry, getattr(entry, part))


def _compiled(entry: FindingEntry, condition: Condition) -> Callable[[_FindingsOf], _Outcome]:
    if isinstance(condition, str):
        rule = entry.rule(condition)
        return lambda findings: findings._expression(rule)
    if "leads" in condition:
        rule, leads = entry.rule(condition["where"]), leads_of(condition)
        need, contiguous = int(condition.get("at_least", 1)), bool(condition.get("contiguous", False))
        return lambda findings: findings._leads(rule, leads, need, contiguous)
    if "finding" in condition:
        name = condition["finding"]
        return lambda findings: findings._other(name)
    key = next(name for name in ("all", "any", "none") if name in condition)
    parts = [_compiled(entry, part) for part in condition[key]]
    return lambda findings: _joined(key, [part(findings) for part in parts])


def _joined(key: str, parts: list[_Outcome]) -> _Outcome:
    """``all``, ``any`` or ``none`` of several conditions."""
    held = [part.holds for part in parts]
    holds = kleene_all(held) if key == "all" else kleene_any(held)
    if key == "none":
        holds = kleene_not(holds)
    # the decisive parts are the evidence: the true ones of a true "any", the false ones of a false "all"
    shown, reasons = parts, []
    if key == "any" and holds is True:
        shown = [part for part in parts if part.holds]
    elif key == "all" and holds is False:
        shown = [part for part in parts if part.holds is False]
    elif holds is not None:
        shown = [part for part in parts if part.holds is not None]
    else:
        reasons = [text for part in parts if part.holds is None for text in part.reasons]
    return _Outcome(
        holds, [one for part in shown for one in part.read], [one for part in shown for one in part.others], reasons
    )


def _collected(
    quantities: Quantities,
    shows: Iterable[str],
    read: Iterable[tuple[Rule, str | None]],
    others: Iterable[Finding],
) -> tuple[Evidence, ...]:
    """The evidence of a finding: that of the values it shows or read, and that of the findings it refers to."""
    keys: dict[tuple[str | None, str], None] = {(None, name): None for name in shows}
    for rule, lead in read:
        keys |= {(named or lead, name): None for named, name in rule.quantities}
    evidence = [quantities.evidence(lead, name) for lead, name in keys]
    for other in others:
        evidence += [part for part in other.evidence if part not in evidence]
    return tuple(evidence)


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

    states = list(truth.values())
    held = states.count(True)
    if held >= need and count_leads((True,)) >= need:
        return True
    return None if held + states.count(None) >= need and count_leads((True, None)) >= need else False


def assess(measurement: Measurement) -> Assessment:
    """Evaluate the knowledge base; the result is kept with the measurement, and returned again at the next call.

    It is evaluated again after ``add_findings``.

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
    version, assessment = measurement.derived.get("assessment", (None, None))
    if assessment is None or version != additions():
        assessment = Assessment(measurement)
        measurement.derived["assessment"] = additions(), assessment
    found: Assessment = assessment
    return found


def find(measurement: Measurement) -> Findings:
    """Evaluate every entry of the knowledge base.

    Args:
        measurement: of one recording.

    Returns:
        A list with a ``Finding`` per entry; its ``present`` is True, False, or None with a reason where it can't be
        decided.

    Raises:
        CriterionError: the knowledge base itself can't be read.
    """
    return Findings(assess(measurement).findings.values())


def lead_states(measurement: Measurement, name: str) -> dict[str, bool | None]:
    """Which leads show a finding that is evaluated lead by lead.

    Args:
        measurement: of one recording.
        name: of the finding, such as ``st_elevation``.

    Returns:
        Lead -> True, False or None; empty where the rule is not evaluated lead by lead.
    """
    return assess(measurement).lead_states(load_knowledge()[name])
