"""The published systems and ours as configs: numbers alone, one function each, to read side by side.

    model = gem.GemForConditionalGeneration(gem.presets.gem_7b())  # random weights

A published folder is loaded by ``gem.load``, whose config comes from the folder; these say what such a folder holds.

References:
    GEM, arXiv 2503.06073; PULSE, arXiv 2410.19008; ECG-Chat, arXiv 2408.08849; MEIT, Findings of ACL 2025.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .configuration import GemConfig

# Vicuna-7B v1.5, a Llama-2 decoder; MEIT's Llama-2-7B has the same size
LLAMA_7B: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CLIP_TILES: dict[str, Any] = {
    "mode": "anyres",
    "size": [336, 336],
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
}


def gem_7b() -> GemConfig:
    """GEM: ECG-CoCa and CLIP-L/14 share the picture's projector, in front of Vicuna-7B."""
    return GemConfig(
        ecg_encoder={"name": "ecg_coca"},
        vision_encoder={"name": "clip_vision"},
        ecg_projector={"type": "linear", "width": 1024},
        vision_projector={"type": "mlp2x_gelu"},
        share_projector=True,
        text_config=LLAMA_7B,
    )


def pulse_7b() -> GemConfig:
    """PULSE: LLaVA-1.6 with CLIP-L/14 over tiles of the picture, no signal."""
    return GemConfig(
        vision_encoder={"name": "clip_vision"},
        vision_projector={"type": "mlp2x_gelu"},
        picture=CLIP_TILES,
        text_config=LLAMA_7B,
    )


def ecg_chat_7b() -> GemConfig:
    """ECG-Chat: ECG-CoCa alone in front of Vicuna-7B, no picture."""
    return GemConfig(ecg_encoder={"name": "ecg_coca"}, ecg_projector={"type": "mlp2x_gelu"}, text_config=LLAMA_7B)


def meit_7b() -> GemConfig:
    """MEIT: one vector of a 1-D ResNet-50 in front of the keys and values of every layer of Llama-2-7B."""
    return GemConfig(
        ecg_encoder={"name": "ecg_resnet"},
        ecg_projector={"type": "meit", "hidden": 2048},
        fusion="prefix_kv",
        text_config=LLAMA_7B,
    )


def gem_nano() -> GemConfig:
    """The bundled model's encoders and decoder; its tokenizer sets the vocabulary (``gem/weights/gem-nano``)."""
    return GemConfig(
        ecg_encoder={"name": "ecg_beats", "kwargs": {"millivolts": True}},
        vision_encoder={"name": "paper_traces", "kwargs": {"widths": [96, 192, 384]}},
        ecg_projector={"type": "linear"},
        vision_projector={"type": "linear"},
        text_config={
            "model_type": "llama",
            "vocab_size": 587,
            "hidden_size": 256,
            "intermediate_size": 688,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": True,
        },
    )


PRESETS: dict[str, Callable[[], GemConfig]] = {
    "gem-7b": gem_7b,
    "pulse-7b": pulse_7b,
    "ecg-chat-7b": ecg_chat_7b,
    "meit-7b": meit_7b,
    "gem-nano": gem_nano,
}
