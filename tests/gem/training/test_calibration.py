"""Calibration: overconfidence is removed, rare classes stay near the others, and the model gives the fitted numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gem
from gem.data.ptbxl import load_ptbxl
from gem.evaluation.classification import class_logits, class_targets, logits_by_inputs
from gem.metrics.multilabel import calibration_error
from gem.training.calibration import calibrate, cross_fitted, fit, main, weighted_mean
from gem.training.start import build

from .test_training import TINY


def chances(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_an_overconfident_head_is_brought_back() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(-0.5, 1.5, (4000, 3))
    truth = (rng.random(real.shape) < chances(real)).astype(float)
    told = 3 * real + [2.0, 0.0, -2.0]
    slope, shift = fit(told, truth)
    assert slope == pytest.approx(1 / 3, abs=0.05)
    assert shift == pytest.approx([-2 / 3, 0, 2 / 3], abs=0.2)
    before = [calibration_error(truth[:, c], chances(told)[:, c]) for c in range(3)]
    after = [calibration_error(truth[:, c], cross_fitted(told, truth)[:, c]) for c in range(3)]
    assert max(after) < 0.03 < min(before)


def test_a_class_that_nobody_has_stays_finite_and_near_the_common_slope() -> None:
    rng = np.random.default_rng(1)
    real = rng.normal(0, 2, (500, 2))
    truth = (rng.random(real.shape) < chances(real)).astype(float)
    truth[:, 1] = 0
    slope, shift = fit(real, truth)
    assert np.isfinite([*slope, *shift]).all()
    assert slope[1] == pytest.approx(slope[0], rel=0.7)


def test_the_head_says_what_was_fitted(ptbxl_like: Path, tmp_path: Path) -> None:
    model = build(TINY).eval()
    samples = load_ptbxl(ptbxl_like, range(1, 11))
    truth = class_targets(samples, model.config.class_names)
    before = {inputs: class_logits(model, samples, inputs) for inputs in ("signal_encoder", "pixels")}
    errors = calibrate(model, samples)
    assert set(errors) == {"signal_encoder", "pixels", "signal"}
    for inputs, logits in before.items():
        slope, shift = fit(logits, truth)
        assert class_logits(model, samples, inputs) == pytest.approx(slope * logits + shift, abs=1e-3)
    votes = model.config.class_votes
    assert votes["ecg"] + votes["vision"] == pytest.approx(1)
    assert model.class_head.votes == votes
    assert set(model.config.class_thresholds) == {"NORM", "MI", "STTC", "CD", "HYP"}


def test_three_inputs_are_calibrated_apart_and_the_signals_two_once_more_together(ptbxl_like: Path) -> None:
    torch.manual_seed(0)
    model = build({**TINY, "measured": {"names": ["qrs_ms", "V1 s_mv", "pr_ms"], "trees": 6, "leaves": 2}}).eval()
    head = model.class_head.heads["measured"]  # each tree has one split, on one of the three values
    places = torch.arange(len(head.feature)) % 3
    head.feature[:, 0], head.threshold[:, 0] = places.short(), torch.tensor([100.0, -0.8, 170.0])[places]
    head.right[:, 0] = -2
    head.value.normal_()
    model.class_head.votes = {"ecg": 0.25, "measured": 0.75, "vision": 0.1}
    samples = [sample for sample in load_ptbxl(ptbxl_like, range(1, 11)) if sample.source == "raw"]
    truth = class_targets(samples, model.config.class_names)
    before = logits_by_inputs(model, samples, ["signal_encoder", "measured", "pixels"])
    assert set(calibrate(model, samples)) == {*before, "signal"}
    after = logits_by_inputs(model, samples, [*before, "signal", "both"])
    calibrated = {}
    for inputs, logits in before.items():
        slope, shift = fit(logits, truth)
        calibrated[inputs] = slope * logits + shift
    assert after["pixels"] == pytest.approx(calibrated["pixels"], abs=1e-3)
    vote = 0.25 * calibrated["signal_encoder"] + 0.75 * calibrated["measured"]
    slope, shift = fit(vote, truth)
    assert after["signal"] == pytest.approx(slope * vote + shift, abs=0.02)
    votes = model.config.class_votes
    assert sum(votes.values()) == pytest.approx(1, abs=2e-3)
    assert votes["measured"] / votes["ecg"] == pytest.approx(3, rel=0.02)
    signal = 0.25 * after["signal_encoder"] + 0.75 * after["measured"]
    assert after["signal"] == pytest.approx(signal, abs=0.02)
    both = (1 - votes["vision"]) * after["signal"] + votes["vision"] * after["pixels"]
    assert after["both"] == pytest.approx(both, abs=0.02)


def test_a_vote_leaves_out_what_is_missing() -> None:
    logits = {"a": np.array([[1.0], [2.0]]), "b": np.array([[3.0], [np.nan]])}
    assert weighted_mean(logits, {"a": 1.0, "b": 3.0}).tolist() == [[2.5], [2.0]]


def test_the_command_writes_a_model_that_loads(
    ptbxl_like: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gem.training.start import save

    save(build(TINY), tmp_path / "tiny")
    main([str(tmp_path / "tiny"), "--data", str(ptbxl_like), "--folds", "8", "--out", str(tmp_path / "out"), "--half"])
    assert "expected calibration error" in capsys.readouterr().out
    again = gem.load(tmp_path / "out")
    assert again.config.class_thresholds["NORM"] > 0
