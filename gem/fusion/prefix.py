"""MEIT's fusion: one ECG vector, through each layer's k/v projections, as a key and value in front of the text.

The vector has no position, is not stored in the cache and adds no parameters; every query attends to it. It is built
on transformers' attention interface, and works in the decoders of ``FAMILIES``, grouped queries included.

References:
    Wan et al., MEIT, Findings of ACL 2025.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..errors import GemConfigError
from ..untrusted import DECODERS

NAME = "gem_prefix_kv"
# decoders whose layers do not hand the vector on to such an attention: tests/gem/test_families.py tries all
UNREACHED = ("gemma2", "phi3", "stablelm", "nemotron", "falcon", "gpt2", "gpt_neox")
FAMILIES = tuple(name for name in DECODERS if name not in UNREACHED)


def check_family(kind: str) -> None:
    """Refuse decoders whose attention the vector does not reach, where every ECG would give the same text.

    Args:
        kind: ``model_type`` of the decoder's config.

    Raises:
        GemConfigError: it is not one of ``FAMILIES``.
    """
    if kind not in FAMILIES:
        raise GemConfigError(
            f"prefix_kv does not reach the attention of {kind}",
            remedy=f'use fusion "tokens", or one of {", ".join(FAMILIES)}',
        )


def prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    prefix_vector: Tensor | None = None,
    prefix_mask: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention with one more key and value in front.

    Args:
        module: the attention layer (``k_proj``, ``v_proj``, ``head_dim``).
        query: (B, heads, L, head_dim).
        key: (B, kv_heads, S, head_dim).
        value: (B, kv_heads, S, head_dim).
        attention_mask: (B, 1, L, S), additive or boolean; None for causal.
        prefix_vector: (B, head_dim), of unit length; None runs without ECG.
        prefix_mask: (B,), False where a row has no ECG; None if every row has one.
        **kwargs: passed on to transformers' attention.

    Returns:
        (B, L, heads, head_dim), and the attention weights or None.
    """
    attend: Any = ALL_ATTENTION_FUNCTIONS["sdpa"]
    if prefix_vector is None:
        return attend(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
    kwargs.pop("is_causal", None)
    batch, heads, length, head_dim = query.shape
    vector = prefix_vector.to(query.dtype).repeat(1, heads)  # (B, heads * head_dim): the same for each head
    extra_key = module.k_proj(vector).view(batch, -1, 1, head_dim)  # type: ignore[operator]
    extra_value = module.v_proj(vector).view(batch, -1, 1, head_dim)  # type: ignore[operator]
    if attention_mask is None:
        attention_mask = torch.ones(length, key.shape[2], dtype=torch.bool, device=query.device).tril(
            key.shape[2] - length
        )[None, None]
    attention_mask = attention_mask.expand(batch, -1, -1, -1)
    column = torch.ones if attention_mask.dtype == torch.bool else torch.zeros
    front = column(batch, attention_mask.shape[1], length, 1, dtype=attention_mask.dtype, device=query.device)
    if prefix_mask is not None:
        absent = ~prefix_mask.bool()[:, None, None, None]
        blocked = False if attention_mask.dtype == torch.bool else torch.finfo(attention_mask.dtype).min
        front = front.masked_fill(absent, blocked)
    return attend(  # type: ignore[no-any-return]
        module,
        query,
        torch.cat([extra_key, key], dim=2),
        torch.cat([extra_value, value], dim=2),
        torch.cat([front, attention_mask], dim=-1),
        **kwargs,
    )


AttentionInterface.register(NAME, prefix_attention)
# "eager" masks are always built and additive, so that a column can be added in front
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
