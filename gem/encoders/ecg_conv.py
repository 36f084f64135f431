"""A small 1-D residual convolutional network: the encoder that learns from little data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .contract import SignalContract
from .registry import Encoder, register_encoder


class ConvBlock(nn.Module):
    """Residual block: two convolutions and a shortcut.

    Args:
        inner: channels of the input.
        outer: channels of the output.
        kernel: size of both convolutions.
        stride: of the first; 2 halves the length.
    """

    def __init__(self, inner: int, outer: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inner, outer, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(outer)
        self.conv2 = nn.Conv1d(outer, outer, kernel, 1, kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(outer)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inner != outer:
            self.shortcut = nn.Sequential(nn.Conv1d(inner, outer, 1, stride, bias=False), nn.BatchNorm1d(outer))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inner, length) -> (B, outer, length / stride, rounded up)."""
        y = self.bn1(self.conv1(x)).relu()
        out: Tensor = (self.bn2(self.conv2(y)) + self.shortcut(x)).relu()
        return out


@register_encoder(name="ecg_conv")
class EcgConv(Encoder):
    """Stem of stride 2, then stages of stride 2; a token per ``2 ** (stages + 1)`` samples.

    Sees: 12 leads, 10 s, 0.5-40 Hz, 125 Hz, each lead z-scored.
    Architecture: 1-D ResNet of ``len(widths)`` stages.
    Source: this library.

    Args:
        leads: rows of the input.
        n_samples: samples of the input.
        widths: channels of each stage.
        depth: blocks of a stage.
        kernel: of the residual convolutions.
        fs_hz: sampling rate, Hz.
    """

    tiny: ClassVar[dict[str, Any]] = {"n_samples": 500, "widths": [8, 16], "depth": 1, "fs_hz": 50}

    def __init__(
        self,
        leads: int = 12,
        n_samples: int = 1250,
        widths: Sequence[int] = (48, 96, 160, 256),
        depth: int = 2,
        kernel: int = 5,
        fs_hz: float = 125.0,
    ) -> None:
        super().__init__()
        self.contract = SignalContract(
            fs_hz=fs_hz, n_samples=n_samples, bandpass_hz=(0.5, 40.0), normalization="zscore"
        )
        self.stem = nn.Sequential(
            nn.Conv1d(leads, widths[0], 15, 2, 7, bias=False), nn.BatchNorm1d(widths[0]), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        inner, length = widths[0], -(-n_samples // 2)
        for outer in widths:
            blocks += [ConvBlock(inner if i == 0 else outer, outer, kernel, 2 if i == 0 else 1) for i in range(depth)]
            inner, length = outer, -(-length // 2)
        self.stages = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(inner)
        self.width, self.n_tokens, self.stride = inner, length, 2 ** (len(widths) + 1)

    def token_spans(self) -> NDArray[np.float64]:
        """Every convolution is centred, so token i has its middle at sample i x stride."""
        start = (np.arange(self.n_tokens) - 0.5) * self.stride
        return np.stack([start, start + self.stride], 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, n_tokens, width)."""
        tokens: Tensor = self.norm(self.stages(self.stem(x)).transpose(1, 2))
        return tokens
