"""Every step of every module makes its tensors where the batch is: run on a device that does not mix with the CPU."""

from __future__ import annotations

import importlib
import math
import pkgutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
import torch
import yaml
from torch import Tensor

import gem.training
from gem.cli.train import CONFIGS
from gem.data.augmentation import augment, augment_beats, augment_pictures, augment_traces, mix
from gem.data.conversations import EcgData
from gem.data.ptbxl_batches import NAMES
from gem.data.readings import Reading
from gem.training.answers import AnswerTuning
from gem.training.classification import Classification
from gem.training.contrastive import Contrastive, baseline_wander, zero_gaps
from gem.training.instruction import Instruction
from gem.training.language import LanguageTuning
from gem.training.pretraining import SelfSupervised, keep_leads
from gem.training.probe import Probe
from gem.training.reports import Reports, segment_noise
from gem.training.start import save, start
from gem.training.tuning import SeededSteps

from . import elsewhere, tiny
from .test_language import write_decoder
from .test_training import TINY

BEATS = {
    "name": "ecg_beats",
    "kwargs": {"n_samples": 500, "widths": [8], "depth": 1, "beat_width": 4, "beat_hidden": 8, "fs_hz": 50},
}
TRACES = {"name": "paper_traces", "kwargs": {"img_size": [200, 256], "samples": 64, "widths": [8], "depth": 1}}


def ptbxl_batch(module: Any, measured: bool = False) -> dict[str, Any]:
    """What ``PtbxlData`` gives, of noise."""
    torch.manual_seed(1)
    config = module.model.config
    batch: dict[str, Any] = {"ecg": torch.randn(3, 12, config.signal["n_samples"]), "index": [4, 0, 2]}
    if config.vision_encoder is not None:
        batch["pixel_values"] = torch.rand(3, 3, *module.model.vision_encoder.image_size)
    if measured:
        batch["measured"] = torch.randn(3, len(NAMES)).masked_fill(torch.rand(3, len(NAMES)) < 0.5, float("nan"))
    return {**batch, "classes": (torch.rand(3, len(config.class_names)) < 0.3).float()}


def reading_batch(module: Any) -> dict[str, Any]:
    """What ``ReadingData`` gives, of noise."""
    torch.manual_seed(1)
    tokens = {name: torch.randn(3, 4, getattr(module.model, f"{name}_encoder").width) for name in ("ecg", "vision")}
    return {"tokens": tokens, "readings": [Reading("1", {"SR": 0.0, "NORM": 100.0}, ())] * 3, "index": [0, 1, 2]}


def text_batch(module: Any, data: Path, **options: Any) -> dict[str, Any]:
    """What ``EcgData`` gives, of the tiny instruction set."""
    source = EcgData(str(data), val_share=0.0, max_length=512, classes=["NORM", "MI"], **options)
    source.trainer = SimpleNamespace(lightning_module=module)
    source.setup()
    assert source.train is not None
    return source.train[[0, 1, 2]]


def cases(data: Path, folder: Path) -> dict[str, tuple[Any, Any]]:
    """Name -> (module, batch maker): every module, and every way through a step of one that has several."""
    lora = {"r": 2, "dropout": 0.1}
    chat = partial(text_batch, data=data)
    teacher = folder / "teacher"
    nano = partial(Classification, output=str(folder))
    return {
        "Classification": (partial(nano, model=TINY), ptbxl_batch),
        "Classification beats": (
            partial(nano, model={**TINY, "ecg_encoder": BEATS}),
            partial(ptbxl_batch, measured=True),
        ),
        "Classification picture": (partial(nano, model=TINY, inputs="picture"), ptbxl_batch),
        "Classification traces": (
            partial(
                nano,
                model={**TINY, "ecg_encoder": BEATS, "vision_encoder": TRACES},
                inputs="picture",
                teacher=str(teacher),
            ),
            ptbxl_batch,
        ),
        "ExplanationTuning": (
            partial(gem.training.explanation.ExplanationTuning, model={**TINY, "ecg_encoder": BEATS}),
            ptbxl_batch,
        ),
        "ExplanationTuning cached": (
            partial(gem.training.explanation.ExplanationTuning, model=TINY, feature_cache=str(folder / "cache")),
            ptbxl_batch,
        ),
        "AnswerTuning": (
            partial(AnswerTuning, init=None, model={**TINY, "ecg_encoder": BEATS}, recordings=0),
            ptbxl_batch,
        ),
        "Contrastive": (partial(Contrastive, model=tiny.COCA, wander=1.0, gaps=1.0), partial(chat, task="caption")),
        "SelfSupervised": (
            partial(SelfSupervised, model=tiny.MODELS["pretrain_signal"]),
            partial(chat, task="signals"),
        ),
        "SelfSupervised beats": (
            partial(SelfSupervised, model={**tiny.MODELS["pretrain_signal"], "ecg_encoder": BEATS}),
            partial(chat, task="signals"),
        ),
        "Probe": (partial(Probe, classes=["NORM", "MI"], model=tiny.MODELS["probe"]), partial(chat, task="classes")),
        "Alignment": (
            partial(gem.training.alignment.Alignment, model=tiny.MODELS["gem"]),
            partial(chat, picture="read"),
        ),
        "Instruction": (partial(Instruction, model=tiny.MODELS["gem"], strength=1.0), partial(chat, picture="read")),
        "Instruction packed, LoRA": (
            partial(Instruction, model=tiny.SIGNAL, train=("ecg_projector",), lora=lora, pack_length=300),
            chat,
        ),
        "Instruction tiled": (
            partial(Instruction, model=tiny.MODELS["pulse"], train=("vision_projector", "language_model")),
            partial(chat, picture="read", signal=False),
        ),
        "LanguageTuning": (
            partial(LanguageTuning, decoder=str(folder / "decoder"), encoders=str(folder / "teacher")),
            reading_batch,
        ),
        "Reports": (partial(Reports, model=tiny.MODELS["meit"], lora=lora, noise=0.2), chat),
    }


