"""The report: summary, the model's sentences on values, findings, what was not measurable, the encoders' opinion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..criteria import Assessment
from ..criteria.language import RECORD_WORDS, quantity_words, value_words
from ..evidence import Evidence, Finding
from ..measurement.gain import ISSUE
from .facts import Fact, ReportSentence, listed, resolve
from .opinion import DIAGNOSES, agreement, opinion_words

# pairs of findings that exclude each other: where both are present, a lead or the gain may be wrong
CONTRADICTORY = (
    ("left_ventricular_hypertrophy", "low_qrs_voltage"),
    ("right_ventricular_hypertrophy", "low_qrs_voltage"),
    ("st_elevation", "early_repolarisation"),
)
GAIN = (
    "The gain or the unit of this recording can't be right: no heart gives QRS complexes of that height. "
    "Amplitudes are not judged."
)
PACED = "The rhythm is paced: QRS duration, axis, ST segments and T waves follow from the pacing."
MAX_IN_SUMMARY = 3


def report(
    tagged_text: str,
    items: Sequence[Fact],
    assessment: Assessment,
    silence: str | None = None,
    notes: Iterable[str] = (),
) -> list[ReportSentence]:
    """Assemble the report of a recording.

    Args:
        tagged_text: sentences with tags, as the model writes them. Those on values and rhythm are kept; for a finding
            that they cite, a sentence is generated. Sentences on what is not measurable and on the encoders' opinion
            are always generated.
        items: the facts of this recording.
        assessment: of its measurement.
        silence: why the encoders give no opinion, or ``None``.
        notes: further sentences for the reader, for instance on what the encoders did not see.

    Returns:
        The sentences, the summary first.
    """
    measurement = assessment.measurement
    if not measurement.n_beats:
        why = measurement.reasons.get("heart_rate", "nothing was found to measure").rstrip(".")
        proof = (measurement.evidence("heart_rate"),)
        return [ReportSentence(f"The recording can't be interpreted: {why}.", proof, "missing"), *_notes(notes)]
    written = resolve(tagged_text, items)
    known = {fact.tag: fact for fact in items}
    cited = {tag for statement in written for tag in statement.tags}
    out = [_summary(items)]
    out += [
        part
        for part in written
        if part.kind in ("rhythm", "number", "uncited", "note") and "<dx_" not in "".join(part.tags)
    ]
    out += [_finding(fact, assessment) for fact in items if fact.kind == "finding" and fact.tag in cited]
    out += _missing([fact for fact in items if fact.kind == "missing"])
    diagnoses = [known[tag] for tag in known if known[tag].kind == "diagnosis"]
    out += [_opinion(fact, assessment.findings) for fact in diagnoses]
    if silence:
        out.append(ReportSentence(f"The encoders were not asked for a diagnosis: {silence}.", kind="note"))
    gain = (GAIN,) if ISSUE in measurement.issues else ()
    return out + _qualifying(assessment.findings) + _notes((*gain, *notes))


def _inserted_sentence(
    text: str, evidence: Iterable[Evidence], kind: str, tags: tuple[str, ...] = (), asserted: str = ""
) -> ReportSentence:
    """A sentence written by code; all of it counts as inserted, except for ``asserted``, the encoders' opinion."""
    evidence = tuple(dict.fromkeys(evidence))
    if not asserted:
        return ReportSentence(text, evidence, kind, tags, ((0, len(text)),))
    start = text.index(asserted)
    return ReportSentence(text, evidence, kind, tags, ((0, start), (start + len(asserted), len(text))))


