"""MEIT's encoder: a 1-D ResNet-50 that ends in one vector of 2048 channels.

References:
    Wan et al., MEIT, Findings of ACL 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from .contract import SignalContract, lead_names
from .registry import Encoder, register_encoder


class _Bottleneck(nn.Module):
    def __init__(self, inner: int, width: int, stride: int) -> None:
        super().__init__()
        outer = 4 * width
        self.conv1 = nn.Conv1d(inner, width, 1, bias=False)
        self.bn1 = nn.BatchNorm1d(width)
        self.conv2 = nn.Conv1d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm1d(width)
        self.conv3 = nn.Conv1d(width, outer, 1, bias=False)
        self.bn3 = nn.BatchNorm1d(outer)
        self.shortcut = nn.Sequential()
        if stride != 1 or inner != outer:
            self.shortcut = nn.Sequential(nn.Conv1d(inner, outer, 1, stride, bias=False), nn.BatchNorm1d(outer))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        out: Tensor = (self.bn3(self.conv3(y)) + self.shortcut(x)).relu()
        return out


@register_encoder(name="ecg_resnet")
class EcgResnet(Encoder):
    """Stem of stride 2, four bottleneck stages, global average pool.

    Sees: 12 leads, 10 s, 500 Hz, minmax to 0..1 over all leads.
    Architecture: 1-D ResNet-50; one token.
    Source: MEIT, Findings of ACL 2025.

    Args:
        leads: rows of the input.
        depths: blocks of each stage (3, 4, 6, 3 is ResNet-50).
        widths: of each stage; a token has four times the last width.
        n_samples: samples of the input at 500 Hz.
    """

    tiny: ClassVar[dict[str, Any]] = {"depths": [1, 1], "widths": [4, 8], "n_samples": 500}

    def __init__(
        self,
        leads: int = 12,
        depths: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
        n_samples: int = 5000,
    ) -> None:
        super().__init__()
        self.contract = SignalContract(
            leads=lead_names(leads), n_samples=n_samples, normalization="minmax", paper="MEIT, Findings of ACL 2025"
        )
        self.conv1 = nn.Conv1d(leads, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm1d(widths[0])
        blocks: list[nn.Module] = []
        inner = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for i in range(depth):
                blocks.append(_Bottleneck(inner, width, 2 if stage and i == 0 else 1))
                inner = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.width, self.n_tokens = inner, 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, 1, width)."""
        features: Tensor = self.blocks(self.bn1(self.conv1(x)).relu())
        return features.mean(-1)[:, None]
