"""Are the explanations about this recording? Verdicts of the checker, and the diagnoses that the text names, against labels.

The same records are explained four times: with the measured facts in the prompt and without, with their own ECG and picture and
with another record's. If the diagnoses came from the language model's habits, the swap would change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GemInputError
from .classification import bootstrap
from .ptbxl import SUPERCLASSES, Sample

if TYPE_CHECKING:
    from ..modeling import GemForConditionalGeneration


def diagnosis_accuracy(said: Sequence[frozenset[str]], labels: Sequence[frozenset[str]]) -> float:
    """Share of records whose named superclasses are exactly the labelled ones.

    Example:
        >>> diagnosis_accuracy([frozenset({"MI"}), frozenset({"NORM"})], [frozenset({"MI", "CD"}), frozenset({"NORM"})])
        0.5
    """
    return float(np.mean([a == b for a, b in zip(said, labels, strict=True)]))


def evaluate_explanations(
    model: GemForConditionalGeneration, samples: Sequence[Sample], swaps: bool = True, shift: int = 1
) -> dict[str, Any]:
    """Explain every record and hold the text against the recording and its labels.

    Args:
        model: a model with ``.processor``.
        samples: labelled records; at least two, so that inputs can be swapped.
        swaps: also explain with another record's ECG and picture, and without facts.
        shift: the other record is this many further on in the list.

    Returns:
        ``numeric_supported`` and ``finding_supported``: shares (0-1) of the claims about numbers, and of all others that can be
        checked; ``diagnosis_accuracy`` with its 95 % interval; ``majority_accuracy``: always naming the commonest label set;
        ``conditions``: the diagnosis accuracy with and without facts, with the own and another record's input; ``verdicts``; ``n``.

    Raises:
        GemInputError: fewer than two records.
    """
    import grounding
    from grounding.instructions.facts import DIAGNOSIS_TAGS, facts, resolve

    from ..explaining import encoder_probabilities, write

    if len(samples) < 2:
        raise GemInputError("fewer than two records", remedy="swapping inputs needs another record")
    by_tag = {tag: label for label, tag in DIAGNOSIS_TAGS.items()}
    labels = [frozenset(sample.superclasses) for sample in samples]
    conditions: dict[str, list[frozenset[str]]] = {}
    numeric: Counter[str] = Counter()
    finding: Counter[str] = Counter()
    records = [sample.record for sample in samples]

    def note(name: str, tagged: str) -> None:
        named = {label for tag, label in by_tag.items() if tag in tagged}
        conditions.setdefault(name, []).append(frozenset(named & set(SUPERCLASSES)))

    for position, record in enumerate(records):
        measurement = grounding.measure(record)
        items = facts(measurement, grounding.find(measurement), encoder_probabilities(model, record))
        tagged = write(model, record, items)
        note("own_with_facts", tagged)
        text = " ".join(statement.text for statement in resolve(tagged, items))
        for claim in grounding.check(text, measurement):
            (numeric if claim.kind == "number" else finding)[claim.verdict] += 1
        if swaps:
            other = records[(position + shift) % len(records)]
            note("other_with_facts", write(model, other, items))
            note("own_without_facts", write(model, record, []))
            note("other_without_facts", write(model, other, []))
    said = conditions["own_with_facts"]
    commonest = Counter(labels).most_common(1)[0][0]
    hits = np.array([a == b for a, b in zip(said, labels, strict=True)], float)
    return {
        "numeric_supported": _share(numeric),
        "finding_supported": _share(finding),
        "diagnosis_accuracy": diagnosis_accuracy(said, labels),
        "diagnosis_accuracy_interval": bootstrap(lambda rows: float(hits[rows].mean()), len(hits)),
        "majority_accuracy": diagnosis_accuracy([commonest] * len(labels), labels),
        "conditions": {name: diagnosis_accuracy(answers, labels) for name, answers in conditions.items()},
        "verdicts": {"numeric": dict(numeric), "other": dict(finding)},
        "n": len(samples),
    }


def _share(verdicts: Counter[str]) -> float | None:
    """Supported among what can be checked; None where nothing can."""
    checkable = sum(count for verdict, count in verdicts.items() if verdict != "not_checkable")
    return verdicts["supported"] / checkable if checkable else None
