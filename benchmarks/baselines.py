"""Baselines of classification: rules, a random encoder with a linear probe, and a 1-D ResNet, on gem-nano's records.

    python benchmarks/baselines.py --data ROOT --out benchmarks/baselines.csv [--seeds 0 1] [--skip rules] [--unit mV]

ROOT is laid out as for ``gem train``. All models are trained on ``--train-folds``. At most a threshold is chosen on the
evaluated fold, and the rows say which: ``prior`` is the share of the class in training (not chosen on the evaluated
records), ``fold 8`` is the best threshold there, chosen as for gem-nano, which makes F1 and balanced accuracy
optimistic. Intervals are 95 % percentiles over 1,000 resamplings of the records.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from figures import of_superclasses
from numpy.typing import NDArray
from torch import nn

import grounding
from gem.data.augmentation import augment, mix
from gem.data.ptbxl import load_ptbxl
from gem.data.samples import SUPERCLASSES, Sample
from gem.encoders import build_encoder
from gem.encoders.ecg_beats import UNIT_MV, EcgBeats
from gem.encoders.registry import pooled
from gem.evaluation.classification import targets
from gem.evaluation.labelled import superclasses_by_rules
from gem.metrics.multilabel import macro_auc
from gem.training.classification import choose_thresholds

Array = NDArray[np.float64]
Loss = Callable[[torch.Tensor], torch.Tensor]
# 0.84 million parameters with the head; gem-nano's signal encoder is the same family at 4 million
WIDTHS = (48, 80, 114, 144)
EPOCHS, BATCH, PEAK, DECAY = 25, 32, 3e-3, 0.05
COLUMNS = (
    "baseline",
    "thresholds",
    "records",
    "parameters",
    "macro_auc",
    "macro_auc_95",
    "macro_f1",
    "macro_f1_95",
    "balanced_accuracy",
    "balanced_accuracy_95",
    "cpu_s",
)


def rules(samples: Sequence[Sample]) -> Array:
    """Number of findings that support each superclass, (records, superclasses); for NORM minus the number of all."""
    counted = [superclasses_by_rules(grounding.measure(sample.record)) for sample in samples]
    return np.array([[float(counts[label]) for label in SUPERCLASSES] for counts in counted])


def signals(samples: Sequence[Sample], unit: str = "zscore") -> torch.Tensor:
    """(records, leads, samples): 125 Hz, 0.5-40 Hz, 10 s; z-scored per lead, or in units of 0.15 mV, about as large."""
    contract = EcgBeats(millivolts=unit == "mV").contract
    assert contract is not None  # for mypy
    size = UNIT_MV if unit == "mV" else 1.0
    return torch.from_numpy(
        np.stack([contract.execute(sample.record)[0] / size for sample in samples]).astype(np.float32)
    )


class Classifier(nn.Module):
    """An encoder, mean and maximum of its tokens, one linear layer.

    Args:
        name: of the encoder.
        kwargs: of its class.
    """

    def __init__(self, name: str, kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = build_encoder(name, kwargs)
        # these two know that they see millivolts; the others are given units of about a standard deviation
        self.unit = UNIT_MV if name in ("ecg_beats", "ecg_ssm") else 1.0
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * self.encoder.width, len(SUPERCLASSES)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, leads, samples), z-scored or in units of ``UNIT_MV`` -> (B, superclasses), logits."""
        out: torch.Tensor = self.head(pooled(self.encoder(x * self.unit)))
        return out


def fitted(model: nn.Module, records: int, epochs: int, peak: float, loss_of: Loss) -> None:
    """Train for some epochs: AdamW under a one-cycle schedule.

    Args:
        model: to be trained.
        records: how many there are.
        epochs: over all of them.
        peak: of the learning rate.
        loss_of: the loss of the records at some positions.
    """
    steps = records // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=epochs * steps, pct_start=0.2)
    for epoch in range(epochs):
        order, total = torch.randperm(records), 0.0
        for step in range(steps):
            loss = loss_of(order[step * BATCH : (step + 1) * BATCH])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"  epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}", flush=True)


def loss_of_labels(model: nn.Module, x: torch.Tensor, y: torch.Tensor, strength: float = 0.0) -> Loss:
    """The loss of some records, augmented and mixed, in bfloat16 autocast like gem-nano's.

    Args:
        model: that gives logits.
        x: (records, leads, samples).
        y: (records, superclasses).
        strength: of the augmentation.
    """

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        inputs, labels = mix(0.4, augment(x[rows], strength), y[rows])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(inputs)
        return F.binary_cross_entropy_with_logits(logits.float(), labels)

    return loss_of


def train(x: torch.Tensor, y: torch.Tensor, seed: int, strength: float, epochs: int = EPOCHS) -> Classifier:
    """The model after the last epoch; no checkpoint is selected."""
    torch.manual_seed(seed)
    model = Classifier("ecg_conv", {"widths": WIDTHS})
    fitted(model, len(x), epochs, PEAK, loss_of_labels(model, x, y, strength))
    return model.eval()


