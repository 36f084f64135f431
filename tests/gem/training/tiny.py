"""Tiny models and a tiny instruction set for the training tests; also a program that trains, for tests that need processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import wfdb
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from gem.training.data_text import EcgData
from gem.training.instruction import Instruction

TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
}  # fmt: skip
ECG = {"name": "ecg_coca", "kwargs": {"n_samples": 500, "width": 64, "layers": 1, "embed_dim": 16}}
VISION = {"name": "timm/test_vit", "kwargs": {"img_size": [64, 64]}}
SIGNAL = {"ecg_encoder": ECG, "ecg_projector": {"type": "mlp2x_gelu"}, "class_names": [], "text_config": TEXT}
MODELS: dict[str, dict[str, Any]] = {
    "ecg_chat_align": SIGNAL,
    "ecg_chat": SIGNAL,
    "gem": {**SIGNAL, "vision_encoder": VISION, "ecg_projector": {"type": "linear", "width": 64}, "share_projector": True},
    "pulse": {
        "vision_encoder": VISION, "class_names": [], "text_config": TEXT,
        "picture": {
            "mode": "anyres", "size": [64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "grid_pinpoints": [[128, 64], [64, 128]],
        },
    },
    "meit": {
        "fusion": "prefix_kv", "class_names": [], "text_config": TEXT, "ecg_projector": {"type": "meit", "hidden": 16},
        "ecg_encoder": {"name": "ecg_resnet", "kwargs": {"depths": [1, 1], "widths": [4, 8], "n_samples": 500}},
        "conversation": "<|user|>\n{prompt}\n<|assistant|>\n",
    },
    "probe": SIGNAL,
}  # fmt: skip
COCA = {
    "ecg": ECG["kwargs"], "embed_dim": 16, "decoder": {"width": 64, "heads": 2, "layers": 1},
    "text": {"model_type": "bert", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
}  # fmt: skip


def write_data(folder: Path, count: int = 8) -> Path:
    """WFDB records of one second, and a JSON of conversations about them; answers of uneven length."""
    from PIL import Image

    rng = np.random.default_rng(0)
    leads = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    rows = []
    for i in range(count):
        signal = np.cumsum(rng.normal(0, 0.02, (500, 12)), 0)
        wfdb.wrsamp(f"r{i}", 500, ["mV"] * 12, leads, signal, fmt=["16"] * 12, write_dir=str(folder))
        Image.fromarray(rng.integers(0, 255, (60, 120, 3), dtype=np.uint8)).save(folder / f"r{i}.png")
        turns = [("human", "<image>\nWhat is it?"), ("gpt", "Sinus rhythm. " * (1 + i % 3) + f"Case {i}.")]
        if i % 2:
            turns += [("human", "Sure?"), ("gpt", "Yes.")]
        rows.append(
            {
                "id": f"x{i}", "ecg": f"r{i}", "image": f"r{i}.png", "labels": ["NORM"] if i % 2 else ["MI"],
                "conversations": [{"from": who, "value": text} for who, text in turns],
            }
        )  # fmt: skip
    path = folder / "train.json"
    path.write_text(json.dumps(rows))
    return path


def run(
    data: Path, out: Path, steps: int, batch: int = 4, resume: str | None = None, callbacks: Any = (), **trainer: Any
) -> tuple[Instruction, list[float]]:
    """Train the tiny signal model; its module and the loss of each step."""
    losses: list[float] = []

    class Losses(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            losses.append(float(trainer.callback_metrics["loss"]))

    lightning.seed_everything(0, verbose=False)
    model = {**SIGNAL, "text_config": {**TEXT, "attention_dropout": 0.0}}
    lora = {"r": 4, "dropout": 0.1} if trainer.pop("lora", False) else None
    module = Instruction(
        model=model, learning_rate=5e-3, output=str(out / "model"), schedule="constant", warmup_steps=0, lora=lora,
        train=("ecg_projector", "language_model"),
    )  # fmt: skip
    fitted = lightning.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, limit_val_batches=0,
        callbacks=[*callbacks, Losses(), ModelCheckpoint(out / "checkpoints", save_last=True, every_n_train_steps=1)],
        **trainer,
    )  # fmt: skip
    fitted.fit(module, EcgData(str(data), batch_size=batch, val_share=0.0), ckpt_path=resume)
    return module, losses


class Speaks(Callback):
    """Says when a step begins: the one before it is finished then."""

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        print("start", trainer.global_step, flush=True)


if __name__ == "__main__":
    what, data, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "endless":
        run(data, out, 10_000, callbacks=[Speaks()], lora=True)
    else:
        _, curve = run(data, out, 4, batch=2, strategy="ddp", devices=2)
        (out / f"losses-{what}.json").write_text(json.dumps(curve))
