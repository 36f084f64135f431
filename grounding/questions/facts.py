"""The facts for an answer: for each thing that a question names, whether it is there, its value and its evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..criteria import assess, shown
from ..criteria.assessment import Assessment
from ..criteria.knowledge import load_knowledge
from ..criteria.language import RECORD_WORDS
from ..evidence import Evidence, Finding
from ..facts import CATEGORY_WORDS, Fact, facts, listed, prompt
from ..facts.report import measured_words
from ..record import STANDARD_LEADS
from ..statements.amplitudes import measured_amplitude
from ..statements.naming import AMPLITUDE_OF, LEAD_TIMES
from ..statements.truth import holds
from .beats import beat_state
from .bounds import error_state, limits_state, sex_asked
from .comparing import converted, leads_state, versus_state
from .derived import DERIVED, derived_value
from .options import option_states
from .parsed import Link, Question
from .quality import quality_state
from .reading import MAX_LINKS, MAX_OPTIONS
from .times import time_state

if TYPE_CHECKING:
    from ..measurement.result import Measurement

# tags of the thing, its value, criterion, what was measured for it, the leads that show it best, why it can't be told
KINDS = "qvcelr"
ANSWER_TAGS = (
    *(f"<{kind}{number}>" for kind in KINDS for number in range(1, MAX_LINKS + 1)),
    *(f"<o{number}>" for number in range(1, MAX_OPTIONS + 1)),
)
# whose truth has no noun: they are answered by what was measured or found
_CLAUSES = frozenset({"normal_ecg", "otherwise_normal", "borderline_ecg", "p_waves", "q_waves"})
_WAVE_NAMES = {"st": "ST level", "p": "P-wave amplitude", "q": "Q-wave amplitude", "r": "R-wave amplitude"}
_WAVE_NAMES |= {"s": "S-wave amplitude", "t": "T-wave amplitude", "j": "J point", "r2": "second R wave"}
_WAVE_NAMES |= {"s2": "second S wave", "q_ms": "duration of the Q wave", "r_peak_time_ms": "R-peak time"}
_WAVE_NAMES |= {f"st{ms}": f"ST level {ms} ms after the J point" for ms in (40, 60, 80)}
_WAVE_OF = {"pr": "p", "qrs": "r", "qt": "t", "qtc": "t", "heart_rate": "r"}
REPORT_QUESTION = "Write a clinical report for this ECG."
_TRUTHS = {"present": True, "true": True, "absent": False, "false": False, "unknown": None}
_NO_REASON = "it was not measured"


@dataclass(frozen=True)
class Asked:
    """What is known about one thing that a question names.

    Attributes:
        number: of its tags, from 1.
        state: ``present``, ``absent``, ``true``, ``false``, ``unknown``, ``measured``, ``seen`` (what a lead shows),
            ``missing`` or ``outside``.
        has: the kinds of its tags, of ``KINDS``.
    """

    number: int
    state: str
    has: str

    def tag(self, kind: str) -> str:
        """One of its tags; ``""`` if it has none of this kind.

        Args:
            kind: of ``KINDS``.
        """
        return f"<{kind}{self.number}>" if kind in self.has else ""


@dataclass(frozen=True)
class Plan:
    """What an answer can be made of.

    Attributes:
        question: as it was read.
        asked: what is known about each link, in order.
        options: letter -> ``true``, ``false`` or ``unknown``.
        items: the facts behind all tags.
        base: the facts of the whole recording, for a report.
    """

    question: Question
    asked: tuple[Asked, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    items: tuple[Fact, ...] = ()
    base: tuple[Fact, ...] = ()

    @property
    def is_report(self) -> bool:
        """The question is about the whole recording."""
        return not self.asked and not self.options and "report" in self.question.wants and not self.question.topic


def plan(question: Question, measurement: Measurement) -> Plan:
    """Look up what a question names in a recording.

    Args:
        question: from ``read_question``.
        measurement: of the recording.
    """
    if (sex := sex_asked(question.text)) and sex != measurement.sex:
        measurement = replace(measurement, sex=sex)
    if question.denies:
        question = replace(question, links=tuple(_denied(link) for link in question.links))
    assessment = assess(measurement)
    base = tuple(facts(measurement, tuple(assessment.findings.values())))
    if question.topic and not all(link.kind == "outside" for link in question.links):
        return Plan(question, base=base)
    look = _Lookup(assessment, base, question.text if len(question.links) == 1 else "")
    asked: list[Asked] = []
    items: list[Fact] = []
    for number, link in enumerate(question.links, 1):
        state, texts, evidence, places = look.link(link)
        kept = {kind: text for kind, text in texts.items() if text}
        asked.append(Asked(number, state, "".join(kind for kind in KINDS if kind in kept)))
        kinds = _fact_kinds(state, link)
        for kind, text in kept.items():
            proof = places if kind == "l" else evidence
            items.append(Fact(f"<{kind}{number}>", text, state, proof, kinds[kind], link.words))
    truths = [_TRUTHS[one.state] for one in asked if one.state in _TRUTHS]
    options = option_states(question, measurement, truths)
    for number, (option, (_, evidence)) in enumerate(zip(question.options, options, strict=True), 1):
        kind = "measured" if option.denied else "finding"  # quoted, and not claimed
        items.append(Fact(f"<o{number}>", option.text, "", evidence, kind, option.text))
    states = {option.letter: state for option, (state, _) in zip(question.options, options, strict=True)}
    return Plan(question, tuple(asked), states, (*items, *base), base)


def _denied(link: Link) -> Link:
    """A claim turned round; asked what can't be told of it, it stays."""
    if link.kind != "claim" or link.statement is None or link.reason:
        return link
    return replace(link, statement=replace(link.statement, negated=not link.statement.negated))


