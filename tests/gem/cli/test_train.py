"""``gem train``: near names, what would run, loggers, resume and pictures of the run, all from the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml

import gem
from gem.cli.train import CONFIGS, find_config, run
from gem.training.plots import plot, read_curves
from tests.gem.training import tiny


def train(config: str, *overrides: str) -> int:
    return run(argparse.Namespace(config=config, overrides=list(overrides)))


def test_near_names_are_given() -> None:
    with pytest.raises(gem.GemConfigError, match=r"did you mean ecg_chat"):
        find_config("ecg_chta")
    with pytest.raises(gem.GemConfigError, match="one of: ecg_chat"):
        find_config("zzz")


def test_print_config_shows_overrides_and_trains_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        train(
            "pulse",
            "--trainer.max_epochs=7",
            "--model.init_args.learning_rate=0.5",
            f"--model.init_args.output={tmp_path}",
            "--print_config",
        )
    assert ended.value.code == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["trainer"]["max_epochs"] == 7
    assert shown["model"]["init_args"]["learning_rate"] == 0.5
    assert shown["data"]["init_args"]["picture"] == "read"
    assert not list(tmp_path.iterdir())


def test_logs_plots_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe with its own callbacks and logger, TensorBoard beside it, then on from its last checkpoint."""
    data = tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = {
        "model": {"init_args": {"init": None, "model": tiny.SIGNAL, "warmup_steps": 1, "output": "model"}},
        "data": {"init_args": {"path": str(data), "batch_size": 2, "workers": 0, "max_length": 512, "val_share": 0.3}},
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 2,
            "log_every_n_steps": 1,
            "enable_model_summary": False,
            "logger": [
                {
                    "class_path": "lightning.pytorch.loggers.CSVLogger",
                    "init_args": {"save_dir": "logs", "name": "run", "version": 0},
                },
                {
                    "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
                    "init_args": {"save_dir": "boards", "name": "run"},
                },
            ],
        },
    }
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    assert train("ecg_chat", "--config=mine.yaml") == 0
    curves = read_curves("logs/run/version_0")
    assert {"loss", "val_loss", "lr-AdamW/pg1"} <= set(curves)
    steps = len(curves["loss"][0])
    assert steps > 2
    assert list(Path("boards").rglob("events.out.tfevents.*"))
    picture = plot("logs/run/version_0", "run.png")
    assert picture.stat().st_size > 5000
    last = next(Path("runs").rglob("last.ckpt"))
    assert train("ecg_chat", "--config=mine.yaml", "--trainer.max_epochs=3", f"--ckpt_path={last}") == 0
    assert min(read_curves("logs/run/version_0")["loss"][0]) >= steps


def test_plots_of_nothing_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(gem.GemInputError, match=r"no metrics\.csv"):
        read_curves(tmp_path)
    (tmp_path / "metrics.csv").write_text("step,loss\n")
    with pytest.raises(gem.GemInputError, match="no figures yet"):
        plot(tmp_path, tmp_path / "x.png")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_bundled_config_keeps_its_last_checkpoint(path: Path) -> None:
    callbacks = yaml.safe_load(path.read_text())["trainer"].get("callbacks", [])
    kept = [entry["init_args"] for entry in callbacks if entry["class_path"].endswith(".ModelCheckpoint")]
    assert [(init["save_last"], init["every_n_train_steps"] > 0) for init in kept] == [(True, True)]


@pytest.mark.parametrize(
    ("overrides", "shown"),
    [
        (["--model.init_args.model.ecg_encoder.kwargs.widths=[8]"], {"ecg_encoder": {"widths": [8], "depth": 1}}),
        (["--model.model.ecg_encoder.kwargs.depth", "2"], {"ecg_encoder": {"widths": [8, 16], "depth": 2}}),
        (
            ["--model.model.ecg_encoder.kwargs.depth=2", "--model.model.ecg_encoder.kwargs.kernel=3"],
            {"ecg_encoder": {"widths": [8, 16], "depth": 2, "kernel": 3}},
        ),
        (["--model.init_args.model.class_dropout=1e-3"], {"class_dropout": 1e-3}),
        (
            ["--model.model=null", "--model.model.ecg_encoder={name: ecg_conv}", "--model.model.class_names=[a]"],
            {"ecg_encoder": {}, "class_names": ["a"]},
        ),
    ],
)
def test_a_nested_value_is_overridden_alone(
    overrides: list[str], shown: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = {"name": "ecg_conv", "kwargs": {"widths": [8, 16], "depth": 1}}
    model = {"ecg_encoder": encoder, "ecg_projector": {"type": "linear", "width": 4}, "class_dropout": 0.5}
    path = tmp_path / "config.yaml"
    settings = {"class_path": "gem.training.classification.Classification", "init_args": {"model": model}}
    data = {"class_path": "gem.data.ptbxl_batches.PtbxlData", "init_args": {"root": "nowhere"}}
    path.write_text(yaml.safe_dump({"model": settings, "data": data}))
    with pytest.raises(SystemExit):
        train(str(path), *overrides, "--print_config")
    got = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["model"]
    for key, value in shown.items():
        assert (got[key].get("kwargs", {}) if key == "ecg_encoder" else got[key]) == value
    if "--model.model=null" not in overrides:
        assert got["ecg_encoder"]["name"] == "ecg_conv"
        assert got["ecg_projector"] == model["ecg_projector"]


def test_a_checkpoint_that_is_not_there_is_named() -> None:
    for words in (["--ckpt_path=nowhere.ckpt"], ["--ckpt_path", "nowhere.ckpt"]):
        with pytest.raises(gem.GemConfigError, match=r"nowhere\.ckpt: no such checkpoint"):
            train("pulse", *words)
