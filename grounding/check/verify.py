"""Hold each statement against the measurement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..evidence import Claim, Evidence, Finding, Verdict
from ..findings.engine import assess
from ..findings.knowledge import load_knowledge
from .reading import UNIT_OF, Statement, read_statements

if TYPE_CHECKING:
    from ..measurement.result import Measurement

# how far a stated number may lie from the measured one: about the spread between devices and readers
TOLERANCES = {
    "heart_rate": 5.0,
    "atrial_rate_bpm": 10.0,
    "pr": 20.0,
    "qrs": 12.0,
    "qt": 25.0,
    "qtc": 25.0,
    "rr": 50.0,
    "p": 20.0,
    "axis": 15.0,
}
REGULAR_RR_CV = 0.10
_NORMAL = frozenset({"normal_rate", "normal_pr", "normal_qrs", "normal_axis", "normal_qtc", "sinus_rhythm", "sinus_arrhythmia", "irregular_rhythm"})  # fmt: skip
_SHOWN = {"heart_rate": "heart rate", "pr": "PR interval", "qrs": "QRS duration", "qt": "QT interval", "axis": "axis", "rr": "RR interval", "p": "P duration", "atrial_rate_bpm": "atrial rate"}  # fmt: skip


def check(text: str, measurement: Measurement) -> list[Claim]:
    """Read the statements of a text and hold each against one recording.

    Args:
        text: English about an ECG, whoever wrote it.
        measurement: of the recording it speaks about.

    Returns:
        A ``Claim`` per statement, in the order of the text. A doubtful statement ("possible ...") that the criteria do not bear out is
        ``unsupported``, a definite one ``contradicted``. Sentences that say nothing measurable are ``not_checkable``.

    Raises:
        CriterionError: the knowledge base can't be read.
    """
    return _Checker(text, measurement).claims()


class _Checker:
    def __init__(self, text: str, measurement: Measurement) -> None:
        self.text = text
        self.measurement = measurement
        self.evaluation = assess(measurement)

    def claims(self) -> list[Claim]:
        out: list[Claim] = []
        for statement in read_statements(self.text):
            match statement.kind:
                case "number":
                    out.append(self._number(statement))
                case "category":
                    names = ("pr", "qrs", "qtc") if statement.subject == ("intervals",) else statement.subject
                    out += [self._category(statement, name) for name in names]
                case "regularity":
                    out.append(self._regularity(statement))
                case "missing":
                    out.append(self._missing(statement))
                case "finding":
                    out.append(self._finding(statement))
                case _:
                    out.append(
                        self._claim(statement, "not_checkable", "nothing here can be held against a measurement")
                    )
        return out

    def _claim(self, statement: Statement, verdict: Verdict, reason: str, evidence: Iterable[Evidence] = ()) -> Claim:
        kind = f"possible_{statement.kind}" if statement.uncertain else statement.kind
        words = self.text[statement.start : statement.end]
        return Claim(statement.start, statement.end, kind, verdict, tuple(evidence), reason, words)

    def _quantities(self, statement: Statement, name: str) -> list[Evidence]:
        """The measured values a name may mean: an unnamed QTc is Bazett's or Fridericia's."""
        names = [name]
        if name == "qtc":
            names = list(statement.formulas) or ["qtc_fridericia", "qtc_bazett"]
        return [self.evaluation.quantities.evidence(None, wanted) for wanted in names]

    def _number(self, statement: Statement) -> Claim:
        name, number = statement.subject[0], statement.number
        assert number is not None
        if not name:
            return self._claim(statement, "not_checkable", "the number's quantity is not named")
        proofs = self._quantities(statement, name)
        known = [(proof, float(proof.value)) for proof in proofs if isinstance(proof.value, int | float)]
        title = _SHOWN.get(name, "QTc")
        if not known:
            return self._claim(statement, "not_checkable", f"{title} is not measurable: {proofs[0].reason}", proofs[:1])
        tolerance = TOLERANCES[name]
        for proof, value in known:
            if number.compare == ">":
                fits = value > number.low - 0.5
            elif number.compare == "<":
                fits = value < number.high + 0.5
            elif name == "axis":
                fits = (
                    min(abs(value - number.low), 360 - abs(value - number.low), abs(value - number.high)) <= tolerance
                    or number.low <= value <= number.high
                )
            else:
                fits = number.low - tolerance <= value <= number.high + tolerance
            if fits:
                return self._claim(statement, "supported", f"measured {title} is {_show(value, name)}", (proof,))
        proof, value = known[0]
        return self._claim(statement, "contradicted", f"measured {title} is {_show(value, name)}", (proof,))

    def _category(self, statement: Statement, name: str) -> Claim:
        title = _SHOWN.get(name, "QTc")
        proof = self._quantities(statement, "qtc" if name == "qt" else name)[0]
        if not isinstance(proof.value, int | float):
            return self._claim(statement, "not_checkable", f"{title} is not measurable: {proof.reason}", (proof,))
        holds = _in_category(name, float(proof.value), statement.word, self.measurement.sex)
        if holds is None:
            return self._claim(statement, "not_checkable", f"{statement.word!r} has no limit for the {title}", (proof,))
        verdict: Verdict = "supported" if holds != statement.negated else "contradicted"
        return self._claim(statement, verdict, f"measured {title} is {_show(float(proof.value), name)}", (proof,))

    def _regularity(self, statement: Statement) -> Claim:
        proof = self._quantities(statement, "rr_cv")[0]
        if not isinstance(proof.value, int | float):
            return self._claim(statement, "not_checkable", f"RR variation is not measurable: {proof.reason}", (proof,))
        holds = (proof.value < REGULAR_RR_CV) == (statement.word == "regular")
        verdict: Verdict = "supported" if holds != statement.negated else "contradicted"
        return self._claim(statement, verdict, f"RR intervals vary by {100 * float(proof.value):.0f} %", (proof,))

    def _missing(self, statement: Statement) -> Claim:
        proof = self._quantities(statement, statement.subject[0])[0]
        if proof.value is None:
            return self._claim(statement, "supported", f"not measurable: {proof.reason}", (proof,))
        return self._claim(statement, "contradicted", f"it was measured: {proof.value:g} {proof.unit}" if isinstance(proof.value, float) else "it was measured", (proof,))  # fmt: skip

    def _finding(self, statement: Statement) -> Claim:
        if statement.subject == ("p_waves",):
            return self._p_waves(statement)
        if statement.subject == ("normal_ecg",):
            return self._normal_ecg(statement)
        findings = [self.evaluation.findings[name] for name in statement.subject]
        if statement.leads:
            placed = self._placed(statement, findings)
            if placed is not None:
                return placed
        shown = [finding for finding in findings if finding.present]
        named = " or ".join(finding.label for finding in (shown or findings)[:3])
        evidence = [part for finding in (shown or findings)[:3] for part in finding.evidence]
        unknown = next((finding for finding in findings if finding.present is None), None)
        if shown:
            reason = f"{named} is there: {shown[0].criterion}"
            return self._claim(statement, "contradicted" if statement.negated else "supported", reason, evidence)
        if unknown is not None:
            return self._claim(
                statement, "not_checkable", f"{unknown.label} can't be told: {unknown.reason}", unknown.evidence
            )
        if statement.negated:
            return self._claim(statement, "supported", f"criteria are not met: {findings[0].criterion}", evidence)
        return self._claim(statement, "unsupported" if statement.uncertain else "contradicted", f"criteria are not met: {findings[0].criterion}", evidence)  # fmt: skip

    def _placed(self, statement: Statement, findings: list[Finding]) -> Claim | None:
        """A finding said of certain leads; None where its leads don't matter."""
        states: dict[str, bool | None] = {}
        evidence: list[Evidence] = []
        for finding in findings:
            entry = load_knowledge()[finding.name]
            there = self.evaluation.lead_states(entry, statement.leads)
            if not there and finding.present:
                leads = {lead for part in finding.evidence for lead in part.leads}
                there = {lead: lead in leads for lead in statement.leads} if 0 < len(leads) < 12 else {}
            for lead, held in there.items():
                states[lead] = (
                    True
                    if True in (held, states.get(lead))
                    else None
                    if None in (held, states.get(lead, held))
                    else False
                )
            evidence += finding.evidence
        if not states:
            return None
        yes = [lead for lead, held in states.items() if held is True]
        no = [lead for lead, held in states.items() if held is False]
        named = findings[0].label
        if statement.negated:
            if yes:
                return self._claim(statement, "contradicted", f"{named} is there in {', '.join(yes)}", evidence)
            if no:
                return self._claim(statement, "supported", f"no {named} in {', '.join(no)}", evidence)
        elif no and not (statement.region and len(yes) >= 2):
            elsewhere = yes or any(finding.present for finding in findings)
            verdict: Verdict = "unsupported" if elsewhere or statement.uncertain else "contradicted"
            return self._claim(statement, verdict, f"{named} is not there in {', '.join(no)}", evidence)
        elif yes:
            return self._claim(statement, "supported", f"{named} is there in {', '.join(yes)}", evidence)
        reason = next((finding.reason for finding in findings if finding.reason), None)
        return self._claim(statement, "not_checkable", f"{named} can't be told in {', '.join(states)}: {reason or 'not measurable there'}", evidence)  # fmt: skip

    def _p_waves(self, statement: Statement) -> Claim:
        value, reason = self.evaluation.quantities.value(None, "p_share")
        proof = self.evaluation.quantities.evidence(None, "p_share")
        if not isinstance(value, float):
            return self._claim(statement, "not_checkable", reason or "P waves could not be judged", (proof,))
        verdict: Verdict = "supported" if (value >= 0.5) != statement.negated else "contradicted"
        return self._claim(statement, verdict, f"P waves before {100 * value:.0f} % of the beats", (proof,))

    def _normal_ecg(self, statement: Statement) -> Claim:
        abnormal = [
            finding for finding in self.evaluation.findings.values() if finding.present and finding.name not in _NORMAL
        ]
        evidence = [part for finding in abnormal for part in finding.evidence]
        if abnormal:
            reason = f"found: {', '.join(finding.label for finding in abnormal[:4])}"
            verdict: Verdict = (
                "supported" if statement.negated else "unsupported" if statement.uncertain else "contradicted"
            )
            return self._claim(statement, verdict, reason, evidence)
        if statement.negated:
            return self._claim(statement, "unsupported", "no criterion of the knowledge base is met")
        return self._claim(
            statement,
            "supported",
            "no criterion of the knowledge base is met",
            [self.measurement.evidence("heart_rate")],
        )


