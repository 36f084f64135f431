"""Facts of a recording: one tag per measured value, finding or encoder probability, each with its evidence.

The composer and the language model never write a number. They write a tag such as ``<pr>``; ``resolve`` replaces it by
the measured value, and returns the evidence of the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..criteria import assess, load_limits, shown
from ..evidence import Evidence, Finding
from ..record import STANDARD_LEADS
from .opinion import DIAGNOSES, opinion_words, suggested

if TYPE_CHECKING:
    from ..measurement.result import Measurement

# tag of a global value -> (name in Measurement, words for a missing value)
VALUES = {
    "rate": ("heart_rate", "heart rate"),
    "axis": ("axis", "axis"),
    "pr": ("pr", "PR interval"),
    "qrs": ("qrs", "QRS duration"),
    "qt": ("qt", "QT interval"),
    "qtc": ("qtc_fridericia", "QTc"),
}
CATEGORY_WORDS = {"left": "left axis deviation", "right": "right axis deviation", "extreme": "extreme axis deviation"}
PROMPT_WORDS = frozenset(
    {"slow", "fast", "normal", "short", "prolonged", "left", "right"}
)  # that gem-nano has learned to read
MAX_FINDINGS = 8
FINDING_TAGS = tuple(f"<f{number}>" for number in range(1, MAX_FINDINGS + 1))
DIAGNOSIS_TAGS = {label: f"<dx_{label.lower().replace('/', '_')}>" for label in DIAGNOSES}
TAGS = (
    *(f"<{name}>" for name in VALUES),
    *(f"<no_{name}>" for name in VALUES),
    "<rhythm>",
    *FINDING_TAGS,
    *DIAGNOSIS_TAGS.values(),
)
_TAG = re.compile(r"<[a-z0-9_]+>")


@dataclass(frozen=True)
class Fact:
    """One fact and its evidence.

    Attributes:
        tag: by which a text cites it, e.g. ``<pr>``.
        text: that replaces the tag, e.g. ``"182 ms (normal)"``.
        word: its category (``normal``, ``prolonged``, ``left``, a finding's group, ...), or ``""``.
        evidence: the places in the recording.
        kind: ``number``, ``missing``, ``rhythm``, ``finding`` or ``diagnosis`` (the encoders' opinion).
        label: name of the value, finding or class behind it.
    """

    tag: str
    text: str
    word: str
    evidence: tuple[Evidence, ...]
    kind: str
    label: str = ""


@dataclass(frozen=True)
class ReportSentence:
    """One sentence for a reader.

    Attributes:
        text: the sentence.
        evidence: of the facts that it cites.
        kind: the most important kind among these facts (diagnosis, finding, rhythm, number, missing); ``"uncited"``
            without facts; ``"summary"``; or ``"note"`` for what was left out or what qualifies the rest.
        tags: that it cited.
        inserted: ranges of characters that code wrote from measured values, not a model.
    """

    text: str
    evidence: tuple[Evidence, ...] = ()
    kind: str = "uncited"
    tags: tuple[str, ...] = ()
    inserted: tuple[tuple[int, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {
            "text": self.text,
            "kind": self.kind,
            "tags": list(self.tags),
            "evidence": [e.to_dict() for e in self.evidence],
            "inserted": [list(span) for span in self.inserted],
        }


def facts(
    measurement: Measurement, findings: Iterable[Finding] = (), probabilities: Mapping[str, float] | None = None
) -> list[Fact]:
    """All facts of one recording.

    Args:
        measurement: of the recording.
        findings: from ``find``; only those that are present become facts.
        probabilities: class -> probability from the encoders (0-1); those below one half, and classes that are not in
            ``DIAGNOSES``, are left out.

    Returns:
        Facts in the usual order of a report: rhythm, rate, axis, intervals, findings, diagnoses (most probable first).
    """
    assessment = assess(measurement)
    present = [finding for finding in findings if finding.present]
    out = _rhythm(measurement, present)
    for name, (quantity, words) in VALUES.items():
        proof = measurement.evidence(quantity)
        if proof.value is None:
            # without its full stop the reason can be part of a sentence
            reason = (proof.reason or "not measured").strip().rstrip(".")
            out.append(Fact(f"<no_{name}>", f"not measurable ({reason})", "", (proof,), "missing", words))
        else:
            word = assessment.category(quantity).word
            # the category is part of the inserted text, so that a model can't write a wrong one
            borderline = ", borderline" if assessment.is_borderline(quantity) else ""
            text = shown(float(proof.value), proof.unit, proof.uncertainty)
            text += f" ({CATEGORY_WORDS.get(word, word)}{borderline})" if word else ""
            out.append(Fact(f"<{name}>", text, word if word in PROMPT_WORDS else "", (proof,), "number", quantity))
    shapes = [
        finding for finding in present if finding.group not in ("rate", "rhythm") and finding.name not in ORDINARY
    ]
    for tag, finding in zip(FINDING_TAGS, shapes, strict=False):
        out.append(Fact(tag, _finding_words(finding), finding.group, finding.evidence, "finding", finding.name))
    for label, probability in suggested(probabilities or {}):
        proof = Evidence(
            measurement.record_id, f"probability_{label}", round(probability, 4), method="encoders", version=__version__
        )
        words = f"{DIAGNOSES[label].words} ({opinion_words(probability)})"
        out.append(Fact(DIAGNOSIS_TAGS[label], words, "", (proof,), "diagnosis", label))
    return out


# findings that only repeat that a value is normal, which the sentence on that value says already
ORDINARY = frozenset({"normal_axis", "normal_ecg", "normal_rate", "normal_pr", "normal_qrs", "normal_qtc"})


def prompt(items: Sequence[Fact]) -> str:
    """The prompt of a model: tags and category words, without numbers and diagnoses.

    Args:
        items: the facts of one recording.

    Example:
        >>> prompt([Fact("<pr>", "212 ms", "prolonged", (), "number"), Fact("<f1>", "pacing", "rhythm", (), "finding")])
        'Facts: <pr> prolonged <f1> rhythm. Explanation:'
    """
    cited = " ".join(f"{fact.tag} {fact.word}".strip() for fact in items if fact.kind != "diagnosis")
    return f"Facts: {cited or 'none'}. Explanation:"


def resolve(tagged_text: str, items: Sequence[Fact]) -> list[ReportSentence]:
    """Replace tags by facts, sentence by sentence.

    A sentence that cites a tag without a fact is left out, and a note says so. From a list (``<f1>; <f2>``) only the
    items without a fact are removed.

    Args:
        tagged_text: sentences with tags, as ``compose`` or the model writes them.
        items: the facts of this recording.

    Returns:
        One ``ReportSentence`` per sentence, in order; empty only for a text without words.
    """
    known = {fact.tag: fact for fact in items}
    out = []
    for sentence in re.split(r"(?<=[.!?])\s+", tagged_text.strip()):
        if not re.search(r"\w", sentence):
            continue
        tags = tuple(dict.fromkeys(_TAG.findall(sentence)))
        unknown = [tag for tag in tags if tag not in known]
        if unknown and ";" in sentence and len(tags) > len(unknown):
            # remove the unknown items of a list and keep the others
            for tag in unknown:
                sentence = re.sub(rf";\s*{tag}|{tag};\s*", "", sentence)
            unknown = [tag for tag in unknown if tag in sentence]
            tags = tuple(tag for tag in tags if tag in known)
        if unknown:
            out.append(_left_out(unknown, tags))
            continue
        used = [known[tag] for tag in tags]
        text, inserted = _filled(sentence, known)
        kinds = [fact.kind for fact in used]
        kind = next(
            (name for name in ("diagnosis", "finding", "rhythm", "number", "missing") if name in kinds), "uncited"
        )
        out.append(ReportSentence(text, tuple(e for fact in used for e in fact.evidence), kind, tags, inserted))
    return out


def _filled(sentence: str, known: Mapping[str, Fact]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The sentence with its facts, and their ranges of characters."""
    text, spans, last = "", [], 0
    for match in _TAG.finditer(sentence):
        text += sentence[last : match.start()]
        spans.append((len(text), len(text) + len(known[match.group()].text)))
        text += known[match.group()].text
        last = match.end()
    text += sentence[last:]
    return text[0].upper() + text[1:], tuple(spans)


def _left_out(unknown: Sequence[str], tags: tuple[str, ...]) -> ReportSentence:
    """A note, in words for a reader, on a sentence that cites a fact that this recording does not have."""
    titles = {f"<{prefix}{name}>": words for name, (_, words) in VALUES.items() for prefix in ("", "no_")}
    titles |= {tag: DIAGNOSES[label].words for label, tag in DIAGNOSIS_TAGS.items()}
    titles |= dict.fromkeys(FINDING_TAGS, "a finding") | {"<rhythm>": "the rhythm"}
    about = listed(list(dict.fromkeys(titles.get(tag, "something else") for tag in unknown)))
    return ReportSentence(
        f"A sentence of the model was left out: it speaks of {about}, for which this recording gives nothing.",
        kind="note",
        tags=tags,
    )


def listed(words: Sequence[str]) -> str:
    """Join words as in ``"V1, V2 and V3"``.

    Args:
        words: in order.
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def _rhythm(measurement: Measurement, present: Sequence[Finding]) -> list[Fact]:
    named = [finding for finding in present if finding.group == "rhythm"]
    if named:
        proof = tuple(evidence for finding in named for evidence in finding.evidence)
        text = listed([_label(finding) for finding in named])
        return [Fact("<rhythm>", text, "named", proof, "rhythm", named[0].name)]
    spread = measurement.rhythm.get("rr_cv")
    if spread is None:
        return []
    irregular = load_limits()["irregular_rr_cv"].value(None, measurement.sex, measurement.age)
    word = "regular" if irregular is None or spread < irregular else "irregular"
    return [Fact("<rhythm>", word, word, (measurement.evidence("rr_cv"),), "rhythm", word)]


def _label(finding: Finding) -> str:
    return finding.label or finding.name.replace("_", " ")


def _finding_words(finding: Finding) -> str:
    """The label, with the leads for infarction and ischaemia."""
    leads = {lead for evidence in finding.evidence for lead in evidence.leads}
    names = [lead for lead in STANDARD_LEADS if lead in leads]
    label = _label(finding)
    if (
        finding.group not in {"infarction", "ischaemia"}
        or not names
        or len(names) == len(STANDARD_LEADS)
        or " in " in label
    ):
        return label
    return f"{label} in {listed(names)}"
