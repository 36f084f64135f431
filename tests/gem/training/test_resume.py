"""Chains of resumed runs, interrupted anywhere and repeatedly, end with the weights of an uninterrupted run."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import Dataset

from gem import GemConfigError
from gem.data.batches import GlobalBatches, ResumableData, ResumableLoader
from gem.data.ptbxl_batches import PtbxlData
from gem.data.resume import next_batch, set_progress
from gem.training.classification import Classification
from gem.training.explanation import ExplanationTuning
from gem.training.start import save, start
from gem.training.tuning import SeededSteps

from . import tiny
from .test_training import TINY

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,
}


class Rows(Dataset[dict[str, Tensor]]):
    """Numbers, asked for as ``GlobalBatches`` asks."""

    def __init__(self, count: int) -> None:
        self.x = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: list[int]) -> dict[str, Tensor]:
        return {"x": self.x[index], "rows": torch.tensor(index)}


class Numbers(ResumableData):
    def __init__(self, count: int, batch: int, validates: bool, workers: int) -> None:
        super().__init__()
        self.count, self.batch, self.validates, self.workers = count, batch, validates, workers

    def train_dataloader(self) -> ResumableLoader:
        return self.resumable_loader(
            ResumableLoader(Rows(self.count), GlobalBatches(self.count, self.batch), self.workers)
        )

    def val_dataloader(self) -> Any:
        return ResumableLoader(Rows(3), GlobalBatches(3, 2, shuffle=False)) if self.validates else []


class Line(SeededSteps):
    """A line behind dropout: its weights tell every batch, every random number and their order."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.seed, self.line, self.dropout, self.batches = 0, nn.Linear(4, 1), nn.Dropout(0.5), list[Any]()

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        self.batches.append((self.current_epoch, index, batch["rows"].tolist()))
        return (self.line(self.dropout(batch["x"])) - 1).square().mean()

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.log("noise", torch.rand(()))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.01, momentum=0.9)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 1000)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Cut(lightning.Callback):
    """Ends a run as a kill does: nothing is left of it but its checkpoints."""

    def __init__(self, where: str, nth: int) -> None:
        self.left = nth
        setattr(self, where, self.hit)

    def hit(self, *_: Any) -> None:
        self.left -= 1
        if not self.left:
            raise InterruptedError


HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_train_batch_end",
    "on_validation_start",
    "on_validation_end",
    "on_train_epoch_start",
    "on_train_epoch_end",
)
SAVES: tuple[dict[str, Any], ...] = (
    {"every_n_train_steps": 1},
    {"every_n_train_steps": 2},
    {"every_n_epochs": 1},
    {"every_n_epochs": 1, "save_on_train_epoch_end": True},
    {"every_n_train_steps": 1, "save_on_train_epoch_end": True},
    {"every_n_train_steps": 2, "save_on_exception": True},
)


def fit(
    folder: Path, setup: dict[str, Any], resume: Path | None, cut: Cut | None = None, steps: int = -1
) -> Line | None:
    """The module when the run came to its end; None where it was cut off."""
    module = Line()
    saves = ModelCheckpoint(folder, save_last=True, save_top_k=1, **setup["saves"])
    trainer = lightning.Trainer(
        **QUIET,
        **setup["trainer"],
        max_steps=steps,
        max_epochs=setup["epochs"],
        callbacks=[*([cut] if cut else []), saves],
    )
    try:
        trainer.fit(module, Numbers(**setup["data"]), ckpt_path=resume, weights_only=False)
    except InterruptedError:
        return None
    return module


def setup_of(pick: random.Random) -> tuple[dict[str, Any], int]:
    """How a run is set up, and its last step (-1: its last epoch is given)."""
    batch, per_epoch, validates = pick.choice([1, 2]), pick.choice([1, 2, 3, 4]), pick.random() < 0.5
    trainer: dict[str, Any] = {"accumulate_grad_batches": pick.choice([1, 1, 1, 2, 3])}
    if validates:
        trainer |= pick.choice([{}, {"check_val_every_n_epoch": 2}, {"val_check_interval": 1}])
    if per_epoch > 2 and pick.random() < 0.2:
        trainer["limit_train_batches"] = 2
    data = {
        "count": batch * per_epoch + pick.choice([0, batch - 1]),
        "batch": batch,
        "validates": validates,
        "workers": 0,
    }
    steps = pick.choice([-1, 7, 10, 13])
    return {"trainer": trainer, "data": data, "saves": pick.choice(SAVES), "epochs": 5 if steps < 0 else -1}, steps


@pytest.mark.parametrize("seed", range(16))
def test_any_chain_ends_where_the_unbroken_run_does(seed: int, tmp_path: Path) -> None:
    pick = random.Random(seed)
    setup, steps = setup_of(pick)
    straight = fit(tmp_path / "straight", setup, None, steps=steps)
    assert straight is not None
    chain = tmp_path / "chain"
    for _ in range(5):
        stop = pick.randint(1, steps) if steps > 0 and pick.random() < 0.2 else 0
        cut = None if stop else Cut(pick.choice(HOOKS), pick.randint(1, 4))
        last = chain / "last.ckpt"
        fit(chain, setup, last if last.exists() else None, cut, stop or steps)
    last = chain / "last.ckpt"
    end = fit(chain, setup, last if last.exists() else None, steps=steps)
    assert end is not None
    assert end.global_step == straight.global_step
    assert end.batches == straight.batches[len(straight.batches) - len(end.batches) :]
    assert all(torch.equal(value, straight.state_dict()[name]) for name, value in end.state_dict().items())


