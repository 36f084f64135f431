"""What the encoders say about the findings that a question asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .._version import __version__
from ..criteria import assess
from ..evidence import Evidence
from ..facts import DIAGNOSES, ReportSentence
from ..facts.opinion import MIN_PROBABILITY, agreement, opinion_words
from .facts import Plan
from .parsed import Link

if TYPE_CHECKING:
    from ..measurement.result import Measurement


def encoder_opinion(
    made: Plan, measurement: Measurement, probabilities: Mapping[str, float], silence: str | None
) -> list[ReportSentence]:
    """What the encoders say about the findings that a question asks for, in sentences of their own.

    Args:
        made: from ``plan``.
        measurement: of the recording.
        probabilities: class -> probability from the encoders.
        silence: why they were not used, or ``None``.
    """
    findings = assess(measurement).findings
    out: list[ReportSentence] = []
    for link in made.question.links if made.asked else ():
        label = _class_of(link) if asks_encoders(link) else None
        if label is None:
            continue
        if silence:
            note = f"The encoders were not asked: {silence}."
            return [ReportSentence(note, kind="note", inserted=((0, len(note)),))]
        if label not in probabilities:
            continue
        p = float(probabilities[label])
        proof = Evidence(
            measurement.record_id, f"probability_{label}", round(p, 4), method="encoders", version=__version__
        )
        words = DIAGNOSES[label].words
        if p >= MIN_PROBABILITY:
            word, figure = opinion_words(p).split(", ")
            says, more = agreement(label, findings)
            text = f"The encoders consider {words} {word} ({figure}); {says}."
            start = len(f"The encoders consider {words} {word} ({figure})")
            out.append(ReportSentence(text, (proof, *more), "diagnosis", (), ((start, len(text)),)))
        else:
            figure = "under 1 %" if p < 0.01 else f"{100 * p:.0f} %"
            text = f"The encoders do not suggest {words} ({figure})."
            out.append(ReportSentence(text, (proof,), "diagnosis"))
    return list(dict.fromkeys(out))


def asks_encoders(link: Link) -> bool:
    """Whether the encoders have a class for what a link names.

    Args:
        link: of a question.
    """
    return link.statement is not None and not link.leads and _class_of(link) is not None


def _class_of(link: Link) -> str | None:
    """The encoders' class that a claim is about: the one most of whose findings it names."""
    assert link.statement is not None
    names = {name for group in link.statement.findings for name in group}
    if "normal_ecg" in names and not link.statement.negated:
        return "NORM"
    shares = {
        label: len(names & set(entry.findings)) / len(set(entry.findings) | names)
        for label, entry in DIAGNOSES.items()
        if entry.findings
    }
    best = max(shares, key=lambda label: shares[label])
    return best if shares[best] >= 0.5 else None
