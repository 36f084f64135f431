"""Report generation as in MEIT: one ECG vector in front of every layer; the encoder is trained, the decoder by LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import GemConfigError
from .instruction import Instruction


class Reports(Instruction):
    """Instruction tuning for ``prefix_kv`` models.

    Args:
        train: the parts whose own weights are trained.
        noise: largest fraction of a recording that gets noise in training (MEIT's robustness runs: 0.05-0.2).
        **kwargs: see ``gem.training.instruction.Instruction``; without ``lora`` the decoder is trained only if
            ``train`` names it.
    """

    def __init__(
        self, train: Sequence[str] = ("ecg_encoder", "ecg_projector"), noise: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(train=train, **kwargs)
        self.noise = noise

    def trained_parts(self, train: Sequence[str]) -> Sequence[str]:
        """``train``, after a check of the model's fusion.

        Args:
            train: as given to the class.

        Raises:
            GemConfigError: the model's fusion is not ``prefix_kv``.
        """
        if self.model.config.fusion != "prefix_kv":
            raise GemConfigError(f"the model's fusion is {self.model.config.fusion!r}", remedy='MEIT\'s is "prefix_kv"')
        return train

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """The loss of one batch, with noise on a segment of each recording.

        Args:
            batch: see ``Instruction.loss``.
            index: of the batch.
        """
        return super().training_step({**batch, "ecg": segment_noise(batch["ecg"], self.noise)}, index)


def segment_noise(ecg: Tensor, share: float) -> Tensor:
    """Add Gaussian noise, the same on all leads, to one segment of each recording.

    Args:
        ecg: (B, leads, samples), 0..1.
        share: largest length of the segment as a fraction of the recording; its length is uniform in 0..share, the
            noise's standard deviation in 0..0.1.
    """
    if share == 0:
        return ecg
    batch, _, samples = ecg.shape
    length = torch.rand(batch, 1, device=ecg.device) * share * samples
    begin = torch.rand(batch, 1, device=ecg.device) * (samples - length)
    at = torch.arange(samples, device=ecg.device)[None]
    inside = (at >= begin) & (at < begin + length)
    noise = torch.randn(batch, samples, device=ecg.device) * torch.rand(batch, 1, device=ecg.device) * 0.1
    return ecg + (noise * inside)[:, None]
