"""ECG-CoCa's layout: the 666 tensors of ``cpt_wfep_epoch_20.pt``, or its ECG tower alone, as safetensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..configuration import EcgCocaConfig
from ..errors import GemCheckpointError
from ..fusion.coca import EcgCocaModel
from ..untrusted import as_checkpoint_error, read_json
from .building import CONTRADICTION, build_model, compare_keys
from .llava import BUFFERS, Shapes, coca_kwargs

# settings of a text tower that its tensors' shapes don't show
TOWER_KEYS = ("num_attention_heads", "layer_norm_eps", "hidden_act")


def rename(key: str) -> str:
    """Our name of a published key: without the prefix that distributed training adds.

    Example:
        >>> rename("module.ecg.conv1.weight")
        'ecg.conv1.weight'
    """
    return key.removeprefix("module.")


def convert_config(
    shapes: Shapes, stored: Mapping[str, Any] | None = None, tower: dict[str, Any] | None = None
) -> EcgCocaConfig:
    """Our config: sizes come from the tensors' shapes, numbers of heads from the published configs.

    Args:
        shapes: every key and its shape.
        stored: open_clip's config, or None.
        tower: the text tower's config, as transformers writes it; 64 channels per head when None.

    Raises:
        GemCheckpointError: tensors of the ECG tower are missing.
    """
    own, stored = {rename(key): shape for key, shape in shapes.items()}, stored or {}
    ecg = coca_kwargs(own, "ecg.", stored)
    if not ecg:
        raise GemCheckpointError("the ECG tower is incomplete", remedy="give all of its tensors")
    text = decoder = None
    if "text.transformer.embeddings.word_embeddings.weight" in own:
        vocabulary, width = own["text.transformer.embeddings.word_embeddings.weight"]
        from_config = {key: value for key, value in (tower or {}).items() if key in TOWER_KEYS}
        text = {
            "model_type": "bert",
            "vocab_size": vocabulary,
            "hidden_size": width,
            "num_attention_heads": max(1, width // 64),
            "num_hidden_layers": _count(own, r"text\.transformer\.encoder\.layer\.(\d+)\."),
            "intermediate_size": own["text.transformer.encoder.layer.0.intermediate.dense.weight"][0],
            "max_position_embeddings": own["text.transformer.embeddings.position_embeddings.weight"][0],
            "type_vocab_size": own["text.transformer.embeddings.token_type_embeddings.weight"][0],
            **from_config,
        }
    if "text_decoder.text_projection" in own:
        width, vocabulary = own["text_decoder.text_projection"]
        layers = _count(own, r"text_decoder\.resblocks\.(\d+)\.")
        heads = int((stored.get("multimodal_cfg") or {}).get("heads") or 8)
        inner = own["text_decoder.resblocks.0.mlp.c_fc.weight"][0]
        decoder = {"width": width, "heads": heads, "layers": layers, "vocab_size": vocabulary, "mlp_width": inner}
    return EcgCocaConfig(ecg=ecg, text=text, decoder=decoder, embed_dim=ecg["embed_dim"])


def load_coca(folder: Path, shapes: Shapes, device: Any = None, dtype: torch.dtype | None = None) -> EcgCocaModel:
    """Load an ECG-CoCa model with its processor.

    Args:
        folder: of the weights and, if there are any, of their configs and the text tower's tokenizer.
        shapes: every key and its shape.
        device: where to put it; the CPU when None.
        dtype: of the weights; the files' own when None.

    Raises:
        GemCheckpointError: keys or shapes that don't fit.
    """
    from ..processing import GemProcessor
    from ..tokenizer import load_tokenizer

    stored, tower = (
        read_json(folder / name) if (folder / name).is_file() else None
        for name in ("open_clip_config.json", "text_tower/config.json")
    )
    with as_checkpoint_error(folder, CONTRADICTION):
        config = convert_config(shapes, stored, tower)
    ignored = {key for key in shapes if BUFFERS.search(key)}
    report = compare_keys(folder, EcgCocaModel, config, shapes, rename, ignored)
    if not report.complete:
        raise GemCheckpointError(f"the checkpoint does not fit: {report}", where=str(folder))
    tokenizer = load_tokenizer(folder)
    model = build_model(folder, EcgCocaModel, config, rename, ignored, dtype)
    model.load_report = report
    model.processor = GemProcessor(model.ecg.contract, tokenizer=tokenizer)
    return model.to(device or "cpu").eval()  # type: ignore[no-any-return]


def _count(shapes: Shapes, pattern: str) -> int:
    return len({match[1] for key in shapes if (match := re.match(pattern, key))})
