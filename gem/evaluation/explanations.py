"""Are explanations about their recording? The checker's verdicts, and the diagnoses in the text against the labels.

The same records are explained four times: with the measured facts in the prompt and without, with their own ECG and
picture and with another record's. If the diagnoses came from the language model's habits, the swap would change
nothing. An answer is a text that ends with "Answer:" and superclasses; what code put into it stands between marks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import grounding

from ..data.samples import SUPERCLASSES, Sample
from ..errors import GemInputError
from ..explaining import reason_for_silence, writes_from_facts
from ..metrics.bootstrap import bootstrap
from .ecgbench.multilabel import statistics
from .items import WRONG_VALUE, Answers, Item, ItemBenchmark, Score, register_item_benchmark
from .labelled import (
    LABELS,
    MEANING,
    SOURCE,
    label_score,
    labelled_item,
    labelled_samples,
    named_by_rules,
    published_score,
    superclasses_in,
)
from .labels import INSERTED

if TYPE_CHECKING:
    from grounding import Measurement
    from grounding.facts import ReportSentence

    from .inputs import Inputs

BATCH = 16  # texts that are decoded together
# whose ECG and picture a model gets, and whether the record's measured facts are in the prompt
CONDITIONS = ("own_with_facts", "other_with_facts", "own_without_facts", "other_without_facts")
VERDICTS = ("supported", "unsupported", "contradicted", "not_checkable")
PROMPT = (
    "Interpret this ECG: rhythm, intervals, and each finding with its leads and values. End with a line that begins "
    f'with "Answer:" and names the diagnostic superclasses of PTB-XL that apply, separated by commas: {MEANING}.'
)
_ANSWER = re.compile(r"\banswers?(?: is| are)?\s*:", re.I)


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


def items_of(samples: Sequence[Sample]) -> list[Item]:
    """An item for each labelled recording and condition; the other recording is the next one.

    Args:
        samples: the recordings.

    Raises:
        GemInputError: fewer than two records.
    """
    if len(samples) < 2:
        raise GemInputError("fewer than two records", remedy="swapping inputs needs another record")
    return [
        labelled_item(
            sample,
            f"{sample.record_id}:{condition}",
            condition,
            PROMPT,
            shown=(other.record_id,) if condition.startswith("other") else (),
            facts=condition.endswith("with_facts"),
        )
        for sample, other in zip(samples, [*samples[1:], samples[0]], strict=True)
        for condition in CONDITIONS
    ]


def answers_from_facts(model: Any) -> Answers | None:
    """How a model that cites facts, as gem-nano does, explains; None for one that writes freely.

    Args:
        model: from ``gem.load``.
    """
    if not writes_from_facts(model):
        return None

    def answers(items: Sequence[Item], inputs: Inputs) -> list[str]:
        said: dict[str, str] = {}
        groups: dict[tuple[bool, bool], list[Item]] = {}
        for item in items:
            groups.setdefault((bool(item.shown), item.facts), []).append(item)
        for group in groups.values():
            for first in range(0, len(group), BATCH):
                batch = group[first : first + BATCH]
                said |= zip((item.item_id for item in batch), _explained(model, batch, inputs), strict=True)
        return [said[item.item_id] for item in items]

    return answers


def _explained(model: Any, items: Sequence[Item], inputs: Inputs) -> list[str]:
    """The explanations of a batch, with what code put in between marks, and the superclasses."""
    from grounding.criteria import assess
    from grounding.facts import facts, report

    from ..data.readings import stated_codes, superclasses_of
    from ..writing import encode_records

    seen = [item.seen[0] for item in items]
    pictures = None if inputs.missing is None else [inputs.picture(name) for name in seen]
    encoded = encode_records(
        model, [inputs.record(name) for name in seen], [inputs.measurement(name) for name in seen], pictures
    )
    # the facts are the record's own, whatever is shown
    own = [inputs.measurement(item.records[0]) for item in items]
    given = [facts(one, grounding.find(one)) if item.facts else [] for item, one in zip(items, own, strict=True)]
    answers = []
    for text, known, one, chances in zip(encoded.write(given), given, own, encoded.probabilities(), strict=True):
        # a text may cite the encoders' diagnoses of the input that they got
        opinions = [] if reason_for_silence(model, one) else facts(one, (), chances)
        diagnoses = [fact for fact in opinions if fact.kind == "diagnosis"]
        if getattr(model.config, "class_names", None):
            named = frozenset(fact.label for fact in diagnoses)
        else:  # a model without a classification head names them in its own words
            named = superclasses_of(stated_codes(text))
        sentences = report(text, [*known, *diagnoses], assess(one))
        labels = [label for label in SUPERCLASSES if label in named]
        answers.append(f"{marked(sentences)}\nAnswer: {', '.join(labels) or 'none'}")
    return answers


def marked(sentences: Sequence[ReportSentence]) -> str:
    """A report with what code put in between marks.

    Args:
        sentences: of the report.
    """
    texts = []
    for sentence in sentences:
        text = sentence.text
        for start, end in sorted(sentence.inserted, reverse=True):
            text = text[:start] + f"{INSERTED[0]}{text[start:end]}{INSERTED[1]}" + text[end:]
        texts.append(text)
    return " ".join(texts)


def verdicts(answer: str, measurement: Measurement) -> Counter[str]:
    """How many claims of an answer have which origin and verdict.

    Args:
        answer: with marks around what code put in; what follows the last "Answer:" is not read.
        measurement: of the recording.

    Returns:
        ``asserted_supported``, ``inserted_supported``, ``asserted_contradicted``, ... -> number.
    """
    last = [match.start() for match in _ANSWER.finditer(answer)]
    text = answer[: last[-1]] if last else answer
    spans: list[tuple[int, int]] = []
    plain, opened = "", 0
    for piece in re.split(f"([{INSERTED}])", text):
        if piece == INSERTED[0]:
            opened = len(plain)
        elif piece == INSERTED[1]:
            spans.append((opened, len(plain)))
        else:
            plain += piece
    counts: Counter[str] = Counter()
    for claim in grounding.check(plain, measurement):
        inserted = any(a < claim.end and claim.start < b for a, b in spans)
        counts[f"{'inserted' if inserted else 'asserted'}_{claim.verdict}"] += 1
    return counts


def strict_score(item: Item, answer: str, inputs: Inputs) -> Score:
    """Whether the label set is exact, and the verdicts of the claims on the recording itself.

    Args:
        item: of the benchmark.
        answer: a text that ends with "Answer:" and superclasses.
        inputs: the recordings.

    Returns:
        ``exact``, ``jaccard``; ``supported``: the share of the asserted claims that can be checked, where there are
        any; and the number of claims by origin and verdict (``asserted_supported_claims``, ...).
    """
    score = label_score(item, answer, superclasses_in(answer))
    counts = verdicts(answer, inputs.measurement(item.records[0]))
    supported = _supported(counts)
    more = {} if supported is None else {"supported": supported}
    values = {**score.values, **more, **{f"{name}_claims": float(n) for name, n in sorted(counts.items())}}
    contradicted = score.reason is None and counts["asserted_contradicted"] > 0
    return replace(score, values=values, reason=WRONG_VALUE if contradicted else score.reason)


def published(item: Item, answer: str) -> Score:
    """The labels after "Answer:", found as ECGBench's script does.

    Args:
        item: of the benchmark.
        answer: a text that ends with "Answer:" and superclasses.
    """
    return published_score(item, _ANSWER.split(answer)[-1])


def strict_statistics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Shares of exact label sets, and of supported claims among all asserted ones that can be checked.

    Args:
        rows: scores with ``values``.
    """
    counts = _counts(rows)
    supported = _supported(counts)
    return {
        "exact": float(np.mean([row["values"]["exact"] for row in rows])),
        "jaccard": float(np.mean([row["values"]["jaccard"] for row in rows])),
        "supported": float("nan") if supported is None else supported,
    }


