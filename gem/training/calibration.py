"""Calibration: scale and shift the logits of the classification heads so that probabilities match observed frequencies.

    python -m gem.training.calibration runs/gem-nano --data ROOT --folds 9 --out runs/gem-nano-calibrated

Every class of each input has a slope and a shift (Platt 1999), with a penalty that keeps rare classes near a common
slope. Both are folded into the weights of the classification head, so that a calibrated model is used like any other.
The signal encoder and the measured values are calibrated together, each with slopes of its own, so that their vote is
weighed by class; each of them alone is a little too extreme afterwards. Decision thresholds, for benchmarks, are chosen
on the same records. With ``--apart`` the records are those that the model learned from, and models that were not
trained on them answer: there are ten times as many, and no other fold is used up. The picture's calibration and its
weight in the vote come from ``--picture-folds``. The calibration error that is printed is cross-fitted: each half of
the records is evaluated with a fit on the other half.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.labelled import usable
from ..data.samples import SUPERCLASSES, Sample
from ..errors import GemInputError
from ..evaluation.classification import class_targets, logits_by_inputs, sigmoid, superclass_columns
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
        logits: (records, classes); or (inputs, records, classes), which get a slope each and share the shift.
        truth: (records, classes), 0 or 1.

    Returns:
        (classes,) or (inputs, classes) slopes, all positive, and (classes,) shifts; the probability is
        ``sigmoid(slope * logit + shift)``, with the sum over the inputs where there are several.
    """
    from scipy.optimize import minimize

    rows = logits if logits.ndim == 3 else logits[None]
    shape = (len(rows), rows.shape[2])
    size = shape[0] * shape[1]

    def loss(values: Array) -> tuple[float, Array]:
        deviation, shift = values[shape[0] : shape[0] + size].reshape(shape), values[shape[0] + size :]
        slope = np.exp(values[: shape[0], None] + deviation)
        z = (slope[:, None] * rows).sum(0) + shift
        error = 1 / (1 + np.exp(-z.clip(-50, 50))) - truth
        d_slope = (error * rows).sum(1) * slope
        value = float((np.logaddexp(0, z) - truth * z).sum())
        value += float(0.5 * (deviation**2).sum() / SLOPE_SPREAD**2 + 0.5 * (shift**2).sum() / SHIFT_SPREAD**2)
        parts = [d_slope.sum(1), (d_slope + deviation / SLOPE_SPREAD**2).ravel()]
        return value, np.concatenate([*parts, error.sum(0) + shift / SHIFT_SPREAD**2])

    first = np.concatenate([np.full(shape[0], -np.log(shape[0])), np.zeros(size + shape[1])])
    found = minimize(loss, first, jac=True, method="L-BFGS-B").x
    slope = np.exp(found[: shape[0], None] + found[shape[0] : shape[0] + size].reshape(shape))
    return np.asarray(slope if logits.ndim == 3 else slope[0], np.float64), found[shape[0] + size :]


