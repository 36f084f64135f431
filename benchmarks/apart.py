"""gem-nano's signal side on records of folds 1-8, each answered by a model that was not trained on its fold.

    python benchmarks/apart.py --data RAW --runs runs [--json OUT]

``runs`` is the folder of ``python -m gem.training.nano``. Rows: the signal encoder and the measured values alone, their
vote with the same weight for every class, with slopes by class as it ships, and with these by sets of labels; of whole
recordings and of what a page of four columns shows of them. Calibration, weights and thresholds of two folds come from
the other six.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import exact, of_superclasses

from gem.data.ptbxl import load_ptbxl
from gem.data.samples import SUPERCLASSES
from gem.evaluation.classification import Array, class_targets, sigmoid
from gem.metrics.multilabel import calibration_error, macro_auc
from gem.training.calibration import calibrated, fit, logits_apart, models_apart
from gem.training.classification import choose_thresholds
from gem.training.measured import on_page
from gem.training.nano import APART, FOLDS

INPUTS = ("signal_encoder", "measured")
Rule = Callable[[Array, Array], Callable[[Array], Array]]  # from logits and labels to what makes logits of logits


def one(place: int) -> Rule:
    """One input alone, calibrated.

    Args:
        place: of ``INPUTS``.
    """

    def learned(rows: Array, truth: Array) -> Callable[[Array], Array]:
        slope, shift = fit(rows[place], truth)
        return lambda others: calibrated(others[place], slope, shift)

    return learned


def vote(rows: Array, truth: Array) -> Callable[[Array], Array]:
    """The mean of both inputs, each calibrated, and calibrated once more."""
    parts = [one(place)(rows, truth) for place in range(len(INPUTS))]

    def mean(some: Array) -> Array:
        return np.mean([part(some) for part in parts], axis=0, dtype=np.float64)

    slope, shift = fit(mean(rows), truth)
    return lambda others: calibrated(mean(others), slope, shift)


def by_class(rows: Array, truth: Array) -> Callable[[Array], Array]:
    """The sum of both inputs, each with its slope for each class."""
    slopes, shift = fit(rows, truth)
    return lambda others: calibrated(others, slopes, shift)


def jointly(rows: Array, truth: Array) -> Callable[[Array], Array]:
    """As ``by_class``; then the superclasses' probabilities from those of the sets in which they are labelled."""
    from sklearn.linear_model import LogisticRegression

    main = len(SUPERCLASSES)
    apart, bits = by_class(rows, truth), 2 ** np.arange(main)
    sets = LogisticRegression(C=0.1, max_iter=1000).fit(apart(rows)[:, :main], truth[:, :main] @ bits)
    there = (sets.classes_.astype(int)[:, None] & bits) > 0

    def learned(others: Array) -> Array:
        logits = apart(others)
        chances = np.clip(sets.predict_proba(logits[:, :main]) @ there, 1e-6, 1 - 1e-6)
        return np.concatenate([np.log(chances / (1 - chances)), logits[:, main:]], 1)

    return learned


RULES: dict[str, Rule] = {
    "signal_encoder": one(0),
    "measured": one(1),
    "vote": vote,
    "by_class": by_class,
    "jointly": jointly,
}


def figures(truth: Array, logits: Array, answers: Array) -> dict[str, Any]:
    """Figures of the superclasses, which are the first columns, and the mean ROC-AUC of all other labels.

    Args:
        truth: (records, classes), 0 or 1.
        logits: (records, classes).
        answers: (records, superclasses), by thresholds.
    """
    main, chances = slice(len(SUPERCLASSES)), sigmoid(logits)
    there, said = truth[:, main], chances[:, main]
    others = [macro_auc(truth[:, [place]], logits[:, [place]]) for place in range(len(SUPERCLASSES), truth.shape[1])]
    return {
        **of_superclasses(there, said, answers),
        "exact": exact(there, said),
        "auc": {name: macro_auc(there[:, [place]], said[:, [place]]) for place, name in enumerate(SUPERCLASSES)},
        "ece": {name: calibration_error(there[:, place], said[:, place]) for place, name in enumerate(SUPERCLASSES)},
        "other_labels_auc": float(np.nanmean(others)),
        "log_loss": float((np.logaddexp(0, logits) - truth * logits)[:, main].mean()),
    }


def main() -> None:
    """Ask, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    apart = models_apart(chosen.runs / "apart")
    samples = load_ptbxl(chosen.data, FOLDS, ("raw",))
    model = next(iter(apart.values()))
    names, folds = list(model.config.class_names), np.array([sample.fold for sample in samples])
    truth = class_targets(samples, names)
    pages = [replace(sample, read=lambda sample=sample: on_page(sample.read())) for sample in samples]
    asked = {"record": samples, "page": pages}
    logits = {what: np.stack(list(logits_apart(model, some, INPUTS, apart).values())) for what, some in asked.items()}
    known = np.isfinite(np.stack(list(logits.values()))).all((0, 1, 3))
    print(f"{known.sum()} of {len(samples)} records, in which something could be measured")
    result: dict[str, dict[str, Any]] = {}
    for name, rule in RULES.items():
        made = {what: np.full(truth.shape, np.nan) for what in logits}
        answers = {what: np.zeros((len(truth), len(SUPERCLASSES))) for what in logits}
        for pair in APART:
            held = np.isin(folds, pair)
            learn, held = known & ~held, known & held
            said = rule(logits["record"][:, learn], truth[learn])
            learned = sigmoid(said(logits["record"][:, learn])[:, : len(SUPERCLASSES)])
            limits = choose_thresholds(truth[learn][:, : len(SUPERCLASSES)], learned)
            for what, rows in logits.items():
                made[what][held] = said(rows[:, held])
                answers[what][held] = sigmoid(made[what][held][:, : len(SUPERCLASSES)]) >= np.array(limits)
        result[name] = {what: figures(truth[known], made[what][known], answers[what][known]) for what in logits}
        print(name, json.dumps(result[name]), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