def _supported(counts: Counter[str]) -> float | None:
    """The share of the asserted claims that can be checked; None where there are none."""
    checkable = sum(counts[f"asserted_{verdict}"] for verdict in VERDICTS[:3])
    return counts["asserted_supported"] / checkable if checkable else None


def _counts(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        for name, value in row["values"].items():
            if name.endswith("_claims"):
                counts[name.removesuffix("_claims")] += round(value)
    return counts


def answer_by_rules(item: Item, inputs: Inputs) -> str:
    """What the knowledge base finds in the recording that is shown.

    Args:
        item: of the benchmark.
        inputs: the recordings.
    """
    from ..metrics.texts import own_report

    measurement = inputs.measurement(item.seen[0])
    return f"{own_report(measurement)}\nAnswer: {', '.join(named_by_rules(measurement)) or 'none'}"


def details(items: Sequence[Item], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of each condition.

    Args:
        items: of the run.
        rows: of these items.

    Returns:
        ``asserted_supported``: share (0-1) of the claims that a model asserted and that can be checked, None where
        nothing can; claims that code inserted from the measurement are right by construction, and counted apart in
        ``verdicts``; ``diagnosis_accuracy`` (by the classification head, or by the superclasses that a model without
        one names) with its 95 % interval; ``verdicts``; ``conditions``: all of these for each of ``CONDITIONS``, whose
        texts are always held against the record itself (the figures above are those of ``own_with_facts``);
        ``majority_accuracy``: always naming the commonest label set; ``n``. Empty where nothing was scored.
    """
    scored = [(item, row) for item, row in zip(items, rows, strict=True) if row["scores"]]
    conditions = {
        name: _condition([(item, row["scores"]["strict"]) for item, row in scored if item.kind == name])
        for name in CONDITIONS
        if any(item.kind == name for item, _ in scored)
    }
    labels = [frozenset(item.truth) for item, _ in scored if item.kind == CONDITIONS[0]]
    if not labels:
        return {}
    commonest = Counter(labels).most_common(1)[0][0]
    return {
        **conditions[CONDITIONS[0]],
        "majority_accuracy": diagnosis_accuracy([commonest] * len(labels), labels),
        "conditions": conditions,
        "n": len(labels),
    }


def _condition(scored: Sequence[tuple[Item, Mapping[str, Any]]]) -> dict[str, Any]:
    named = [frozenset(score["labels"]) for _, score in scored]
    labels = [frozenset(item.truth) for item, _ in scored]
    hits = np.array([a == b for a, b in zip(named, labels, strict=True)], float)
    counts = _counts([score for _, score in scored])
    by_origin = {
        origin: {verdict: counts[f"{origin}_{verdict}"] for verdict in VERDICTS if counts[f"{origin}_{verdict}"]}
        for origin in ("asserted", "inserted")
    }
    return {
        "asserted_supported": _supported(counts),
        "diagnosis_accuracy": diagnosis_accuracy(named, labels),
        "diagnosis_accuracy_interval": bootstrap(lambda rows: float(hits[rows].mean()), len(hits)),
        "verdicts": by_origin,
    }


def _table(result: Mapping[str, Any]) -> str:
    """The details as text, a line per condition."""
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


register_item_benchmark(
    ItemBenchmark(
        "explanations",
        "texts with and without their own ECG and facts: claims against the recording, label sets",
        lambda path: items_of(labelled_samples("explanations", path)),
        {"published": published},
        answer_by_rules,
        SOURCE,
        {"strict": strict_statistics, "published": statistics},
        grounded={"strict": strict_score},
        samples=LABELS,
        labelled=items_of,
        by_model=answers_from_facts,
        main_condition=CONDITIONS[0],
        details=details,
        details_table=_table,
    )
)
