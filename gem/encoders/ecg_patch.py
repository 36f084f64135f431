"""A small 1-D vision transformer over patches of the signal."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import GemConfigError
from .contract import SignalContract
from .registry import Encoder, register_encoder


@register_encoder(name="ecg_patch")
class EcgPatch(Encoder):
    """Patches of all leads together, learned positions, pre-norm transformer.

    Sees: 12 leads, 10 s, 0.5-40 Hz, 125 Hz, each lead z-scored.
    Architecture: transformer of 6 layers over patches of 0.2 s.
    Source: this library.

    Args:
        leads: rows of the input.
        n_samples: samples of the input.
        patch: samples of a patch.
        width: channels of the transformer.
        layers: of the transformer.
        heads: of its attention.
        fs_hz: sampling rate, Hz.
        dropout: dropout rate.

    Raises:
        GemConfigError: the window is not a whole number of patches.
    """

    tiny: ClassVar[dict[str, Any]] = {"n_samples": 500, "patch": 50, "width": 32, "layers": 1, "heads": 2, "fs_hz": 50}

    def __init__(
        self,
        leads: int = 12,
        n_samples: int = 1250,
        patch: int = 25,
        width: int = 192,
        layers: int = 6,
        heads: int = 6,
        fs_hz: float = 125.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if n_samples % patch:
            raise GemConfigError(f"{n_samples} samples are not a whole number of patches of {patch}")
        self.width, self.n_tokens = width, n_samples // patch
        self.contract = SignalContract(
            fs_hz=fs_hz, n_samples=n_samples, bandpass_hz=(0.5, 40.0), normalization="zscore"
        )
        self.stem = nn.Conv1d(leads, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.randn(self.n_tokens, width) * 0.02)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, n_tokens, width)."""
        return self._transformed(self.stem(x).transpose(1, 2) + self.positions)

    def from_int16(self, samples: Tensor, zscore: bool = False, probe: Tensor | None = None) -> Tensor:
        """As ``Encoder.from_int16``, with the fused front end."""
        from ..kernels.ecg_front_end import embed_int16

        stem = self.stem
        return self._transformed(
            embed_int16(samples, stem.weight, stem.bias, self.positions, zscore=zscore, probe=probe)
        )

    def _transformed(self, tokens: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.blocks(tokens))
        return normed
