"""ECGFounder: a 1-D RegNet-like network (Net1D), in the key layout of its released checkpoints; without weights.

References:
    Li et al., ECGFounder, arXiv 2410.04133; Hong et al., Net1D. What could not be verified: docs/models/foundation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from .contract import SignalContract, lead_names
from .registry import Encoder, register_encoder


class _SameConv(nn.Module):
    """Padded so that the output has ceil(length / stride) samples; an odd sample of padding goes to the right."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inner, outer, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(_same(x, self.conv.kernel_size[0], self.conv.stride[0]))
        return out


def _same(x: Tensor, kernel: int, stride: int) -> Tensor:
    length = x.shape[-1]
    lack = max(0, (-(-length // stride) - 1) * stride + kernel - length)
    return F.pad(x, (lack // 2, lack - lack // 2))


class _Block(nn.Module):
    """1x1, grouped and 1x1 convolutions, each after its activation; squeeze-excitation; a shortcut without weights."""

    def __init__(
        self, inner: int, middle: int, outer: int, kernel: int, stride: int, groups: int, **flags: bool
    ) -> None:
        super().__init__()
        self.first, self.down = flags["first"], stride if flags["down"] else 0
        self.outer = outer
        stride = stride if flags["down"] else 1
        if flags["norm"]:
            self.bn1, self.bn2, self.bn3 = nn.BatchNorm1d(inner), nn.BatchNorm1d(middle), nn.BatchNorm1d(middle)
        self.norm = flags["norm"]
        self.conv1 = _SameConv(inner, middle, 1)
        self.conv2 = _SameConv(middle, middle, kernel, stride, groups)
        self.conv3 = _SameConv(middle, outer, 1)
        self.se_fc1, self.se_fc2 = nn.Linear(outer, outer // 2), nn.Linear(outer // 2, outer)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if not self.first:
            y = F.silu(self.bn1(y) if self.norm else y)
        y = self.conv1(y)
        y = self.conv2(F.silu(self.bn2(y) if self.norm else y))
        y = self.conv3(F.silu(self.bn3(y) if self.norm else y))
        y = y * self.se_fc2(F.silu(self.se_fc1(y.mean(-1)))).sigmoid()[..., None]
        if self.down:
            x = F.max_pool1d(_same(x, self.down, self.down), self.down)
        more = self.outer - x.shape[1]
        out: Tensor = y + F.pad(x, (0, 0, more // 2, more - more // 2))
        return out


class _Stage(nn.Module):
    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.block_list = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block_list:
            x = block(x)
        return x


@register_encoder(name="ecg_founder")
class EcgFounder(Encoder):
    """ECGFounder's network before its mean over time; the published feature is the mean over these tokens.

    Sees: 12 leads, 10 s, 500 Hz, filtered, z-scored over all leads together.
    Architecture: RegNet-like 1-D network of grouped convolutions with squeeze and excitation.
    Source: ECGFounder (arXiv 2410.04133).

    Args:
        leads: rows of the input.
        n_samples: samples of the input (10 s at 500 Hz).
        base: channels after the first convolution.
        filters: channels of each stage.
        blocks: number of blocks of each stage.
        kernel: of the grouped convolutions.
        stride: of the first block of each stage.
        groups_width: channels of a group.
        ratio: inner channels of a block as a share of its output's.
        norm: batch normalisation; the released fine-tuning code builds the network without.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "n_samples": 500,
        "base": 16,
        "filters": [16, 32],
        "blocks": [1, 2],
        "groups_width": 8,
    }

    def __init__(
        self,
        leads: int = 12,
        n_samples: int = 5000,
        base: int = 64,
        filters: Sequence[int] = (64, 160, 160, 400, 400, 1024, 1024),
        blocks: Sequence[int] = (2, 2, 2, 3, 3, 4, 4),
        kernel: int = 16,
        stride: int = 2,
        groups_width: int = 16,
        ratio: float = 1.0,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.contract = SignalContract(
            leads=lead_names(leads),
            n_samples=n_samples,
            bandpass_hz=(0.67, 40.0),
            filter_order=4,
            notch_hz=50.0,
            baseline_s=0.4,
            normalization="zscore_all",
            paper="arXiv 2410.04133",
            licence="see the release (not bundled)",
        )
        self.norm = norm
        self.first_conv = _SameConv(leads, base, kernel, 2)
        if norm:
            self.first_bn = nn.BatchNorm1d(base)
        stages: list[nn.Module] = []
        inner, length = base, -(-n_samples // 2)
        for i, (outer, depth) in enumerate(zip(filters, blocks, strict=True)):
            stage = [
                _Block(
                    inner if j == 0 else outer,
                    int(outer * ratio),
                    outer,
                    kernel,
                    stride,
                    max(1, outer // groups_width),
                    first=i == j == 0,
                    down=j == 0,
                    norm=norm,
                )
                for j in range(depth)
            ]
            stages.append(_Stage(stage))
            inner, length = outer, -(-length // stride)
        self.stage_list = nn.ModuleList(stages)
        self.width, self.n_tokens = inner, length

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, n_tokens, width)."""
        y = self.first_conv(x)
        y = F.silu(self.first_bn(y) if self.norm else y)
        for stage in self.stage_list:
            y = stage(y)
        tokens: Tensor = y.transpose(1, 2)
        return tokens
