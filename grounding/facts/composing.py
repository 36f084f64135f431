"""An explanation composed of facts in varied wording, with tags in place of numbers; a seed selects the wording.

It is used to train the bundled model, and as the explanation where no model is used.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from ..errors import EcgError
from .facts import DIAGNOSIS_TAGS, VALUES, Fact, listed

STYLES = ("full", "brief")

_RHYTHM = ("The rhythm is <rhythm>.", "Rhythm: <rhythm>.", "The recording shows <rhythm>.")
_REGULARITY = ("The rhythm is <rhythm>.", "Rhythm: <rhythm>.", "The ventricular rhythm is <rhythm>.")
_PLAIN = {
    "rate": ("The heart rate is <rate>.", "Heart rate <rate>.", "The ventricular rate is <rate>."),
    "axis": ("The QRS axis is <axis>.", "The axis is <axis>.", "The frontal axis is <axis>."),
    "pr": ("The PR interval is <pr>.", "PR interval <pr>.", "The PR interval measures <pr>."),
    "qrs": ("The QRS duration is <qrs>.", "QRS duration <qrs>.", "The QRS complex lasts <qrs>."),
    "qt": ("The QT interval is <qt>.", "QT interval <qt>.", "The QT interval measures <qt>."),
    "qtc": (
        "The QTc (Fridericia) is <qtc>.",
        "QTc (Fridericia) <qtc>.",
        "Corrected by Fridericia, the QTc is <qtc>.",
    ),
}
_FINDINGS = ("The findings include {}.", "There is evidence of {}.", "The measurements show {}.")
_IMPRESSION = (
    "The encoders suggest {}.",
    "In summary, the encoders suggest {}.",
    "Impression: the encoders suggest {}.",
)


def compose(items: Sequence[Fact], diagnoses: Iterable[str] = (), *, seed: int = 0, style: str = "full") -> str:
    """Write about the facts; every sentence cites at least one tag.

    Args:
        items: the facts of one recording.
        diagnoses: labels for the impression (keys of ``DIAGNOSES``): those of the data set in training, otherwise those
            of the encoders.
        seed: selects the wording.
        style: ``"full"``, or ``"brief"`` without normal values.

    Returns:
        Tagged text for ``resolve``; empty where there is neither a fact nor a diagnosis.

    Raises:
        EcgError: unknown style or diagnosis.

    Example:
        >>> fact = Fact("<pr>", "212 ms (prolonged)", "prolonged", (), "number", "pr")
        >>> compose([fact], ["CD"], seed=3)
        'The PR interval is <pr>. Impression: the encoders suggest <dx_cd>.'
    """
    if style not in STYLES:
        raise EcgError(f"unknown style {style!r}", remedy=f"use one of {', '.join(STYLES)}")
    labels = list(diagnoses)
    unknown = [label for label in labels if label not in DIAGNOSIS_TAGS]
    if unknown:
        raise EcgError(f"no words for {', '.join(unknown)}", remedy=f"use some of {', '.join(DIAGNOSIS_TAGS)}")
    pick = random.Random(seed)
    by_tag = {fact.tag: fact for fact in items}
    sentences = [_rhythm_sentence(by_tag["<rhythm>"], pick)] if "<rhythm>" in by_tag else []
    sentences += _value_sentences(by_tag, pick, style)
    found = [fact.tag for fact in items if fact.kind == "finding"]
    if found:
        # semicolons keep the leads of one finding apart from the next finding
        sentences.append(pick.choice(_FINDINGS).format("; ".join(found)))
    if labels:
        sentences.append(pick.choice(_IMPRESSION).format(listed([DIAGNOSIS_TAGS[label] for label in labels])))
    return " ".join(sentences)


def _rhythm_sentence(fact: Fact, pick: random.Random) -> str:
    return pick.choice(_REGULARITY if fact.word in {"regular", "irregular"} else _RHYTHM)


def _value_sentences(by_tag: Mapping[str, Fact], pick: random.Random, style: str) -> list[str]:
    out = []
    for name in VALUES:
        fact = by_tag.get(f"<{name}>")
        if fact is not None:
            if style == "full" or fact.word != "normal":
                out.append(pick.choice(_PLAIN[name]))
        elif f"<no_{name}>" in by_tag:
            out.append(f"The {by_tag[f'<no_{name}>'].label} is <no_{name}>.")
    return out