@torch.no_grad()
def answers(model: nn.Module, x: torch.Tensor) -> NDArray[np.float64]:
    """A module's outputs, in batches."""
    return np.concatenate([model(block).double().numpy() for block in x.split(64)])


class Features(nn.Module):
    """gem-nano's signal encoder as the seed makes it; mean and maximum of its tokens."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = EcgBeats().eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, leads, samples) -> (B, width)."""
        return pooled(self.encoder(x))


def probe(train_x: Array, train_y: Array, folds: NDArray[np.int64], test_x: Array) -> Array:
    """Probabilities of one logistic regression per class on standardised features; its penalty is chosen on fold 7."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(x: Array, y: Array, c: float) -> list[Any]:
        kinds = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=3000)) for _ in SUPERCLASSES]
        return [kind.fit(x, y[:, column]) for column, kind in enumerate(kinds)]

    def say(fitted: list[Any], x: Array) -> Array:
        return np.stack([kind.predict_proba(x)[:, 1] for kind in fitted], 1)

    last = folds == 7
    grid = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    worth = [macro_auc(train_y[last], say(fit(train_x[~last], train_y[~last], c), train_x[last])) for c in grid]
    return say(fit(train_x, train_y, grid[int(np.argmax(worth))]), test_x)


def row(
    name: str, how: str, truth: Array, score: Array, limits: Array, parameters: int, cpu_s: float
) -> dict[str, Any]:
    """One line of the table."""
    out: dict[str, Any] = {"baseline": name, "thresholds": how, "records": len(truth), "parameters": parameters}
    for key, values in of_superclasses(truth, score, (score >= limits).astype(np.float64)).items():
        value, low, high = (f"{one:.{1 if key == 'balanced_accuracy' else 3}f}" for one in values)
        out |= {key: value, f"{key}_95": f"{low}-{high}"}
    return {**out, "cpu_s": f"{cpu_s:.0f}"}


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--skip", choices=["rules", "probe", "resnet"], nargs="*", default=[])
    parser.add_argument("--fold", type=int, default=8, help="the fold that is evaluated (default: 8)")
    parser.add_argument("--train-folds", type=int, nargs="+", default=list(range(1, 8)))
    parser.add_argument("--unit", choices=["zscore", "mV"], default="zscore", help="what the ResNets see")
    parser.add_argument("--raw", action="store_true", help="records in millivolts alone")
    parser.add_argument("--limit", type=int, help="only the first N records of each part, to try it out")
    chosen = parser.parse_args()
    sources = ("raw",) if chosen.raw else ("raw", "filtered")
    learn = load_ptbxl(chosen.data, chosen.train_folds, sources)[: chosen.limit]
    held = load_ptbxl(chosen.data, [chosen.fold], sources)[: chosen.limit]
    truth, y = targets(held), targets(learn)
    prior, where = y.mean(0), f"fold {chosen.fold}"
    table: list[dict[str, Any]] = []

    def add(name: str, score: Array, parameters: int, started: float) -> None:
        spent, best = time.process_time() - started, np.array(choose_thresholds(truth, score))
        for how, limits in (("prior", prior), (where, best)):
            table.append(row(name, how, truth, score, limits, parameters, spent))
            print(table[-1], flush=True)

    if "rules" not in chosen.skip:
        started = time.process_time()
        score = rules(held)
        # one finding is enough; a normal ECG is one with none
        limits = np.array([0.0 if label == "NORM" else 1.0 for label in SUPERCLASSES])
        table.append(row("rules", "any finding", truth, score, limits, 0, time.process_time() - started))
        print(table[-1], flush=True)
    x, z = signals(learn, chosen.unit), signals(held, chosen.unit)
    if "probe" not in chosen.skip:
        started = time.process_time()
        encoder = Features(chosen.seeds[0])
        score = probe(answers(encoder, x), y, np.array([sample.fold for sample in learn]), answers(encoder, z))
        add("random encoder, linear probe", score, score.shape[1] * (2 * encoder.encoder.width + 1), started)
    for name, strength in (("1-D ResNet, mixup", 0.0), ("1-D ResNet, mixup and augmentation", 1.0)):
        if "resnet" in chosen.skip:
            break
        scores, begun = [], time.process_time()
        for seed in chosen.seeds:
            started = time.process_time()
            model = train(x, torch.from_numpy(y).float(), seed, strength, chosen.epochs)
            scores.append(torch.from_numpy(answers(model, z)).sigmoid().numpy())
            count = sum(parameter.numel() for parameter in model.parameters())
            add(f"{name}, seed {seed}", scores[-1], count, started)
        if len(scores) > 1:
            add(f"{name}, mean of {len(scores)}", np.mean(scores, 0), count * len(scores), begun)
    with chosen.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
