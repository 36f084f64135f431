"""Tiny models and a tiny instruction set for the training tests; also a program that trains, for separate processes."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import wfdb
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy

from gem.data.conversations import EcgData
from gem.training.instruction import Instruction

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
ECG = {"name": "ecg_coca", "kwargs": {"n_samples": 500, "width": 64, "layers": 1, "embed_dim": 16}}
VISION = {"name": "timm/test_vit", "kwargs": {"img_size": [64, 64]}}
SIGNAL = {"ecg_encoder": ECG, "ecg_projector": {"type": "mlp2x_gelu"}, "class_names": [], "text_config": TEXT}
MODELS: dict[str, dict[str, Any]] = {
    "ecg_chat_align": SIGNAL,
    "ecg_chat": SIGNAL,
    "gem": {
        **SIGNAL,
        "vision_encoder": VISION,
        "ecg_projector": {"type": "linear", "width": 64},
        "share_projector": True,
    },
    "pulse": {
        "vision_encoder": VISION,
        "class_names": [],
        "text_config": TEXT,
        "picture": {
            "mode": "anyres",
            "size": [64, 64],
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "grid_pinpoints": [[128, 64], [64, 128]],
        },
    },
    "meit": {
        "fusion": "prefix_kv",
        "class_names": [],
        "text_config": TEXT,
        "ecg_projector": {"type": "meit", "hidden": 16},
        "ecg_encoder": {"name": "ecg_resnet", "kwargs": {"depths": [1, 1], "widths": [4, 8], "n_samples": 500}},
        "conversation": "<|user|>\n{prompt}\n<|assistant|>\n",
    },
    "probe": SIGNAL,
    "pretrain_signal": {
        "ecg_encoder": {"name": "ecg_conv", "kwargs": {"n_samples": 500, "widths": [8, 16], "depth": 1, "fs_hz": 50.0}},
        "ecg_projector": {"type": "linear"},
        "text_config": TEXT,
    },
}
COCA = {
    "ecg": ECG["kwargs"],
    "embed_dim": 16,
    "decoder": {"width": 64, "heads": 2, "layers": 1},
    "text": {
        "model_type": "bert",
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    },
}


def write_data(folder: Path, count: int = 8) -> Path:
    """WFDB records of one second, and a JSON of conversations about them; answers of uneven length."""
    from PIL import Image

    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        signal = np.cumsum(rng.normal(0, 0.02, (500, 12)), 0)
        wfdb.wrsamp(f"r{i}", 500, ["mV"] * 12, LEADS, signal, fmt=["16"] * 12, write_dir=str(folder))
        Image.fromarray(rng.integers(0, 255, (60, 120, 3), dtype=np.uint8)).save(folder / f"r{i}.png")
        turns = [("human", "<image>\nWhat is it?"), ("gpt", "Sinus rhythm. " * (1 + i % 3) + f"Case {i}.")]
        if i % 2:
            turns += [("human", "Sure?"), ("gpt", "Yes.")]
        rows.append(
            {
                "id": f"x{i}",
                "ecg": f"r{i}",
                "image": f"r{i}.png",
                "labels": ["NORM"] if i % 2 else ["MI"],
                "conversations": [{"from": who, "value": text} for who, text in turns],
            }
        )
    path = folder / "train.json"
    path.write_text(json.dumps(rows))
    return path


def write_ptbxl(folder: Path, raw: int = 4, filtered: int = 4) -> Path:
    """A folder that ``gem.data.ptbxl`` reads: one raw record of fold 8 and one filtered, the others of folds 1-7."""
    records = folder / "ptbxl" / "records500" / "00000"
    records.mkdir(parents=True)
    (folder / "ptbxl_filtered").mkdir()
    rng, rows = np.random.default_rng(1), []
    for i in range(raw + filtered):
        number, last = i + 1, i in (raw - 1, raw + filtered - 1)
        if i < raw:
            signal = np.cumsum(rng.normal(0, 0.02, (5000, 12)), 0)
            wfdb.wrsamp(f"{number:05d}_hr", 500, ["mV"] * 12, LEADS, signal, fmt=["16"] * 12, write_dir=str(records))
        rows.append(
            {
                "ecg_id": number,
                "patient_id": 100 + i // 2,
                "strat_fold": 8 if last else 1 + i % 7,
                "age": 60,
                "sex": i % 2,
                "super_class": "NORM" if i % 2 else "MI",
                "sub_class": "",
                "form": "",
                "rhythm": "SR",
                "scp_codes": "{'NORM': 100.0}",
                "report": f"sinusrhythmus {i}",
            }
        )
    with (folder / "ptbxl" / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    signal = rng.normal(0, 1000, (filtered, 12, 1250)).astype(np.int16)
    ids = np.arange(raw + 1, raw + filtered + 1)
    np.savez(folder / "ptbxl_filtered" / "signals_125hz.npz", ecg_id=ids, signal=signal)
    return folder


def small_recipe(name: str, data: Path, folder: Path) -> dict[str, Any]:
    """What makes two steps of a published recipe small; device and precision stay the recipe's.

    Args:
        name: of the recipe.
        data: the instruction set of ``write_data``.
        folder: for all that the run writes; the model goes to its ``model``.
    """
    arguments: dict[str, Any] = {"output": str(folder / "model"), "warmup_steps": 1}
    source: dict[str, Any] = {
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
    if name == "ecg_coca":
        arguments |= {"model": COCA, "text": None}
    else:
        arguments |= {"model": MODELS[name], "init": None, "parts": None}
    if name == "probe":
        arguments |= {"classes": ["NORM", "MI"], "feature_cache": str(folder / "cache")}
    if name == "pretrain_signal":
        arguments.pop("parts")
        source |= {
            "layout": "recordings",
            "path": str(write_ptbxl(folder / "data")),
            "train_folds": [1, 2, 3, 5, 6, 7],
            "val_folds": [8],
            "cache": str(folder / "cache"),
        }
    trainer = {
        "max_epochs": -1,
        "max_steps": 2,
        "accumulate_grad_batches": 1,
        "devices": 1,
        "callbacks": None,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "limit_val_batches": 1,
    }
    return {"model": {"init_args": arguments}, "data": {"init_args": source}, "trainer": trainer}


def run(
    data: Path,
    out: Path,
    steps: int,
    batch: int = 4,
    resume: str | None = None,
    callbacks: Any = (),
    lora: bool = False,
    module: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
    keep: int = 1,
    every: int = 1,
    **trainer: Any,
) -> tuple[Instruction, list[float]]:
    """Train the tiny signal model; its module and the loss of each step.

    Args:
        data, out: the instructions, and where model and checkpoints go.
        steps, batch, resume: how long, how many examples of a process, the checkpoint to go on from.
        callbacks, trainer: of Lightning's trainer.
        lora: the decoder learns through LoRA.
        module, source: other arguments of the module and of the data.
        keep: checkpoints that are kept; -1 keeps all.
        every: steps from one checkpoint to the next.
    """
    losses: list[float] = []

    class Losses(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            losses.append(float(trainer.callback_metrics["loss"]))

    lightning.seed_everything(0, verbose=False)
    model = {**SIGNAL, "text_config": {**TEXT, "attention_dropout": 0.0}}
    learner = Instruction(
        **{
            "model": model,
            "learning_rate": 5e-3,
            "output": str(out / "model"),
            "schedule": "constant",
            "warmup_steps": 0,
            "lora": {"r": 4, "dropout": 0.1} if lora else None,
            "train": ("ecg_projector", "language_model"),
            **(module or {}),
        }
    )
    fitted = lightning.Trainer(
        max_steps=steps,
        max_epochs=10_000,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
        callbacks=[
            *callbacks,
            Losses(),
            ModelCheckpoint(out / "checkpoints", save_last=True, save_top_k=keep, every_n_train_steps=every),
        ],
        **trainer,
    )
    fitted.fit(
        learner,
        EcgData(
            str(data), **{"batch_size": batch, "val_share": 0.0, "cache": str(data.parent / "cache"), **(source or {})}
        ),
        ckpt_path=resume,
    )
    return learner, losses


def fsdp2() -> ModelParallelStrategy:
    """Two processes, each with half of every weight."""
    return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)


class Speaks(Callback):
    """Says when a step begins: the one before it is finished then."""

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        print("start", trainer.global_step, flush=True)


if __name__ == "__main__":
    what, data, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "endless":
        run(data, out, 10_000, callbacks=[Speaks()], lora=True)
    else:
        curves = {"ddp": run(data, out / "ddp", 4, batch=2, strategy="ddp", devices=2)[1]}
        curves["fsdp2"] = run(data, out / "fsdp2", 4, batch=2, strategy=fsdp2(), devices=2)[1]
        # from files: frozen weights are not in its checkpoints
        again: Any = {
            "batch": 2,
            "devices": 2,
            "lora": True,
            "module": {"model": None, "init": str(out / "fsdp2" / "model")},
        }
        curves["lora"] = run(data, out / "lora", 4, strategy=fsdp2(), keep=-1, **again)[1]
        half = next((out / "lora" / "checkpoints").glob("*step=2.ckpt"))
        curves["resumed"] = run(data, out / "resumed", 4, strategy=fsdp2(), resume=str(half), **again)[1]
        (out / "losses.json").write_text(json.dumps(curves))