def _show(value: float, name: str) -> str:
    return f"{value:.0f} {UNIT_OF.get(name, 'ms')}"


def _in_category(name: str, value: float, word: str, sex: str | None) -> bool | None:
    """Whether a value is normal, prolonged, ... by the limits of the knowledge base; None where the word says nothing of it."""
    long_qtc = 450.0 if sex == "male" else 460.0
    # (below: short / slow, from here: prolonged / fast)
    low, high = {
        "heart_rate": (60.0, 100.5), "pr": (119.5, 200.5), "qrs": (0.0, 119.5), "qtc": (360.0, long_qtc), "qt": (360.0, long_qtc),
        "rr": (600.0, 1000.5), "p": (0.0, 119.5), "atrial_rate_bpm": (60.0, 100.5),
    }.get(name, (0.0, 0.0))  # fmt: skip
    if word == "shape":
        return None
    if name == "axis":
        held = {
            "normal": -30 <= value <= 90,
            "left": -90 <= value < -30,
            "right": 90 < value <= 180,
            "abnormal": not -30 <= value <= 90,
        }
        return held.get(word)
    if high == 0.0:
        return None
    if word == "normal":
        return low <= value < high
    if word == "abnormal":
        return not low <= value < high
    if word in ("prolonged", "fast"):
        return value >= high
    if word in ("short", "slow"):
        return value < (120.0 if name == "qrs" else low)
    return None