def _fact_kinds(state: str, link: Link) -> dict[str, str]:
    """Kind of a tag -> kind of its fact; what is quoted from a criterion's evidence is ``measured``."""
    named = {"missing": "missing", "outside": "missing", "measured": "number", "seen": "number"}.get(state, "finding")
    value = "number"
    if link.kind == "rhythm" and state == "measured":
        named = value = "rhythm"
    if link.kind in ("quality", "limits"):
        value = "measured" if link.kind == "quality" else "criterion"
    quoted = "measured" if state in ("present", "absent", "unknown") or link.kind == "quality" else "number"
    return {"q": named, "v": value, "e": quoted, "l": "measured", "c": "criterion", "r": "missing"}


class _Lookup:
    def __init__(self, assessment: Assessment, base: Sequence[Fact], text: str) -> None:
        self.text = text  # of the question, where its unit is that of one value
        self.assessment, self.measurement = assessment, assessment.measurement
        self.quantities, self.base = assessment.quantities, {fact.tag: fact for fact in base}

    def link(self, link: Link) -> tuple[str, dict[str, str], tuple[Evidence, ...], tuple[Evidence, ...]]:
        """State, texts of the tags by kind, evidence, and that of the leads that show it best."""
        if link.kind == "claim":
            return self._claim(link)
        if link.kind == "outside":
            return "outside", {"q": link.words, "r": link.reason}, (), ()
        if link.kind == "quality":
            return *quality_state(self.measurement, link.names, link.words, link.leads), ()
        if link.kind == "limits":
            return *limits_state(link, self.measurement), ()
        if link.kind == "error":
            return *error_state(link, self.quantities), ()
        if link.kind == "versus":
            return *versus_state(link, self.quantities), ()
        if link.kind == "leads":
            return *leads_state(link, self.measurement), ()
        if link.kind == "beats":
            return *beat_state(link, self.measurement), ()
        if link.kind == "time":
            return *time_state(link, self.measurement), ()
        if link.kind == "rhythm":
            return *self._rhythm(), ()
        if link.kind == "lead":
            return *self._lead(link), ()
        return *(self._amplitude(link) if link.kind == "amplitude" else self._quantity(link)), ()

    # --- values

    def value(self, name: str) -> tuple[str, str, Evidence]:
        """Words of a quantity, its value in words (``""`` where not measured), and the evidence."""
        name = "qtc_fridericia" if name == "qtc" else name
        proof = self.quantities.evidence(None, name)
        words = RECORD_WORDS.get(name, name)
        if not isinstance(proof.value, int | float):
            return words, "", proof
        word = self.assessment.category(name).word if name in _WITH_CATEGORY else ""
        borderline = ", borderline" if word and self.assessment.is_borderline(name) else ""
        text = shown(float(proof.value), proof.unit, proof.uncertainty)
        if name in ("rr_min_ms", "rr_max_ms"):
            text += f" ({60000.0 / float(proof.value):.0f} bpm)"
        return words, text + (f" ({CATEGORY_WORDS.get(word, word)}{borderline})" if word else ""), proof

    def _quantity(self, link: Link) -> tuple[str, dict[str, str], tuple[Evidence, ...]]:
        names = ("pr", "qrs", "qt", "qtc") if link.names == ("intervals",) else link.names
        found = [self.value(name) for name in names]
        proofs = tuple(proof for _, _, proof in found)
        known = [(words, text) for words, text, _ in found if text]
        if len(found) == 1:
            words, text, proof = found[0]
            if text:
                text += converted(float(proof.value or 0), proof.unit, self.text)
                return "measured", {"q": words, "v": text}, proofs
            return "missing", {"q": words, "r": _reason(proof.reason)}, proofs
        title = " and ".join(dict.fromkeys(words for words, _, _ in found)) if len(found) == 2 else "set of intervals"
        if not known:
            return "missing", {"q": title, "r": _reason(found[0][2].reason)}, proofs
        text = ", ".join(f"{words} {text}" for words, text in known)
        return "measured", {"q": title, "v": text}, tuple(p for p in proofs if p.value is not None)

    def _amplitude(self, link: Link) -> tuple[str, dict[str, str], tuple[Evidence, ...]]:
        name = link.names[0]
        if name in DERIVED:
            words, text, why, evidence = derived_value(name, link.leads, self.quantities)
            if text:
                return "measured", {"q": words, "v": text}, evidence
            return "missing", {"q": words, "r": _reason(why)}, evidence
        place = f" in {listed(link.leads)}" if link.leads else ""
        unit = "ms" if name in LEAD_TIMES else "mV"
        words, known, missing = f"{_WAVE_NAMES[name]}{place}", [], []
        for lead in link.leads or [lead for lead in STANDARD_LEADS if lead in self.measurement.leads]:
            value, proofs = measured_amplitude(self.quantities, name, lead)
            if value is None:
                missing += proofs
            else:
                known.append((lead, value, tuple(proofs)))
        if not known:
            return "missing", {"q": words, "r": _reason(missing[0].reason if missing else None)}, tuple(missing[:1])
        extreme = link.names[1] if len(link.names) > 1 else "" if link.leads else "largest"
        if extreme:
            if extreme == "smallest" and any(value for _, value, _ in known):
                known = [one for one in known if one[1]]  # where there is the wave at all
            known = [(min if extreme == "smallest" else max)(known, key=lambda one: abs(one[1]))]
            words = _WAVE_NAMES[name] + (f" of {listed(link.leads)}" if link.leads else "")
            text = f"{extreme} in {known[0][0]}, with {shown(known[0][1], unit)}"
        elif len(link.leads) == 1:
            text = shown(known[0][1], unit) + converted(known[0][1], unit, self.text)
        else:
            text = ", ".join(f"{shown(value, unit)} in {lead}" for lead, value, _ in known)
        return "measured", {"q": words, "v": text}, tuple(part for _, _, proofs in known for part in proofs)

    def _rhythm(self) -> tuple[str, dict[str, str], tuple[Evidence, ...]]:
        rhythm, rate = self.base.get("<rhythm>"), self.base.get("<rate>")
        if rhythm is None:
            proof = self.quantities.evidence(None, "rr_cv")
            why = _reason(self.measurement.reasons.get("rhythm") or proof.reason)
            return "missing", {"q": "rhythm", "r": why}, (proof,)
        text = rhythm.text + (f", at {rate.text}" if rate is not None else "")
        return "measured", {"q": "rhythm", "v": text}, (*rhythm.evidence, *(rate.evidence if rate else ()))

    def _lead(self, link: Link) -> tuple[str, dict[str, str], tuple[Evidence, ...]]:
        proofs: list[Evidence] = []
        parts = []
        for lead in link.leads:
            here = []
            for wave in ("q", "r", "s", "st", "t"):
                value, found = measured_amplitude(self.quantities, wave, lead)
                if value is not None and (value or wave == "st"):
                    here.append(f"{wave.upper()} {shown(value, 'mV')}")
                    proofs += found
            if here:
                parts.append(f"{', '.join(here)} in {lead}")
        words = f"{'lead' if len(link.leads) == 1 else 'leads'} {listed(link.leads)}" if link.leads else link.words
        if not parts:
            first = measured_amplitude(self.quantities, "r", link.leads[0])[1] if link.leads else []
            return "missing", {"q": words, "r": _reason(first[0].reason if first else None)}, tuple(first)
        return "seen", {"q": words, "v": "; ".join(parts)}, tuple(proofs)

    # --- what is true or false

    def _claim(self, link: Link) -> tuple[str, dict[str, str], tuple[Evidence, ...], tuple[Evidence, ...]]:
        statement = link.statement
        assert statement is not None  # for mypy: every claim has one
        truth, reason, evidence = holds(statement, self.measurement)
        if statement.kind != "finding":
            text = reason
            if statement.kind in ("category", "number") and statement.subject[0] in _WITH_CATEGORY | {"qtc"}:
                of_qt = statement.kind == "category" and statement.subject[0] == "qt"  # judged by the QTc
                name = "qtc" if of_qt else statement.subject[0]
                words, value, proof = self.value(statement.formulas[0] if len(statement.formulas) == 1 else name)
                if value and len(evidence) == 1 and proof.quantity == evidence[0].quantity:
                    text = f"the {words} is {value}"
            if truth is None:
                return "unknown", {"q": f"evidence for {link.words!r}", "r": _reason(reason)}, evidence, ()
            texts, places = {"q": link.words, "e": text.removeprefix("measured ")}, tuple[Evidence, ...]()
            if truth and statement.kind == "category":
                texts["l"], places = self._wave_lead(_WAVE_OF.get(statement.subject[0], ""))
            return "true" if truth else "false", texts, evidence, places
        names = [name for group in statement.findings for name in group]
        known = self.assessment.findings
        if is_clause(link):
            if truth is None:
                return "unknown", {"q": f"evidence for {link.words!r}", "r": _reason(reason)}, evidence, ()
            if statement.negated and names[0] not in _CLAUSES and not (statement.word and statement.leads):
                labels = [known[name].label for name in names if name in known and (truth or known[name].present)]
                if labels:
                    reason = f"the recording shows {'no ' if truth else ''}{' or '.join(labels)}"
            return "true" if truth else "false", {"q": link.words, "e": reason.removeprefix("measured ")}, evidence, ()
        about = [
            known["pathological_q_waves" if name == "q_waves" else name]
            for name in names
            if name in known or name == "q_waves"
        ]
        # asked of several leads, a finding in one of them is there
        truth = truth or self._in_some_lead(about, statement.leads) or truth
        undecided = [finding for finding in about if finding.present is None]
        if truth and about and len(undecided) == len(about) and not statement.leads:
            truth = None  # seen in the leads asked about, where another finding forbids to conclude from it
        words = self._named(link, about, truth)
        criterion = _criterion([f for f in about if f.present] if truth else about)
        evidence = self._in_leads(evidence, about, statement.leads)
        values = measured_words(evidence)
        texts = {"q": words, "c": criterion, "e": values}
        if truth is None:
            why = next((finding.reason for finding in undecided if finding.reason), None)
            return "unknown", texts | {"r": _reason(why or reason)}, evidence, ()
        if not truth:
            return "absent", texts, evidence, ()
        if link.reason:
            said, why = link.reason.split("\n")
            return (
                "unknown",
                texts | {"q": f"{words} ({said})", "r": f"the recording shows {words}, but {why}"},
                evidence,
                (),
            )
        texts["l"], places = self.best_lead(about, statement.leads)
        return "present", texts, evidence, places

    def _in_some_lead(self, about: Sequence[Finding], leads: Sequence[str]) -> bool:
        there = [finding for finding in about if finding.present] if len(leads) > 1 else []
        return any(
            held
            for finding in there
            for held in self.assessment.lead_states(load_knowledge()[finding.name], leads).values()
        )

    def _named(self, link: Link, about: Sequence[Finding], truth: bool | None) -> str:
        """The words for a finding: labels of what is present, else the label or the words of the question."""
        assert link.statement is not None
        there = [finding for finding in about if finding.present] if truth else []
        single = len(about) == 1 and len(link.statement.findings) == 1
        labels = [finding.label for finding in (there or about)] if there or single else []
        if not labels:
            return link.words
        leads = link.statement.leads
        if not leads:
            return listed(list(dict.fromkeys(labels)))
        if truth:
            states = [self.assessment.lead_states(load_knowledge()[finding.name], leads) for finding in there]
            shown_in = [lead for lead in leads if any(state.get(lead) for state in states)]
            leads = tuple(shown_in) or leads
        return f"{listed(list(dict.fromkeys(labels)))} in {listed(leads)}"

    def _in_leads(
        self, evidence: tuple[Evidence, ...], about: Sequence[Finding], leads: Sequence[str]
    ) -> tuple[Evidence, ...]:
        """The evidence in the leads that a question names; the wave's amplitude, where the rule read other leads."""
        if not leads:
            return evidence
        near = tuple(part for part in evidence if len(part.leads) == 1 and part.leads[0] in leads)
        wave = AMPLITUDE_OF.get(about[0].name) if about else None
        if wave and {part.leads[0] for part in near} != set(leads):
            near = tuple(part for lead in leads for part in measured_amplitude(self.quantities, wave, lead)[1])
        return near or evidence

    def best_lead(self, about: Sequence[Finding], leads: Sequence[str] = ()) -> tuple[str, tuple[Evidence, ...]]:
        """The leads that show a finding best, with their values, the strongest first; ``""`` where no lead does."""
        there = [finding for finding in about if finding.present] or list(about)
        # by deflection; by duration where the rule reads none ("Q wave at least 30 ms")
        best = self._largest(there, leads, "mV") or self._largest(there, leads, "ms")
        if not best:
            return self._wave_lead(_wave_of(there))
        words = [f"{part.leads[0]} ({measured_words([part]).rsplit(' in ', 1)[0]})" for part in best]
        return listed(words), tuple(best)

    def _largest(self, there: Sequence[Finding], leads: Sequence[str], unit: str) -> list[Evidence]:
        """The three largest values in single leads that show a finding, one of each lead."""
        found: dict[str, Evidence] = {}
        for finding in there:
            states = self.assessment.lead_states(load_knowledge()[finding.name])
            for part in finding.evidence:
                if len(part.leads) != 1 or part.quantity in RECORD_WORDS or part.unit != unit:
                    continue
                lead = part.leads[0]
                if (leads and lead not in leads) or not isinstance(part.value, int | float):
                    continue
                if states and not states.get(lead):
                    continue
                if lead not in found or abs(float(part.value)) > abs(float(found[lead].value or 0)):
                    found[lead] = part
        return sorted(found.values(), key=lambda part: -abs(float(part.value or 0)))[:3]

    def _wave_lead(self, wave: str) -> tuple[str, tuple[Evidence, ...]]:
        """The lead with the largest wave, for what is judged over all leads."""
        sizes = []
        for lead in STANDARD_LEADS if wave else ():
            value, proofs = measured_amplitude(self.quantities, wave, lead)
            if value is not None and lead != "aVR":
                sizes.append((abs(value), lead, value, tuple(proofs)))
        if not sizes:
            return "", ()
        _, lead, value, evidence = max(sizes, key=lambda one: one[0])
        return f"{lead}, which has the largest {wave.upper()} wave ({shown(value, 'mV')})", evidence


