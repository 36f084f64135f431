"""Signal encoders under one protocol: PTB-XL's folds 1-8 train, fold 9 is evaluated, the last epoch counts.

    python benchmarks/encoders.py --data ROOT --out TABLE.csv --scores FOLDER [--only ecg_ssm trees] [--seeds 0 1 2]

Every network has the same records (raw ones, in millivolts, 125 Hz, 0.5-40 Hz), mean and maximum of its tokens, one
linear layer, mixup, AdamW under a one-cycle schedule and the same number of epochs. ``ecg_ssm, pre-trained`` first
learns to tell its own next steps from others (contrastive predictive coding) on the signals alone of the same folds.
``trees``: gradient-boosted trees on what ``grounding`` measures. Thresholds are the classes' shares in training, so
nothing is chosen on fold 9. Each row is appended as soon as it is known; what stands in the file is not run again.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from baselines import COLUMNS, Classifier, answers, fitted, loss_of_labels, row, signals
from torch import Tensor, nn

from gem.data.ptbxl import load_ptbxl
from gem.data.samples import Sample
from gem.encoders.ecg_beats import UNIT_MV
from gem.evaluation.classification import Array, targets
from gem.measured import values_of_record
from gem.training.measured import LEAVES, SETTINGS, TREES, with_missing

# a vision transformer of the ECG-CoCa kind at a width that a CPU can train; its own has 768
ENCODERS: dict[str, dict[str, Any]] = {
    "ecg_conv": {"widths": [48, 80, 114, 144]},
    "ecg_beats": {"millivolts": True},
    "ecg_ssm": {},
    "ecg_ssm, pre-trained": {},
    "ecg_coca": {"n_samples": 1250, "patch": 12, "width": 192},
}
PEAK = {"ecg_conv": 3e-3, "ecg_coca": 1e-3}  # of the learning rate; others 2e-3
AHEAD, PLACES = 12, 24  # steps ahead that are predicted, and places in a record at which they are


def predictive(encoder: Any, x: Tensor, epochs: int) -> None:
    """Contrastive predictive coding: a token tells its record's next steps from other steps of the batch.

    Args:
        encoder: with ``local`` (what a step sees itself) and causal tokens.
        x: (records, leads, samples) in units of ``UNIT_MV``.
        epochs: over all records.

    References:
        van den Oord et al., Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748.
    """
    maps = nn.ModuleList(nn.Linear(encoder.width, encoder.width, bias=False) for _ in range(AHEAD))
    whole = nn.ModuleList([encoder, maps])

    def loss_of(rows: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            steps = encoder.local(x[rows] * UNIT_MV)
            tokens = encoder.norm(encoder.blocks(steps))
            place = torch.randperm(steps.shape[1] - AHEAD)[:PLACES]
            own = torch.arange(len(rows) * PLACES)
            losses = []
            for ahead, guess in enumerate(maps, 1):
                guessed = guess(tokens[:, place]).flatten(0, 1)
                seen = steps[:, place + ahead].flatten(0, 1)
                alike = F.normalize(guessed.float(), dim=1) @ F.normalize(seen.float(), dim=1).T
                losses.append(F.cross_entropy(alike / 0.1, own))
        return torch.stack(losses).mean()

    encoder.train()
    fitted(whole, len(x), epochs, 1e-3, loss_of)


def network(name: str, x: Tensor, y: Tensor, seed: int, epochs: int, before: int) -> Classifier:
    """One network of the comparison, trained.

    Args:
        name: of ``ENCODERS``.
        x: (records, leads, samples).
        y: (records, superclasses).
        seed: of weights, order and mixup.
        epochs: with labels.
        before: epochs of pre-training, for the name that says so.
    """
    torch.manual_seed(seed)
    kind = name.split(",")[0]
    model = Classifier(kind, ENCODERS[name]).train()
    if name != kind:
        predictive(model.encoder, x, before)

    fitted(model, len(x), epochs, PEAK.get(kind, 2e-3), loss_of_labels(model, x, y))
    return model.eval()


def trees(kept: Path, learn: Sequence[Sample], held: Sequence[Sample], y: Array, seed: int) -> tuple[Array, int]:
    """Probabilities and leaves of trees on measured values, grown as for gem-nano's head (every record twice).

    Args:
        kept: folder in which the measured values are kept, since measuring takes longer than growing.
        learn: records to learn from.
        held: records to answer.
        y: (records, superclasses) of ``learn``.
        seed: of what is missing in the second copies, and of the trees.
    """
    import lightgbm

    file = kept / f"measured_{len(learn)}_{len(held)}.npy"
    if not file.exists():
        np.save(file, np.stack([values_of_record(sample.record) for sample in (*learn, *held)]))
    values = np.load(file).astype(np.float64)
    rows = values[: len(learn)]
    rows = np.concatenate([rows, with_missing(rows, np.random.default_rng(seed))])
    settings = {**SETTINGS, "num_leaves": LEAVES, "seed": seed, "min_data_in_leaf": 30}  # every record is there twice
    grown = [lightgbm.train(settings, lightgbm.Dataset(rows, np.tile(truth, 2)), TREES) for truth in y.T]
    return np.stack([one.predict(values[len(learn) :]) for one in grown], 1), LEAVES * TREES * len(grown)


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True, help="folder for the probabilities, for fusions")
    parser.add_argument("--only", nargs="+", choices=[*ENCODERS, "trees"], default=[*ENCODERS, "trees"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--before", type=int, default=12, help="epochs of pre-training")
    parser.add_argument("--train-folds", type=int, nargs="+", default=list(range(1, 9)))
    parser.add_argument("--fold", type=int, default=9)
    parser.add_argument("--limit", type=int, help="only the first N records of each part, to try it out")
    chosen = parser.parse_args()
    learn = load_ptbxl(chosen.data, chosen.train_folds, ("raw",))[: chosen.limit]
    held = load_ptbxl(chosen.data, [chosen.fold], ("raw",))[: chosen.limit]
    truth, y = targets(held), targets(learn)
    prior = y.mean(0)
    chosen.scores.mkdir(parents=True, exist_ok=True)
    done = {line["baseline"] for line in csv.DictReader(chosen.out.open())} if chosen.out.exists() else set()
    x = z = torch.empty(0)
    for seed, name in itertools.product(chosen.seeds, chosen.only):
        called = f"{name}, seed {seed}"
        if called in done:
            continue
        print(called, flush=True)
        started = time.process_time()
        if name == "trees":
            score, count = trees(chosen.scores, learn, held, y, seed)
        else:
            if not len(x):
                x, z = signals(learn, "mV"), signals(held, "mV")
                started = time.process_time()
            model = network(name, x, torch.from_numpy(y).float(), seed, chosen.epochs, chosen.before)
            score = torch.from_numpy(answers(model, z)).sigmoid().numpy()
            count = sum(parameter.numel() for parameter in model.parameters())
        np.save(chosen.scores / f"{called}.npy", score)
        line = row(called, "prior", truth, score, prior, count, time.process_time() - started)
        print(line, flush=True)
        with chosen.out.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(line)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