def test_a_chain_with_worker_processes(tmp_path: Path) -> None:
    setup = {
        "trainer": {},
        "data": {"count": 6, "batch": 2, "validates": False, "workers": 2},
        "saves": SAVES[0],
        "epochs": -1,
    }
    straight = fit(tmp_path / "straight", setup, None, steps=10)
    for stop in (3, 5, 6, 9):
        last = tmp_path / "chain" / "last.ckpt"
        fit(tmp_path / "chain", setup, last if last.exists() else None, steps=stop)
    end = fit(tmp_path / "chain", setup, tmp_path / "chain" / "last.ckpt", steps=10)
    assert straight is not None
    assert end is not None
    assert all(torch.equal(value, straight.state_dict()[name]) for name, value in end.state_dict().items())


WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "LoRA, packed, two workers": {
        "lora": True,
        "module": {"pack_length": 200, "train": ("ecg_projector",)},
        "source": {"workers": 2},
    },
    "LoRA, cached, accumulated": {"lora": True, "accumulate_grad_batches": 2, "batch": 2},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_instruction_tuning_in_chains(way: str, data: Path, tmp_path: Path) -> None:
    """Two batches an epoch: 4, 6, 8 are the ends of epochs, 5 and 7 are not."""
    options = dict(WAYS[way])
    if "cached" in way:
        options["module"] = {"feature_cache": str(tmp_path / "features"), "train": ("ecg_projector", "language_model")}
    chains = [[4, 8, 16], [4, 6, 16], [2, 4, 6, 16]] if way == "whole" else [[3, 4, 6, 8, 16]]
    straight, losses = tiny.run(data, tmp_path / "straight", 16, **options)
    wanted = straight.model.state_dict()
    for number, chain in enumerate(chains):
        seen: list[float] = []
        for stop in chain:
            last = tmp_path / str(number) / "checkpoints" / "last.ckpt"
            module, more = tiny.run(
                data, tmp_path / str(number), stop, resume=str(last) if last.exists() else None, **options
            )
            seen += more
        assert seen == losses, chain
        assert all(torch.equal(value, wanted[name]) for name, value in module.model.state_dict().items()), chain


@pytest.fixture(scope="module")
def ptbxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_ptbxl(tmp_path_factory.mktemp("ptbxl"), raw=14, filtered=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["signal", "picture", "explanation"])
def test_gem_nanos_modules_in_chains(kind: str, ptbxl: Path, tmp_path: Path) -> None:
    """Cached views, teacher probabilities and pages are recomputed in a resumed run, equal to the last bit."""
    encoder = {"name": "ecg_beats", "kwargs": {"widths": [8], "depth": 1, "beat_width": 4, "beat_hidden": 8}}
    model = {**TINY, "ecg_encoder": encoder}
    torch.manual_seed(3)
    save(start(model=model), tmp_path / "teacher")

    def run(name: str, stop: int, resume: Path | None = None) -> dict[str, Tensor]:
        lightning.seed_everything(0, verbose=False)
        output = str(tmp_path / name / "model")
        module: lightning.LightningModule
        if kind == "explanation":
            module = ExplanationTuning(model=model, output=output, feature_cache=str(tmp_path / name / "features"))
        elif kind == "picture":
            module = Classification(model=model, output=output, inputs="picture", teacher=str(tmp_path / "teacher"))
        else:
            module = Classification(model=model, output=output, learning_rate=0.01)
        kept = [
            ModelCheckpoint(tmp_path / name, save_last=True, every_n_train_steps=1),
            EMAWeightAveraging(decay=0.5, update_starting_at_step=1),
        ]
        trainer = lightning.Trainer(
            **QUIET, max_epochs=4, limit_val_batches=1, callbacks=[*kept, Cut("on_train_batch_start", stop)]
        )
        source = PtbxlData(
            str(ptbxl),
            cache=str(tmp_path / "cache"),
            batch_size=4,
            measured=kind == "signal",
            picture=kind != "signal",
        )
        try:
            trainer.fit(module, datamodule=source, ckpt_path=resume, weights_only=False)
        except InterruptedError:
            assert trainer.global_step < 12
        return module.state_dict()

    whole = run("whole", -1)
    last = tmp_path / "cut" / "last.ckpt"
    for stop in (4, 4, 3):  # behind 3 (an epoch), 6 (another), 8
        run("cut", stop, last if last.exists() else None)
    resumed = run("cut", -1, last)
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


def test_a_step_that_is_not_complete_begins_again() -> None:
    assert next_batch(0, 3, 4, 2) == {"epoch": 0, "batch": 2}
    assert next_batch(0, 4, 4, 3) == {"epoch": 1, "batch": 0}
    assert next_batch(5, 0, 4, 1) == {"epoch": 5, "batch": 0}


def test_a_checkpoint_without_a_place_is_refused() -> None:
    with pytest.raises(GemConfigError, match="which batch comes next"):
        set_progress({"loops": {}}, {})
