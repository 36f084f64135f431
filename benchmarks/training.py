"""Throughput and memory of training: transformers' LLaVA and ours, with the same weights and batches, in own processes.

    python benchmarks/training.py --out benchmarks/training.csv
    python benchmarks/training.py --size 1b --out benchmarks/training_gpu.csv

The default is a small model on the CPU with one thread; ``--size 1b`` is a 1.2 B decoder with CLIP-L at 336 px in
bfloat16 on one GPU, and without a GPU it only says so and exits with 0; ``--size tiny`` is for rehearsals. Rows are
written as they come. A step is forward, backward and AdamW on the
projector and the decoder, with the picture tower frozen. ``tokens_per_s`` counts tokens without padding, including
picture tokens; on a CPU it is per second of CPU time, so that other processes do not change it much. ``peak_mb`` is the
memory needed beyond that before the model was built. ``ratio`` is tokens per second over those of the first row.
``loss`` shows that all variants do the same work.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "text": {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": 512,
        },
        "vision": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 14,
            "image_size": 56,
            "projection_dim": 32,
        },
        "batch": 2,
        "steps": 1,
        "answer": (10, 20),
        "dtype": torch.float32,
    },
    "small": {
        "text": {
            "hidden_size": 256,
            "intermediate_size": 688,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "vocab_size": 16000,
        },
        "vision": {
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
            "patch_size": 16,
            "image_size": 112,
            "projection_dim": 192,
        },
        "batch": 8,
        "steps": 2,
        "answer": (10, 120),
        "dtype": torch.float32,
    },
    "1b": {
        "text": {
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
        },
        "vision": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "patch_size": 14,
            "image_size": 336,
            "projection_dim": 768,
        },
        "batch": 16,
        "steps": 10,
        "answer": (20, 600),
        "dtype": torch.bfloat16,
    },
}
VARIANTS = ("transformers LLaVA", "ours, padded", "ours, packed", "ours, checkpointing", "ours, compiled")
ENCODERS = ("signal encoder, float32", "signal encoder, bfloat16", "signal encoder, compiled")
COLUMNS = ("what", "size", "device", "tokens_per_s", "ecg_per_s", "peak_mb", "ratio", "loss")
QUESTION, PICTURE_ID, PAD = 24, 3, 0


def conversations(size: dict[str, Any], device: str) -> list[tuple[list[int], list[int], Tensor]]:
    """Question ids, answer ids and a picture for each row; random, the same for every variant."""
    draw = torch.Generator().manual_seed(0)
    low, high = size["answer"]
    side, rows = size["vision"]["image_size"], []
    for _ in range(size["batch"]):
        length = int(torch.randint(low, high, (), generator=draw))
        ids = torch.randint(10, size["text"]["vocab_size"], (QUESTION + length,), generator=draw).tolist()
        picture = torch.randn(3, side, side, generator=draw).to(device, size["dtype"])
        rows.append((ids[:QUESTION], ids[QUESTION:], picture))
    return rows


def batch_of(rows: list[tuple[list[int], list[int], Tensor]], front: list[int], device: str) -> dict[str, Tensor]:
    """Padded ids, mask and labels; ``front`` stands for the picture."""
    full = [(front + question + answer, len(front) + len(question)) for question, answer, _ in rows]
    longest = max(len(ids) for ids, _ in full)
    ids = torch.tensor([row + [PAD] * (longest - len(row)) for row, _ in full])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _ in full])
    labels = torch.tensor([[-100] * begin + row[begin:] + [-100] * (longest - len(row)) for row, begin in full])
    pixels = torch.stack([picture for _, _, picture in rows])
    out = {"input_ids": ids, "attention_mask": mask, "labels": labels, "pixel_values": pixels}
    return {name: value.to(device) for name, value in out.items()}


def llava(size: dict[str, Any]) -> Any:
    """The plain model of transformers, from a seed."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    text = LlamaConfig(**size["text"], max_position_embeddings=4096, pad_token_id=PAD)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**size["vision"]),
        text_config=text,
        image_token_index=PICTURE_ID,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
    )
    return LlavaForConditionalGeneration(config)


def ours(size: dict[str, Any]) -> Any:
    """The same sizes and weights in our model."""
    from gem.configuration import GemConfig
    from gem.modeling import GemForConditionalGeneration

    plain = llava(size)
    model = GemForConditionalGeneration(
        GemConfig(
            vision_encoder={"name": "clip_vision", "kwargs": {"config": size["vision"]}},
            vision_projector={"type": "mlp2x_gelu"},
            text_config={"model_type": "llama", **size["text"], "max_position_embeddings": 4096, "pad_token_id": PAD},
            class_names=[],
        )
    )
    tower = plain.model.vision_tower
    model.vision_encoder.body.load_state_dict(getattr(tower, "vision_model", tower).state_dict())
    mine = [layer for layer in model.vision_projector.modules() if isinstance(layer, torch.nn.Linear)]
    for layer, theirs in zip(
        mine, (plain.model.multi_modal_projector.linear_1, plain.model.multi_modal_projector.linear_2), strict=True
    ):
        layer.load_state_dict(theirs.state_dict())
    model.language_model.model.load_state_dict(plain.model.language_model.state_dict())
    model.language_model.lm_head.load_state_dict(plain.lm_head.state_dict())
    return model


