"""Self-supervised pre-training: the loss falls below chance, nothing but the encoder learns, and others go on from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

import gem
from gem.errors import GemConfigError
from gem.training.classification import Classification
from gem.training.data_text import EcgData
from gem.training.pretraining import SelfSupervised, view

from . import tiny


def test_a_view_keeps_some_leads() -> None:
    torch.manual_seed(0)
    ecg = torch.randn(6, 12, 500)
    changed = view(ecg, 0.0, 0.5)
    kept = changed.abs().sum(-1) > 0
    assert kept.sum(1).tolist() == [6] * 6
    assert len({tuple(row.tolist()) for row in kept}) > 1
    assert torch.equal(changed[kept], ecg[kept])


def test_records_are_told_apart_and_others_go_on(tmp_path: Path) -> None:
    root = tiny.write_ptbxl(tmp_path / "data", raw=6, filtered=6)
    lightning.seed_everything(0, verbose=False)
    learner = SelfSupervised(
        model=tiny.MODELS["pretrain_signal"], strength=0.3, learning_rate=1e-2, output=str(tmp_path / "model"), embed_dim=16,
    )  # fmt: skip
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    data = EcgData(
        str(root), "recordings", task="signals", train_folds=[1, 2, 3, 4, 5, 6, 7], val_folds=[8], batch_size=10,
        cache=str(tmp_path / "cache"),
    )  # fmt: skip
    losses: list[float] = []

    class Losses(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            losses.append(float(trainer.callback_metrics["loss"]))

    trainer = lightning.Trainer(
        max_epochs=60, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, num_sanity_val_steps=0, callbacks=[Losses()],
    )  # fmt: skip
    trainer.fit(learner, data)
    assert sum(losses[-5:]) / 5 < 0.8 * math.log(10)  # chance is log(10)
    assert "val_loss" in trainer.callback_metrics
    loaded = gem.load(tmp_path / "model")
    moved = {name.split(".")[0] for name, value in loaded.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"ecg_encoder"}
    further = Classification(init=str(tmp_path / "model"), inputs="signal")
    assert torch.equal(further.model.ecg_encoder.stem[0].weight, learner.model.ecg_encoder.stem[0].weight)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(GemConfigError, match="no feature_cache"):
        SelfSupervised(model=tiny.MODELS["pretrain_signal"], feature_cache="x")
