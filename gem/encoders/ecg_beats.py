"""Rhythm and beat: 1-D ResNets over the whole window, and others over the record's average beat.

A few thousand z-scored recordings are enough to train it, because two things need not be learned. Scaling every lead to
unit variance loses the proportions of the limb leads, and with them the axis; they can be recovered from I + III = II,
so the limb leads enter a second time on a common scale. And most diagnoses show in the shape of the beat: beats are
averaged over the window, aligned at the onset of the QRS, and the average has a network of its own.
"""

from __future__ import annotations

import math
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

BEFORE_S, AFTER_S = 0.304, 0.496  # the average beat's limits around the QRS onset
MAX_BEATS = 20  # beats that are averaged
RECORDED_SHARE = 0.9  # of the samples that are not zero in a lead's best beat: with fewer it does not count in a beat
LEAST_SHARE = 0.05  # of the leads' power; where less was recorded, a slope is not blown up
UNIT_MV = 0.15  # mV that become 1 in the networks' input: about the standard deviation of a lead
# standard deviation of each lead, mV: medians over 777 raw records of PTB-XL's folds 1-8, 0.5-40 Hz
TYPICAL_MV = (0.124, 0.122, 0.091, 0.116, 0.089, 0.088, 0.148, 0.242, 0.235, 0.226, 0.200, 0.161)


