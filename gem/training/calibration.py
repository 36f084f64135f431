"""Probabilities that mean what they say: the heads' logits are stretched and shifted to fit labelled records.

    python -m gem.training.calibration runs/gem-nano --data ROOT --folds 9 --out runs/gem-nano-calibrated

Every class of each input has a slope and a shift (Platt 1999), held near one common slope where a class is rare, and
both are worked into the weights of the classification head: a calibrated model is asked as any other. Decision
thresholds, for benchmarks, and the picture's share of the vote are chosen behind it on the same records. The
calibration error that is printed is of records that had no part in the fit: each half of them is judged by a fit on
the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.labelled import usable
from ..data.samples import SUPERCLASSES, Sample
from ..evaluation.classification import class_logits, class_targets, superclass_columns, targets
from ..metrics.multilabel import calibration_error
from ..terminal import say
from .classification import choose_share, choose_thresholds
from .start import save

Array = NDArray[np.float64]
SLOPE_SPREAD, SHIFT_SPREAD = (
    0.3,
    1.5,
)  # how far a class may be expected from the common slope (of logarithms) and from no shift
INPUTS = {"signal": "ecg", "picture": "vision"}


def fit(logits: Array, truth: Array) -> tuple[Array, Array]:
    """Slope and shift of each class, by penalised maximum likelihood.

    Args:
        logits: (records, classes).
        truth: (records, classes), 0 or 1.

    Returns:
        (classes,) slopes, all positive, and (classes,) shifts; the probability is ``sigmoid(slope * logit + shift)``.
    """
    from scipy.optimize import minimize

    classes = logits.shape[1]

    def loss(values: Array) -> tuple[float, Array]:
        common, apart, shift = values[0], values[1 : 1 + classes], values[1 + classes :]
        slope = np.exp(common + apart)
        z = slope * logits + shift
        error = 1 / (1 + np.exp(-z.clip(-50, 50))) - truth
        stretched = (error * logits).sum(0) * slope
        worth = float((np.logaddexp(0, z) - truth * z).sum())
        worth += float(0.5 * (apart**2).sum() / SLOPE_SPREAD**2 + 0.5 * (shift**2).sum() / SHIFT_SPREAD**2)
        return worth, np.concatenate(
            [[stretched.sum()], stretched + apart / SLOPE_SPREAD**2, error.sum(0) + shift / SHIFT_SPREAD**2]
        )

    found = minimize(loss, np.zeros(1 + 2 * classes), jac=True, method="L-BFGS-B").x
    return np.exp(found[0] + found[1 : 1 + classes]), found[1 + classes :]


def halves(n: int, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two halves of n records, each (n,) True where a record is in it."""
    first = np.random.default_rng(seed).permutation(n) < n // 2
    return first, ~first


def cross_fitted(logits: Array, truth: Array, seed: int = 0) -> Array:
    """Probabilities of each half of the records by what was fitted on the other half, (records, classes)."""
    out = np.empty_like(logits)
    for half in halves(len(logits), seed):
        slope, shift = fit(logits[~half], truth[~half])
        out[half] = 1 / (1 + np.exp(-(slope * logits[half] + shift)))
    return out


def calibrate(model: Any, samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Fit each input's head of a model to some records, and choose thresholds and the picture's share of the vote.

    Args:
        model: a model with a classification head; it is changed.
        samples: records that it was not trained on.

    Returns:
        Input -> superclass -> expected calibration error by cross-fitting.
    """
    truth, columns = class_targets(samples, model.config.class_names), superclass_columns(model)
    fitted, errors = {}, {}
    for inputs, name in INPUTS.items():
        if name not in model.class_head.heads:
            continue
        logits = class_logits(model, samples, inputs)
        slope, shift = fit(logits, truth)
        crossed = cross_fitted(logits, truth)[:, columns]
        apart = [calibration_error(truth[:, c], crossed[:, i]) for i, c in enumerate(columns)]
        errors[inputs] = dict(zip(SUPERCLASSES, apart, strict=True))
        fitted[inputs] = (slope * logits + shift)[:, columns]
        last = model.class_head.heads[name][-1]
        with torch.no_grad():
            scale, move = (torch.from_numpy(value).to(last.weight) for value in (slope, shift))
            last.weight.mul_(scale[:, None])
            last.bias.copy_(last.bias * scale + move)
    both = fitted.get("signal", next(iter(fitted.values())))
    if len(fitted) == len(INPUTS):
        share = choose_share(targets(samples), fitted["signal"], fitted["picture"])
        model.config.class_votes = {"ecg": round(1 - share, 3), "vision": share}
        model.class_head.votes = dict(model.config.class_votes)
    chosen = choose_thresholds(targets(samples), 1 / (1 + np.exp(-both)))
    model.config.class_thresholds = dict(zip(SUPERCLASSES, chosen, strict=True))
    return errors


def main(arguments: Sequence[str] | None = None) -> None:
    """Calibrate a saved model and save it again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="name or folder of the model")
    parser.add_argument("--data", type=Path, required=True, help="folder with ptbxl/ and ptbxl_filtered/")
    parser.add_argument("--folds", type=int, nargs="+", default=[9], help="PTB-XL folds (default: 9)")
    parser.add_argument("--out", type=Path, help="folder that the calibrated model is written to")
    parser.add_argument("--half", action="store_true", help="save the weights as float16, to ship them")
    options = parser.parse_args(arguments)
    from ..checkpoints import load

    model = load(options.model)
    samples, _ = usable(options.data, options.folds)
    for inputs, errors in calibrate(model, samples).items():
        told = ", ".join(f"{label} {value:.3f}" for label, value in errors.items())
        say(f"{inputs}: expected calibration error, cross-fitted: {told}")
    say(f"thresholds {model.config.class_thresholds}, votes {model.config.class_votes}")
    if options.out is not None:
        save(model.half() if options.half else model, options.out)


if __name__ == "__main__":
    main()
