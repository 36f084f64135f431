"""A tiny model through both training modules: the loss falls, what is saved can be loaded, the seed decides."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

import gem
from gem.cli.train import CONFIGS, find_config
from gem.data.ptbxl_batches import PtbxlData
from gem.data.samples import SUPERCLASSES
from gem.errors import GemConfigError
from gem.training.classification import Classification, choose_picture_weight, choose_thresholds
from gem.training.explanation import ExplanationTuning
from gem.training.start import start

TINY: dict[str, Any] = {
    "ecg_encoder": {"name": "ecg_conv", "kwargs": {"n_samples": 500, "widths": [16, 32], "depth": 1, "fs_hz": 50.0}},
    "vision_encoder": {"name": "timm/test_resnet", "kwargs": {"img_size": [64, 64]}},
    "ecg_projector": {"type": "linear"},
    "vision_projector": {"type": "linear"},
    "text_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
}


def fit(module: lightning.LightningModule, data: PtbxlData, epochs: int) -> dict[str, float]:
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=epochs,
    )
    trainer.fit(module, datamodule=data)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.fixture(scope="module")
def trained(ptbxl_like: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A tiny signal encoder, overfitted on eight records."""
    folder = tmp_path_factory.mktemp("nano")
    lightning.seed_everything(0)
    module = Classification(model=TINY, output=str(folder / "signal"), strength=0.0, mixup=0.0, learning_rate=0.01)
    return folder, fit(module, data_of(ptbxl_like, folder), epochs=60)


def data_of(root: Path, folder: Path, **options: Any) -> PtbxlData:
    return PtbxlData(str(root), cache=str(folder / "cache"), batch_size=8, limit=8, val_folds=(8,), **options)


def test_eight_records_are_overfitted(trained: tuple[Path, dict[str, float]]) -> None:
    assert trained[1]["loss"] < 0.05


def test_the_decoder_learns_to_write_and_the_encoders_stay(
    trained: tuple[Path, dict[str, float]], ptbxl_like: Path
) -> None:
    folder, _ = trained
    before = gem.load(folder / "signal")
    lightning.seed_everything(0)
    module = ExplanationTuning(init=str(folder / "signal"), output=str(folder / "text"), learning_rate=0.01)
    figures = fit(module, data_of(ptbxl_like, folder), epochs=40)
    assert figures["loss"] < 3.0  # chance is log(566) = 6.3
    after = gem.load(folder / "text")
    for name, parameter in before.named_parameters():
        same = torch.equal(parameter, after.get_parameter(name))
        assert same == (not name.startswith("language_model")), name
    for name, buffer in before.named_buffers():
        assert torch.equal(buffer, after.get_buffer(name)), name


def test_a_run_starts_from_one_place() -> None:
    with pytest.raises(GemConfigError, match="from init or from model"):
        start()


def test_a_saved_model_may_be_given_another_encoder(trained: tuple[Path, dict[str, float]]) -> None:
    folder, _ = trained
    saved = gem.load(folder / "signal")
    with pytest.raises(GemConfigError, match="text_config"):
        start(str(folder / "signal"), {"text_config": {}})
    kwargs = {"n_samples": 500, "widths": [8, 16], "depth": 1, "beat_width": 4, "beat_hidden": 8, "fs_hz": 50}
    other = start(
        str(folder / "signal"), {"ecg_encoder": {"name": "ecg_beats", "kwargs": {**kwargs, "millivolts": True}}}
    )
    assert other.config.signal["normalization"] == "none"
    assert other.processor.contract.typical_mv is not None
    assert other.config.picture == saved.config.picture
    for name, parameter in saved.named_parameters():
        if name.startswith(("language_model", "vision", "class_head")):
            assert torch.equal(parameter, other.get_parameter(name)), name
    assert other.config.class_names == saved.config.class_names


def test_a_saved_model_learns_in_training_mode(trained: tuple[Path, dict[str, float]]) -> None:
    module = Classification(init=str(trained[0] / "signal"), output="unused")
    assert all(part.training for part in module.model.modules())


def test_configs_are_found_by_name() -> None:
    assert find_config("gem_nano").parent == CONFIGS
    with pytest.raises(GemConfigError, match="gem_nano_signal"):
        find_config("no_such_config")