@register_encoder(name="ecg_beats")
class EcgBeats(Encoder):
    """Every rhythm token carries, after its own channels, the vectors of the average beat.

    Sees: 12 leads, and the limb leads once more; 10 s, 0.5-40 Hz, 125 Hz; mV with ``millivolts``, else z-scored leads.
    Architecture: a 1-D ResNet over the recording, and a smaller one over the beat averaged in 12 leads and in the
    directions of its loop.
    Source: this library; gem-nano's signal encoder.

    Args:
        n_samples: samples of the input; the leads are the standard twelve.
        widths: channels of each stage of the rhythm networks, see ``ecg_conv``.
        depth: blocks of each stage of the rhythm networks.
        kernels: kernel sizes of the residual convolutions; each has one rhythm network and one beat network. Their
            errors differ, and the ensemble is better than each of them.
        beat_width: channels of a beat network's first stage; doubled twice.
        beat_hidden: length of a beat network's output vector.
        dropout: dropout rate before and after this vector.
        fs_hz: sampling rate, Hz.
        millivolts: the input is in mV, and a record without a mV scale is brought to the leads' typical amplitudes;
            else every lead is z-scored.
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
        """The inputs of the two kinds of networks.

        Args:
            x: (B, 12, samples), z-scored per lead or in mV.

        Returns:
            (B, 18, samples): the leads (mV in units of ``UNIT_MV``), then the limb leads on their common scale; (B,
            12, beat_samples): the average beat, limb leads on their common scale, zero just before the QRS.
        """
        with full_precision(x.device.type):  # scales and correlations are small differences of large sums
            leads = x.float() / self.unit
            limb = limb_leads_on_one_scale(leads)
            beat = average_beat(torch.cat([limb, leads[:, 6:]], 1), self.fs_hz, self.before, self.beat_samples)
        return torch.cat([leads, limb], 1).to(x.dtype), beat.to(x.dtype)

    def parts(self, views: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """The outputs of each pair of networks.

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
        """One vector per network, to train or compare the networks one by one.

        Args:
            parts: from ``parts``.

        Returns:
            For each kernel the pooled rhythm, (B, 2 rhythm_width), and the beat, (B, beat_hidden).
        """
        return [vector for tokens, beat in parts for vector in (pooled(tokens), beat)]

    def join(self, parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """All parts as tokens.

        Args:
            parts: from ``parts``.

        Returns:
            (B, n_tokens, width).
        """
        vectors = [vector[:, None].expand(-1, self.n_tokens, -1) for _, vector in parts]
        return torch.cat([*(tokens for tokens, _ in parts), *vectors], -1)

    def token_spans(self) -> NDArray[np.float64]:
        """Those of the rhythm tokens; the beat in each token comes from the whole window."""
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
        # no pooling: what a deflection means depends on where in the beat it lies
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(4 * width * -(-samples // 8), hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


def limb_leads_on_one_scale(x: Tensor) -> Tensor:
    """The six limb leads on a common scale, which follows from I + III = II.

    Args:
        x: (B, leads, samples), the limb leads first in standard order, each on a scale of its own.

    Returns:
        (B, 6, samples); unchanged for records whose leads break I + III = II (a lead is missing or mislabelled).
    """
    stacked = torch.stack([x[:, 0], -x[:, 1], x[:, 2]], -1).double()
    # the scales are the combination of I, -II and III that is zero
    mix, power = smallest_eigenvector(stacked.mT @ stacked)
    with torch.no_grad():
        fits = (power[:, 0] < 1e-3 * power[:, 1]) & (mix.abs() > 1e-3).all(1)
    scale = torch.where(fits[:, None], mix.abs(), 1.0).to(x.dtype)
    scale = scale / scale.square().mean(1, keepdim=True).sqrt()
    i, ii, iii = (x[:, k] * scale[:, k, None] for k in range(3))
    solved = torch.stack([i, ii, iii, -(i + ii) / 2, (i - iii) / 2, (ii + iii) / 2], 1)
    return torch.where(fits[:, None, None], solved, x[:, :6])


def smallest_eigenvector(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvector of the smallest eigenvalue of 3 x 3 matrices, in closed form: no solver that waits for the host.

    Args:
        matrices: (B, 3, 3), symmetric without negative eigenvalues, float64.

    Returns:
        The unit vectors (B, 3) up to sign, whose derivative is that of the eigenvector; and the eigenvalues (B, 3) in
        ascending order, without a derivative. Where the two smallest eigenvalues are less than a millionth of the
        largest apart, no vector is singled out: it is zero, and so is its derivative.

    References:
        Smith, Eigenvalues of a symmetric 3 x 3 matrix, Communications of the ACM 4 (1961).
    """
    with torch.no_grad():
        identity = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
        mean = matrices.diagonal(dim1=-2, dim2=-1).mean(-1)
        a = matrices / torch.where(mean > 0, mean, 1.0)[:, None, None]  # of trace 3
        spread = ((a - identity).square().sum((-2, -1)) / 6).sqrt()
        b = (a - identity) / torch.where(spread > 0, spread, 1.0)[:, None, None]
        angle = (_determinant(b) / 2).clamp(-1, 1).acos() / 3
        low, high = (1 + 2 * spread * (angle + turn).cos() for turn in (2 * math.pi / 3, 0.0))
        power = torch.stack([low, 3 - low - high, high], -1) * (mean > 0)[:, None]
        single = power[:, 1] - power[:, 0] > 1e-6 * power[:, 2]
        rest = a - low[:, None, None] * identity
        # the columns of the adjugate are multiples of the vector: the longest is the most exact
        columns = _adjugate(rest)
        longest = columns.square().sum(1).argmax(-1)
        vector = F.normalize(columns.gather(2, longest[:, None, None].expand(-1, 3, 1))[..., 0], dim=-1)
        vector = torch.where(single[:, None], vector, 0.0)
        # inverse of A - low on the plane that is orthogonal to the vector
        along = vector[:, :, None] * vector[:, None, :]
        filled = torch.where(single[:, None, None], rest + along, identity)
        inverse = torch.where(single[:, None, None], _adjugate(filled) / _determinant(filled)[:, None, None] - along, 0)
        inverse = inverse / torch.where(mean > 0, mean, 1.0)[:, None, None]
    # a Newton step: it moves the vector by no more than its rounding error, and has the eigenvector's derivative
    step = (inverse @ (matrices @ vector[:, :, None]))[..., 0]
    return vector - step, power * mean[:, None]


def _adjugate(a: Tensor) -> Tensor:
    """(B, 3, 3), symmetric -> its adjugate: the inverse times the determinant."""
    x, y, z = a.unbind(-1)
    return torch.stack([torch.linalg.cross(*pair) for pair in ((y, z), (z, x), (x, y))], -1)


def _determinant(a: Tensor) -> Tensor:
    """(B, 3, 3) -> (B,)."""
    x, y, z = a.unbind(-1)
    volume: Tensor = (x * torch.linalg.cross(y, z)).sum(-1)
    return volume


def average_beat(x: Tensor, fs_hz: float, before: int, length: int) -> Tensor:
    """The beats of a window, aligned to each other and averaged with their correlations as weights.

    Args:
        x: (B, leads, samples).
        fs_hz: sampling rate, Hz.
        before: samples in front of the QRS onset.
        length: samples of the beat.

    Returns:
        (B, leads, length), zero just before the QRS; zeros where no beat was found.
    """
    margin = round(0.128 * fs_hz)
    moved, weight, shown = _beats(x, fs_hz, before + margin, length + 2 * margin)
    beat = _weighted_mean(moved, weight, shown)  # (B, leads, length + 2 margin)
    with torch.no_grad():
        start = (_qrs_onset(beat, fs_hz, before + margin) - before).clamp(0, 2 * margin)
    place = start[:, None] + torch.arange(length, device=x.device)
    cut = beat.gather(2, place[:, None].expand(-1, x.shape[1], -1))
    level = cut[..., max(0, before - round(0.048 * fs_hz)) : before - 1].mean(-1, keepdim=True)
    return cut - level


def _beats(x: Tensor, fs_hz: float, centre: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Beats cut out at every shift, (B, leads, shifts, K, length), and the weight of each cut, (B, shifts, K).

    The third is 1 where a lead was recorded during a beat, (B, leads, K): on paper most leads show two or three beats.
    """
    there, index, reach = _beat_windows(x, fs_hz, centre, length)
    rows = x[:, :, None].expand(-1, -1, index.shape[2], -1).gather(3, index.expand(-1, x.shape[1], -1, -1))
    with torch.no_grad():
        share = (rows != 0).to(x.dtype).mean(-1) * there[:, None]
        shown = (share >= RECORDED_SHARE * share.amax(-1, keepdim=True)).to(x.dtype)
    moved = rows.unfold(3, length, 1).movedim(3, 2)
    weight = there[:, None] * (torch.arange(2 * reach + 1, device=x.device) == reach)[None, :, None]
    close = moved[..., max(0, centre - round(0.16 * fs_hz)) : centre + round(0.36 * fs_hz)]
    norm = (close.var(-1, unbiased=False).mul(close.shape[-1]).sum(1) + 1e-9).sqrt()  # (B, shifts, K)
    for _ in range(2):
        mean = _weighted_mean(close, weight, shown)
        mean = mean - mean.mean(-1, keepdim=True)
        # of the leads that were recorded during the beat
        size = (torch.einsum("bl,blk->bk", mean.square().sum(-1), shown) + 1e-9).sqrt()[:, None]
        correlation = torch.einsum("blskn,bln->bsk", close, mean) / (norm * size + 1e-6)
        best = correlation == correlation.amax(1, keepdim=True)
        found = best * there[:, None] * (correlation - 0.6).clamp(min=0)
        # where no beat correlates with the mean, all beats are averaged
        weight = torch.where(found.sum((1, 2), keepdim=True) > 0, found, weight)
    return moved, weight, shown


@torch.no_grad()
def _beat_windows(x: Tensor, fs_hz: float, centre: int, length: int) -> tuple[Tensor, Tensor, int]:
    """Find up to K beats.

    Returns:
        Which of K windows hold a beat (B, K), their samples (B, 1, K, length + 2 reach), and by how many samples
        (``reach``) a beat may be shifted.
    """
    half, reach, samples = round(0.25 * fs_hz), max(1, round(0.024 * fs_hz)), x.shape[-1]
    smooth = _odd(0.088 * fs_hz)
    slopes = _slopes(x).square()
    recorded = (x != 0).to(x.dtype)
    # as if all leads were recorded all the time: which of them are shown must not decide what is a beat
    power = slopes.sum(-1, keepdim=True) / recorded.sum(-1, keepdim=True).clamp(min=1)
    share = (power * recorded).sum(1, keepdim=True) / power.sum(1, keepdim=True).clamp(min=1e-12)
    total = slopes.sum(1, keepdim=True) / share.clamp(min=LEAST_SHARE)
    energy = F.avg_pool1d(total, smooth, 1, smooth // 2, count_include_pad=False)
    top = F.max_pool1d(energy, 2 * half + 1, 1, half)
    usual = F.max_pool1d(energy, min(samples, round(1.5 * fs_hz)), round(fs_hz))[:, 0].median(1).values[:, None]
    # whole beats only, with room to shift each of them
    peaks = ((energy == top)[:, 0] & (energy[:, 0] > 0.25 * usual)).float()
    peaks[:, : centre + reach] = 0
    peaks[:, max(0, samples - (length - centre) - reach) :] = 0
    there, at = peaks.topk(min(MAX_BEATS, samples), dim=1)  # (B, K)
    span = torch.arange(-centre - reach, length - centre + reach, device=x.device)
    index = (at[..., None] + span).clamp(0, samples - 1)[:, None]  # (B, 1, K, length + 2 reach)
    return there, index, reach


def _qrs_onset(beat: Tensor, fs_hz: float, centre: int) -> Tensor:
    """(B,): first sample, at most 0.12 s before the steepest one, where the slope exceeds a fifth of its maximum."""
    slope = F.avg_pool1d(_slope(beat), 3, 1, 1)[:, 0]
    place = torch.arange(beat.shape[-1], device=beat.device)
    slope = slope * ((place - centre).abs() <= round(0.176 * fs_hz))
    steepest = slope.argmax(1, keepdim=True)
    steep = slope > 0.2 * slope.amax(1, keepdim=True)
    steep &= (place <= steepest) & (place >= steepest - round(0.12 * fs_hz))
    return torch.where(steep, place, beat.shape[-1]).amin(1)


def _weighted_mean(rows: Tensor, weight: Tensor, shown: Tensor) -> Tensor:
    """(B, leads, shifts, K, n), (B, shifts, K) and (B, leads, K) -> the weighted mean, (B, leads, n)."""
    each = weight[:, None] * shown[:, :, None]  # (B, leads, shifts, K)
    return torch.einsum("blskn,blsk->bln", rows, each) / each.sum((2, 3)).clamp(min=1e-6)[..., None]


def _slopes(x: Tensor) -> Tensor:
    """The slope of each lead, (B, leads, samples)."""
    return F.pad(x[..., 2:] - x[..., :-2], (1, 1)).clamp(-3, 3)


def _slope(x: Tensor) -> Tensor:
    """Length of the slope vector over all leads, (B, 1, samples)."""
    return _slopes(x).square().sum(1, keepdim=True).sqrt()


def _odd(samples: float) -> int:
    return 2 * int(samples // 2) + 1
