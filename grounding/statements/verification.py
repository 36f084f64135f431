"""``check``: compare each statement of a text with the measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from ..criteria.assessment import assess
from ..criteria.expressions import Value, evaluate
from ..criteria.knowledge import load_knowledge
from ..criteria.limits import Category, load_limits
from ..errors import EcgError
from ..evidence import Claim, Evidence, Finding, Verdict
from .amplitudes import negative_t, verify_amplitude
from .nearness import half_there, nearly, nearly_in, p_is_flat
from .normality import named_by
from .parsed import UNIT_OF, ParsedStatement
from .parsing import read_statements
from .relating import relation, t_direction, times_of_ectopy
from .tolerances import (
    APPROXIMATE_FACTOR,
    MOST_UNDECIDED,
    NECESSARY_CONDITIONS,
    NORMAL,
    NOT_WITH_SINUS,
    P_PRESENT_SHARE,
    Q_WAVE_MV,
    SINUS,
    SLOW_BPM,
    TOLERANCES,
    in_category,
    is_clear,
)
from .topics import QUANTITIES, topic_of

if TYPE_CHECKING:
    from ..measurement.result import Measurement


def check(text: str, measurement: Measurement) -> list[Claim]:
    """Compare the statements of a text with one recording.

    Args:
        text: about an ECG, in English or German, from any source.
        measurement: of the recording.

    Returns:
        A ``Claim`` per statement, in the order of the text. If the criteria do not agree, a doubtful statement
        ("possible ...") is ``unsupported``, as is one beside a limit, and a definite one ``contradicted``. Statements
        about another time, person or device, and sentences without a measurable statement, are ``not_checkable``.

    Raises:
        EcgError: ``text`` is not a str, or ``measurement`` not a Measurement.
        CriterionError: the knowledge base can't be read.
    """
    if not isinstance(text, str):
        raise EcgError(f"the text is {type(text).__name__}", remedy="pass a str")
    statements = read_statements(text)
    return Checker(measurement, statements).claims(text, statements)


@dataclass(frozen=True)
class _EvidenceOf:
    """The evidence of several findings, collected when it is iterated over."""

    findings: Iterable[Finding]

    def __iter__(self) -> Iterator[Evidence]:
        return (part for finding in self.findings for part in finding.evidence)


class Checker:
    """The statements of a text, held against one recording.

    Args:
        measurement: of the recording.
        statements: all of the text.
        exact: for questions: limits and ranges are held against the value itself, and a QTc is Fridericia's.
    """

    def __init__(
        self, measurement: Measurement, statements: Sequence[ParsedStatement] = (), exact: bool = False
    ) -> None:
        self.measurement, self.exact = measurement, exact
        self.evaluation = assess(measurement)
        self.statements = statements
        self.known: dict[object, tuple[Verdict, str, Callable[[], tuple[Evidence, ...]]]] = {}

    def claims(self, text: str, statements: Iterable[ParsedStatement]) -> list[Claim]:
        """A claim per statement.

        Args:
            text: the text, or a part of it.
            statements: of this part, with positions in it.
        """
        out: list[Claim] = []
        for statement in statements:
            names = ("pr", "qrs", "qtc") if statement.subject == ("intervals",) else statement.subject[:1]
            for name in names if statement.kind in ("category", "missing") else ("",):
                verdict, reason, evidence = self._cached_verdict(statement, name)
                kind = f"possible_{statement.kind}" if statement.uncertain else statement.kind
                out.append(
                    Claim.deferred(
                        evidence,
                        start=statement.start,
                        end=statement.end,
                        kind=kind,
                        verdict=verdict,
                        reason=reason,
                        text=text[statement.start : statement.end],
                        topic=topic_of(statement, name),
                        denied=statement.negated,
                    )
                )
        return out

    def _cached_verdict(
        self, statement: ParsedStatement, name: str
    ) -> tuple[Verdict, str, Callable[[], tuple[Evidence, ...]]]:
        """Verdict, reason and evidence; computed once for equal statements."""
        number = statement.number
        key = (
            statement.kind,
            name or statement.subject,
            statement.findings,
            statement.negated,
            statement.uncertain,
            statement.leads,
            statement.region,
            statement.word,
            statement.formulas,
            statement.exclusion,
            statement.at_s,
            (number.low, number.high, number.compare, number.approximate, number.either_sign, number.plus)
            if number
            else None,
        )
        if key not in self.known:
            verdict, reason, evidence = (
                ("not_checkable", statement.exclusion, ()) if statement.exclusion else self.verify(statement, name)
            )
            self.known[key] = (verdict, reason, cache(partial(tuple, evidence)))
        return self.known[key]

    def verify(self, statement: ParsedStatement, name: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        """Verdict, reason and evidence of one statement, about one of its quantities."""
        ways: dict[str, Callable[[ParsedStatement, str], tuple[Verdict, str, Iterable[Evidence]]]] = {
            "number": self._number,
            "amplitude": self._amplitude,
            "category": self._category,
            "regularity": self._regularity,
            "finding": self._finding_at,
            "missing": self._missing,
            "relation": self._relation,
            "other": self._other,
        }
        return ways[statement.kind](statement, name)

    def _other(self, statement: ParsedStatement, name: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        return "not_checkable", "nothing here can be held against a measurement", ()

    def _quantities(self, statement: ParsedStatement, name: str) -> list[Evidence]:
        """The measured values that a name may mean: a QTc without a formula is Fridericia's or Bazett's."""
        names = [name]
        if name in ("qtc", "qt") and (name == "qtc" or statement.kind == "category"):
            names = list(statement.formulas) or ["qtc_fridericia", "qtc_bazett"][: 1 if self.exact else 2]
        return [self.evaluation.quantities.evidence(None, wanted) for wanted in names]

    # --- values

    def _number(self, statement: ParsedStatement, _: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        name, number = statement.subject[0], statement.number
        assert number is not None
        proofs = self._quantities(statement, name)
        known = [(proof, float(proof.value)) for proof in proofs if isinstance(proof.value, int | float)]
        title = QUANTITIES.get(name, "QTc")
        if not known:
            return "not_checkable", f"{title} is not measurable: {proofs[0].reason}", proofs[:1]
        tolerance = TOLERANCES[name] * (APPROXIMATE_FACTOR if number.approximate else 1.0)
        if self.exact and number.low != number.high:
            tolerance = 0.0
        lows = (number.low, -number.low) if number.either_sign else (number.low,)
        if len(known) > 1:  # QTc by two formulas: take the nearer one
            known.sort(key=lambda one: abs(one[1] - number.low))
        for proof, value in known:
            if number.compare == ">":
                fits = round(value) >= number.low
            elif number.compare == "<":
                fits = round(value) <= number.high
            elif name.startswith("axis"):
                fits = (
                    any(min(abs(value - low), 360 - abs(value - low)) <= tolerance for low in (*lows, number.high))
                    or number.low <= value <= number.high
                )
            else:
                fits = number.low - tolerance <= value <= number.high + tolerance
            if fits != statement.negated:
                return self._verdict(statement, fits), f"measured {title} is {_show(value, name)}", (proof,)
        proof, value = known[0]
        return self._verdict(statement, statement.negated), f"measured {title} is {_show(value, name)}", (proof,)

    @staticmethod
    def _verdict(statement: ParsedStatement, holds: bool, clear: bool = True) -> Verdict:
        """The verdict on a statement whose content ``holds`` or not; if doubtful or not ``clear``, unsupported."""
        if holds != statement.negated:
            return "supported"
        return "unsupported" if statement.uncertain or not clear else "contradicted"

    def _category(self, statement: ParsedStatement, name: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        quantity = "qtc" if name == "qt" else name
        title = QUANTITIES.get(quantity, "QTc")
        proof = self._quantities(statement, quantity)[0]
        if not isinstance(proof.value, int | float):
            return "not_checkable", f"{title} is not measurable: {proof.reason}", (proof,)
        value = float(proof.value)
        sex, age = self.measurement.sex, self.measurement.age
        holds = in_category(quantity, value, statement.word, sex, age)
        stated = f"measured {title} is {_show(value, quantity)}"
        if isinstance(holds, Category):
            return "not_checkable", f"{stated}: {holds.reason}", (proof,)
        return (
            self._verdict(statement, holds, is_clear(quantity, value, statement.word, sex, age)),
            stated,
            (proof,),
        )

    def _regularity(self, statement: ParsedStatement, _: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        proof = self.evaluation.quantities.evidence(None, "rr_cv")
        if not isinstance(proof.value, int | float):
            return "not_checkable", f"RR variation is not measurable: {proof.reason}", (proof,)
        irregular = load_limits()["irregular_rr_cv"].value(None, self.measurement.sex, self.measurement.age)
        assert irregular is not None
        holds = (proof.value < irregular) == (statement.word == "regular")
        return self._verdict(statement, holds), f"RR intervals vary by {100 * float(proof.value):.0f} %", (proof,)

    def _missing(self, statement: ParsedStatement, name: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        proof = self._quantities(statement, name)[0]
        if proof.value is None:
            return "supported", f"not measurable: {proof.reason}", (proof,)
        shown = (
            f"it was measured: {proof.value:g} {proof.unit}" if isinstance(proof.value, float) else "it was measured"
        )
        return "contradicted", shown, (proof,)

    def _amplitude(self, statement: ParsedStatement, _: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        holds, reason, evidence = verify_amplitude(statement, self.evaluation.quantities)
        return ("not_checkable" if holds is None else self._verdict(statement, holds)), reason, evidence

    def _relation(self, statement: ParsedStatement, _: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        held = relation(statement, self.evaluation.quantities)
        verdict = "not_checkable" if held.holds is None else self._verdict(statement, held.holds, held.clear)
        return verdict, held.reason, held.evidence

    # --- findings

    def _finding_at(self, statement: ParsedStatement, name: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        """A finding, and where it is of single beats also when they are said to be."""
        if statement.at_s and (when := times_of_ectopy(statement, self.evaluation.quantities)) is not None:
            return self._verdict(statement, when.holds is True), when.reason, when.evidence
        return self._finding(statement, name)

    def _finding(self, statement: ParsedStatement, _: str) -> tuple[Verdict, str, Iterable[Evidence]]:
        special: Mapping[str, Callable[[ParsedStatement], tuple[Verdict, str, Iterable[Evidence]]]] = {
            "p_waves": self._p_waves,
            "normal_ecg": self._normal_ecg,
            "otherwise_normal": self._otherwise_normal,
            "borderline_ecg": lambda _: ("not_checkable", "borderline is neither normal nor abnormal", ()),
            "q_waves": self._q_waves,
        }
        first = statement.findings[0][0]
        if first in special:
            return special[first](statement)
        if statement.word and statement.leads:  # "T wave positive in I", "negative in aVR": by its sign
            return self._relation(t_direction(statement), "")
        if statement.leads and len(statement.findings) == 1:
            placed = self._placed(statement, [self._known(name) for name in statement.findings[0]])
            if placed is not None:
                return placed
        groups = [[self._known(name) for name in group] for group in statement.findings]
        held = [self._any(group) for group in groups]
        wrong = next((group for group, state in zip(groups, held, strict=True) if state is False), None)
        if wrong is not None:
            flat = SINUS.issuperset(finding.name for finding in wrong) and p_is_flat(self.evaluation)
            near = flat or any(nearly(self.evaluation, finding.name, True) for finding in wrong)
            return (
                self._verdict(statement, False, clear=not near),
                f"criteria are {'nearly' if near else 'not'} met: {wrong[0].criterion}",
                _EvidenceOf(wrong[:3]),
            )
        unknown = next(
            (
                finding
                for group, state in zip(groups, held, strict=True)
                if state is None
                for finding in group
                if finding.present is None
            ),
            None,
        )
        if unknown is not None:
            return "not_checkable", f"{unknown.label} can't be told: {unknown.reason}", _EvidenceOf([unknown])
        shown = [finding for group in groups for finding in group if finding.present]
        named = " or ".join(dict.fromkeys(finding.label for finding in shown[:3]))
        clear = not statement.negated or not self._hardly(shown)
        return (
            self._verdict(statement, True, clear),
            f"{named} is {'' if clear else 'hardly '}there: {shown[0].criterion}",
            _EvidenceOf(shown[:3]),
        )

    def _hardly(self, findings: list[Finding]) -> bool:
        """Whether none of these findings would be there if the values were off by as much as readers differ."""
        rate = self.measurement.heart_rate or 0.0
        return all(
            nearly(self.evaluation, finding.name, False)
            or (finding.name in ("bradycardia", "sinus_bradycardia") and rate >= SLOW_BPM)
            for finding in findings
        )

    @staticmethod
    def _any(group: list[Finding]) -> bool | None:
        states = [finding.present for finding in group]
        return True if True in states else None if None in states else False

    def _known(self, name: str) -> Finding:
        """A finding of the knowledge base; one without a criterion may be excluded by the rhythm or a condition."""
        finding = self.evaluation.findings.get(name)
        label = name.replace("_", " ")
        if finding is not None and (finding.present is not None or name not in NOT_WITH_SINUS):
            return finding
        if name in NOT_WITH_SINUS and (
            sinus := next(
                (self.evaluation.findings[one] for one in sorted(SINUS) if self.evaluation.findings[one].present), None
            )
        ):
            return Finding(
                name, False, f"the rhythm is {sinus.label}", sinus.evidence, label=finding.label if finding else label
            )
        if finding is not None:
            return finding
        rule = NECESSARY_CONDITIONS.get(name)
        if rule is not None:
            read: dict[str, None] = {}

            def value(_: str | None, quantity: str) -> Value:
                read[quantity] = None
                return self.evaluation.quantities.value(None, quantity)[0]

            if evaluate(rule, value) is False:
                return Finding(
                    name,
                    False,
                    f"it needs {rule}",
                    tuple(self.evaluation.quantities.evidence(None, one) for one in read),
                    label=label,
                )
        return Finding(name, None, "", label=label, reason="there is no criterion for it")

    def _placed(
        self, statement: ParsedStatement, findings: list[Finding]
    ) -> tuple[Verdict, str, Iterable[Evidence]] | None:
        """Check a finding in certain leads; None where the leads do not matter."""
        states: dict[str, bool | None] = {}
        placed: list[Finding] = []
        for finding in findings:
            entry = load_knowledge().get(finding.name)
            if entry is None or entry.group == "voltage":  # low voltage concerns all leads
                continue
            present = self.evaluation.lead_states(entry, statement.leads)
            if not present and finding.present:
                leads = {lead for part in finding.evidence for lead in part.leads}
                present = {lead: lead in leads for lead in statement.leads} if 0 < len(leads) < 12 else {}
            if finding.name == "t_wave_inversion" and not statement.negated:  # in aVR no criterion judges it
                judged = self.evaluation.lead_states(entry)
                unjudged = [lead for lead, held in present.items() if held is None or lead not in judged]
                present = present | dict.fromkeys(negative_t(self.evaluation.quantities, unjudged), True)
            for lead, held in present.items():
                before = states.get(lead, held)
                states[lead] = True if True in (held, before) else None if None in (held, before) else False
            placed.append(finding)
        if not states:
            return None
        evidence = _EvidenceOf(placed)
        yes = [lead for lead, held in states.items() if held is True]
        no = [lead for lead, held in states.items() if held is False]
        named = findings[0].label
        if statement.negated:
            if yes:
                clear = not self._nearly(findings, yes, False)
                return self._verdict(statement, True, clear), f"{named} is there in {', '.join(yes)}", evidence
            if no:
                return self._verdict(statement, False), f"no {named} in {', '.join(no)}", evidence
        elif no and not (statement.region and len(yes) >= min(2, len(states))):
            elsewhere = bool(yes) or any(finding.present for finding in findings)
            clear = not elsewhere and not self._nearly(findings, no)
            return self._verdict(statement, False, clear), f"{named} is not there in {', '.join(no)}", evidence
        elif yes:
            return self._verdict(statement, True), f"{named} is there in {', '.join(yes)}", evidence
        reason = next((finding.reason for finding in findings if finding.reason), None)
        return (
            "not_checkable",
            f"{named} can't be told in {', '.join(states)}: {reason or 'not measurable there'}",
            evidence,
        )

    def _nearly(self, findings: list[Finding], leads: list[str], present: bool = True) -> bool:
        """Whether one of these leads nearly shows one of the findings; with ``present`` False, hardly any does."""
        if present and any(half_there(self.evaluation, finding.name, lead) for finding in findings for lead in leads):
            return True
        names = [finding.name for finding in findings]
        held = [nearly_in(self.evaluation, name, lead, present) for name in names for lead in leads]
        return any(held) if present else all(held)

    def _p_waves(self, statement: ParsedStatement) -> tuple[Verdict, str, Iterable[Evidence]]:
        value, reason = self.evaluation.quantities.value(None, "p_share")
        proof = self.evaluation.quantities.evidence(None, "p_share")
        if not isinstance(value, float):
            return "not_checkable", reason or "P waves could not be judged", (proof,)
        verdict = self._verdict(statement, value >= P_PRESENT_SHARE)
        return verdict, f"P waves before {100 * value:.0f} % of the beats", (proof,)

    def _q_waves(self, statement: ParsedStatement) -> tuple[Verdict, str, Iterable[Evidence]]:
        """Q waves in named leads are Q waves of any size; "no Q waves", and Q waves without leads, are pathological."""
        quantities = self.evaluation.quantities
        if statement.leads and not statement.negated:
            proofs = [
                quantities.evidence(lead, "q_mv" if self.measurement.has_millivolts else "q_rel")
                for lead in statement.leads
            ]
            known = [(proof, abs(float(proof.value))) for proof in proofs if isinstance(proof.value, int | float)]
            if known:
                present = [proof.leads[0] for proof, size in known if size >= Q_WAVE_MV]
                if len(present) >= (min(2, len(known)) if statement.region else len(known)):
                    return self._verdict(statement, True), f"Q waves in {', '.join(present)}", proofs
                missing = [proof.leads[0] for proof, size in known if size < Q_WAVE_MV]
                return self._verdict(statement, False, clear=not present), f"no Q wave in {', '.join(missing)}", proofs
        finding = self.evaluation.findings["pathological_q_waves"]
        if statement.leads:
            placed = self._placed(statement, [finding])
            if placed is not None:
                return placed
        if finding.present is None:
            return "not_checkable", f"{finding.label} can't be told: {finding.reason}", _EvidenceOf([finding])
        verdict = self._verdict(statement, finding.present)
        return verdict, f"{finding.label}: {finding.criterion}", _EvidenceOf([finding])

    def _abnormal(self) -> list[Finding]:
        return [
            finding for finding in self.evaluation.findings.values() if finding.present and finding.name not in NORMAL
        ]

    def _normal_ecg(self, statement: ParsedStatement) -> tuple[Verdict, str, Iterable[Evidence]]:
        abnormal = self._abnormal()
        if abnormal:
            reason = f"found: {', '.join(finding.label for finding in abnormal[:4])}"
            return self._verdict(statement, False, not self._hardly(abnormal)), reason, _EvidenceOf(abnormal)
        # an ECG called abnormal is not clearly normal because no criterion is met
        return self._none_met(statement, "no criterion", clear=False)

    def _none_met(
        self, statement: ParsedStatement, which: str, clear: bool = True
    ) -> tuple[Verdict, str, Iterable[Evidence]]:
        """The verdict where no abnormal finding is left; where many are undecided, as without beats, there is none."""
        states = [finding.present for finding in self.evaluation.findings.values()]
        undecided, proof = states.count(None), (self.measurement.evidence("heart_rate"),)
        if undecided > MOST_UNDECIDED * len(states):
            return "not_checkable", f"{undecided} of {len(states)} criteria can't be decided in this recording", proof
        return self._verdict(statement, True, clear), f"{which} of the knowledge base is met", proof

    def _otherwise_normal(self, statement: ParsedStatement) -> tuple[Verdict, str, Iterable[Evidence]]:
        """Check that there is no abnormal finding besides those that the text names."""
        stated = named_by(self.statements, self.evaluation.findings)
        left = [finding for finding in self._abnormal() if finding.name not in stated]
        if not left:
            return self._none_met(statement, "no other criterion")
        return (
            self._verdict(statement, False, not self._hardly(left)),
            f"found besides: {', '.join(finding.label for finding in left[:4])}",
            _EvidenceOf(left),
        )


def _show(value: float, name: str) -> str:
    return f"{value:.0f} {UNIT_OF.get(name, 'ms')}"
