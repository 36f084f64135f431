"""Rhythm and beat: 1-D ResNets over the whole window beside others that look closely at the record's own average beat.

What makes a few thousand z-scored recordings enough is what need not be learned. Scaling every lead to unit variance
loses the frontal plane's proportions, and with them the axis; since I + III = II they can be solved for again, so the
limb leads come a second time on one scale. And most diagnoses are in the form of the beat: it is averaged over the
window, aligned at the onset of its QRS, and read by a network of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from grounding import STANDARD_LEADS

from .contract import SignalContract
from .ecg_conv import ConvBlock, EcgConv
from .registry import Encoder, pooled, register_encoder

BEFORE_S, AFTER_S = 0.304, 0.496  # of the QRS onset
PEAKS = 20  # beats averaged at most
UNIT_MV = 0.15  # what millivolts are divided by: about the standard deviation of a lead
# standard deviation of each lead, mV: medians over 777 raw records of PTB-XL's folds 1-8, 0.5-40 Hz
TYPICAL_MV = (0.124, 0.122, 0.091, 0.116, 0.089, 0.088, 0.148, 0.242, 0.235, 0.226, 0.200, 0.161)


@register_encoder(name="ecg_beats")
class EcgBeats(Encoder):
    """Every token of the rhythm carries, behind its own channels, the vectors of the average beat.

    Sees: 12 leads, and the limb leads once more; 10 s, 0.5-40 Hz, 125 Hz; mV with ``millivolts``, else z-scored leads.
    Architecture: a 1-D ResNet over the recording, and a smaller one over the beat averaged in 12 leads and in the
    directions of its loop. Source: this library; gem-nano's signal encoder.

    Args:
        n_samples: samples of the input; the leads are the standard twelve.
        widths, depth: of the rhythm's networks, see ``ecg_conv``.
        kernels: of the residual convolutions; for each there is one network of the rhythm and one of the beat.
            Networks that learned apart err apart, and what joins them is better than any.
        beat_width: channels of the beat network's first stage; doubled twice.
        beat_hidden: length of each network's vector of the beat.
        dropout: in front of and behind this vector, in training.
        fs_hz: sampling rate, Hz.
        millivolts: the input is in mV, and a record without them has the leads' typical sizes; else every lead is
            z-scored.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "n_samples": 500,
        "widths": [8, 16],
        "depth": 1,
        "beat_width": 4,
        "beat_hidden": 8,
        "fs_hz": 50,
    }

    def __init__(
        self,
        n_samples: int = 1250,
        widths: Sequence[int] = (48, 96, 160, 256),
        depth: int = 2,
        kernels: Sequence[int] = (5,),
        beat_width: int = 32,
        beat_hidden: int = 128,
        dropout: float = 0.3,
        fs_hz: float = 125.0,
        millivolts: bool = False,
    ) -> None:
        super().__init__()
        self.contract = SignalContract(
            fs_hz=fs_hz,
            n_samples=n_samples,
            leads=STANDARD_LEADS,
            bandpass_hz=(0.5, 40.0),
            normalization="none" if millivolts else "zscore",
            typical_mv=TYPICAL_MV if millivolts else None,
        )
        self.unit = UNIT_MV if millivolts else 1.0
        self.fs_hz, self.before = fs_hz, round(BEFORE_S * fs_hz)
        self.beat_samples = self.before + round(AFTER_S * fs_hz)
        self.rhythms = nn.ModuleList(EcgConv(18, n_samples, widths, depth, kernel, fs_hz) for kernel in kernels)
        self.beats = nn.ModuleList(_beat_network(self.beat_samples, beat_width, beat_hidden, dropout) for _ in kernels)
        first: Any = self.rhythms[0]
        self.rhythm_width, self.beat_hidden, self.n_tokens = first.width, beat_hidden, first.n_tokens
        self.width = len(kernels) * (first.width + beat_hidden)

    def views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the two networks look at.

        Args:
            x: (B, 12, samples), z-scored per lead or in mV.

        Returns:
            (B, 18, samples): the leads (mV in units of ``UNIT_MV``), then the limb leads on their common scale; (B,
            12, beat_samples): the average beat, limb leads on their common scale, zero just before the QRS.
        """
        with full_precision(x.device.type):  # scales and likeness are small differences of large sums
            leads = x.float() / self.unit
            limb = frontal(leads)
            beat = average_beat(torch.cat([limb, leads[:, 6:]], 1), self.fs_hz, self.before, self.beat_samples)
        return torch.cat([leads, limb], 1).to(x.dtype), beat.to(x.dtype)

    def parts(self, views: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """What each pair of networks makes of its views.

        Args:
            views: rhythm (B, 18, samples) and beat (B, 12, beat_samples) for each kernel.

        Returns:
            Rhythm tokens (B, n_tokens, rhythm_width) and the beat's vector (B, beat_hidden), for each kernel.
        """
        pairs = zip(self.rhythms, self.beats, views, strict=True)
        return [(rhythm(seen), beat(0.5 * form)) for rhythm, beat, (seen, form) in pairs]

    @property
    def vector_widths(self) -> list[int]:
        """Lengths of ``vectors``."""
        return [2 * self.rhythm_width, self.beat_hidden] * len(self.rhythms)

    @staticmethod
    def vectors(parts: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """One vector from each network, for those who train or compare them apart: the pooled rhythm, (B, 2 rhythm_width), and the beat,
        (B, beat_hidden), for each kernel."""
        return [vector for tokens, beat in parts for vector in (pooled(tokens), beat)]

    def join(self, parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """All parts as tokens, (B, n_tokens, width)."""
        vectors = [vector[:, None].expand(-1, self.n_tokens, -1) for _, vector in parts]
        return torch.cat([*(tokens for tokens, _ in parts), *vectors], -1)

    def token_spans(self) -> NDArray[np.float64]:
        """Those of the rhythm; the beat, which every token carries, comes from the whole window."""
        first: Any = self.rhythms[0]
        spans: NDArray[np.float64] = first.token_spans()
        return spans

    def forward(self, x: Tensor) -> Tensor:
        """(B, 12, samples) -> (B, n_tokens, width)."""
        return self.join(self.parts([self.views(x)] * len(self.rhythms)))


def full_precision(device_type: str) -> Any:
    """No autocast, on devices that have one."""
    there = torch.amp.is_autocast_available(device_type)
    return torch.autocast(device_type, enabled=False) if there else nullcontext()


def _beat_network(samples: int, width: int, hidden: int, dropout: float) -> nn.Sequential:
    """(B, 12, samples) -> (B, hidden); stages of ``width``, twice and four times that."""
    return nn.Sequential(
        nn.Conv1d(12, width, 7, 1, 3, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        ConvBlock(width, width, 7, 2),
        ConvBlock(width, 2 * width, 5, 2),
        ConvBlock(2 * width, 4 * width, 5, 2),
        # every moment of the beat has weights of its own: where a bump lies is what it means
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(4 * width * -(-samples // 8), hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


def frontal(x: Tensor) -> Tensor:
    """The six limb leads on one scale, solved from I + III = II.

    Args:
        x: (B, leads, samples), the limb leads first in standard order, each on a scale of its own.

    Returns:
        (B, 6, samples); with the scales as they came where the leads don't fit together (a lead is missing, or not
        what it is called).
    """
    stacked = torch.stack([x[:, 0], -x[:, 1], x[:, 2]], -1).double()
    gram = stacked.mT @ stacked
    with torch.no_grad():
        power, mixes = torch.linalg.eigh(gram)
        fits = (power[:, 0] < 1e-3 * power[:, 1]) & (mixes[..., 0].abs() > 1e-3).all(1)
        # stands in where nothing is solved: a flat record's own has no derivative
        spare = torch.diag(power.new_tensor([1.0, 2.0, 3.0])).expand_as(gram)
    # the scales are the combination of the three that vanishes
    scale = torch.linalg.eigh(torch.where(fits[:, None, None], gram, spare))[1][..., 0].abs().to(x.dtype)
    scale = scale / scale.square().mean(1, keepdim=True).sqrt()
    i, ii, iii = (x[:, k] * scale[:, [k]] for k in range(3))
    solved = torch.stack([i, ii, iii, -(i + ii) / 2, (i - iii) / 2, (ii + iii) / 2], 1)
    return torch.where(fits[:, None, None], solved, x[:, :6])


def average_beat(x: Tensor, fs_hz: float, before: int, length: int) -> Tensor:
    """The beats of a window, aligned to each other and averaged by how alike they are.

    Args:
        x: (B, leads, samples).
        fs_hz: sampling rate, Hz.
        before: samples in front of the QRS onset.
        length: samples of the beat.

    Returns:
        (B, leads, length), zero just before the QRS; zeros where nothing stands out.
    """
    spare = round(0.128 * fs_hz)
    moved, weight = _beats(x, fs_hz, before + spare, length + 2 * spare)
    beat = _weighted(moved, weight)  # (B, leads, length + 2 spare)
    with torch.no_grad():
        start = (_onset(beat, fs_hz, before + spare) - before).clamp(0, 2 * spare)
    place = start[:, None] + torch.arange(length, device=x.device)
    cut = beat.gather(2, place[:, None].expand(-1, x.shape[1], -1))
    level = cut[..., max(0, before - round(0.048 * fs_hz)) : before - 1].mean(-1, keepdim=True)
    return cut - level


def _beats(x: Tensor, fs_hz: float, centre: int, length: int) -> tuple[Tensor, Tensor]:
    """Beats cut out of a window at every shift, (B, leads, shifts, K, length), and the weight of each cut, (B, shifts, K)."""
    there, index, reach = _places(x, fs_hz, centre, length)
    rows = x[:, :, None].expand(-1, -1, index.shape[2], -1).gather(3, index.expand(-1, x.shape[1], -1, -1))
    moved = rows.unfold(3, length, 1).movedim(3, 2)
    weight = there[:, None] * (torch.arange(2 * reach + 1, device=x.device) == reach)[None, :, None]
    close = moved[..., max(0, centre - round(0.16 * fs_hz)) : centre + round(0.36 * fs_hz)]
    norm = (close.var(-1, unbiased=False).mul(close.shape[-1]).sum(1) + 1e-9).sqrt()  # (B, shifts, K)
    for _ in range(2):
        mean = _weighted(close, weight)
        mean = mean - mean.mean(-1, keepdim=True)
        size = (mean.square().sum((1, 2)) + 1e-9).sqrt()[:, None, None]
        likeness = torch.einsum("blskn,bln->bsk", close, mean) / (norm * size + 1e-6)
        best = likeness == likeness.amax(1, keepdim=True)
        found = best * there[:, None] * (likeness - 0.6).clamp(min=0)
        # where no beat is like the others, all of them count
        weight = torch.where(found.sum((1, 2), keepdim=True) > 0, found, weight)
    return moved, weight


@torch.no_grad()
def _places(x: Tensor, fs_hz: float, centre: int, length: int) -> tuple[Tensor, Tensor, int]:
    """Which of K places hold a beat (B, K), the samples to cut there (B, 1, K, length + 2 reach), and how far a cut may be shifted."""
    half, reach, samples = round(0.25 * fs_hz), max(1, round(0.024 * fs_hz)), x.shape[-1]
    smooth = _odd(0.088 * fs_hz)
    energy = F.avg_pool1d(_velocity(x).square(), smooth, 1, smooth // 2, count_include_pad=False)
    top = F.max_pool1d(energy, 2 * half + 1, 1, half)
    usual = F.max_pool1d(energy, min(samples, round(1.5 * fs_hz)), round(fs_hz))[:, 0].median(1).values[:, None]
    # whole beats only, and room to move each of them
    peaks = ((energy == top)[:, 0] & (energy[:, 0] > 0.25 * usual)).float()
    peaks[:, : centre + reach] = 0
    peaks[:, max(0, samples - (length - centre) - reach) :] = 0
    there, at = peaks.topk(min(PEAKS, samples), dim=1)  # (B, K)
    span = torch.arange(-centre - reach, length - centre + reach, device=x.device)
    index = (at[..., None] + span).clamp(0, samples - 1)[:, None]  # (B, 1, K, length + 2 reach)
    return there, index, reach


def _onset(beat: Tensor, fs_hz: float, centre: int) -> Tensor:
    """(B,): sample where all leads together begin to move fast, within 0.12 s of when they are fastest."""
    speed = F.avg_pool1d(_velocity(beat), 3, 1, 1)[:, 0]
    place = torch.arange(beat.shape[-1], device=beat.device)
    speed = speed * ((place - centre).abs() <= round(0.176 * fs_hz))
    fastest = speed.argmax(1, keepdim=True)
    rising = speed > 0.2 * speed.amax(1, keepdim=True)
    rising &= (place <= fastest) & (place >= fastest - round(0.12 * fs_hz))
    return torch.where(rising, place, beat.shape[-1]).amin(1)


def _weighted(rows: Tensor, weight: Tensor) -> Tensor:
    """(B, leads, shifts, K, n) and (B, shifts, K) -> the weighted mean, (B, leads, n)."""
    return torch.einsum("blskn,bsk->bln", rows, weight) / weight.sum((1, 2)).clamp(min=1e-6)[:, None, None]


def _velocity(x: Tensor) -> Tensor:
    """How fast all leads together move, (B, 1, samples)."""
    step = F.pad(x[..., 2:] - x[..., :-2], (1, 1)).clamp(-3, 3)
    return step.square().sum(1, keepdim=True).sqrt()


def _odd(samples: float) -> int:
    return 2 * int(samples // 2) + 1