def _summary(items: Sequence[Fact]) -> ReportSentence:
    """Rhythm and rate, abnormal findings, the most probable diagnosis."""
    by_tag = {fact.tag: fact for fact in items}
    rhythm, rate = by_tag.get("<rhythm>"), by_tag.get("<rate>")
    parts = []
    if rhythm is not None:
        parts.append(rhythm.text if rhythm.word == "named" else f"{rhythm.text} rhythm")
    if rate is not None:
        parts.append(("at " if parts else "heart rate ") + rate.text.split(" (")[0])
    abnormal = [fact.text for fact in items if fact.kind == "finding"]
    if len(abnormal) > MAX_IN_SUMMARY:
        others = len(abnormal) - MAX_IN_SUMMARY
        abnormal = [*abnormal[:MAX_IN_SUMMARY], f"{others} other finding{'s' if others > 1 else ''}"]
    text = " ".join(parts) or "Neither rhythm nor rate can be told"
    text += "".join(f"; {one}" for one in abnormal)
    likely = next((fact for fact in items if fact.kind == "diagnosis"), None)
    text += f". Suggested: {likely.text}" if likely else ""
    evidence = [part for fact in (rhythm, rate) if fact for part in fact.evidence]
    return _inserted_sentence(
        f"Summary: {text}.",
        evidence,
        "summary",
        tuple(fact.tag for fact in (rhythm, rate) if fact),
        likely.text if likely else "",
    )


def _finding(fact: Fact, assessment: Assessment) -> ReportSentence:
    finding = assessment.findings[fact.label]
    values = measured_words(finding.evidence)
    doubt = f" (borderline: {finding.doubt})" if finding.doubt else ""
    text = f"{fact.text[0].upper()}{fact.text[1:]}" + (f": {values}" if values else "") + f"{doubt}."
    return _inserted_sentence(text, fact.evidence, "finding", (fact.tag,))


def measured_words(evidence: Iterable[Evidence], limit: int = 3) -> str:
    """The measured values of a finding in words, e.g. ``"T wave -0.15 mV in V5, -0.21 mV in V6"``.

    Values that are not shown to readers, such as shares of the QRS, are left out.

    Args:
        evidence: of the finding.
        limit: number of quantities, and of leads of each, at most.
    """
    by_quantity: dict[str, list[Evidence]] = {}
    for part in evidence:
        if value_words(part):
            by_quantity.setdefault(part.quantity, []).append(part)
    out = []
    for quantity, parts in list(by_quantity.items())[:limit]:
        values = [
            value_words(part) + (f" in {part.leads[0]}" if quantity not in RECORD_WORDS else "")
            for part in parts[:limit]
        ]
        out.append(f"{quantity_words(quantity)} {', '.join(values)}")
    return "; ".join(out)


def _missing(facts: Sequence[Fact]) -> list[ReportSentence]:
    """What is not measurable, one sentence for each reason."""
    by_reason: dict[str, list[Fact]] = {}
    for fact in facts:
        by_reason.setdefault(fact.text, []).append(fact)
    out = []
    for reason, same_reason in by_reason.items():
        names = listed([fact.label for fact in same_reason])
        text = f"{names[0].upper()}{names[1:]} {'is' if len(same_reason) == 1 else 'are'} {reason}."
        out.append(
            _inserted_sentence(
                text,
                [part for fact in same_reason for part in fact.evidence],
                "missing",
                tuple(fact.tag for fact in same_reason),
            )
        )
    return out


def _opinion(fact: Fact, findings: Mapping[str, Finding]) -> ReportSentence:
    diagnosis = DIAGNOSES[fact.label]
    value = fact.evidence[0].value
    word, figure = opinion_words(float(value) if isinstance(value, int | float) else 0.0).split(", ")
    asserted = f"The encoders consider {diagnosis.words} {word} ({figure})"
    says, evidence = agreement(fact.label, findings)
    return _inserted_sentence(f"{asserted}; {says}.", (*fact.evidence, *evidence), "diagnosis", (fact.tag,), asserted)


def _qualifying(findings: Mapping[str, Finding]) -> list[ReportSentence]:
    out = []
    paced = findings.get("paced_rhythm")
    if paced is not None and paced.present:
        out.append(_inserted_sentence(PACED, paced.evidence, "note"))
    for one, other in CONTRADICTORY:
        if one in findings and other in findings and findings[one].present and findings[other].present:
            a, b = findings[one], findings[other]
            text = (
                f"{a.label[0].upper()}{a.label[1:]} and {b.label} exclude each other: "
                "a lead or the gain may be wrong, or one of the two criteria misleads."
            )
            out.append(_inserted_sentence(text, (*a.evidence, *b.evidence), "note"))
    return out


def _notes(notes: Iterable[str]) -> list[ReportSentence]:
    return [ReportSentence(note, kind="note", inserted=((0, len(note)),)) for note in notes]