def test_thresholds_separate_what_can_be_separated() -> None:
    truth = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    score = np.array([[0.9, 0.1], [0.7, 0.2], [0.4, 0.1], [0.3, 0.6]])
    likely, rare = choose_thresholds(truth, score)
    assert 0.4 < likely <= 0.7
    assert 0.2 < rare <= 0.6


def test_a_picture_is_heard_as_far_as_it_helps() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (400, 2)).astype(float)
    good, poor = truth + rng.normal(0, 0.7, truth.shape), truth + rng.normal(0, 7.0, truth.shape)
    assert choose_picture_weight(truth, good, poor) == 0.05
    assert choose_picture_weight(truth, good, truth + rng.normal(0, 0.7, truth.shape)) >= 0.4


def test_rhythm_and_beat_learn_apart_and_their_heads_are_not_saved(ptbxl_like: Path, tmp_path: Path) -> None:
    lightning.seed_everything(0)
    encoder = {
        "name": "ecg_beats",
        "kwargs": {
            "widths": [16, 32],
            "depth": 1,
            "kernels": [3, 5],
            "beat_width": 8,
            "beat_hidden": 16,
            "dropout": 0.0,
        },
    }
    module = Classification(
        model={**TINY, "ecg_encoder": encoder},
        output=str(tmp_path / "beats"),
        strength=0.0,
        mixup=0.0,
        learning_rate=0.01,
    )
    data = data_of(ptbxl_like, tmp_path, measured=True)
    fit(module, data, epochs=40)
    assert data.train is not None
    batch = next(iter(data.train_dataloader()))
    assert len(module.branches) == 4  # a rhythm and a beat for each kernel
    assert batch["measured"].isfinite().float().mean() > 0.5
    model = gem.load(tmp_path / "beats")
    order = batch["classes"]
    said = model.classify(ecg=batch["ecg"])
    assert float((said - order).abs().mean()) < 0.1
    assert not any("branches" in name for name in model.state_dict())
    # the joined head sees both views: without the beat it says something else
    rhythm, beat = model.ecg_encoder.views(batch["ecg"])
    both, blind = (
        model.ecg_encoder.join(model.ecg_encoder.parts([(rhythm, part)] * 2)) for part in (beat, torch.zeros_like(beat))
    )
    assert not torch.allclose(both, blind)


@pytest.mark.parametrize("name", ["ecg_beats", "ecg_conv"])
def test_records_are_shown_in_part_and_without_their_scale(
    name: str, monkeypatch: pytest.MonkeyPatch, ptbxl_like: Path, tmp_path: Path
) -> None:
    """What reaches the encoder's first layer: a quarter of the records in part, half of the others at typical sizes."""
    tiny = {**TINY["ecg_encoder"]["kwargs"]}
    beats = {"n_samples": 500, "widths": [8, 16], "depth": 1, "beat_width": 4, "beat_hidden": 8, "fs_hz": 50}
    kwargs = {**beats, "millivolts": True} if name == "ecg_beats" else tiny
    options: dict[str, Any] = {"strength": 0.0, "mixup": 0.0, "partial": 0.25, "unknown_mv": 0.5}
    model = {**TINY, "ecg_encoder": {"name": name, "kwargs": kwargs}}
    module = Classification(model=model, output=str(tmp_path / "out"), **options)
    monkeypatch.setattr(module, "log", lambda *told, **options: None)
    seen: list[torch.Tensor] = []
    encoder: Any = module.model.ecg_encoder
    part = encoder.rhythms[0] if name == "ecg_beats" else encoder
    part.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().clone()))
    ecg = 0.2 * torch.randn(40, 12, 500)
    classes = torch.zeros(40, len(module.model.config.class_names))
    module.training_step({"ecg": ecg, "classes": classes, "index": list(range(40))}, 0)
    shown = (seen[0][:, :12] != 0).float().mean((1, 2))
    assert (shown[:10] < 0.6).all()
    assert (shown[10:] > 0.99).all()
    if name == "ecg_beats":  # every lead at the size that is typical of it
        sizes = seen[0][10:, :12].std(-1) * encoder.unit / torch.tensor(encoder.contract.typical_mv)
        assert 5 < int(((sizes - 1).abs() < 0.01).all(1).sum()) < 25


