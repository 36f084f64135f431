"""Model folders for the tests of untrusted files: small ones that load, and ways to damage their files."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from gem import GemConfig, GemForConditionalGeneration, GemProcessor
from gem.configuration import EcgCocaConfig
from gem.fusion.coca import EcgCocaModel

TEXT = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PATCHES = {
    "name": "ecg_patch",
    "kwargs": {"n_samples": 500, "patch": 50, "width": 32, "layers": 1, "heads": 2, "fs_hz": 50.0},
}
TIMM = {"name": "timm/test_vit", "kwargs": {"img_size": [64, 64]}}
CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 14,
    "image_size": 28,
}
# ours -> published
LLAVA_KEYS = (
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("ecg_projector.", "model.ecg_projector."),
    ("vision_encoder.body.", "model.vision_tower.vision_tower.vision_model."),
    ("vision_projector.", "model.mm_projector."),
    ("ecg_encoder.", "model.ecg_tower.ecg_tower."),
)


def tokenizer() -> PreTrainedTokenizerFast:
    """A small byte-pair tokenizer with the special tokens of Llama."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>", "<bos>", "<eos>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(["The rhythm is sinus rhythm."] * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


def ours(folder: Path, **changes: Any) -> Path:
    """Both encoders, a decoder, two classes, in our layout with a tokenizer."""
    torch.manual_seed(0)
    settings = {"ecg_encoder": PATCHES, "vision_encoder": TIMM, "text_config": TEXT, "class_names": ["MI", "NORM"]}
    model = GemForConditionalGeneration(GemConfig(**{**settings, **changes}))
    model.save_pretrained(folder, max_shard_size="100KB")
    GemProcessor.from_config(model.config, tokenizer()).save_pretrained(folder)
    return folder


def coca(folder: Path, samples: int = 500) -> Path:
    """An ECG-CoCa in our layout."""
    torch.manual_seed(0)
    text = {
        "model_type": "bert",
        "vocab_size": 300,
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 64,
    }
    ecg = {"n_samples": samples, "width": 64, "layers": 1}
    decoder = {"width": 64, "heads": 1, "layers": 1, "vocab_size": 300}
    model = EcgCocaModel(EcgCocaConfig(ecg=ecg, text=text, decoder=decoder, embed_dim=16))
    model.save_pretrained(folder)
    GemProcessor(model.ecg.contract, tokenizer=tokenizer()).save_pretrained(folder)
    return folder


def published(folder: Path, ecg: bool = True) -> Path:
    """GEM's published layout; without the ECG tower PULSE's."""
    torch.manual_seed(0)
    signal = {
        "ecg_encoder": {"name": "ecg_coca", "kwargs": {"width": 64, "layers": 1, "embed_dim": 16}},
        "ecg_projector": {"type": "linear", "width": 32},
        "share_projector": True,
    }
    vision = {"name": "clip_vision", "kwargs": {"config": CLIP}}
    settings: dict[str, Any] = signal if ecg else {}
    model = GemForConditionalGeneration(GemConfig(vision_encoder=vision, text_config=TEXT, **settings))
    tensors = {}
    for key, value in model.state_dict().items():
        mine, theirs = next(pair for pair in LLAVA_KEYS if key.startswith(pair[0]))
        tensors[theirs + key.removeprefix(mine)] = value.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        **TEXT,
        "model_type": "llava_llama",
        "mm_hidden_size": 32,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_patch_merge_type": "flat",
        **({"mm_ecg_tower": "somewhere.pt", "ecg_projector_type": "linear"} if ecg else {}),
        "image_aspect_ratio": "anyres",
        "image_grid_pinpoints": "[(28, 56), (56, 28)]",
        "rope_theta": 10000.0,
        "mm_vision_tower": "vision_tower",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 1, "eos_token_id": 2, "max_length": 4096})
    )
    (folder / "vision_tower").mkdir()
    (folder / "vision_tower" / "config.json").write_text(json.dumps({**CLIP, "model_type": "clip_vision_model"}))
    (folder / "vision_tower" / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "size": {"shortest_edge": 28},
                "crop_size": {"height": 28},
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
            }
        )
    )
    tokenizer().save_pretrained(folder)
    return folder


