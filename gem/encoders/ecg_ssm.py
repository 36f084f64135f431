"""A diagonal state-space network: long memory of a signal at the cost of a convolution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .contract import SignalContract
from .ecg_beats import TYPICAL_MV, UNIT_MV, full_precision
from .registry import Encoder, register_encoder


class _StateSpace(nn.Module):
    """One diagonal state space a channel (S4D), run as a causal convolution by FFT.

    Args:
        width: channels.
        states: complex states of a channel.
    """

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        # steps between 1 and 100 samples of memory, spread evenly in their logarithm
        self.log_step = nn.Parameter(torch.rand(width) * math.log(100) + math.log(1e-3))
        self.log_decay = nn.Parameter(torch.full((width, states), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(states)).repeat(width, 1))
        self.mix = nn.Parameter(torch.randn(width, states, 2) * 0.5**0.5)
        self.skip = nn.Parameter(torch.randn(width))

    def kernel(self, length: int) -> Tensor:
        """(width, length): the response to an impulse."""
        pole = torch.complex(-self.log_decay.float().exp(), self.frequency.float())
        step = pole * self.log_step.float().exp()[:, None]
        weight = torch.view_as_complex(self.mix.float()) * (step.exp() - 1) / pole
        powers = (step[..., None] * torch.arange(length, device=step.device)).exp()
        out: Tensor = 2 * torch.einsum("hn,hnl->hl", weight, powers).real
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, length) -> the same."""
        length = x.shape[-1]
        padded = 64 * -(-2 * length // 64)  # at least twice the length, of small primes, which FFTs are fast at
        with full_precision(x.device.type):  # FFTs of half precision are not there on CPUs
            wide = x.float()
            spectrum = torch.fft.rfft(wide, padded) * torch.fft.rfft(self.kernel(length), padded)
            out: Tensor = torch.fft.irfft(spectrum, padded)[..., :length] + wide * self.skip.float()[:, None]
        return out.to(x.dtype)


class _SpaceBlock(nn.Module):
    """Norm, state spaces, a gated linear layer, residual."""

    def __init__(self, width: int, states: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.space = _StateSpace(width, states)
        self.gate = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(width, 2 * width), nn.GLU(-1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, length, width) -> the same."""
        out: Tensor = x + self.gate(self.space(self.norm(x).transpose(1, 2)).transpose(1, 2))
        return out


@register_encoder(name="ecg_ssm")
class EcgSsm(Encoder):
    """Convolutions of stride 2, then causal state-space layers; each token knows all of the past.

    Sees: 12 leads, 10 s, 0.5-40 Hz, 125 Hz, mV.
    Architecture: convolutional stem (8 samples a step), 4 diagonal state-space layers (S4D) with gated linear layers.
    Source: this library, after arXiv 2509.25095 (state spaces behind convolutions) and 2206.11893 (S4D).

    Args:
        leads: rows of the input.
        n_samples: samples of the input.
        width: channels of a token.
        layers: state-space layers.
        states: complex states of a channel.
        dropout: dropout rate.
        fs_hz: sampling rate, Hz.
    """

    tiny: ClassVar[dict[str, Any]] = {"n_samples": 500, "width": 16, "layers": 1, "states": 4, "fs_hz": 50}

    def __init__(
        self,
        leads: int = 12,
        n_samples: int = 1250,
        width: int = 512,
        layers: int = 4,
        states: int = 8,
        dropout: float = 0.1,
        fs_hz: float = 125.0,
    ) -> None:
        super().__init__()
        self.contract = SignalContract(
            fs_hz=fs_hz,
            n_samples=n_samples,
            bandpass_hz=(0.5, 40.0),
            typical_mv=TYPICAL_MV if leads == len(TYPICAL_MV) else None,
        )
        stages: list[nn.Module] = []
        for inner, outer, kernel in ((leads, width // 4, 15), (width // 4, width // 2, 5), (width // 2, width, 5)):
            stages += [nn.Conv1d(inner, outer, kernel, 2, kernel // 2, bias=False), nn.BatchNorm1d(outer), nn.GELU()]
        self.stem = nn.Sequential(*stages)
        self.blocks = nn.Sequential(*(_SpaceBlock(width, states, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.width, self.n_tokens = width, -(-n_samples // 8)

    def token_spans(self) -> NDArray[np.float64]:
        """The samples of the stem's last step alone: what a token remembers of the past is not counted."""
        start = (np.arange(self.n_tokens) - 0.5) * 8.0
        return np.stack([start, start + 8.0], 1)

    def local(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, n_tokens, width), before the state spaces: what each step sees itself."""
        steps: Tensor = self.stem(x / UNIT_MV).transpose(1, 2)
        return steps

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) -> (B, n_tokens, width)."""
        tokens: Tensor = self.norm(self.blocks(self.local(x)))
        return tokens
