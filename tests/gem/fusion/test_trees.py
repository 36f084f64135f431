"""The trees of the classification head against LightGBM's own, and what they do with missing values."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
import torch

from gem.fusion.trees import TreesHead


def grown(seed: int = 0) -> tuple[list[Any], np.ndarray[Any, Any]]:
    """LightGBM's models of two labels, and rows of values with gaps; the last value is never missing in training."""
    random = np.random.default_rng(seed)
    rows = random.normal(100, 30, (600, 5)).round(1)
    rows[:, :4][random.random((600, 4)) < 0.2] = np.nan
    labels = [np.nansum(rows[:, :2], 1) > 190, np.isnan(rows[:, 3]) | (rows[:, 4] > 130)]
    settings = {"objective": "binary", "num_leaves": 6, "verbose": -1, "min_data_in_leaf": 5, "num_threads": 1}
    models = [lightgbm.train(settings, lightgbm.Dataset(rows, label.astype(float)), 30) for label in labels]
    return models, rows


def test_the_logits_are_lightgbms() -> None:
    models, rows = grown()
    head = TreesHead(2, trees=30, leaves=6)
    for place, model in enumerate(models):
        head.set_trees(place, model.dump_model()["tree_info"])
    other = np.random.default_rng(1).normal(100, 60, (400, 5)).round(1)
    other[np.random.default_rng(2).random(other.shape) < 0.3] = np.nan
    for values in (rows, other, np.full((1, 5), np.nan), np.full((1, 5), 1e5)):
        wanted = np.stack([model.predict(values, raw_score=True) for model in models], 1)
        got = head(torch.from_numpy(values).float())
        np.testing.assert_allclose(got.numpy(), wanted, atol=1e-4)
    # stored in half precision a value near a threshold may change sides
    half = head.half()(torch.from_numpy(rows).float()).numpy()
    wanted = np.stack([model.predict(rows, raw_score=True) for model in models], 1)
    assert np.mean(np.abs(half - wanted) < 0.02) > 0.95


def test_a_new_head_says_nothing_and_one_class_is_stretched_alone() -> None:
    models, rows = grown()
    values = torch.from_numpy(rows[:20]).float()
    head = TreesHead(2, trees=30, leaves=6)
    assert head(values).abs().max() == 0
    head.set_trees(1, models[1].dump_model()["tree_info"])
    before = head(values)
    assert before[:, 0].abs().max() == 0
    assert before[:, 1].std() > 0.1
    slope, shift = torch.tensor([1.0, 0.5]), torch.tensor([3.0, -1.0])
    head.rescale(slope, shift)
    head.rescale(slope, shift)
    torch.testing.assert_close(head(values), (before * slope + shift) * slope + shift)


def test_classes_change_places_with_all_that_is_theirs() -> None:
    models, rows = grown()
    values = torch.from_numpy(rows[:20]).float()
    head, turned = TreesHead(2, trees=30, leaves=6), TreesHead(2, trees=30, leaves=6)
    for place, model in enumerate(models):
        head.set_trees(place, model.dump_model()["tree_info"])
    head.rescale(torch.tensor([1.0, 0.5]), torch.tensor([3.0, -1.0]))
    for source, target in zip(head.by_class(), turned.by_class(), strict=True):
        target.copy_(source.flip(0))
    torch.testing.assert_close(turned(values), head(values).flip(1))


def test_what_does_not_fit_is_refused() -> None:
    models, _ = grown()
    trees = models[0].dump_model()["tree_info"]
    with pytest.raises(ValueError, match="more than 29"):
        TreesHead(2, trees=29, leaves=6).set_trees(0, trees)
    with pytest.raises(ValueError, match="leaves"):
        TreesHead(2, trees=30, leaves=3).set_trees(0, trees)
