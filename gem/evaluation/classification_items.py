"""The benchmark of classification: an item for each labelled recording.

An answer is text that names superclasses or, of a model with a classification head, a JSON object with the
probabilities for each choice of inputs. ``details`` of a run are every registered metric of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from grounding.facts import DIAGNOSES

from ..data.samples import SUPERCLASSES, Sample
from ..errors import GemInputError
from ..explaining import writes_from_facts
from ..metrics import MacroAUROC, metrics
from ..metrics.multilabel import calibration_error
from .classification import (
    INPUTS,
    Array,
    abstention,
    asserted,
    batch_logits,
    figures,
    reliability,
    sigmoid,
    superclass_columns,
    thresholds,
)
from .ecgbench.multilabel import statistics
from .items import Answers, Item, ItemBenchmark, Score, register_item_benchmark
from .labelled import (
    LABELS,
    MEANING,
    SOURCE,
    LabelledItem,
    label_score,
    labelled_item,
    labelled_samples,
    named_by_rules,
    published_score,
    superclasses_in,
)
from .labels import json_object

if TYPE_CHECKING:
    from .inputs import Inputs

BATCH = 16
ZERO_SHOT = {  # superclass -> what a recording is compared with
    "NORM": "normal ecg",
    "MI": "myocardial infarction",
    "STTC": "st/t change",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}
PROMPT = (
    f"Which diagnostic superclasses of PTB-XL does this ECG show: {MEANING}? Answer with all that apply, separated by "
    "commas. Write nothing else."
)


def _table(result: Mapping[str, Any]) -> str:
    rows = [f"{'':20s}" + "".join(f"{name:>26s}" for name in INPUTS)]
    for figure in metrics:
        cells = []
        for inputs in INPUTS:
            if result[figure][inputs] is None:
                cells.append("no such encoder".rjust(26))
                continue
            low, high = result["intervals"][figure][inputs]
            digits = 1 if metrics[figure].percent else 3
            cells.append(f"{result[figure][inputs]:.{digits}f} [{low:.{digits}f}-{high:.{digits}f}]".rjust(26))
        rows.append(f"{figure:20s}" + "".join(cells))
    return "\n".join([*rows, f"{result['n']} records; 95 % bootstrap intervals"])


def items_of(samples: Sequence[Sample]) -> list[Item]:
    """An item for each labelled recording.

    Args:
        samples: the recordings.
    """
    return [labelled_item(sample, sample.record_id, "superclasses", PROMPT) for sample in samples]


def answers_by_head(model: Any) -> Answers | None:
    """How a model with a classification head, or one that compares with texts, answers; None where neither is there.

    The answer is JSON: ``labels`` whose probability reaches the model's threshold, ``thresholds``, and for each choice
    of inputs the probability (0-1) of every class. A model that compares with texts (ECG-CoCa) is given those of
    ``ZERO_SHOT``, whose scores (0-1) are no probabilities, with one half as threshold.

    Args:
        model: from ``gem.load``.

    Raises:
        GemInputError: the head lacks a superclass, or there is none in a model that writes from facts.
    """
    if hasattr(model, "zero_shot"):
        return partial(_zero_shot, model)
    if not getattr(model.config, "class_names", None):
        if writes_from_facts(model):
            raise GemInputError(
                "the model has no classification head", remedy="gem evaluate explanations reads what its texts name"
            )
        return None
    names, columns, limits = list(model.config.class_names), superclass_columns(model), thresholds(model)
    # nothing is drawn for a model without a picture encoder, and "both" is the signal alone
    choices = [one for one in INPUTS if model.config.vision_encoder is not None or one in ("both", "signal")]

    def answers(items: Sequence[Item], inputs: Inputs) -> list[str]:
        said = []
        for start in range(0, len(items), BATCH):
            seen = [item.seen[0] for item in items[start : start + BATCH]]
            pages = [inputs.page(name) for name in seen] if "picture" in choices else None
            logits = batch_logits(model, [inputs.record(name) for name in seen], choices, pages)
            chances = {choice: sigmoid(block) for choice, block in logits.items()}
            for row in range(len(seen)):
                shown = chances["both"][row, columns] >= limits
                said.append(
                    json.dumps(
                        {
                            "labels": [label for label, there in zip(SUPERCLASSES, shown, strict=True) if there],
                            "thresholds": limits.tolist(),
                            **{
                                choice: dict(zip(names, block[row].tolist(), strict=True))
                                for choice, block in chances.items()
                            },
                        }
                    )
                )
        return said

    return answers


def _zero_shot(model: Any, items: Sequence[Item], inputs: Inputs) -> list[str]:
    texts = model.processor.texts(list(ZERO_SHOT.values()))
    said = []
    for item in items:
        found = model.zero_shot(model.processor(inputs.record(item.seen[0]))["ecg"], **texts)[0].tolist()
        scores = dict(zip(ZERO_SHOT, found, strict=True))
        labels = [label for label, score in scores.items() if score >= 0.5]
        said.append(json.dumps({"labels": labels, "thresholds": [0.5] * len(scores), "both": scores, "signal": scores}))
    return said


def answer_by_rules(item: Item, inputs: Inputs) -> str:
    """The superclasses that findings of the knowledge base support.

    Args:
        item: of the benchmark.
        inputs: the recordings.
    """
    return ", ".join(named_by_rules(inputs.measurement(item.records[0]))) or "I can't tell: no beat is seen."


def _stated(answer: str) -> list[str] | None:
    labels = json_object(answer).get("labels")
    return None if labels is None else [label for label in labels if label in SUPERCLASSES]


def strict_score(item: Item, answer: str) -> Score:
    """The labels of an answer, by whole words, or those that a head gives.

    Args:
        item: of the benchmark.
        answer: text, or JSON of ``answers_by_head``.
    """
    stated = _stated(answer)
    return label_score(item, answer, superclasses_in(answer) if stated is None else stated)


def published(item: Item, answer: str) -> Score:
    """The labels of an answer as ECGBench's script finds them, or those that a head gives.

    Args:
        item: of the benchmark.
        answer: text, or JSON of ``answers_by_head``.
    """
    stated = _stated(answer)
    return published_score(item, answer) if stated is None else label_score(item, answer, stated)


def details(items: Sequence[Item], rows: Sequence[Mapping[str, Any]], rounds: int = 1000) -> dict[str, Any]:
    """Every metric for both inputs, the signal alone, the picture alone, and its pixels alone.

    Args:
        items: of the run.
        rows: of these items, with answers of ``answers_by_head``.
        rounds: of resampling.

    Returns:
        ``macro_auc``, ``macro_f1``, ``balanced_accuracy`` and whatever else is registered in ``gem.metrics``: each a
        mapping ``both``/``signal``/``picture``/``pixels`` -> value; ``intervals``: the same with 95 % bootstrap bounds;
        ``n``; ``ece`` of each superclass for each input. For both inputs: ``per_class_auc`` of every class of the head
        that some records have, ``per_class_interval``, ``per_class_n``, ``reliability``, ``abstention``, ``asserted``:
        see the functions of these names. Empty where no answer has probabilities.
    """
    said = [(item, json_object(row["answer"] or "")) for item, row in zip(items, rows, strict=True)]
    said = [(item, answer) for item, answer in said if "both" in answer]
    if not said:
        return {}
    names = list(said[0][1]["both"])
    limits = np.array(said[0][1]["thresholds"])
    truth = np.array([[label in item.truth for label in SUPERCLASSES] for item, _ in said], np.float64)
    every_truth = np.array(
        [[name in item.labels for name in names] for item, _ in said if isinstance(item, LabelledItem)], np.float64
    )
    columns = [names.index(label) for label in SUPERCLASSES]
    out: dict[str, Any] = {
        **{name: {} for name in metrics},
        "intervals": {name: {} for name in metrics},
        "n": len(said),
        "ece": {},
    }
    for inputs in INPUTS:
        if inputs not in said[0][1]:
            for name in metrics:
                out[name][inputs] = out["intervals"][name][inputs] = None
            out["ece"][inputs] = None
            continue
        every = np.array([[answer[inputs][name] for name in names] for _, answer in said], np.float64)
        score = every[:, columns]
        for name, (value, interval) in figures(score, truth, limits, rounds).items():
            out[name][inputs], out["intervals"][name][inputs] = value, interval
        by_class = [calibration_error(truth[:, c], score[:, c]) for c in range(len(SUPERCLASSES))]
        out["ece"][inputs] = dict(zip(SUPERCLASSES, by_class, strict=True))
        if inputs == "both":
            out |= _by_class(every_truth, every, names, rounds)
            out |= {"reliability": reliability(truth.ravel(), score.ravel()), "abstention": abstention(truth, score)}
    return out


def _by_class(truth: Array, score: Array, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Results for every class of the head."""
    out: dict[str, Any] = {"per_class_auc": {}, "per_class_interval": {}, "per_class_n": {}}
    for column, name in enumerate(names):
        auc = MacroAUROC()
        auc.update(score[:, [column]], truth[:, [column]])
        value = float(auc.compute())
        if not np.isnan(value):
            out["per_class_auc"][name] = value
            out["per_class_interval"][name] = auc.interval(rounds)
            out["per_class_n"][name] = int(truth[:, column].sum())
    worded = [column for column, name in enumerate(names) if name in DIAGNOSES]
    return {**out, "asserted": asserted(truth[:, worded], score[:, worded])}


register_item_benchmark(
    ItemBenchmark(
        "classification",
        "superclasses of PTB-XL, several labels: probabilities of a classification head, or words",
        lambda path: items_of(labelled_samples("classification", path)),
        {"strict": strict_score, "published": published},
        answer_by_rules,
        SOURCE,
        {"published": statistics},
        samples=LABELS,
        labelled=items_of,
        by_model=answers_by_head,
        details=details,
        details_table=_table,
    )
)