def _wave_of(about: Sequence[Finding]) -> str:
    """The wave that findings depend on, where they are judged over all leads."""
    groups = {finding.group for finding in about}
    quantities = {part.quantity for finding in about for part in finding.evidence}
    if not groups & {"rhythm", "rate", "conduction", "qt"}:
        return ""
    if "qt" in groups:
        return "t"
    return "p" if quantities & {"pr", "p_share", "atrial_rate_bpm", "p_per_qrs", "dropped_beats"} else "r"


def is_clause(link: Link) -> bool:
    """Whether a claim has no noun that is present or absent, and is answered by what was measured or found.

    Args:
        link: of kind ``claim``.
    """
    statement = link.statement
    if statement is None or statement.kind != "finding":
        return True
    first = statement.findings[0][0]
    return (
        statement.negated
        or bool(statement.word and statement.leads)
        or (first in _CLAUSES and (first != "q_waves" or bool(statement.leads)))
    )


_RAW_NAME = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
_WITH_CATEGORY = frozenset({"heart_rate", "pr", "qrs", "qt", "qtc_fridericia", "qtc_bazett", "axis"})


def _reason(text: str | None) -> str:
    words = " ".join((text or _NO_REASON).split()).rstrip(".")
    words = _RAW_NAME.sub(lambda name: RECORD_WORDS.get(name.group(), name.group().replace("_", " ")), words)
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _criterion(about: Sequence[Finding]) -> str:
    if len(about) == 1:
        return about[0].criterion
    return "; ".join(f"{finding.label}: {finding.criterion}" for finding in about[:4])


def question_prompt(made: Plan) -> str:
    """The prompt of a model: what is known about each tag, without numbers or names, and the tagged question.

    Args:
        made: from ``plan``.
    """
    # that a report is asked for is known; how, need not be
    text = REPORT_QUESTION if made.is_report else made.question.tagged[:300]
    if made.asked or made.options:
        known = " ".join(
            " ".join([one.tag("q"), one.state, *(one.tag(kind) for kind in one.has if kind != "q")])
            for one in made.asked
        )
        options = " ".join(
            f"{letter} <o{number}> {state}" for number, (letter, state) in enumerate(made.options.items(), 1)
        )
        choose = f" Options: {options}." if options else ""
        return f"Facts: {known or 'none'}. Question: {text}{choose} Answer:"
    return prompt(made.base).removesuffix(" Explanation:") + f" Question: {text} Answer:"
