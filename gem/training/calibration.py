"""Calibration: scale and shift the logits of the classification heads so that probabilities match observed frequencies.

    python -m gem.training.calibration runs/gem-nano --data ROOT --folds 9 --out runs/gem-nano-calibrated

Every class of each input has a slope and a shift (Platt 1999), with a penalty that keeps rare classes near a common
slope. Both are folded into the weights of the classification head, so that a calibrated model is used like any other.
The vote of the signal encoder and the measured values is then calibrated once more, because the mean of two opinions is
less extreme than it should be; each of them alone is a little too extreme afterwards. Decision thresholds, for
benchmarks, and the picture's weight in the vote are chosen on the same records; the weight of the measured values
against the signal encoder stays as it is. The calibration error that is printed is cross-fitted: each half of the
records is evaluated with a fit on the other half.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.labelled import usable
from ..data.samples import SUPERCLASSES, Sample
from ..evaluation.classification import class_targets, logits_by_inputs, superclass_columns, targets
from ..metrics.multilabel import calibration_error
from ..terminal import print_lines
from .classification import choose_picture_weight, choose_thresholds, votes_with_picture
from .start import save

Array = NDArray[np.float64]
# prior standard deviations: of a class's log slope around the common one, and of its shift around 0
SLOPE_SPREAD, SHIFT_SPREAD = 0.3, 1.5
HEADS = {"signal_encoder": "ecg", "measured": "measured", "pixels": "vision"}


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
        common, deviation, shift = values[0], values[1 : 1 + classes], values[1 + classes :]
        slope = np.exp(common + deviation)
        z = slope * logits + shift
        error = 1 / (1 + np.exp(-z.clip(-50, 50))) - truth
        d_slope = (error * logits).sum(0) * slope
        value = float((np.logaddexp(0, z) - truth * z).sum())
        value += float(0.5 * (deviation**2).sum() / SLOPE_SPREAD**2 + 0.5 * (shift**2).sum() / SHIFT_SPREAD**2)
        return value, np.concatenate(
            [[d_slope.sum()], d_slope + deviation / SLOPE_SPREAD**2, error.sum(0) + shift / SHIFT_SPREAD**2]
        )

    found = minimize(loss, np.zeros(1 + 2 * classes), jac=True, method="L-BFGS-B").x
    return np.exp(found[0] + found[1 : 1 + classes]), found[1 + classes :]


def halves(n: int, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two random halves of n records.

    Args:
        n: number of records.
        seed: of the split.

    Returns:
        (n,) each, True where a record is in it.
    """
    first = np.random.default_rng(seed).permutation(n) < n // 2
    return first, ~first


def cross_fitted(logits: Array, truth: Array, seed: int = 0) -> Array:
    """Probabilities of each half of the records, calibrated on the other half.

    Args:
        logits: (records, classes).
        truth: (records, classes), 0 or 1.
        seed: of the split.

    Returns:
        (records, classes).
    """
    out = np.empty_like(logits)
    for half in halves(len(logits), seed):
        slope, shift = fit(logits[~half], truth[~half])
        out[half] = 1 / (1 + np.exp(-(slope * logits[half] + shift)))
    return out


def calibrate(model: Any, samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Calibrate each input's head of a model, then choose decision thresholds and the picture's weight in the vote.

    The thresholds are those of the signal: of its encoder's and the measured values' vote.

    Args:
        model: a model with a classification head; changed in place.
        samples: records that it was not trained on.

    Returns:
        Input (a key of ``HEADS``, and ``"signal"`` for the vote) -> superclass -> expected calibration error by
        cross-fitting.
    """
    truth, columns = class_targets(samples, model.config.class_names), superclass_columns(model)
    heads = {inputs: name for inputs, name in HEADS.items() if name in model.class_head.heads}
    fitted: dict[str, Array] = {}
    for inputs, logits in logits_by_inputs(model, samples, list(heads)).items():
        known = np.isfinite(logits).all(1)  # nothing may have been measured
        slope, shift = fit(logits[known], truth[known])
        model.class_head.rescale(heads[inputs], torch.from_numpy(slope), torch.from_numpy(shift))
        fitted[heads[inputs]] = slope * logits + shift
    votes = {name: float(model.class_head.votes.get(name, 1.0)) for name in fitted}
    parts = [name for name in fitted if name != "vision"]
    signal = weighted_mean({name: fitted[name] for name in parts}, votes)
    if len(parts) > 1:
        slope, shift = fit(signal, truth)
        signal = slope * signal + shift
        for name in parts:
            model.class_head.rescale(name, torch.from_numpy(slope), torch.from_numpy(shift))
    if "vision" in fitted and len(fitted) > 1:
        share = choose_picture_weight(targets(samples), signal[:, columns], fitted["vision"][:, columns])
        votes = votes_with_picture(votes, share)
    if len(fitted) > 1:
        model.config.class_votes, model.class_head.votes = votes, dict(votes)
    said = signal if len(fitted) > 1 or "vision" not in fitted else fitted["vision"]
    chosen = choose_thresholds(targets(samples), 1 / (1 + np.exp(-said[:, columns])))
    model.config.class_thresholds = dict(zip(SUPERCLASSES, chosen, strict=True))
    judged = {inputs: fitted[name] for inputs, name in heads.items()} | {"signal": said}
    return {inputs: _errors(rows, truth, columns) for inputs, rows in judged.items()}


def _errors(logits: Array, truth: Array, columns: Sequence[int]) -> dict[str, float]:
    """Superclass -> expected calibration error by cross-fitting; records without this input are left out."""
    known = np.isfinite(logits).all(1)
    crossed = cross_fitted(logits[known], truth[known])
    return {
        label: calibration_error(truth[known][:, column], crossed[:, column])
        for label, column in zip(SUPERCLASSES, columns, strict=True)
    }


def weighted_mean(logits: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """The vote of several inputs, as the classification head counts it.

    Args:
        logits: input -> (records, classes), NaN where a record lacks this input.
        weights: input -> its weight.

    Returns:
        (records, classes).
    """
    known = {name: np.isfinite(rows) * weights[name] for name, rows in logits.items()}
    total = sum(np.nan_to_num(rows) * known[name] for name, rows in logits.items())
    return np.asarray(total / sum(known.values()), np.float64)


def main(arguments: Sequence[str] | None = None) -> None:
    """Calibrate a saved model and save it again.

    Args:
        arguments: of the command line, see ``--help``; those of the process when None.
    """
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
        figures = ", ".join(f"{label} {value:.3f}" for label, value in errors.items())
        print_lines(f"{inputs}: expected calibration error, cross-fitted: {figures}")
    print_lines(f"thresholds {model.config.class_thresholds}, votes {model.config.class_votes}")
    if options.out is not None:
        save(model.half() if options.half else model, options.out)


if __name__ == "__main__":
    main()
