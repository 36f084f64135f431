"""Self-supervised pre-training: the loss falls below chance, only the encoder is trained, and others start from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

import gem
from gem.data.conversations import EcgData
from gem.errors import GemConfigError
from gem.training.classification import Classification
from gem.training.pretraining import SelfSupervised, keep_leads

from . import tiny


def test_a_view_keeps_some_leads() -> None:
    torch.manual_seed(0)
    kept = keep_leads(torch.randn(6, 12, 500), 0.5)
    assert kept.sum(1).flatten().tolist() == [6] * 6
    assert len({tuple(row.flatten().tolist()) for row in kept}) > 1
    assert keep_leads(torch.randn(1, 12, 500), 0.0).sum() == 1


def test_each_network_of_an_encoder_has_to_tell_the_records_apart() -> None:
    torch.manual_seed(0)
    kwargs = {
        "n_samples": 500,
        "widths": [8],
        "depth": 1,
        "kernels": [3, 5],
        "beat_width": 4,
        "beat_hidden": 8,
        "fs_hz": 50.0,
    }
    encoder = {"name": "ecg_beats", "kwargs": kwargs}
    learner = SelfSupervised(model={**tiny.MODELS["pretrain_signal"], "ecg_encoder": encoder})
    embedded = learner.embed(torch.randn(3, 12, 500))
    assert [tuple(both.shape) for both in embedded] == [
        (6, 128)
    ] * 4  # rhythm and beat, two of each; two views of three records
    assert all(not torch.equal(*both.chunk(2)) for both in embedded)
    for which, network in enumerate(learner.model.ecg_encoder.beats):
        learner.zero_grad()
        embedded[2 * which + 1].square().mean().add(embedded[2 * which + 1][0, 0]).backward(retain_graph=True)
        assert all(parameter.grad is not None for parameter in network.parameters())
        assert all(parameter.grad is None for parameter in learner.model.ecg_encoder.rhythms.parameters())


def test_records_are_told_apart_and_others_go_on(tmp_path: Path) -> None:
    root = tiny.write_ptbxl(tmp_path / "data", raw=6, filtered=6)
    lightning.seed_everything(0, verbose=False)
    learner = SelfSupervised(
        model=tiny.MODELS["pretrain_signal"],
        strength=0.3,
        learning_rate=1e-2,
        output=str(tmp_path / "model"),
        embed_dim=16,
    )
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    data = EcgData(
        str(root),
        "recordings",
        task="signals",
        train_folds=[1, 2, 3, 4, 5, 6, 7],
        val_folds=[8],
        batch_size=10,
        cache=str(tmp_path / "cache"),
    )
    losses: list[float] = []

    class Losses(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            losses.append(float(trainer.callback_metrics["loss"]))

    trainer = lightning.Trainer(
        max_epochs=60,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        callbacks=[Losses()],
    )
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
