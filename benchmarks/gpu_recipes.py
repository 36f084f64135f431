"""Parts 3 and 7 of ``gpu.sh``: two steps of every recipe, and training of gem-nano and gem-135m for some time.

Recipes run as ``gem train`` runs them, on their own device and in their own precision; only sizes and data are small:
recordings of noise, and for gem-nano and gem-135m the nine bundled ones in PTB-XL's layout.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import os
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
import yaml
from gpu_report import add_failure

from gem.cli.train import CONFIGS
from gem.cli.train import run as gem_train

if TYPE_CHECKING:
    from gpu_parts import Run

NANO = ("gem_nano_signal", "gem_nano_picture", "gem_nano_explain", "gem_nano", "gem_nano_answers")  # in this order
LANGUAGE = ("gem_135m_align", "gem_135m")
REHEARSED = ("probe",)  # the time of a rehearsal is short
FSDP2 = "lightning.pytorch.strategies.ModelParallelStrategy"
ABSENT = [name for name in ("neurokit2", "onnxruntime") if importlib.util.find_spec(name) is None]
# SmolLM2-135M's sizes; its weights are not at hand where nothing can be downloaded
SMOLLM2 = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
}


class Steps(lightning.Callback):
    """Notes each step's seconds, records and loss, and where and how the model runs."""

    seen: list[tuple[float, int, float]]
    where = ""

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        Steps.seen = []
        Steps.where = f"{pl_module.device}, {trainer.precision}, {type(trainer.strategy).__name__}"

    def on_train_batch_start(self, *_: Any) -> None:
        self.begun = time.monotonic()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        loss = float((outputs["loss"] if isinstance(outputs, dict) else outputs).detach())  # waits for the device
        Steps.seen.append((time.monotonic() - self.begun, len(batch.get("index", ())), loss))


def names() -> list[str]:
    """All recipes, those that start from another one behind it."""
    published = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    return [*(name for name in published if name not in (*NANO, *LANGUAGE)), *NANO, *LANGUAGE]


def bundled_recipe(name: str, folder: Path, root: Path, decoder: Path) -> dict[str, Any]:
    """What makes two steps of a recipe of gem-nano or gem-135m run on the bundled recordings.

    Args:
        name: of the recipe.
        folder: for all that the recipes write.
        root: a folder laid out like PTB-XL.
        decoder: a folder with a decoder, for gem-135m.
    """
    model: dict[str, Any] = {"output": str(folder / name)}
    earlier = {"gem_nano_explain": "gem_nano_signal", "gem_nano": "gem_nano_explain", "gem_135m": "gem_135m_align"}
    if name in earlier:
        model["init"] = str(folder / earlier[name])
    if name == "gem_nano_picture":
        model["teacher"] = str(folder / "gem_nano_signal")
    if name == "gem_nano_explain":
        model["picture_from"] = str(folder / "gem_nano_picture")
    if name in ("gem_nano_explain", "gem_nano"):
        model["feature_cache"] = str(folder / "features")
    if name in LANGUAGE:
        model["decoder"] = str(decoder)
    data: dict[str, Any] = {"root": str(root), "cache": str(folder / "cache"), "batch_size": 4, "limit": 8}
    data |= {"train_folds": [1, 2, 3, 4, 5, 6, 7], "val_folds": [8]}
    if name == "gem_nano_signal":
        data["measured"] = not ABSENT
    return {"model": {"init_args": model}, "data": {"init_args": data}, "trainer": {"max_epochs": -1, "max_steps": 2}}


