"""Longer runs that go on from shorter ones, weights of files in 16 bits, and losses that are no numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

import gem
from gem.data.ptbxl_batches import PtbxlData
from gem.errors import GemConfigError, GemInputError
from gem.training.classification import Classification
from gem.training.start import save, start
from gem.training.tuning import HALF
from tests.gem.training import tiny
from tests.gem.training.test_training import TINY

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Rates(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_longer_run_goes_on_learning(schedule: str, data: Path, tmp_path: Path) -> None:
    options = {"module": {"schedule": schedule}}
    tiny.run(data, tmp_path, 2, **options)
    rates = Rates()
    tiny.run(data, tmp_path, 6, resume=str(tmp_path / "checkpoints" / "last.ckpt"), callbacks=[rates], **options)
    # the first step has the rate at which the shorter run ended
    assert len(rates.seen) == 4
    assert min(rates.seen[1:]) > 0
    assert rates.seen[1:] == sorted(rates.seen[1:], reverse=True)


def test_a_longer_one_cycle_goes_on(ptbxl_like: Path, tmp_path: Path) -> None:
    for epochs, resumed in ((1, None), (3, str(tmp_path / "last.ckpt"))):
        rates = Rates()
        module = Classification(model=TINY, output=str(tmp_path / "out"), strength=0.0)
        source = PtbxlData(str(ptbxl_like), cache=str(tmp_path / "cache"), batch_size=4, val_folds=(8,))
        trainer = lightning.Trainer(
            **QUIET, max_epochs=epochs, callbacks=[rates, ModelCheckpoint(tmp_path, save_last=True)]
        )
        trainer.fit(module, datamodule=source, ckpt_path=resumed, weights_only=False)
    assert len(rates.seen) >= 2
    assert min(rates.seen[1:]) > 0


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("way", ["whole", "LoRA"])
def test_files_in_16_bits_are_trained_in_32(way: str, precision: Any, data: Path, tmp_path: Path) -> None:
    """Steps too small for bfloat16 change the weights."""
    torch.manual_seed(0)
    text = start(model={**tiny.SIGNAL, "text_config": {**tiny.TEXT, "attention_dropout": 0.0}})
    text.language_model.to(torch.bfloat16).save_pretrained(tmp_path / "text")
    text.processor.tokenizer.save_pretrained(tmp_path / "text")
    lora = way == "LoRA"
    model = {name: value for name, value in tiny.SIGNAL.items() if name != "text_config"}
    learner, _ = tiny.run(
        data,
        tmp_path,
        2,
        lora=lora,
        precision=precision,
        module={
            "model": model,
            "parts": {"text": str(tmp_path / "text")},
            "learning_rate": 1e-5,
            "train": ["ecg_projector"] if lora else ["language_model"],
        },
    )
    trained = [one for one in learner.model.parameters() if one.requires_grad]
    assert all(one.dtype == torch.float32 for one in trained)
    kept = [one for one in learner.model.language_model.parameters() if one.dtype in HALF]
    assert bool(kept) is (lora and precision == "bf16-mixed")
    if not lora:
        before = text.language_model.float().state_dict()
        after = gem.load(tmp_path / "model").language_model.state_dict()
        layer = "model.layers.0.mlp.up_proj.weight"
        assert (after[layer] != before[layer]).float().mean() > 0.9


def test_a_loss_that_is_no_number_ends_the_run(data: Path, tmp_path: Path) -> None:
    class Spoiled(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
            with torch.no_grad():
                module.model.language_model.get_output_embeddings().weight.fill_(float("nan"))

    with pytest.raises(GemConfigError, match="loss is nan at step 0"):
        tiny.run(data, tmp_path, 3, callbacks=[Spoiled()])
    assert not (tmp_path / "model").exists()


def test_the_same_batch_is_overfitted(data: Path, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Ids(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, *_: Any) -> None:
            seen.append(batch["ids"])

    tiny.run(data, tmp_path, 3, callbacks=[Ids()], overfit_batches=1)
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]


def test_a_run_without_end_needs_a_length(ptbxl_like: Path, tmp_path: Path) -> None:
    module = Classification(model=TINY, output=str(tmp_path / "out"))
    source = PtbxlData(str(ptbxl_like), cache=str(tmp_path / "cache"), batch_size=4, val_folds=(8,))
    trainer = lightning.Trainer(**QUIET, max_epochs=-1, max_time="00:00:00:02", enable_checkpointing=False)
    with pytest.raises(GemConfigError, match="max_epochs or max_steps"):
        trainer.fit(module, datamodule=source)


def test_what_a_batch_of_ones_own_lacks_is_named(tmp_path: Path) -> None:
    rows = [{"ecg": torch.randn(12, 500), "label": torch.ones(2)} for _ in range(2)]
    module = Classification(model={**TINY, "class_names": ["a", "b"]}, output=str(tmp_path / "out"))
    trainer = lightning.Trainer(**QUIET, max_epochs=1, enable_checkpointing=False)
    with pytest.raises(GemInputError, match=r"without classes \(it has ecg, label\)"):
        trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=2))


def test_the_runs_seed_is_that_of_seed_everything(ptbxl_like: Path, tmp_path: Path) -> None:
    """Also of a fine-tuning, whose first weights are given; the same seed gives the same weights."""
    lightning.seed_everything(0)
    save(start(model=TINY), tmp_path / "start")

    def weights(seed: int) -> torch.Tensor:
        lightning.seed_everything(seed)
        module = Classification(init=str(tmp_path / "start"), output=str(tmp_path / "out"))
        source = PtbxlData(str(ptbxl_like), cache=str(tmp_path / "cache"), batch_size=4, val_folds=(8,))
        trainer = lightning.Trainer(**QUIET, max_epochs=1, enable_checkpointing=False)
        trainer.fit(module, datamodule=source)
        return torch.cat([part.flatten() for part in module.model.ecg_encoder.parameters()]).detach()

    first, second, again = weights(0), weights(1), weights(0)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert Classification(init=str(tmp_path / "start"), seed=5).seed == 5
    lightning.seed_everything(0)


def test_what_a_model_lacks_is_named(ptbxl_like: Path, tmp_path: Path) -> None:
    alone = {**TINY, "vision_encoder": None}
    with pytest.raises(GemConfigError, match="no encoder for the picture"):
        Classification(model=alone, inputs="picture")
    with pytest.raises(GemConfigError, match="no class_names"):
        Classification(model={**alone, "class_names": []})
    module = Classification(model=alone, output=str(tmp_path / "out"))
    source = PtbxlData(str(ptbxl_like), cache=str(tmp_path / "cache"), batch_size=4, val_folds=(8,))
    trainer = lightning.Trainer(**QUIET, max_epochs=1, enable_checkpointing=False, precision="bf16-true")
    trainer.fit(module, datamodule=source)
    assert (tmp_path / "out" / "config.json").is_file()
