"""Each published recipe runs two steps from the command line with tiny sizes, and says what it would run."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml

import gem
from gem.cli.train import CONFIGS, run

from . import tiny
from .tiny import COCA, MODELS, write_data

RECIPES = sorted(p.stem for p in CONFIGS.glob("*.yaml") if not p.stem.startswith(("gem_nano", "gem_135m")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_runs_two_steps(name: str, data: Path, tmp_path: Path) -> None:
    arguments = {"output": str(tmp_path / "model"), "warmup_steps": 1}
    if name == "ecg_coca":
        arguments |= {"model": COCA, "text": None}
    else:
        arguments |= {"model": MODELS[name], "init": None, "parts": None}
    if name == "probe":
        arguments |= {"classes": ["NORM", "MI"], "feature_cache": str(tmp_path / "cache")}
    if name == "pretrain_signal":
        data = tiny.write_ptbxl(tmp_path / "data")
    source = {
        "layout": "instructions",
        "path": str(data),
        "batch_size": 2,
        "workers": 0,
        "max_length": 512,
        "val_share": 0.3,
        "train_folds": None,
        "val_folds": None,
        "classes": ["NORM", "MI"],
    }
    if name == "pretrain_signal":
        source |= {
            "layout": "recordings",
            "train_folds": [1, 2, 3, 5, 6, 7],
            "val_folds": [8],
            "cache": str(tmp_path / "cache"),
        }
        arguments.pop("parts")
    trainer = {
        "max_epochs": -1,
        "max_steps": 2,
        "accelerator": "cpu",
        "precision": "32-true",
        "accumulate_grad_batches": 1,
        "devices": 1,
        "callbacks": None,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "limit_val_batches": 1,
    }
    small = tmp_path / "tiny.yaml"
    small.write_text(
        yaml.safe_dump({"model": {"init_args": arguments}, "data": {"init_args": source}, "trainer": trainer})
    )
    overrides = ["--config", str(small), f"--trainer.default_root_dir={tmp_path}"]
    assert run(argparse.Namespace(config=name, overrides=overrides)) == 0
    if name == "probe":
        assert (tmp_path / "model" / "probe.safetensors").is_file()
    else:
        gem.load(tmp_path / "model")
