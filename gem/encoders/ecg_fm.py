"""ECG-FM: a wav2vec 2.0 transformer over convolved samples, in the key layout of fairseq-signals; without weights.

References:
    McKeen et al., ECG-FM, arXiv 2408.05178; Baevski et al., wav2vec 2.0. What could not be verified:
    docs/models/foundation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .contract import SignalContract, lead_names
from .registry import Encoder, register_encoder


class _FeatureExtractor(nn.Module):
    def __init__(self, leads: int, conv_layers: Sequence[Sequence[int]], conv_bias: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inner = leads
        for i, (outer, kernel, stride) in enumerate(conv_layers):
            conv = nn.Conv1d(inner, outer, kernel, stride, bias=conv_bias)
            # positions in the sequence match the published keys: dropout second, the norm per channel third
            norm = [nn.GroupNorm(outer, outer)] if i == 0 else []
            layers.append(nn.Sequential(conv, nn.Identity(), *norm, nn.GELU()))
            inner = outer
        self.conv_layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.conv_layers:
            x = layer(x)
        return x


class _Positions(nn.Module):
    """A grouped convolution with weight norm: the kernel's norm and direction are separate parameters."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        self.direction = nn.Parameter(torch.randn(width, width // groups, kernel) * (4.0 / (kernel * width)) ** 0.5)
        self.gain = nn.Parameter(self.direction.detach().norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.gain * self.direction / self.direction.norm(dim=(0, 1), keepdim=True)
        y = F.conv1d(x.transpose(1, 2), weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        return F.gelu(y[..., : x.shape[1]]).transpose(1, 2)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            proj(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        out: Tensor = self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, mlp_width: int, norm_first: bool) -> None:
        super().__init__()
        self.self_attn = _Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, mlp_width), nn.Linear(mlp_width, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        if self.norm_first:
            x = x + self.self_attn(self.self_attn_layer_norm(x))
            x = x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        else:
            x = self.self_attn_layer_norm(x + self.self_attn(x))
            x = self.final_layer_norm(x + self.fc2(F.gelu(self.fc1(x))))
        return x


class _EncoderStack(nn.Module):
    def __init__(self, layers: Sequence[nn.Module], width: int, norm_first: bool) -> None:
        super().__init__()
        self.layers, self.layer_norm, self.norm_first = nn.ModuleList(layers), nn.LayerNorm(width), norm_first

    def forward(self, x: Tensor) -> Tensor:
        if not self.norm_first:
            x = self.layer_norm(x)
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x) if self.norm_first else x


@register_encoder(name="ecg_fm")
class EcgFm(Encoder):
    """ECG-FM's encoder without its pre-training heads; a token per 16 samples.

    Sees: 12 leads, 5 s, 500 Hz, each lead z-scored.
    Architecture: wav2vec 2.0: convolutions, then a transformer of 12 layers with positions from a grouped convolution.
    Source: ECG-FM (arXiv 2408.05178).

    Args:
        leads: rows of the input.
        n_samples: samples of the input (5 s at 500 Hz).
        conv_layers: (channels, kernel, stride) of each convolution; the first is normalised per channel.
        conv_bias: whether they have a bias.
        width: channels of the transformer.
        layers: of the transformer.
        heads: of its attention.
        mlp_width: channels of its inner layers.
        conv_pos: kernel of the convolution that replaces position embeddings.
        conv_pos_groups: groups of this convolution.
        norm_first: normalise before attention and MLP, not after.
        normalization: of the signal, see ``SignalContract``.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "n_samples": 128,
        "conv_layers": [[16, 2, 2], [16, 2, 2]],
        "width": 32,
        "layers": 1,
        "heads": 2,
        "mlp_width": 64,
        "conv_pos": 16,
        "conv_pos_groups": 4,
    }

    def __init__(
        self,
        leads: int = 12,
        n_samples: int = 2500,
        conv_layers: Sequence[Sequence[int]] = ((256, 2, 2),) * 4,
        conv_bias: bool = False,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        mlp_width: int = 3072,
        conv_pos: int = 128,
        conv_pos_groups: int = 16,
        norm_first: bool = False,
        normalization: str = "zscore",
    ) -> None:
        super().__init__()
        self.contract = SignalContract(
            leads=lead_names(leads),
            n_samples=n_samples,
            normalization=normalization,
            paper="arXiv 2408.05178",
            licence="see the release (not bundled)",
        )
        length = n_samples
        for _, kernel, stride in conv_layers:
            length = (length - kernel) // stride + 1
        inner = conv_layers[-1][0]
        self.feature_extractor = _FeatureExtractor(leads, conv_layers, conv_bias)
        self.layer_norm = nn.LayerNorm(inner)
        self.post_extract_proj = nn.Linear(inner, width) if inner != width else nn.Identity()
        self.conv_pos = _Positions(width, conv_pos, conv_pos_groups)
        self.encoder = _EncoderStack(
            [_Layer(width, heads, mlp_width, norm_first) for _ in range(layers)], width, norm_first
        )
        self.width, self.n_tokens = width, length

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, n_tokens, width)."""
        tokens = self.post_extract_proj(self.layer_norm(self.feature_extractor(x).transpose(1, 2)))
        out: Tensor = self.encoder(tokens + self.conv_pos(tokens))
        return out