def test_a_picture_encoder_learns_from_traces_and_a_teacher(
    ptbxl_like: Path, trained: tuple[Path, dict[str, float]]
) -> None:
    folder = trained[0]
    lightning.seed_everything(0)
    model = {
        **TINY,
        "vision_encoder": {
            "name": "paper_traces",
            "kwargs": {"img_size": [200, 256], "samples": 64, "widths": [32, 64], "depth": 1},
        },
    }
    module = Classification(
        inputs="picture",
        model=model,
        output=str(folder / "traces"),
        strength=0.0,
        mixup=0.0,
        learning_rate=0.01,
        teacher=str(folder / "signal"),
        teacher_weight=0.5,
    )
    reader = module.model.vision_encoder.ink.weight.clone()
    figures = fit(module, data_of(ptbxl_like, folder, picture=True), epochs=60)
    assert torch.equal(module.model.vision_encoder.ink.weight, reader)
    assert figures["loss"] < 0.1
    assert not any("teachers" in name for name in module.state_dict())


class Cut(lightning.Callback):
    """Ends a run in the middle of an epoch, as a kill does: nothing is saved but what the checkpoints hold."""

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 5:
            raise InterruptedError


@pytest.mark.parametrize("kind", ["signal", "explanation"])
def test_a_run_that_was_cut_off_goes_on_where_it_was(ptbxl_like: Path, tmp_path: Path, kind: str) -> None:
    encoder = {"name": "ecg_beats", "kwargs": {"widths": [8], "depth": 1, "beat_width": 4, "beat_hidden": 8}}
    data = {"measured": True} if kind == "signal" else {"picture": True}

    def run(name: str, *callbacks: lightning.Callback, resume: str | None = None) -> dict[str, torch.Tensor]:
        lightning.seed_everything(0)
        model, output = {**TINY, "ecg_encoder": encoder}, str(tmp_path / name)
        module: lightning.LightningModule
        if kind == "signal":
            module = Classification(model=model, output=output, learning_rate=0.01)
        else:
            module = ExplanationTuning(model=model, output=output, feature_cache=str(tmp_path / f"features-{name}"))
        given: list[lightning.Callback] = [
            ModelCheckpoint(tmp_path / name / "checkpoints", save_last=True, every_n_train_steps=5),
            EMAWeightAveraging(decay=0.5, update_starting_at_step=1),
            *callbacks,
        ]
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=4,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=2,
            callbacks=given,
        )
        source = PtbxlData(str(ptbxl_like), cache=str(tmp_path / "cache"), batch_size=4, limit=12, **data)
        trainer.fit(module, datamodule=source, ckpt_path=resume)
        return module.state_dict()

    whole = run("whole")
    with pytest.raises(InterruptedError):
        run("cut", Cut())
    resumed = run("resumed", resume=str(tmp_path / "cut" / "checkpoints" / "last.ckpt"))
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


def test_each_page_is_read_once_and_the_losses_stay(ptbxl_like: Path, tmp_path: Path) -> None:
    losses: dict[str | None, float] = {}
    for cache in (None, str(tmp_path / "features")):
        lightning.seed_everything(0)
        module = ExplanationTuning(model=TINY, output=str(tmp_path / "text"), feature_cache=cache)
        losses[cache] = fit(module, data_of(ptbxl_like, tmp_path, picture=True), epochs=3)["loss"]
        if cache is not None:
            assert module.cache is not None
            assert module.cache.runs == 8 + 4  # and fold 8's once, for the loss at the end
    assert len(set(losses.values())) == 1