def calibrated(logits: Array, slope: Array, shift: Array) -> Array:
    """Logits with slopes and shifts of ``fit``, added up over the inputs where there are several.

    Args:
        logits: as in ``fit``.
        slope: of ``fit``.
        shift: of ``fit``.

    Returns:
        (records, classes).
    """
    return np.asarray((slope[:, None] * logits).sum(0) + shift if logits.ndim == 3 else slope * logits + shift)


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
        logits: (records, classes), or (inputs, records, classes), see ``fit``.
        truth: (records, classes), 0 or 1.
        seed: of the split.

    Returns:
        (records, classes).
    """
    out = np.empty(truth.shape)
    for half in halves(len(truth), seed):
        out[half] = sigmoid(calibrated(logits[..., half, :], *fit(logits[..., ~half, :], truth[~half])))
    return out


def calibrate(
    model: Any,
    samples: Sequence[Sample],
    apart: Mapping[int, Any] | None = None,
    pages: Sequence[Sample] | None = None,
) -> dict[str, dict[str, float]]:
    """Calibrate a model's classification head, then choose decision thresholds and the picture's weight in the vote.

    The signal encoder and the measured values are calibrated together, each with a slope for each class; the picture
    for itself. The thresholds are those of the signal.

    Args:
        model: a model with a classification head; changed in place.
        samples: records that it was not trained on; or, with ``apart``, any.
        apart: fold -> a model with the same heads that was not trained on this fold. Its logits for the records of
            this fold stand for those that the model itself would give to records it does not know.
        pages: records that the model was not trained on, for the picture; ``samples`` when None.

    Returns:
        Input (a key of ``HEADS``, and ``"signal"`` for the vote) -> superclass -> expected calibration error by
        cross-fitting.

    Raises:
        GemInputError: a sample's fold has no model in ``apart``, or a model there lacks a head or has other classes.
    """
    truth, columns = class_targets(samples, model.config.class_names), superclass_columns(model)
    heads = {inputs: name for inputs, name in HEADS.items() if name in model.class_head.heads}
    parts = [inputs for inputs in heads if inputs != "pixels"]
    judged: dict[str, tuple[Array, Array]] = {}
    if parts:
        asked = logits_by_inputs(model, samples, parts) if apart is None else logits_apart(model, samples, parts, apart)
        stacked = np.stack([asked[inputs] for inputs in parts])
        known = np.isfinite(stacked).all((0, 2))  # nothing may have been measured
        slopes, shift = fit(stacked[:, known], truth[known])
        votes = np.array([float(model.class_head.votes.get(heads[inputs], 1.0)) for inputs in parts])
        for inputs, slope, vote in zip(parts, slopes, votes / votes.sum(), strict=True):
            model.class_head.rescale(heads[inputs], torch.from_numpy(slope / vote), torch.from_numpy(shift))
            judged[inputs] = (asked[inputs][known], truth[known])
        judged["signal"] = (stacked[:, known], truth[known])
        said = calibrated(stacked[:, known], slopes, shift)
        chosen = choose_thresholds(truth[known][:, columns], sigmoid(said[:, columns]))
        model.config.class_thresholds = dict(zip(SUPERCLASSES, chosen, strict=True))
    if "pixels" in heads:
        others = samples if pages is None else pages
        asked = logits_by_inputs(model, others, ["pixels", *(["signal"] if parts else [])])
        there = class_targets(others, model.config.class_names)
        slope, shift = fit(asked["pixels"], there)
        model.class_head.rescale("vision", torch.from_numpy(slope), torch.from_numpy(shift))
        judged["pixels"] = (asked["pixels"], there)
        picture = calibrated(asked["pixels"], slope, shift)[:, columns]
        if parts:
            share = choose_picture_weight(there[:, columns], asked["signal"][:, columns], picture)
            before = {heads[inputs]: float(model.class_head.votes.get(heads[inputs], 1.0)) for inputs in heads}
            model.config.class_votes = votes_with_picture(before, share)
            model.class_head.votes = dict(model.config.class_votes)
        else:
            chosen = choose_thresholds(there[:, columns], sigmoid(picture))
            model.config.class_thresholds = dict(zip(SUPERCLASSES, chosen, strict=True))
    return {inputs: _errors(logits, there, columns) for inputs, (logits, there) in judged.items()}


def logits_apart(
    model: Any, samples: Sequence[Sample], parts: Sequence[str], apart: Mapping[int, Any]
) -> dict[str, Array]:
    """Logits of every record by a model that was not trained on it.

    Args:
        model: whose classes they are.
        samples: the records.
        parts: inputs, keys of ``HEADS``.
        apart: fold -> model.

    Returns:
        Input -> (records, classes).

    Raises:
        GemInputError: a fold has no model, or a model lacks a head or has other classes.
    """
    for fold, other in apart.items():
        lacking = [HEADS[inputs] for inputs in parts if HEADS[inputs] not in other.class_head.heads]
        if lacking or list(other.config.class_names) != list(model.config.class_names):
            what = f"no head for {lacking[0]}" if lacking else "other classes"
            raise GemInputError(f"the model kept apart from fold {fold} has {what}", remedy="train it like the other")
    out = {inputs: np.full((len(samples), len(model.config.class_names)), np.nan) for inputs in parts}
    for known in dict.fromkeys(sample.fold for sample in samples):
        if known is None or known not in apart:
            raise GemInputError(f"no model was kept apart from fold {known}", remedy="train one without it")
        rows = [row for row, sample in enumerate(samples) if sample.fold == known]
        for inputs, logits in logits_by_inputs(apart[known], [samples[row] for row in rows], parts).items():
            out[inputs][rows] = logits
    return out


def models_apart(folder: Path) -> dict[int, Any]:
    """The models of ``logits_apart``.

    Args:
        folder: with a model in each subfolder, called by the folds that it was not trained on, such as ``1-2``.

    Raises:
        GemInputError: no such subfolders.
    """
    from ..checkpoints import load

    found = (
        sorted(path for path in folder.iterdir() if re.fullmatch(r"\d+(-\d+)*", path.name)) if folder.is_dir() else []
    )
    if not found:
        raise GemInputError("no models", where=str(folder), remedy="call each by the folds it was not trained on: 1-2")
    loaded = {path: load(path) for path in found}
    return {int(fold): made for path, made in loaded.items() for fold in path.name.split("-")}


def _errors(logits: Array, truth: Array, columns: Sequence[int]) -> dict[str, float]:
    """Superclass -> expected calibration error by cross-fitting."""
    crossed = cross_fitted(logits, truth)
    return {
        label: calibration_error(truth[:, column], crossed[:, column])
        for label, column in zip(SUPERCLASSES, columns, strict=True)
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Calibrate a saved model and save it again.

    Args:
        arguments: of the command line, see ``--help``; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="name or folder of the model")
    parser.add_argument("--data", type=Path, required=True, help="folder with ptbxl/ and ptbxl_filtered/")
    parser.add_argument("--folds", type=int, nargs="+", default=[9], help="PTB-XL folds (default: 9)")
    parser.add_argument("--apart", type=Path, help="folder of models called by the folds they don't know, such as 1-2")
    parser.add_argument("--picture-folds", type=int, nargs="+", help="folds for the picture (default: --folds)")
    parser.add_argument("--out", type=Path, help="folder that the calibrated model is written to")
    parser.add_argument("--half", action="store_true", help="save the weights as float16, to ship them")
    options = parser.parse_args(arguments)
    from ..checkpoints import load

    model = load(options.model)
    samples, _ = usable(options.data, options.folds)
    pages = usable(options.data, options.picture_folds)[0] if options.picture_folds else None
    if options.apart:  # models in millivolts learn from raw records alone
        samples = [sample for sample in samples if sample.source == "raw"]
    apart = models_apart(options.apart) if options.apart else None
    for inputs, errors in calibrate(model, samples, apart, pages).items():
        figures = ", ".join(f"{label} {value:.3f}" for label, value in errors.items())
        print_lines(f"{inputs}: expected calibration error, cross-fitted: {figures}")
    print_lines(f"thresholds {model.config.class_thresholds}, votes {model.config.class_votes}")
    if options.out is not None:
        save(model.half() if options.half else model, options.out)


if __name__ == "__main__":
    main()
