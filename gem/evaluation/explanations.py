"""Are the explanations about this recording? Verdicts of the checker, and the diagnoses that the text names, against labels.

The same records are explained four times: with the measured facts in the prompt and without, with their own ECG and picture and
with another record's. If the diagnoses came from the language model's habits, the swap would change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.samples import SUPERCLASSES, Sample
from ..errors import GemInputError
from ..metrics.bootstrap import bootstrap
from .registry import register_benchmark

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement
    from grounding.facts import Fact

    from ..modeling import GemForConditionalGeneration

# whose ECG and picture the encoders see, and whether the record's measured facts are in the prompt
CONDITIONS = ("own_with_facts", "other_with_facts", "own_without_facts", "other_without_facts")


def diagnosis_accuracy(said: Sequence[frozenset[str]], labels: Sequence[frozenset[str]]) -> float:
    """Share of records whose named superclasses are exactly the labelled ones.

    Example:
        >>> diagnosis_accuracy([frozenset({"MI"}), frozenset({"NORM"})], [frozenset({"MI", "CD"}), frozenset({"NORM"})])
        0.5
    """
    return float(np.mean([a == b for a, b in zip(said, labels, strict=True)]))


def _table(result: dict[str, Any]) -> str:
    """The figures of ``evaluate_explanations`` as text, a line per condition."""
    heads = ("asserted_supported", "diagnosis_accuracy")
    rows = [f"{'input and prompt':22s}" + "".join(f"{head:>20s}" for head in heads) + f"{'95 % interval':>18s}"]
    for name, figures in result["conditions"].items():
        shares = [figures[head] for head in heads]
        cells = [("no such claim" if share is None else f"{100 * share:.1f} %").rjust(20) for share in shares]
        low, high = figures["diagnosis_accuracy_interval"]
        rows.append(f"{name:22s}" + "".join(cells) + f"{f'{100 * low:.1f}-{100 * high:.1f} %':>18s}")
    rows.append(f"{'commonest label set':22s}{'':20s}{100 * result['majority_accuracy']:18.1f} %")
    for origin, counts in result["verdicts"].items():
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "none"
        rows.append(f"{origin} claims, own input with facts: {told}")
    return "\n".join([*rows, f"{result['n']} records"])


@register_benchmark("explanations", _table)
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
        ``asserted_supported``: share (0-1) of the claims that a model asserted and that can be checked, None where nothing can; claims that code inserted from
        the measurement are right by construction, and counted apart in ``verdicts``; ``diagnosis_accuracy`` with its 95 % interval; ``verdicts``; ``conditions``: all of these
        for each of ``CONDITIONS``, whose texts are always held against the record itself (the figures above are those of
        ``own_with_facts``); ``majority_accuracy``: always naming the commonest label set; ``n``.

    Raises:
        GemInputError: fewer than two records.
    """
    import grounding
    from grounding.facts import facts

    from ..explaining import reason_for_silence
    from ..writing import encode_records

    if len(samples) < 2:
        raise GemInputError("fewer than two records", remedy="swapping inputs needs another record")
    labels = [frozenset(sample.superclasses) for sample in samples]
    tallies = {name: _Tally() for name in (CONDITIONS if swaps else CONDITIONS[:1])}
    records = [sample.record for sample in samples]
    chances = [encode_records(model, [record]).probabilities()[0] for record in records]
    for position, record in enumerate(records):
        measurement = grounding.measure(record)
        silence = reason_for_silence(model, measurement)
        measured = facts(measurement, grounding.find(measurement))
        for name, tally in tallies.items():
            seen = (position + shift) % len(records) if name.startswith("other") else position
            told = measured if name.endswith("with_facts") else []
            # what may be cited: the facts of the prompt, and what the encoders say to what they were shown
            suggested = (
                [] if silence else [fact for fact in facts(measurement, (), chances[seen]) if fact.kind == "diagnosis"]
            )
            tally.add(model, records[seen], told, suggested, measurement)
    commonest = Counter(labels).most_common(1)[0][0]
    conditions = {name: tally.figures(labels) for name, tally in tallies.items()}
    return {
        **conditions[CONDITIONS[0]],
        "majority_accuracy": diagnosis_accuracy([commonest] * len(labels), labels),
        "conditions": conditions,
        "n": len(samples),
    }


class _Tally:
    """Verdicts and named superclasses under one condition."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Counter[str]] = {"asserted": Counter(), "inserted": Counter()}
        self.said: list[frozenset[str]] = []

    def add(
        self, model: Any, shown: ECGRecord, told: list[Fact], suggested: list[Fact], measurement: Measurement
    ) -> None:
        """Have one text written about ``told`` while the encoders see ``shown``, and check it against ``measurement``."""
        from grounding.criteria import assess
        from grounding.facts import report

        from ..explaining import checked_statements
        from ..writing import encode_records

        items = [*told, *suggested]
        parts = checked_statements(
            report(encode_records(model, [shown]).write([told])[0], items, assess(measurement)), measurement
        )
        self.said.append(frozenset(fact.label for fact in suggested) & frozenset(SUPERCLASSES))
        for claim in (claim for part in parts for claim in part.claims):
            self.verdicts[claim.origin][claim.verdict] += 1

    def figures(self, labels: Sequence[frozenset[str]]) -> dict[str, Any]:
        hits = np.array([a == b for a, b in zip(self.said, labels, strict=True)], float)
        return {
            "asserted_supported": _share(self.verdicts["asserted"]),
            "diagnosis_accuracy": diagnosis_accuracy(self.said, labels),
            "diagnosis_accuracy_interval": bootstrap(lambda rows: float(hits[rows].mean()), len(hits)),
            "verdicts": {origin: dict(counts) for origin, counts in self.verdicts.items()},
        }


def _share(verdicts: Counter[str]) -> float | None:
    """Supported among what can be checked; None where nothing can."""
    checkable = sum(count for verdict, count in verdicts.items() if verdict != "not_checkable")
    return verdicts["supported"] / checkable if checkable else None