def train_recipe(name: str, settings: dict[str, Any], folder: Path, rehearse: bool) -> None:
    """``gem train NAME`` with settings.

    Args:
        name: of the recipe.
        settings: that replace the recipe's.
        folder: of the settings' file and Lightning's own.
        rehearse: on the CPU, in float32.
    """
    settings["trainer"] |= {
        "callbacks": [{"class_path": "gpu_recipes.Steps"}],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    if rehearse:
        settings["trainer"] |= {"accelerator": "cpu", "precision": "32-true"}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    with contextlib.chdir(folder):
        overrides = ["--config", str(path), f"--trainer.default_root_dir={folder}"]
        gem_train(argparse.Namespace(config=name, overrides=overrides))


def _is_trained(run: Run, what: str, name: str, settings: dict[str, Any], folder: Path) -> bool:
    try:
        train_recipe(name, settings, folder, run.rehearse)
    except (Exception, SystemExit) as error:  # Lightning's command line ends with SystemExit
        traceback.print_exc()
        if isinstance(error, ModuleNotFoundError) and error.name in ABSENT:
            run.row(what, status="skipped", note=f"{error.name} is not installed here")
        else:
            add_failure(run.part, what, error)
        return False
    return True


def _attempt(run: Run, what: str, name: str, settings: dict[str, Any], folder: Path) -> None:
    if run.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begun, Steps.seen = time.monotonic(), []
    if not _is_trained(run, what, name, settings, folder):
        return
    losses = [loss for *_, loss in Steps.seen]
    note = f"{Steps.where}; losses {', '.join(f'{loss:.4g}' for loss in losses)}"
    if run.device == "cuda":
        note += f"; peak {torch.cuda.max_memory_allocated() / 2**20:.0f} MB"
    wrong = len(losses) != 2 or not all(map(math.isfinite, losses)) or not Steps.where.startswith(run.device)
    run.row(what, "two steps", time.monotonic() - begun, "s", note=note, status="failed" if wrong else "ok")


def two_steps(run: Run, every: bool = False) -> None:
    """Two steps of every recipe on the device, and of one with FSDP2 on one rank.

    Args:
        run: the part.
        every: all recipes in a rehearsal too.
    """
    from tests.conftest import write_ptbxl_like
    from tests.gem.training.test_language import write_decoder
    from tests.gem.training.tiny import small_recipe, write_data

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data = write_data(folder)
        root, decoder = folder / "like", write_decoder(folder / "decoder")
        write_ptbxl_like(root)
        for name in names():
            if (run.rehearse and not every and name not in REHEARSED) or not run.has_time(name, 6):
                continue
            where = folder / f"run_{name}"
            where.mkdir()
            own = name in (*NANO, *LANGUAGE)
            settings = bundled_recipe(name, folder, root, decoder) if own else small_recipe(name, data, where)
            _attempt(run, name, name, settings, where)
        if run.has_time("FSDP2", 8):
            where = folder / "fsdp2"
            where.mkdir()
            settings = small_recipe("gem", data, where)
            settings["trainer"]["strategy"] = {"class_path": FSDP2}
            # one rank: its address need not be free on other machines
            os.environ.update(MASTER_ADDR="127.0.0.1", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
            _attempt(run, "gem, FSDP2 on one rank", "gem", settings, where)


def write_smollm2(folder: Path, small: bool) -> Path:
    """A decoder of SmolLM2-135M's sizes, but for its vocabulary, with random weights.

    Args:
        folder: to write.
        small: leave it tiny.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.gem.training.test_language import write_decoder

    write_decoder(folder)
    if not small:
        config = LlamaConfig.from_pretrained(folder)
        config.update(SMOLLM2)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def train(run: Run) -> None:
    """gem-nano's signal encoder and gem-135m in their own sizes and batches, half of the time each; recordings/s.

    Args:
        run: the part; with ``data`` on real recordings, else on the bundled ones over and over.
    """
    from tests.conftest import write_ptbxl_like

    if run.data is not None and not run.data.is_dir():
        raise FileNotFoundError(f"no folder {run.data}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        root = run.data or write_ptbxl_like(folder / "like", copies=1 if run.rehearse else 32)
        decoder = write_smollm2(folder / "decoder", run.rehearse)
        sizes = (("gem_nano_signal", 32), ("gem_135m_align", 8))
        for place, (name, batch) in enumerate(sizes):
            if not run.has_time(name, 5 if run.rehearse else 15):
                continue
            seconds = run.left_s() / (len(sizes) - place)
            settings = bundled_recipe(name, folder, root, decoder)
            settings["data"]["init_args"] |= {"batch_size": batch, "limit": None}
            if name == "gem_nano_signal":
                settings["data"]["init_args"]["measured"] = False  # it takes longer than the training
            settings["trainer"] |= {"max_epochs": 100_000, "limit_val_batches": 0}
            if run.rehearse:
                settings["trainer"]["max_steps"] = 2
                settings["data"]["init_args"] |= {"batch_size": 2, "limit": 4}
            else:
                # preparing the records and the first steps count as well
                settings["trainer"] |= {"max_steps": -1, "max_time": {"seconds": int(0.6 * seconds)}}
            _rate(run, name, settings, folder)


def _rate(run: Run, name: str, settings: dict[str, Any], folder: Path) -> None:
    Steps.seen = []
    if run.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if not _is_trained(run, name, name, settings, folder):
        return
    seen = Steps.seen
    warm = seen[len(seen) // 5 :]  # without the first fifth, which compiles and fills caches
    seconds, records = (sum(step[place] for step in warm) for place in (0, 1))
    losses = [loss for *_, loss in seen]
    tail = losses[-max(1, len(losses) // 10) :]
    first, last = (sum(part) / max(1, len(part)) for part in (losses[: len(tail)], tail))
    wrong = not records or not all(map(math.isfinite, losses))
    note = f"{Steps.where}; {len(seen)} steps of {records / max(1, len(warm)):.4g} recordings"
    note += f"; loss {first:.4g} to {last:.4g} (means of a tenth); {'given' if run.data else 'nine'} recordings"
    run.row(name, "rate", records / (seconds or 1), "recordings/s", note=note, status="failed" if wrong else "ok")
    if run.device == "cuda":
        run.row(name, "peak memory", torch.cuda.max_memory_allocated() / 2**20, "MB")