def modules() -> set[str]:
    """All Lightning modules of the room that have a training step."""
    for found in pkgutil.iter_modules(gem.training.__path__):
        importlib.import_module(f"gem.training.{found.name}")
    classes, todo = set[str](), [SeededSteps]
    while todo:
        todo += (below := todo.pop().__subclasses__())
        classes |= {
            one.__name__ for one in below if one.__module__.startswith("gem.training") and one.__name__ != "Tuning"
        }
    return classes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made")
    save(start(model={**TINY, "ecg_encoder": BEATS}), made / "teacher")
    write_decoder(made / "decoder")
    return made


modules()
NAMES_OF_CASES = list(cases(Path(), Path()))


def test_no_module_is_missing_here() -> None:
    recipes = [yaml.safe_load(path.read_text())["model"]["class_path"] for path in CONFIGS.glob("*.yaml")]
    assert {name.split()[0] for name in NAMES_OF_CASES} == modules() >= {path.rpartition(".")[2] for path in recipes}


@pytest.mark.parametrize("name", NAMES_OF_CASES)
def test_every_step_stays_where_the_batch_is(
    name: str, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, batch_of = cases(data, folder)[name]
    torch.manual_seed(0)
    module = make()
    module.trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    logged: dict[str, Tensor] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
    batch = batch_of(module)
    elsewhere.move_module(module)
    for teacher in getattr(module, "teachers", ()):
        monkeypatch.setattr(teacher, "to", lambda device, one=teacher: elsewhere.move_module(one) or one)
    with elsewhere.other_device():
        batch = elsewhere.move(batch)
        module.on_train_epoch_start()
        loss = module.training_step(batch, 0)
        assert loss.device == elsewhere.DEVICE
        loss.backward()
        assert all(x.grad.device == elsewhere.DEVICE for x in module.parameters() if x.grad is not None)
        assert any(x.grad is not None for x in module.parameters())
        module.eval()
        with torch.no_grad():
            module.validation_step(batch, 0)
    assert math.isfinite(float(logged["loss"]))


def test_changes_are_drawn_where_the_batch_is() -> None:
    """On ``meta`` nothing can be asked from the host: what waits for it raises."""
    ecg, pixels = torch.empty(4, 12, 500, device="meta"), torch.empty(4, 3, 32, 40, device="meta")
    changes = (
        (ecg, augment),
        (ecg, partial(augment, shared_leads=6)),
        (ecg[..., :100], partial(augment_beats, onset=38)),
        (pixels, augment_pictures),
        (pixels, augment_traces),
        (ecg, partial(baseline_wander, chance=0.5)),
        (ecg, partial(zero_gaps, chance=0.5)),
        (ecg, partial(segment_noise, share=0.1)),
    )
    for batch, change in changes:
        out = change(batch)
        assert (out.shape, out.device, out.dtype) == (batch.shape, batch.device, batch.dtype)
    assert all(out.is_meta for out in mix(0.4, ecg, ecg[:, 0, :5]))
    assert keep_leads(ecg, 0.5).is_meta


def test_the_similarities_scale_stays_within_bounds(data: Path, tmp_path: Path) -> None:
    """Clamped in place behind each step, as open_clip does, so that checkpoints hold it clamped too."""
    for start_at, rate in ((4.6, 1.0), (0.01, 1.0)):
        module = Contrastive(model=tiny.COCA, learning_rate=rate, warmup_steps=0, output=str(tmp_path / "model"))
        with torch.no_grad():
            module.model.logit_scale.fill_(start_at)
        seen: list[float] = []

        class Watch(lightning.Callback):
            def on_train_batch_end(self, trainer: Any, module: Any, *_: Any, seen: list[float] = seen) -> None:
                seen.append(float(module.model.logit_scale))

        trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=4,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            callbacks=[Watch()],
        )
        trainer.fit(module, EcgData(str(data), task="caption", val_share=0.0, batch_size=4))
        assert len(seen) == 4
        assert all(0 <= value <= math.log(100) + 1e-6 for value in seen)
        assert len(set(seen)) > 1 or seen[0] in (0.0, pytest.approx(math.log(100)))