def meit(folder: Path, encoder: bool = True) -> Path:
    """MEIT's layout, with or without its ResNet."""
    torch.manual_seed(0)
    settings = {"name": "ecg_resnet"} if encoder else {"name": "ecg_features", "kwargs": {"width": 2048}}
    head = {"type": "meit", "hidden": 16}
    model = GemForConditionalGeneration(
        GemConfig(ecg_encoder=settings, ecg_projector=head, fusion="prefix_kv", text_config=TEXT)
    )
    keys = (("language_model.", "llm."), ("ecg_projector.", "proj_ecg."), ("ecg_encoder.", "ecg_encoder."))
    tensors = {}
    for key, value in model.state_dict().items():
        mine, theirs = next(pair for pair in keys if key.startswith(pair[0]))
        tensors[theirs + key.removeprefix(mine)] = value.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"llama": TEXT, "ecg_layers": "all"}))
    tokenizer().save_pretrained(folder)
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object], name: str = "config.json") -> None:
    """Change one JSON file of a folder."""
    path = folder / name
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    7,
    3000,
    2**31,
    10**12,
    10**30,
    -(10**9),
    0.5,
    -0.5,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "../../etc/passwd",
    "/dev/zero",
    "a\x00b",
    "hf-hub:stranger/model",
    "stranger/kernel",
    [],
    {},
    [[]],
    [1, 2],
    ["x"],
    [None],
    {"a": 1},
    "llama",
    "gem",
    [3] * 2000,
    "9" * 5000,
    {"checkpoint_path": "extra.pth"},
    {"model_type": "timm_wrapper"},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def mutated(text: str, pick: random.Random) -> str:
    """A JSON text with one to three errors: another type, a number out of range, a missing value, deep nesting."""
    kind = pick.random()
    if kind < 0.05:
        return text[: pick.randrange(len(text))]
    if kind < 0.08:
        return pick.choice("[{") * pick.choice((900, 5000, 200_000))
    data = json.loads(text)
    for _ in range(pick.choice((1, 1, 1, 2, 3))):
        spots = places(data)
        path = pick.choice(spots[1:] or [()])
        if not path:
            return json.dumps(pick.choice(VALUES))
        # a long list (a vocabulary) has most of the places: the others get their turn
        if pick.random() < 0.5:
            path = pick.choice([spot for spot in spots if 1 <= len(spot) <= 2])
        parent = data
        for key in path[:-1]:
            parent = parent[key]
        action = pick.randrange(6)
        if action == 0:
            del parent[path[-1]]
        elif action == 1 and isinstance(parent, dict):
            parent[
                pick.choice(
                    ("num_labels", "auto_map", "attn_implementation", "quantization_config", "vocab_file", "extra")
                )
            ] = copy.deepcopy(pick.choice(VALUES))
        elif action == 2 and isinstance(parent[path[-1]], int | float):
            parent[path[-1]] = parent[path[-1]] * pick.choice((-1, 0, 2, 1000, 10**9, 0.5))
        elif action == 3:
            deep: Any = 1
            for _ in range(pick.choice((50, 400, 900))):
                deep = [deep] if pick.random() < 0.5 else {"a": deep}
            parent[path[-1]] = deep
            break
        else:
            parent[path[-1]] = copy.deepcopy(pick.choice(VALUES))
    return json.dumps(data)


def spoil(path: Path, pick: random.Random) -> None:
    """Mutate a JSON file, or the header of a safetensors file (its data stay)."""
    if path.suffix == ".json":
        path.write_text(mutated(path.read_text(), pick))
        return
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = mutated(raw[8 : 8 + length].decode(), pick).encode()
    stated = len(header) if pick.random() < 0.9 else pick.choice((0, 1, 2**32, 2**63, len(raw)))
    path.write_bytes(stated.to_bytes(8, "little") + header + raw[8 + length :])
