"""Report generation the way of MEIT: one ECG vector in front of every layer, the encoder learns, LoRA beside the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import GemConfigError
from .instruction import Instruction
from .start import start


class Reports(Instruction):
    """Instruction tuning for ``prefix_kv`` models.

    Args:
        init, model, parts: see ``gem.training.start.start``.
        train: the parts that learn as a whole.
        lora: see ``Instruction``; None trains the decoder only if ``train`` names it.
        noise: longest share of a recording that gets noise in training (MEIT's robustness runs: 0.05-0.2).
        kwargs: see ``gem.training.tuning.Tuning``.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        parts: dict[str, str] | None = None,
        train: Sequence[str] = ("ecg_encoder", "ecg_projector"),
        lora: dict[str, Any] | None = None,
        noise: float = 0.0,
        **kwargs: Any,
    ) -> None:
        made = start(init, model, parts)
        if made.config.fusion != "prefix_kv":
            raise GemConfigError(f"the model's fusion is {made.config.fusion!r}", remedy='MEIT\'s is "prefix_kv"')
        fresh = init is None and parts is None
        super().__init__(train=train, lora=lora, built=(made, fresh), **kwargs)
        self.noise = noise

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """One batch, with noise on a stretch of each recording."""
        return super().training_step({**batch, "ecg": stretch_noise(batch["ecg"], self.noise)}, index)


def stretch_noise(ecg: Tensor, share: float) -> Tensor:
    """Gaussian noise, the same on all leads, on one stretch of each recording.

    Args:
        ecg: (B, leads, samples), 0..1.
        share: longest stretch; its length is uniform in 0..share of the recording, the noise's deviation in 0..0.1.
    """
    if share == 0:
        return ecg
    batch, _, samples = ecg.shape
    length = (torch.rand(batch, 1) * share * samples).to(ecg.device)
    begin = torch.rand(batch, 1, device=ecg.device) * (samples - length)
    at = torch.arange(samples, device=ecg.device)[None]
    inside = (at >= begin) & (at < begin + length)
    noise = torch.randn(batch, samples, device=ecg.device) * torch.rand(batch, 1, device=ecg.device) * 0.1
    return ecg + (noise * inside)[:, None]
