"""The ECG tower of ECG-CoCa: a 1-D ViT in open_clip's key layout (152 tensors at 12 layers).

References:
    Zhao et al., ECG-Chat, arXiv 2408.08849; Lan et al., GEM, arXiv 2503.06073. Key table: docs/models/ecg_coca.md.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .contract import SignalContract, lead_names
from .registry import Encoder, register_encoder


class ResidualAttentionBlock(nn.Module):
    """Pre-norm attention and MLP; with ``cross`` the keys come from another sequence, which has its own norm.

    Args:
        width: channels of a token.
        heads: of the attention.
        cross: attend to another sequence.
        mlp_width: of the inner layer; four times the width when None.
    """

    def __init__(self, width: int, heads: int, cross: bool = False, mlp_width: int | None = None) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        if cross:
            self.ln_1_kv = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        inner = mlp_width or 4 * width
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(width, inner), gelu=nn.GELU(), c_proj=nn.Linear(inner, width))
        )

    def forward(self, x: Tensor, kv: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, T, C), optionally (B, S, C) to attend to -> (B, T, C)."""
        from ..kernels.layer_norm import add_norm  # Triton is imported with it

        query = self.ln_1(x)
        key = query if kv is None else self.ln_1_kv(kv)
        x, normed = add_norm(x, self.attn(query, key, key, need_weights=False, attn_mask=mask)[0], self.ln_2)
        out: Tensor = x + self.mlp(normed)
        return out


class _Transformer(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, mlp_width: int | None) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(
            [ResidualAttentionBlock(width, heads, mlp_width=mlp_width) for _ in range(layers)]
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x)
        return x


@register_encoder(name="ecg_coca")
class EcgCoca(Encoder):
    """ECG-CoCa's encoder.

    Sees: 12 leads, 10 s, 500 Hz, mV.
    Architecture: vision transformer over patches of 0.1 s of all leads together, 12 layers, a class token first.
    Source: ECG-Chat (arXiv 2408.08849); GEM's and ECG-Chat's ECG tower.

    Args:
        leads: rows of the input.
        n_samples: samples of the input (10 s at 500 Hz).
        patch: samples of a patch.
        width: channels of the transformer.
        layers: of the transformer.
        embed_dim: length of the contrastive embedding.
        heads: of the attention; 64 channels each when None.
        mlp_width: of the inner layer; four times the width when None.
    """

    tiny: ClassVar[dict[str, Any]] = {"n_samples": 500, "width": 64, "layers": 1, "embed_dim": 16}

    def __init__(
        self,
        leads: int = 12,
        n_samples: int = 5000,
        patch: int = 50,
        width: int = 768,
        layers: int = 12,
        embed_dim: int = 512,
        heads: int | None = None,
        mlp_width: int | None = None,
    ) -> None:
        super().__init__()
        self.width, self.n_tokens = width, n_samples // patch + 1
        self.contract = SignalContract(
            leads=lead_names(leads),
            n_samples=n_samples,
            missing_leads="error",
            paper="arXiv 2408.08849",
            licence="none stated (ECG-Chat)",
        )
        scale = width**-0.5
        self.conv1 = nn.Conv1d(leads, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(self.n_tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = _Transformer(width, layers, heads or max(1, width // 64), mlp_width)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, embed_dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, 1 + patches, width): what GEM feeds the LLM, before ``ln_post``."""
        patches = self.conv1(x).transpose(1, 2)
        cls = self.class_embedding.expand(len(x), 1, -1).to(patches.dtype)
        return self._transformed(torch.cat([cls, patches], dim=1) + self.positional_embedding)

    def from_int16(self, samples: Tensor, zscore: bool = False, probe: Tensor | None = None) -> Tensor:
        """As ``Encoder.from_int16``, with the fused front end."""
        from ..kernels.ecg_front_end import embed_int16

        return self._transformed(
            embed_int16(
                samples,
                self.conv1.weight,
                None,
                self.positional_embedding,
                self.class_embedding,
                zscore=zscore,
                probe=probe,
            )
        )

    def token_spans(self) -> NDArray[np.float64]:
        """The class token covers no samples; every other token covers its patch."""
        patch, start = self.conv1.kernel_size[0], np.r_[0, np.arange(self.n_tokens - 1)]
        return np.stack([start, np.r_[0, start[1:] + 1]], 1) * float(patch)

    def _transformed(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.transformer(self.ln_pre(tokens))
        return out