def test_a_picture_is_shifted_to_the_signals_thresholds(
    ptbxl_like: Path, trained: tuple[Path, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the signal's thresholds are, the same records lie above them as above the picture's own."""
    import gem.training.classification as under

    folder, said = trained[0], []
    for limit in (0.2, 0.8):
        teacher = gem.load(folder / "signal")
        teacher.config.class_thresholds = dict.fromkeys(under.SUPERCLASSES, limit)
        monkeypatch.setattr(under, "load_frozen", lambda _, asked=teacher: asked.eval())
        lightning.seed_everything(0)
        module = Classification(inputs="picture", model=TINY, output=str(folder / "shifted"), teacher="signal")
        data = data_of(ptbxl_like, folder, picture=True)
        fit(module, data, epochs=1)
        assert data.val is not None
        pages = data.val[list(range(4))]["pixel_values"]
        said.append(gem.load(folder / "shifted").classify(pixel_values=pages)[:, :5] >= limit)
    assert torch.equal(*said)
    assert said[0].any()
    assert not said[0].all()


@pytest.mark.parametrize("names", [["HYP", "CD", "STTC", "MI", "NORM", "SR"], ["MI", "NORM"], ["AFIB", "SR"]])
def test_thresholds_stand_under_their_own_names(names: list[str], ptbxl_like: Path, tmp_path: Path) -> None:
    """Of the superclasses in any order; of all classes where not all of them are there."""
    module = Classification(model={**TINY, "class_names": names}, output=str(tmp_path / "out"), strength=0.0)
    data = data_of(ptbxl_like, tmp_path)
    fit(module, data, epochs=1)
    limits = gem.load(tmp_path / "out").config.class_thresholds
    known = list(SUPERCLASSES) if "HYP" in names else names
    assert set(limits) == set(known)
    assert data.train is not None
    shares = data.train.classes[:, [names.index(name) for name in known]].mean(0).tolist()
    absent = [name for name, share in zip(known, shares, strict=True) if not share]
    # nobody has those, and they have the lowest threshold
    assert all(limits[a] < limits[b] for a in absent for b in set(known) - set(absent))


class _Own(torch.utils.data.Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, place: int) -> dict[str, Any]:
        return {"ecg": torch.randn(12, 500), "classes": torch.tensor([1.0, 0.0]), "index": place}


@pytest.mark.parametrize("validated", [True, False, "broken"])
def test_a_model_is_saved_whatever_happens_after_training(validated: Any, tmp_path: Path) -> None:
    """With loaders of one's own, without validation, and where the thresholds can't be chosen."""
    module = Classification(model={**TINY, "class_names": ["a", "b"]}, output=str(tmp_path / "out"), strength=0.0)
    loader = torch.utils.data.DataLoader(_Own(), batch_size=2)
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=1, num_sanity_val_steps=0, **quiet)
    if validated == "broken":
        module._choose_thresholds = None  # type: ignore[method-assign,assignment]
    with pytest.raises(TypeError) if validated == "broken" else nullcontext():
        trainer.fit(module, loader, [loader] if validated else None)
    limits = getattr(gem.load(tmp_path / "out").config, "class_thresholds", None)
    assert (list(limits) if limits else limits) == (["a", "b"] if validated is True else None)


def test_a_trial_run_writes_nothing(ptbxl_like: Path, tmp_path: Path) -> None:
    module = Classification(model=TINY, output=str(tmp_path / "out"), strength=0.0)
    lightning.Trainer(accelerator="cpu", fast_dev_run=True, enable_progress_bar=False).fit(
        module, data_of(ptbxl_like, tmp_path)
    )
    assert not (tmp_path / "out").exists()


def test_processes_share_the_records(ptbxl_like: Path, tmp_path: Path) -> None:
    """Two processes with batches of 2 see what one with batches of 4 sees, and the first one alone saves."""
    seen = {}
    for world in (1, 2):
        for rank in range(world):
            data = PtbxlData(str(ptbxl_like), cache=str(tmp_path), batch_size=4 // world, val_folds=(8,))
            trainer = SimpleNamespace(global_rank=rank, world_size=world, is_global_zero=rank == 0, fast_dev_run=False)
            module: Any = Classification(model=TINY)
            data.trainer, module._trainer = trainer, trainer
            trainer.lightning_module = module
            data.setup()
            seen[world, rank] = [batch["index"] for batch in data.train_dataloader()]
            assert module.writes_output is (rank == 0)
    joined = [sorted(first + second) for first, second in zip(seen[2, 0], seen[2, 1], strict=True)]
    assert joined == [sorted(batch) for batch in seen[1, 0]]
