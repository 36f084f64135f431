"""Each published recipe runs two steps from the command line with tiny sizes, and says what it would run."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml

import gem
from gem.cli.train import CONFIGS, run

from .tiny import small_recipe, write_data

RECIPES = sorted(p.stem for p in CONFIGS.glob("*.yaml") if not p.stem.startswith(("gem_nano", "gem_135m")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_runs_two_steps(name: str, data: Path, tmp_path: Path) -> None:
    settings = small_recipe(name, data, tmp_path)
    settings["trainer"] |= {"accelerator": "cpu", "precision": "32-true"}
    small = tmp_path / "tiny.yaml"
    small.write_text(yaml.safe_dump(settings))
    overrides = ["--config", str(small), f"--trainer.default_root_dir={tmp_path}"]
    assert run(argparse.Namespace(config=name, overrides=overrides)) == 0
    if name == "probe":
        assert (tmp_path / "model" / "probe.safetensors").is_file()
    else:
        gem.load(tmp_path / "model")
