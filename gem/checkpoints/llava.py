"""The layout of GEM, PULSE, LLaVA-1.6 and ECG-Chat (``model_type: llava_llama``): config and keys as ours."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configuration import MERGES, GemConfig
from ..encoders.transformers_vision import CLIP_L_336
from ..errors import GemCheckpointError
from ..untrusted import read_json

Shapes = Mapping[str, tuple[int, ...]]

# the public LLaVA-v1 conversation, which GEM and PULSE were trained with
CONVERSATION = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions. USER: {prompt} ASSISTANT:"
)
# those of LLaVA-1.6's other decoders, with the texts at which an answer ends
CONVERSATIONS = {
    "llama": (CONVERSATION, "</s>"),
    "mistral": ("[INST] {prompt} [/INST]", "</s>"),
    "qwen2": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n"
        "<|im_start|>assistant\n",
        "<|im_end|>",
    ),
}
# GEM's question is the one its data was made with; the others' releases hold no fixed one
QUESTIONS = {
    "GEM": "Interpret the provided ECG image, identify key features and abnormalities in each lead, and generate a "
    "clinical diagnosis that is supported by the observed evidence.",
    "ECG-Chat": "Provide the report for this ECG.",
    "PULSE / LLaVA-1.6": "Write a clinical report based on this ECG image.",
}
LONGEST_ANSWER = 1024  # tokens, in the published evaluations
TEXT_KEYS = (
    "vocab_size",
    "max_position_embeddings",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "rms_norm_eps",
    "tie_word_embeddings",
    "attention_bias",
    "mlp_bias",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "head_dim",
    "initializer_range",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
)
DECODERS = {"llava_llama": "llama", "llava": "llama", "llava_mistral": "mistral", "llava_qwen": "qwen2"}
ECG, VISION = "model.ecg_tower.ecg_tower.", "model.vision_tower.vision_tower.vision_model."
# buffers that older versions of transformers stored beside the weights; they are computed, not learned
BUFFERS = re.compile(r"(rotary_emb\.(inv_freq|cos_cached|sin_cached)|position_ids)$")
MAX_CHARACTERS = 2000  # of image_grid_pinpoints, where it is stored as text
# LLaVA has several names for CLIP's own processing (shortest side, centre crop), and uses it when none is given
RATIOS = {"ori": "ori", "square": "ori", "pad": "pad", "anyres": "anyres"}


@dataclass(frozen=True)
class PublishedLayout:
    """How a published folder becomes ours.

    Attributes:
        config: our config.
        rename: published key -> ours.
        ignored: published keys that the published code does not use either.
    """

    config: GemConfig
    rename: Callable[[str], str]
    ignored: set[str]


def is_llava(config: dict[str, Any], shapes: Shapes) -> bool:
    """Whether this is a LLaVA-like folder: GEM, PULSE, LLaVA-1.6 or ECG-Chat.

    Args:
        config: the published config.
        shapes: every published key and its shape.
    """
    return config.get("model_type") in DECODERS or any(key.startswith("model.mm_projector.") for key in shapes)


def read_layout(folder: Path, config: dict[str, Any], shapes: Shapes) -> PublishedLayout:
    """Our config and key names; sizes that the config leaves out come from the tensors' shapes.

    Args:
        folder: may hold the picture tower's config (``vision_tower/``) and the ECG tower's
            (``<open_clip_config>.json``).
        config: the published config.
        shapes: every published key and its shape.

    Raises:
        GemCheckpointError: a setting that the published code does not have.
    """
    ecg = _prefix(shapes, "conv1.weight", lambda key: "ecg" in key) or ECG
    vision = _prefix(shapes, "embeddings.patch_embedding.weight", lambda key: True) or VISION
    has_ecg = bool(config.get("mm_ecg_tower")) or ecg + "conv1.weight" in shapes
    has_vision = bool(config.get("mm_vision_tower")) or vision + "embeddings.patch_embedding.weight" in shapes
    has_vision = has_vision or not has_ecg
    # ECG-Chat takes ECGs only: its mm_projector is the ECG's
    renames = (
        (vision, "vision_encoder.body."),
        (ecg, "ecg_encoder."),
        ("model.mm_projector.", "vision_projector." if has_vision else "ecg_projector."),
        ("model.ecg_projector.", "ecg_projector."),
        ("model.image_newline", "image_newline"),
        ("model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
    )

    def rename(key: str) -> str:
        for theirs, ours in renames:
            if key.startswith(theirs):
                return ours + key.removeprefix(theirs)
        return key

    merge = config.get("mm_patch_merge_type") or "flat"
    if merge not in MERGES:
        raise GemCheckpointError(
            f"unknown mm_patch_merge_type {merge!r}",
            where=str(folder / "config.json"),
            remedy=f"known: {', '.join(MERGES)}",
        )
    ignored = {key for key in shapes if BUFFERS.search(key)}
    if merge != "spatial_unpad" or not has_vision:
        ignored |= {"model.image_newline"} & set(shapes)
    decoder = DECODERS.get(config.get("model_type", ""), "llama")
    text = text_config(config, shapes, "", decoder)
    conversation, stop = CONVERSATIONS[decoder]
    if text.get("tie_word_embeddings"):
        ignored |= {"lm_head.weight"} & set(shapes)
    image = _picture_projector(config, shapes)
    width = _output_width(shapes, "model.ecg_projector.") or config.get("mm_hidden_size")
    kind = _projector_type(shapes, "model.ecg_projector.", config.get("ecg_projector_type"))
    ecg_projector = {"type": kind, "width": width}
    source = "GEM" if has_ecg and has_vision else "ECG-Chat" if has_ecg else "PULSE / LLaVA-1.6"
    return PublishedLayout(
        GemConfig(
            ecg_encoder={"name": "ecg_coca", "kwargs": coca_kwargs(shapes, ecg, _open_clip(folder, config))}
            if has_ecg
            else None,
            vision_encoder=_vision_encoder(folder, config, shapes, vision) if has_vision else None,
            text_config=text,
            ecg_projector=ecg_projector if has_vision else image,
            vision_projector=image,
            share_projector=has_ecg and has_vision,
            placeholder="<image>" if has_vision else "<ecg>",
            picture=_picture(folder, config, shapes, vision) if has_vision else None,
            merge=merge,
            conversation=conversation,
            asking={"prompt": QUESTIONS[source], "stop": [stop], "max_new_tokens": LONGEST_ANSWER},
            tune={
                "source": source,
                "licence": "none stated (ECG-Chat)"
                if source == "ECG-Chat"
                else "Apache-2.0; the base model's Llama-2 licence",
            },
        ),
        rename,
        ignored,
    )


def text_config(config: Mapping[str, Any], shapes: Shapes, prefix: str, model_type: str = "llama") -> dict[str, Any]:
    """The decoder's config; sizes that ``config`` leaves out come from its tensors.

    Args:
        config: the published config.
        shapes: every key and its shape.
        prefix: of the decoder's keys, in front of ``model.layers`` (``"llm."`` for MEIT).
        model_type: transformers' name of the decoder.
    """
    text: dict[str, Any] = {key: config[key] for key in TEXT_KEYS if config.get(key) is not None}
    if "sliding_window" in config:
        text["sliding_window"] = config["sliding_window"]  # may be None, which differs from Mistral's default, 4096
    layer = prefix + "model.layers.0."
    table, inner = shapes.get(prefix + "model.embed_tokens.weight"), shapes.get(layer + "mlp.up_proj.weight")
    if table is not None:
        text.setdefault("vocab_size", table[0])
        text.setdefault("hidden_size", table[1])
    if inner is not None:
        text.setdefault("intermediate_size", inner[0])
    text.setdefault("num_hidden_layers", _count(shapes, re.escape(prefix) + r"model\.layers\.(\d+)\."))
    queries, keys = (shapes.get(f"{layer}self_attn.{name}_proj.weight") for name in "qk")
    heads = text.get("num_attention_heads")
    if queries is not None and keys is not None and heads:
        text.setdefault("num_key_value_heads", keys[0] * heads // queries[0])
        if queries[0] != text["hidden_size"]:
            text.setdefault("head_dim", queries[0] // heads)
    if model_type == "llama":
        text.setdefault("attention_bias", layer + "self_attn.q_proj.bias" in shapes)
        text.setdefault("mlp_bias", layer + "mlp.up_proj.bias" in shapes)
    if prefix + "lm_head.weight" not in shapes and table is not None:
        text["tie_word_embeddings"] = True  # without an lm_head the embeddings must be shared
    rope = {"rope_type": "default", "rope_theta": config.get("rope_theta") or 10000.0}
    # "rope_type" is called "type" in older configs
    scaling = {
        "rope_type" if key == "type" else key: value for key, value in (config.get("rope_scaling") or {}).items()
    }
    text |= {"model_type": model_type, "rope_parameters": rope | scaling | (config.get("rope_parameters") or {})}
    text.setdefault("pad_token_id", 0)
    return text


def coca_kwargs(shapes: Shapes, prefix: str, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of our ``ecg_coca`` encoder, from the ECG tower's tensors and open_clip's config.

    Args:
        shapes: every key and its shape.
        prefix: of the tower's keys.
        stored: open_clip's config, for what the shapes don't show; its defaults when None.

    Returns:
        The arguments; empty if tensors of the tower are missing.

    Raises:
        GemCheckpointError: the config has a setting that ECG-CoCa's published tower does not have.
    """
    cfg = dict((stored or {}).get("ecg_cfg") or {})
    unknown = [
        key for key in ("ls_init_value", "attentional_pool", "input_patchnorm", "global_average_pool") if cfg.get(key)
    ]
    unknown += ["quick_gelu"] if (stored or {}).get("quick_gelu") else []
    if unknown or cfg.get("pool_type", "tok") != "tok":
        raise GemCheckpointError(
            f"the ECG tower's config sets {', '.join(unknown) or 'pool_type'}",
            remedy="only ECG-CoCa's published tower is known",
        )
    try:
        width, leads, patch = shapes[prefix + "conv1.weight"]
        tokens = shapes[prefix + "positional_embedding"][0]
        embed = shapes[prefix + "proj"][1]
        inner = shapes[prefix + "transformer.resblocks.0.mlp.c_fc.weight"][0]
    except (KeyError, ValueError):
        return {}
    samples = cfg.get("seq_length") or 5000  # open_clip's default
    whole = (tokens - 1) * patch
    return {
        "leads": leads,
        "n_samples": samples if whole <= samples < whole + patch else whole,
        "patch": patch,
        "width": width,
        "layers": _count(shapes, re.escape(prefix) + r"transformer\.resblocks\.(\d+)\."),
        "embed_dim": embed,
        "heads": max(1, width // int(cfg.get("head_width") or 64)),
        "mlp_width": inner,
    }


def _open_clip(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    name = str(config.get("open_clip_config") or "")
    return _json(folder / f"{Path(name).name}.json") if name else {}


def _tower_folder(folder: Path, config: Mapping[str, Any]) -> Path:
    """The folder of the picture tower's own config: the one that the config names, or ``vision_tower``."""
    name = str(config.get("mm_vision_tower") or "vision_tower")
    # paths outside the folder are those of the machine that trained the model, or of a hub
    named = folder / name if ".." not in Path(name).parts and not Path(name).is_absolute() else folder / "vision_tower"
    return named if (named / "config.json").is_file() else folder / "vision_tower"


def _vision_encoder(folder: Path, config: Mapping[str, Any], shapes: Shapes, prefix: str) -> dict[str, Any]:
    return {
        "name": "clip_vision",
        "kwargs": {
            "config": _vision_config(_tower_folder(folder, config), shapes, prefix),
            "select_layer": config.get("mm_vision_select_layer", -2),
            "select_feature": config.get("mm_vision_select_feature", "patch"),
        },
    }


def _picture(folder: Path, config: Mapping[str, Any], shapes: Shapes, prefix: str) -> dict[str, Any]:
    where = str(folder / "config.json")
    ratio = config.get("image_aspect_ratio") or "ori"
    if ratio not in RATIOS:
        raise GemCheckpointError(
            f"unknown image_aspect_ratio {ratio!r}", where=where, remedy=f"known: {', '.join(RATIOS)}"
        )
    tower = _tower_folder(folder, config)
    size = _vision_config(tower, shapes, prefix)["image_size"]
    processor = _json(tower / "preprocessor_config.json")
    edge, crop = processor.get("size", size), processor.get("crop_size", size)
    edge = edge.get("shortest_edge", size) if isinstance(edge, dict) else edge
    crop = crop.get("height", size) if isinstance(crop, dict) else crop
    if crop != size:
        raise GemCheckpointError(
            f"the pictures are cut to {crop} pixels, the picture tower takes {size}", where=str(tower)
        )
    pinpoints = config.get("image_grid_pinpoints") or []
    if isinstance(pinpoints, str):  # LLaVA's training code stores the command line's text
        try:
            pinpoints = ast.literal_eval(pinpoints[:MAX_CHARACTERS])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise GemCheckpointError(f"image_grid_pinpoints is not a list: {pinpoints[:60]!r}", where=where) from None
    if not isinstance(pinpoints, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pinpoints
    ):
        raise GemCheckpointError(f"image_grid_pinpoints are pairs, not {str(pinpoints)[:60]}", where=where)
    if ratio == "anyres" and not pinpoints:
        raise GemCheckpointError(
            "anyres without image_grid_pinpoints", where=where, remedy="take the release's config.json"
        )
    return {
        # the published centre crop loses a quarter of the page, so it is used with compat only
        "mode": "letterbox" if RATIOS[ratio] == "ori" else ratio,
        "compat_mode": RATIOS[ratio],
        "size": [size, size],
        "shortest_edge": edge,
        "mean": processor.get("image_mean", [0.48145466, 0.4578275, 0.40821073]),
        "std": processor.get("image_std", [0.26862954, 0.26130258, 0.27577711]),
        "grid_pinpoints": [list(pair) for pair in pinpoints],
    }


def _vision_config(tower: Path, shapes: Shapes, prefix: str) -> dict[str, Any]:
    stored = _json(tower / "config.json")
    stored = stored.get("vision_config") or stored  # the config of a whole CLIP contains the tower's
    base = dict(CLIP_L_336) | {key: stored[key] for key in CLIP_L_336 if key in stored}
    try:
        width, _, patch, _ = shapes[prefix + "embeddings.patch_embedding.weight"]
        positions = shapes[prefix + "embeddings.position_embedding.weight"][0]
        inner = shapes[prefix + "encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError:
        return base
    layers = _count(shapes, re.escape(prefix) + r"encoder\.layers\.(\d+)\.")
    heads = stored.get("num_attention_heads") or max(1, width // 64)  # CLIP's models have 64 channels per head
    return base | {
        "hidden_size": width,
        "patch_size": patch,
        "image_size": round((positions - 1) ** 0.5) * patch,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


def _picture_projector(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    return {"type": _projector_type(shapes, "model.mm_projector.", config.get("mm_projector_type"))}


def _projector_type(shapes: Shapes, prefix: str, named: str | None) -> str:
    """A projector's type: the one in the config, or the one that its keys show."""
    if named:
        return named
    layers = [key for key in shapes if re.fullmatch(re.escape(prefix) + r"\d+\.weight", key)]
    return f"mlp{len(layers)}x_gelu" if layers else "linear"


def _output_width(shapes: Shapes, prefix: str) -> int | None:
    """Channels of a projector's output."""
    found = [shape[0] for key, shape in shapes.items() if key.startswith(prefix) and key.endswith("weight")]
    return found[-1] if found else None


def _prefix(shapes: Shapes, ending: str, fits: Callable[[str], bool]) -> str | None:
    """The part of a key in front of an ending, if exactly one key has this ending."""
    found = [
        key.removesuffix(ending) for key in shapes if key.endswith(ending) and key.startswith("model.") and fits(key)
    ]
    return found[0] if len(found) == 1 else None


def _count(shapes: Shapes, pattern: str) -> int:
    found = {match[1] for key in shapes if (match := re.match(pattern, key))}
    return len(found)


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
