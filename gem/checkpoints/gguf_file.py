"""Llama-type decoders from a GGUF file: dequantised tensors under transformers' names, and the decoder's config.

References:
    GGUF and its block formats: the ``gguf`` package of llama.cpp (MIT), which dequantises.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import GemCheckpointError
from ..extras import how_to_install
from ..untrusted import as_checkpoint_error

MAX_BYTES = 1 << 30
_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


def read_gguf(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A decoder's config and weights.

    Args:
        path: a GGUF file of a Llama-type model.

    Returns:
        Arguments of transformers' ``LlamaConfig``, and its state dict in float32.

    Raises:
        GemCheckpointError: the package gguf is missing, the file is damaged or too large, or no Llama.
    """
    try:
        import gguf
    except ImportError:
        raise GemCheckpointError(
            "a GGUF file needs the package gguf", where=str(path), remedy=how_to_install("gguf")
        ) from None
    file = Path(path)
    with as_checkpoint_error(file, "it is not a GGUF file of a Llama-type model"):
        if file.stat().st_size > MAX_BYTES:
            raise GemCheckpointError(f"it is larger than {MAX_BYTES >> 30} GB", where=str(file))
        reader = gguf.GGUFReader(str(file))

        def about(name: str) -> Any:
            return reader.fields[name].contents()

        kind = about("general.architecture")
        if kind != "llama":
            raise GemCheckpointError(f"its architecture is {str(kind)[:40]!r}", where=str(file), remedy="use a Llama")
        heads, shared = int(about("llama.attention.head_count")), int(about("llama.attention.head_count_kv"))
        tensors = {}
        for one in reader.tensors:
            values = torch.from_numpy(np.array(gguf.quants.dequantize(one.data, one.tensor_type), np.float32))
            name = _renamed(one.name)
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                values = _rotary_halves(values, heads if "q_proj" in name else shared)
            tensors[name] = values.contiguous()
        config = {
            "model_type": "llama",
            "vocab_size": len(tensors["model.embed_tokens.weight"]),
            "hidden_size": int(about("llama.embedding_length")),
            "intermediate_size": int(about("llama.feed_forward_length")),
            "num_hidden_layers": int(about("llama.block_count")),
            "num_attention_heads": heads,
            "num_key_value_heads": shared,
            "max_position_embeddings": int(about("llama.context_length")),
            "rms_norm_eps": float(about("llama.attention.layer_norm_rms_epsilon")),
            "rope_theta": float(about("llama.rope.freq_base")),
            "bos_token_id": int(about("tokenizer.ggml.bos_token_id")),
            "eos_token_id": int(about("tokenizer.ggml.eos_token_id")),
            "tie_word_embeddings": "lm_head.weight" not in tensors,
        }
    return config, tensors


def _renamed(name: str) -> str:
    found = _LAYER.fullmatch(name)
    if found is None:
        return _WHOLE[name]
    return f"model.layers.{found[1]}.{_IN_LAYER[found[2]]}.weight"


def _rotary_halves(weight: Tensor, heads: int) -> Tensor:
    """The rows of a head in transformers' order: GGUF keeps the two numbers of a rotated pair side by side."""
    return weight.view(heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
