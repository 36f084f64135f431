"""Calibration: overconfidence is removed, rare classes stay near the others, and the model gives the fitted numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gem
from gem.data.ptbxl import load_ptbxl
from gem.data.samples import Sample
from gem.errors import GemInputError
from gem.evaluation.classification import class_logits, class_targets, logits_by_inputs
from gem.metrics.multilabel import calibration_error
from gem.training.calibration import calibrate, cross_fitted, fit, main, models_apart
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


@pytest.fixture
def voting() -> Any:
    """A tiny model whose signal encoder and measured values vote, beside the picture."""
    torch.manual_seed(0)
    model = build({**TINY, "measured": {"names": ["qrs_ms", "V1 s_mv", "pr_ms"], "trees": 6, "leaves": 2}}).eval()
    head = model.class_head.heads["measured"]  # each tree has one split, on one of the three values
    places = torch.arange(len(head.feature)) % 3
    head.feature[:, 0], head.threshold[:, 0] = places.short(), torch.tensor([100.0, -0.8, 170.0])[places]
    head.right[:, 0] = -2
    head.value.normal_()
    model.class_head.votes = {"ecg": 0.25, "measured": 0.75, "vision": 0.1}
    return model


def raw(root: Path, folds: Iterable[int]) -> list[Sample]:
    return [sample for sample in load_ptbxl(root, folds) if sample.source == "raw"]


def test_the_signals_two_inputs_are_calibrated_together(voting: Any, ptbxl_like: Path) -> None:
    samples = raw(ptbxl_like, range(1, 11))
    truth = class_targets(samples, voting.config.class_names)
    before = logits_by_inputs(voting, samples, ["signal_encoder", "measured", "pixels"])
    assert set(calibrate(voting, samples)) == {*before, "signal"}
    after = logits_by_inputs(voting, samples, [*before, "signal", "both"])
    slope, shift = fit(before["pixels"], truth)
    assert after["pixels"] == pytest.approx(slope * before["pixels"] + shift, abs=1e-3)
    stacked = np.stack([before["signal_encoder"], before["measured"]])
    slopes, shift = fit(stacked, truth)
    assert after["signal"] == pytest.approx((slopes[:, None] * stacked).sum(0) + shift, abs=0.02)
    votes = voting.config.class_votes
    assert sum(votes.values()) == pytest.approx(1, abs=2e-3)
    assert votes["measured"] / votes["ecg"] == pytest.approx(3, rel=0.02)
    both = (1 - votes["vision"]) * after["signal"] + votes["vision"] * after["pixels"]
    assert after["both"] == pytest.approx(both, abs=0.02)


def test_a_slope_for_each_of_two_inputs_is_found() -> None:
    rng = np.random.default_rng(2)
    told = rng.normal(0, 1.5, (2, 6000, 2))
    truth = (rng.random(told[0].shape) < chances(1.2 * told[0] + 0.4 * told[1] - 1)).astype(float)
    slopes, shift = fit(told, truth)
    assert slopes == pytest.approx(np.array([[1.2, 1.2], [0.4, 0.4]]), abs=0.12)
    assert shift == pytest.approx([-1, -1], abs=0.12)
    assert calibration_error(truth[:, 0], cross_fitted(told, truth)[:, 0]) < 0.03


def test_answers_of_models_that_never_saw_the_records_calibrate_another(
    voting: Any, nine_folds: Path, tmp_path: Path
) -> None:
    """The slopes are those that fit the models apart, though the model itself is twice as sure."""
    from gem.training.start import save

    halves = copy.deepcopy(voting)
    for name in ("ecg", "measured"):
        halves.class_head.rescale(name, torch.full((49,), 0.5), torch.zeros(49))
    save(halves, tmp_path / "apart" / "1-2-3-4-5-6-7-8")
    samples, pages = raw(nine_folds, range(1, 9)), raw(nine_folds, [9])
    asked = logits_by_inputs(halves, samples, ["signal_encoder", "measured"])
    slopes, _ = fit(np.stack(list(asked.values())), class_targets(samples, voting.config.class_names))
    before = [voting.class_head.by_class("ecg")[0].clone(), voting.class_head.heads["measured"].slope.clone()]
    calibrate(voting, samples, models_apart(tmp_path / "apart"), pages)
    ratio = (voting.class_head.by_class("ecg")[0] / before[0]).detach().double().numpy()
    assert ratio == pytest.approx(np.broadcast_to(slopes[0][:, None] / 0.25, ratio.shape), rel=1e-3)
    assert voting.class_head.heads["measured"].slope.numpy() == pytest.approx(slopes[1] / 0.75, rel=1e-3)

    with pytest.raises(GemInputError, match="apart from fold 9"):
        calibrate(voting, pages, models_apart(tmp_path / "apart"))
    halves.config.class_names = [*halves.config.class_names[1:], "OTHER"]
    with pytest.raises(GemInputError, match="fold 1 has other classes"):
        calibrate(voting, samples, {1: halves})
    with pytest.raises(GemInputError, match="no models"):
        models_apart(tmp_path / "nothing")


def test_the_command_writes_a_model_that_loads(
    ptbxl_like: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gem.training.start import save

    save(build(TINY), tmp_path / "tiny")
    main([str(tmp_path / "tiny"), "--data", str(ptbxl_like), "--folds", "8", "--out", str(tmp_path / "out"), "--half"])
    assert "expected calibration error" in capsys.readouterr().out
    again = gem.load(tmp_path / "out")
    assert again.config.class_thresholds["NORM"] > 0
