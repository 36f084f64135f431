"""No network: features that were computed before (MEIT's checkpoints may come without their ResNet)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from .registry import Encoder, register_encoder


@register_encoder(name="ecg_features")
class EcgFeatures(Encoder):
    """Passes (B, width) or (B, n_tokens, width) on unchanged.

    Sees: features that were computed before.
    Architecture: none, no parameters.
    Source: this library; MEIT's checkpoints may come without their ResNet.

    Args:
        width: length of a feature vector.
        n_tokens: vectors per record.
    """

    tiny: ClassVar[dict[str, Any]] = {"width": 16}

    def __init__(self, width: int = 2048, n_tokens: int = 1) -> None:
        super().__init__()
        self.width, self.n_tokens = width, n_tokens

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) or (B, n_tokens, width) -> (B, n_tokens, width)."""
        return x[:, None] if x.dim() == 2 else x
