"""MEIT's layout: ``llm.*`` is the decoder, ``proj_ecg.*`` the head that ends in one unit vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..configuration import GemConfig
from ..errors import GemCheckpointError
from .llava import BUFFERS, PublishedLayout, Shapes, text_config

QUESTION = (
    "Given the ECG signal embeddings, please help me to generate an accurate description for this ECG signal "
    "embeddings."
)


def rename(key: str) -> str:
    """Our name of a published key.

    Example:
        >>> rename("llm.lm_head.weight"), rename("proj_ecg.3.bias")
        ('language_model.lm_head.weight', 'ecg_projector.3.bias')
    """
    for theirs, ours in (
        ("llm.", "language_model."),
        ("proj_ecg.", "ecg_projector."),
        ("ecg_encoder.", "ecg_encoder."),
    ):
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def read_layout(folder: Path, config: dict[str, Any], shapes: Shapes) -> PublishedLayout:
    """Our config and key names; without encoder weights the model takes the ResNet's 2048 features as ``ecg``.

    Args:
        folder: of the weights, for errors.
        config: the published config.
        shapes: every key and its shape.

    Raises:
        GemCheckpointError: the config or the projector is not MEIT's, or only some layers are fused.
    """
    if config.get("ecg_layers", "all") != "all":
        # the published code does not work with a subset: it compares integers with strings
        raise GemCheckpointError(
            f"ecg_layers is {config['ecg_layers']!r}", where=str(folder), remedy='only "all" works, here and there'
        )
    try:
        hidden, width = shapes["proj_ecg.0.weight"]
        head_dim = shapes["proj_ecg.3.weight"][0]
        llama = dict(config["llama"])
        heads = llama.get("num_attention_heads") or shapes["llm.model.embed_tokens.weight"][1] // head_dim
    except (KeyError, TypeError, ValueError) as error:
        raise GemCheckpointError(
            f"{error} is missing", where=str(folder), remedy="MEIT's layout has llama in its config and proj_ecg.0"
        ) from None
    text = text_config({**llama, "num_attention_heads": heads}, shapes, "llm.")
    encoder: dict[str, Any] = {"name": "ecg_features", "kwargs": {"width": width}}
    if any(key.startswith("ecg_encoder.") for key in shapes):
        encoder = {"name": "ecg_resnet", "kwargs": {}}
    ours = GemConfig(
        ecg_encoder=encoder,
        text_config=text,
        fusion="prefix_kv",
        ecg_projector={"type": "meit", "hidden": hidden},
        # every report was trained with one fixed instruction, and decoded in 128 tokens with the prompt
        asking={"prompt": QUESTION, "stop": [], "max_length": 128},
        conversation="<|user|>\n{prompt}\n<|assistant|>\n",
        tune={"source": "MEIT", "licence": "Apache-2.0"},
    )
    ignored = {key for key in shapes if BUFFERS.search(key)}
    if text.get("tie_word_embeddings"):
        ignored |= {"llm.lm_head.weight"} & set(shapes)
    return PublishedLayout(ours, rename, ignored)
