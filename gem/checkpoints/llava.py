"""The layout of GEM, PULSE and LLaVA-1.6 (``model_type: llava_llama``): config and key names, to ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..configuration import GemConfig
from ..encoders.transformers_vision import CLIP_L_336
from ..errors import GemCheckpointError

Shapes = Mapping[str, tuple[int, ...]]

# the public LLaVA-v1 conversation, which GEM and PULSE were trained with
CONVERSATION = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions. USER: {prompt} ASSISTANT:"
)
TEXT_KEYS = (
    "vocab_size", "max_position_embeddings", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "hidden_act", "rms_norm_eps", "tie_word_embeddings", "attention_bias", "bos_token_id", "eos_token_id",
    "pad_token_id", "head_dim",
)  # fmt: skip
ECG, VISION = "model.ecg_tower.ecg_tower.", "model.vision_tower.vision_tower."
_RENAMES = (
    (VISION + "vision_model.", "vision_encoder.body."),
    (ECG, "ecg_encoder."),
    ("model.mm_projector.", "vision_projector."),
    ("model.ecg_projector.", "ecg_projector."),
    ("model.image_newline", "image_newline"),
    ("model.", "language_model.model."),
    ("lm_head.", "language_model.lm_head."),
)


def rename(key: str) -> str:
    """Our name of a published key.

    Example:
        >>> rename("model.layers.0.mlp.up_proj.weight"), rename("model.mm_projector.2.bias")
        ('language_model.model.layers.0.mlp.up_proj.weight', 'vision_projector.2.bias')
    """
    for theirs, ours in _RENAMES:
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def ignored(config: GemConfig) -> set[str]:
    """Published keys that the published code does not use either: PULSE's newline under a flat merge."""
    return set() if config.merge == "spatial_unpad" else {"image_newline"}


def convert_config(folder: Path, config: dict[str, Any], shapes: Shapes) -> GemConfig:
    """Our config from a published one; the towers' sizes come from the weights themselves.

    Raises:
        GemCheckpointError: a key the reader needs is absent.
    """
    ratio = config.get("image_aspect_ratio") or "ori"
    if ratio not in ("ori", "pad", "anyres"):
        raise GemCheckpointError(f"unknown image_aspect_ratio {ratio!r}", where=str(folder / "config.json"))
    text: dict[str, Any] = {key: config[key] for key in TEXT_KEYS if config.get(key) is not None}
    rope = {"rope_type": "default", "rope_theta": config.get("rope_theta") or 10000.0}
    # older configs say "type" for what is now "rope_type"
    scaling = {
        "rope_type" if key == "type" else key: value for key, value in (config.get("rope_scaling") or {}).items()
    }
    text |= {"model_type": "llama", "rope_parameters": rope | scaling}
    text.setdefault("pad_token_id", 0)
    vision = _vision_config(folder, shapes)
    size = vision["image_size"]
    has_ecg = "mm_ecg_tower" in config or any(key.startswith(ECG) for key in shapes)
    processor = _json(folder / "vision_tower" / "preprocessor_config.json")
    return GemConfig(
        ecg_encoder={"name": "ecg_coca", "kwargs": coca_kwargs(shapes, ECG)} if has_ecg else None,
        vision_encoder={
            "name": "clip_vision",
            "kwargs": {
                "config": vision,
                "select_layer": config.get("mm_vision_select_layer", -2),
                "select_feature": config.get("mm_vision_select_feature", "patch"),
            },
        },
        text_config=text,
        ecg_projector={"type": config.get("ecg_projector_type", "linear"), "width": config.get("mm_hidden_size")},
        vision_projector={"type": config.get("mm_projector_type", "linear")},
        share_projector=has_ecg,
        placeholder="<image>",
        picture={
            # the published centre crop loses a quarter of the paper: it is what compat asks for, not the default
            "mode": "letterbox" if ratio == "ori" else ratio,
            "compat_mode": ratio,
            "size": [size, size],
            "mean": processor.get("image_mean", [0.48145466, 0.4578275, 0.40821073]),
            "std": processor.get("image_std", [0.26862954, 0.26130258, 0.27577711]),
            "grid_pinpoints": config.get("image_grid_pinpoints") or [],
        },
        merge="spatial_unpad" if config.get("mm_patch_merge_type", "flat") == "spatial_unpad" else "flat",
        conversation=CONVERSATION,
        tune={
            "source": "GEM" if has_ecg else "PULSE / LLaVA-1.6",
            "licence": "Apache-2.0; the base model's Llama-2 licence",
        },
    )


def coca_kwargs(shapes: Shapes, prefix: str) -> dict[str, int]:
    """The ECG tower's sizes, from its tensors; the published ones where there are none."""
    try:
        width, leads, patch = shapes[prefix + "conv1.weight"]
        tokens = shapes[prefix + "positional_embedding"][0]
        embed = shapes[prefix + "proj"][1]
    except KeyError:
        return {}
    layers = _count(shapes, prefix + r"transformer\.resblocks\.(\d+)\.")
    return {
        "leads": leads, "n_samples": (tokens - 1) * patch, "patch": patch, "width": width, "layers": layers, "embed_dim": embed,
    }  # fmt: skip


def _vision_config(folder: Path, shapes: Shapes) -> dict[str, Any]:
    stored = _json(folder / "vision_tower" / "config.json")
    base = {key: stored[key] for key in CLIP_L_336 if key in stored} if stored else dict(CLIP_L_336)
    prefix = VISION + "vision_model."
    try:
        width, _, patch, _ = shapes[prefix + "embeddings.patch_embedding.weight"]
        positions = shapes[prefix + "embeddings.position_embedding.weight"][0]
        inner = shapes[prefix + "encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError:
        return base
    layers = _count(shapes, prefix + r"encoder\.layers\.(\d+)\.")
    heads = base["num_attention_heads"] if stored else max(1, width // 64)
    return base | {
        "hidden_size": width, "patch_size": patch, "image_size": round((positions - 1) ** 0.5) * patch,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
    }  # fmt: skip


def _count(shapes: Shapes, pattern: str) -> int:
    found = {match[1] for key in shapes if (match := re.match(pattern, key))}
    return len(found)


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