def measure(variant: str, size_name: str, device: str) -> dict[str, Any]:
    """One row, in this process."""
    size, clock = SIZES[size_name], time.process_time if device == "cpu" else time.perf_counter
    if variant in ENCODERS:
        return measure_encoder(variant, device)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plain = variant == VARIANTS[0]
    with torch.device(device):  # random weights are drawn where they are used
        model = (llava if plain else ours)(size).to(device, size["dtype"]).train()
    tower = model.model.vision_tower if plain else model.vision_encoder
    tower.requires_grad_(False).eval()
    if "checkpointing" in variant:
        model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    if "compiled" in variant:
        for layer in model.language_model.model.layers:
            layer.compile(dynamic=True)
    rows = conversations(size, device)
    places = (size["vision"]["image_size"] // size["vision"]["patch_size"]) ** 2
    front = [PICTURE_ID] * places if plain else [model.config.placeholder_token_id]
    batch = batch_of(rows, front, device)
    tokens = sum(places + len(question) + len(answer) for question, answer, _ in rows)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0)

    def step() -> float:
        if plain:
            loss = model(**batch, use_cache=False).loss
        else:
            from gem.training.packing import text_loss

            loss = text_loss(model, batch, (places + QUESTION + size["answer"][1]) if "packed" in variant else None)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    step()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    started = clock()
    for _ in range(size["steps"]):
        loss = step()
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = (clock() - started) / size["steps"]
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if device != "cpu":
        peak = torch.cuda.max_memory_allocated() / 2**20
    return {"tokens_per_s": tokens / seconds, "ecg_per_s": len(rows) / seconds, "peak_mb": peak, "loss": loss}


def measure_encoder(variant: str, device: str) -> dict[str, Any]:
    """gem-nano's signal encoder, 32 recordings of 10 s per step; ``ratio`` is recordings per second over float32's."""
    from gem.encoders.ecg_conv import EcgConv

    clock = time.process_time if device == "cpu" else time.perf_counter
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.manual_seed(0)
    encoder = EcgConv(widths=(64, 128, 224, 384)).to(device).train()
    if "compiled" in variant:
        encoder.compile()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.0)
    ecg = torch.randn(32, 12, 1250, device=device)

    def step() -> float:
        with torch.autocast(device, torch.bfloat16, enabled="float32" not in variant):
            out = encoder(ecg)
        loss = out.float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    step()
    started = clock()
    for _ in range(3):
        loss = step()
    seconds = (clock() - started) / 3
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"tokens_per_s": 32 * encoder.n_tokens / seconds, "ecg_per_s": 32 / seconds, "peak_mb": peak, "loss": loss}


def main() -> None:
    """Each variant in a process of its own, one after the other."""
    import transformers  # noqa: F401

    import gem.modeling
    import gem.training.packing  # noqa: F401

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--only", nargs="+", choices=[*VARIANTS, *ENCODERS], help="these rows alone")
    chosen = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if chosen.size == "1b" and device == "cpu":
        print(
            "no GPU here: a 1.2 B decoder with CLIP-L can't be trained on this CPU in sensible time; nothing was "
            "measured. --size small runs here."
        )
        return
    table: list[dict[str, Any]] = []
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU, 1 thread"
    # fork after the imports and before a model is built; with a GPU a fork is not possible
    context = multiprocessing.get_context("fork" if device == "cpu" else "spawn")
    for variant in (*VARIANTS, *(ENCODERS if chosen.size == "small" else ())):
        if chosen.only is not None and variant not in chosen.only:
            continue
        with ProcessPoolExecutor(1, context) as pool:
            try:
                row = pool.submit(measure, variant, chosen.size, device).result()
            except Exception as error:  # a variant that fails must not end the others
                print(f"{variant}: failed: {type(error).__name__}: {error}", flush=True)
                continue
        group = ENCODERS if variant in ENCODERS else VARIANTS
        first = next((other for other in table if other["what"] == group[0]), None)
        ratio = float(row["tokens_per_s"]) / float(first["tokens_per_s"]) if first else 1.0
        shown = {
            "tokens_per_s": f"{row['tokens_per_s']:.0f}",
            "ecg_per_s": f"{row['ecg_per_s']:.2f}",
            "peak_mb": f"{row['peak_mb']:.0f}",
        }
        table.append(
            {
                "what": variant,
                "size": chosen.size,
                "device": name,
                **shown,
                "ratio": f"{ratio:.2f}",
                "loss": f"{row['loss']:.4f}",
            }
        )
        print(table[-1], flush=True)
        if chosen.out:
            with chosen.out.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(table)


if __name__ == "__main__":
    main()
