"""A model's probabilities and decisions on records that nothing of it was chosen on.

    python benchmarks/calibration.py --data ROOT [--folds 9] [--model gem-nano] [--baseline MODEL] [--json OUT]

For a model that was calibrated on these very records there is ``--cross-fitted``: slope and shift of each class, fitted
as in ``gem.training.calibration``, and the decision thresholds then come from the other half of the records. Fitting
again undoes the model's own calibration, except for the regularisation of the fit. With another model as baseline,
differences on the same records are told, with intervals by resampling these records for both models at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import exact, of_superclasses, with_interval
from numpy.typing import NDArray

import gem
from gem.data.labelled import usable
from gem.data.samples import SUPERCLASSES
from gem.evaluation.classification import (
    TENSORS,
    Array,
    abstention,
    asserted,
    class_targets,
    logits_by_inputs,
    reliability,
    sigmoid,
    superclass_columns,
)
from gem.metrics.multilabel import calibration_error, macro_auc
from gem.training.calibration import cross_fitted, halves
from gem.training.classification import choose_thresholds
from grounding.facts import DIAGNOSES

SPLITS = 10


def judged(
    truth: Array, logits: Array, names: list[str], columns: list[int], thresholds: Sequence[float] | None
) -> dict[str, Any]:
    """All figures of one input.

    Args:
        truth: (records, classes), 0 or 1.
        logits: (records, classes).
        names: of the classes.
        columns: places of the superclasses.
        thresholds: of the superclasses; None for cross-fitting.
    """
    chances = sigmoid(logits) if thresholds is not None else cross_fitted(logits, truth)
    there, said = truth[:, columns], chances[:, columns]
    answers = said >= np.array(thresholds or [0.5] * len(columns))
    for half in halves(len(said)) if thresholds is None else ():
        answers[half] = said[half] >= np.array(choose_thresholds(there[~half], said[~half]))
    # logits as they are rank the records: what two fits would do to the order of two halves is not the model's
    out: dict[str, Any] = {**of_superclasses(there, logits[:, columns], answers), "exact": exact(there, said)}
    rng = np.random.default_rng(0)
    drawn = [(rng.random(said.shape) < said).astype(float) for _ in range(100)]
    seeds = range(SPLITS) if thresholds is None else ()
    splits = [cross_fitted(logits, truth, seed)[:, columns] for seed in seeds] or [said]
    for column, label in enumerate(SUPERCLASSES):
        error = np.mean([calibration_error(there[:, column], split[:, column]) for split in splits])
        chance = np.mean([calibration_error(labels[:, column], said[:, column]) for labels in drawn])
        out.setdefault("ece", {})[label] = float(error)
        out.setdefault("ece_of_perfect_probabilities", {})[label] = float(chance)
    worded = [column for column, name in enumerate(names) if name in DIAGNOSES]
    out["asserted"] = asserted(truth[:, worded], chances[:, worded])
    out["reliability"] = reliability(there.ravel(), said.ravel())
    return {**out, "abstention": abstention(there, said)}


def differences(truth: Array, logits: Array, before: Array) -> dict[str, list[float]]:
    """Differences in ROC-AUC from another model, with 95 % intervals over resampled records.

    Args:
        truth: (records, superclasses), 0 or 1.
        logits: (records, superclasses).
        before: (records, superclasses) of the other model.

    Returns:
        ``macro_auc`` and each superclass -> difference, lower and upper bound.
    """
    out = {}
    each = {name: [column] for column, name in enumerate(SUPERCLASSES)}
    for name, some in {"macro_auc": list(range(len(SUPERCLASSES))), **each}.items():

        def gained(rows: NDArray[np.intp], some: list[int] = some) -> float:
            at = np.ix_(rows, some)
            return macro_auc(truth[at], logits[at]) - macro_auc(truth[at], before[at])

        out[name] = with_interval(gained, len(truth))
    return out


def main() -> None:
    """Ask, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[9])
    parser.add_argument("--model", default="gem-nano")
    parser.add_argument("--baseline", help="another model, whose ROC-AUC is compared on the same records")
    parser.add_argument("--inputs", choices=list(TENSORS), nargs="+", default=["both", "signal"])
    parser.add_argument("--cross-fitted", action="store_true", help="the model was calibrated on these records")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    model = gem.load(chosen.model)
    samples, _ = usable(chosen.data, chosen.folds)
    names = list(model.config.class_names)
    truth, columns, result = class_targets(samples, names), superclass_columns(model), {}
    baseline = gem.load(chosen.baseline) if chosen.baseline else None
    own = [inputs for inputs in chosen.inputs if inputs != "measured" or baseline is None or baseline.config.measured]
    before = {} if baseline is None else logits_by_inputs(baseline, samples, own)
    limits = [model.config.class_thresholds[label] for label in SUPERCLASSES]
    for inputs, logits in logits_by_inputs(model, samples, chosen.inputs).items():
        result[inputs] = judged(truth, logits, names, columns, None if chosen.cross_fitted else limits)
        if baseline is not None and inputs in before:
            result[inputs]["gained"] = differences(
                truth[:, columns], logits[:, columns], before[inputs][:, superclass_columns(baseline)]
            )
        print(inputs, json.dumps(result[inputs], indent=1), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
