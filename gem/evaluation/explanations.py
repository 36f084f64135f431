"""Are explanations about their recording? The checker's verdicts, and the diagnoses in the text against the labels.

The same records are explained four times: with the measured facts in the prompt and without, with their own ECG and
picture and with another record's. If the diagnoses came from the language model's habits, the swap would change
nothing.
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
    from grounding import Measurement
    from grounding.facts import Fact

    from ..modeling import GemForConditionalGeneration
    from ..writing import EncodedRecords

# whose ECG and picture the encoders get, and whether the record's measured facts are in the prompt
BATCH = 16  # texts that are decoded together
CONDITIONS = ("own_with_facts", "other_with_facts", "own_without_facts", "other_without_facts")


def diagnosis_accuracy(named: Sequence[frozenset[str]], labels: Sequence[frozenset[str]]) -> float:
    """Fraction of records whose named superclasses are exactly the labelled ones.

    Args:
        named: superclasses in the text of each record.
        labels: superclasses of each record.

    Example:
        >>> diagnosis_accuracy([frozenset({"MI"}), frozenset({"NORM"})], [frozenset({"MI", "CD"}), frozenset({"NORM"})])
        0.5
    """
    return float(np.mean([a == b for a, b in zip(named, labels, strict=True)]))


def _table(result: dict[str, Any]) -> str:
    """The results of ``evaluate_explanations`` as text, a line per condition."""
    heads = ("asserted_supported", "diagnosis_accuracy")
    rows = [f"{'input and prompt':22s}" + "".join(f"{head:>20s}" for head in heads) + f"{'95 % interval':>18s}"]
    for name, figures in result["conditions"].items():
        shares = [figures[head] for head in heads]
        cells = [("no such claim" if share is None else f"{100 * share:.1f} %").rjust(20) for share in shares]
        low, high = figures["diagnosis_accuracy_interval"]
        rows.append(f"{name:22s}" + "".join(cells) + f"{f'{100 * low:.1f}-{100 * high:.1f} %':>18s}")
    rows.append(f"{'commonest label set':22s}{'':20s}{100 * result['majority_accuracy']:18.1f} %")
    for origin, counts in result["verdicts"].items():
        by_verdict = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "none"
        rows.append(f"{origin} claims, own input with facts: {by_verdict}")
    return "\n".join([*rows, f"{result['n']} records"])


@register_benchmark("explanations", _table)
def evaluate_explanations(
    model: GemForConditionalGeneration, samples: Sequence[Sample], swaps: bool = True, shift: int = 1
) -> dict[str, Any]:
    """Explain every record and check the text against the recording and its labels.

    Args:
        model: a model with ``.processor``.
        samples: labelled records; at least two, so that inputs can be swapped.
        swaps: also explain with another record's ECG and picture, and without facts.
        shift: distance of the other record in the list.

    Returns:
        ``asserted_supported``: share (0-1) of the claims that a model asserted and that can be checked, None where
        nothing can; claims that code inserted from the measurement are right by construction, and counted apart in
        ``verdicts``; ``diagnosis_accuracy`` (by the classification head, or by PTB-XL's statements in the text where
        the model has none) with its 95 % interval; ``verdicts``; ``conditions``: all of these for
        each of ``CONDITIONS``, whose texts are always held against the record itself (the figures above are those of
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
    measurements = [grounding.measure(record) for record in records]
    for first in range(0, len(records), BATCH):
        places = range(first, min(first + BATCH, len(records)))
        given = [facts(measurements[place], grounding.find(measurements[place])) for place in places]
        for who in dict.fromkeys(name.partition("_")[0] for name in tallies):
            shown = [(place + (shift if who == "other" else 0)) % len(records) for place in places]
            encoded = encode_records(
                model, [records[place] for place in shown], [measurements[place] for place in shown]
            )
            # a text may cite the encoders' diagnoses of the input that they got
            suggested = [
                [] if reason_for_silence(model, measurements[place]) else facts(measurements[place], (), chances)
                for place, chances in zip(places, encoded.probabilities(), strict=True)
            ]
            diagnoses = [[fact for fact in opinions if fact.kind == "diagnosis"] for opinions in suggested]
            for name in (name for name in tallies if name.startswith(who)):
                items = given if name.endswith("with_facts") else [[] for _ in places]
                tallies[name].add(encoded, items, diagnoses, [measurements[place] for place in places])
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
        self.named: list[frozenset[str]] = []

    def add(
        self,
        encoded: EncodedRecords,
        given: Sequence[list[Fact]],
        suggested: Sequence[list[Fact]],
        measurements: Sequence[Measurement],
    ) -> None:
        """Have texts written from the facts ``given`` and the recordings that the model sees; check them."""
        from grounding.criteria import assess
        from grounding.facts import report

        from ..data.readings import stated_codes, superclasses_of
        from ..explaining import checked_statements

        for text, facts, opinions, measurement in zip(
            encoded.write(given), given, suggested, measurements, strict=True
        ):
            parts = checked_statements(report(text, [*facts, *opinions], assess(measurement)), measurement)
            if getattr(encoded.model.config, "class_names", None):
                self.named.append(frozenset(fact.label for fact in opinions) & frozenset(SUPERCLASSES))
            else:  # a model without a classification head names them in its own words
                self.named.append(superclasses_of(stated_codes(text)))
            for claim in (claim for part in parts for claim in part.claims):
                self.verdicts[claim.origin][claim.verdict] += 1

    def figures(self, labels: Sequence[frozenset[str]]) -> dict[str, Any]:
        """The results, against the labels of the records that were added."""
        hits = np.array([a == b for a, b in zip(self.named, labels, strict=True)], float)
        return {
            "asserted_supported": _share(self.verdicts["asserted"]),
            "diagnosis_accuracy": diagnosis_accuracy(self.named, labels),
            "diagnosis_accuracy_interval": bootstrap(lambda rows: float(hits[rows].mean()), len(hits)),
            "verdicts": {origin: dict(counts) for origin, counts in self.verdicts.items()},
        }


def _share(verdicts: Counter[str]) -> float | None:
    """Fraction of supported claims among those that can be checked; None if there are none."""
    checkable = sum(count for verdict, count in verdicts.items() if verdict != "not_checkable")
    return verdicts["supported"] / checkable if checkable else None
