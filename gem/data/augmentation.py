"""Random changes to a batch that keep its labels: shift, gain, noise, wander, missing leads, gaps, pages, mixup.

Every record of a batch is changed independently, and all random numbers are drawn on the batch's device, so that
nothing waits for the host.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor


class Draw:
    """Random numbers for a batch, float32, on its device; their first dimension is that of the batch.

    Args:
        like: the batch, (B, ...).
    """

    def __init__(self, like: Tensor) -> None:
        self.batch, self.device = len(like), like.device

    def normal(self, *sizes: int) -> Tensor:
        """Normal with zero mean and unit standard deviation, (B, *sizes)."""
        return torch.randn(self.batch, *sizes, device=self.device)

    def uniform(self, *sizes: int) -> Tensor:
        """Uniform from 0 to 1, (B, *sizes)."""
        return torch.rand(self.batch, *sizes, device=self.device)

    def whole(self, low: int, high: int, *sizes: int) -> Tensor:
        """Integers from ``low`` to ``high``, both included, (B, *sizes) int64."""
        return torch.randint(low, high + 1, (self.batch, *sizes), device=self.device)


def shift(rows: Tensor, by: Tensor, dim: int = -1) -> Tensor:
    """Roll each record by its own number of samples; what leaves on one side enters on the other.

    Args:
        rows: (B, ...).
        by: (B,), integers.
        dim: along which to roll.
    """
    size, at = rows.shape[dim], [1] * rows.dim()
    at[dim] = rows.shape[dim]
    place = torch.arange(size, device=rows.device).view(at) - by.view(-1, *[1] * (rows.dim() - 1))
    return rows.gather(dim, (place % size).expand(rows.shape))


def augment(ecg: Tensor, strength: float = 1.0, shared_leads: int = 0) -> Tensor:
    """Augment a batch of z-scored recordings, each independently.

    Args:
        ecg: (B, leads, samples), unit variance per lead.
        strength: 0 leaves the batch unchanged; gem-nano was trained with 1.
        shared_leads: number of last leads that share one gain, such as limb leads on a common scale.

    Returns:
        A new (B, leads, samples) tensor.
    """
    if strength == 0:
        return ecg
    _, leads, samples = ecg.shape
    draw, reach = Draw(ecg), samples // 10
    out = shift(ecg, draw.whole(-reach, reach))
    size = 0.15 * draw.normal(leads, 1)
    size[:, leads - shared_leads :] = 0.1 * draw.normal(1, 1)
    out = out * (1 + strength * size)
    lost = (draw.uniform(leads, 1) < 0.08) & (draw.uniform(1, 1) < 0.5 * strength)
    out = out.masked_fill(lost, 0.0)
    out = out + 0.1 * strength * draw.uniform(1, 1) * torch.randn_like(out)
    # baseline wander: up to five cycles in a window of ten seconds
    at = torch.arange(samples, device=ecg.device)
    phase = 2 * math.pi * (5 * draw.uniform(1, 1) * at / (samples - 1) + draw.uniform(1, 1))
    out = out + 0.1 * strength * draw.normal(leads, 1) * torch.sin(phase)
    gap = draw.whole(0, max(0, samples * 4 // 25 - 1), 1, 1)
    start = (draw.uniform(1, 1) * (samples - gap)).long()
    return out.masked_fill((at >= start) & (at < start + gap), 0.0).to(ecg.dtype)


def in_part(ecg: Tensor) -> Tensor:
    """Keep of each recording what paper, a strip or a monitor shows of it; the rest is zeros, as what is missing is.

    Half of the records are pages of four columns with lead II as rhythm strip; the others such pages without the strip,
    pages of two columns with it, a quarter of the window in all leads, or one to six leads.

    Args:
        ecg: (B, leads, samples), the standard leads in their order.

    Returns:
        A new (B, leads, samples) tensor.
    """
    _, leads, samples = ecg.shape
    draw = Draw(ecg)
    lead, at = torch.arange(leads, device=ecg.device)[:, None], torch.arange(samples, device=ecg.device)
    quarter, half = at * 4 // samples == lead * 4 // leads, at * 2 // samples == lead * 2 // leads
    strip = lead == min(1, leads - 1)
    start = (draw.uniform(1, 1) * 0.75 * samples).long()
    piece = (at >= start) & (at < start + samples // 4)
    few = draw.uniform(leads, 1).argsort(1).argsort(1) < draw.whole(1, max(1, leads // 2), 1, 1)
    kinds = [quarter | strip, quarter, half | strip, piece, few]
    shown = torch.stack([kind.expand(ecg.shape) for kind in kinds])
    limits = torch.tensor([0.5, 0.65, 0.8, 0.9], device=ecg.device)
    kind = torch.bucketize(draw.uniform(), limits)
    return ecg * shown[kind, torch.arange(len(ecg), device=ecg.device)]


def mix(alpha: float, *rows: Tensor) -> tuple[Tensor, ...]:
    """Mixup (Zhang et al. 2018): blend each record and its labels with another of the batch, weight up to 0.5.

    Args:
        alpha: both parameters of the beta distribution of the weights; 0 mixes nothing.
        *rows: (B, ...) each: inputs, and labels in 0-1.

    Returns:
        The tensors, mixed.
    """
    if alpha == 0:
        return rows
    size, device = len(rows[0]), rows[0].device
    # a beta distribution as a ratio of gamma distributions: torch's Beta does not sample on every device
    # in float32, because it is not drawn in 16 bits
    rate = torch.ones(2, size, device=device, dtype=torch.float32)
    concentration = alpha * rate
    pair = torch.distributions.Gamma(concentration, rate, validate_args=False).sample()
    share = pair[0] / pair.sum(0)
    share = torch.maximum(share, 1 - share)
    other = torch.randperm(size, device=device)
    parts = [share.view(-1, *[1] * (row.dim() - 1)).to(row.dtype) for row in rows]
    return tuple(part * row + (1 - part) * row[other] for part, row in zip(parts, rows, strict=True))


def augment_beats(beats: Tensor, onset: int, strength: float = 1.0) -> Tensor:
    """Augment a batch of average beats: shift, stretch around the QRS onset, gain, missing leads, noise.

    Args:
        beats: (B, leads, samples).
        onset: sample of the QRS onset.
        strength: 0 leaves the batch unchanged.

    Returns:
        A new (B, leads, samples) tensor.
    """
    if strength == 0:
        return beats
    _, leads, samples = beats.shape
    draw = Draw(beats)
    out = shift(beats, draw.whole(-2, 2))
    pace = 1 + 0.08 * strength * (2 * draw.uniform(1, 1) - 1)
    place = ((torch.arange(samples, device=beats.device) - onset) * pace + onset).clamp(0, samples - 1.001)
    left, part = place.long().expand(beats.shape), place.frac()
    out = out.gather(-1, left) * (1 - part) + out.gather(-1, left + 1) * part
    size = 0.1 * draw.normal(1, 1) + 0.05 * draw.normal(leads, 1)
    lost = (draw.uniform(leads, 1) < 0.08) & (draw.uniform(1, 1) < 0.5 * strength)
    out = (out * (1 + strength * size)).masked_fill(lost, 0.0)
    return (out + 0.1 * strength * draw.uniform(1, 1) * torch.randn_like(out)).to(beats.dtype)


def augment_pictures(pixels: Tensor, strength: float = 1.0) -> Tensor:
    """Augment a batch of normalised pictures: shift, contrast, brightness, noise.

    Args:
        pixels: (B, 3, H, W).
        strength: 0 leaves the batch unchanged.

    Returns:
        A new (B, 3, H, W) tensor.
    """
    if strength == 0:
        return pixels
    draw = Draw(pixels)
    out = shift(shift(pixels, draw.whole(-8, 8), -2), draw.whole(-8, 8), -1)
    out = out * (1 + 0.1 * strength * draw.normal(1, 1, 1)) + 0.1 * strength * draw.normal(1, 1, 1)
    return (out + 0.05 * strength * torch.randn_like(out)).to(pixels.dtype)


def augment_traces(traces: Tensor, strength: float = 1.0) -> Tensor:
    """Augment the traces of a batch of pages: shift, offset, noise, gain, missing parts.

    Args:
        traces: (B, 3, rows, width), heights in units of the row height.
        strength: 0 leaves the batch unchanged.

    Returns:
        A new (B, 3, rows, width) tensor.
    """
    if strength == 0:
        return traces
    _, _, rows, width = traces.shape
    draw = Draw(traces)
    out = shift(traces, draw.whole(-4, 4))
    out = out + 0.01 * strength * (draw.normal(1, rows, 1) + draw.uniform(1, 1, 1) * torch.randn_like(out))
    level = out.mean(-1, keepdim=True)
    out = level + (out - level) * (1 + 0.15 * strength * draw.normal(1, 1, 1))
    # eighths of a row: half a lead of a page with four columns
    lost = (draw.uniform(1, rows, 8) < 0.06 * strength).repeat_interleave(-(-width // 8), -1)[..., :width]
    return torch.where(lost, level.expand_as(out), out).to(traces.dtype)


def distort(page: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """Distort a page of ECG paper like a photo or scan: rotation, perspective, shading, blur, noise, compression.

    Args:
        page: RGB.
        strength: 0 leaves the page unchanged; at 1 it is rotated by up to 5 degrees and its corners are up to 4 % off.
        rng: source of all random numbers.

    Returns:
        A new RGB picture of the same size.
    """
    if strength == 0:
        return page
    from io import BytesIO

    width, height = page.size
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)], float)
    angle, centre = np.deg2rad(5 * strength * rng.uniform(-1, 1)), np.array([width, height]) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    seen = (corners - centre) @ turn.T + centre + 0.04 * strength * rng.uniform(-1, 1, (4, 2)) * [width, height]
    # the eight coefficients of the perspective transform that maps the new picture's corners to the page
    rows = [[x, y, 1, 0, 0, 0, -x * u, -y * u] for (x, y), (u, _) in zip(corners, seen, strict=True)]
    rows += [[0, 0, 0, x, y, 1, -x * v, -y * v] for (x, y), (_, v) in zip(corners, seen, strict=True)]
    numbers = np.linalg.solve(np.array(rows), seen.T.ravel())
    fill = tuple(int(rng.integers(90, 220)) for _ in range(3))
    out = page.transform(
        page.size, Image.Transform.PERSPECTIVE, tuple(numbers), Image.Resampling.BILINEAR, fillcolor=fill
    )
    out = out.filter(ImageFilter.GaussianBlur(strength * rng.uniform(0, 1.2)))
    # light from one side, a colour cast, and sensor noise
    slope = np.linspace(-1, 1, width)[None, :, None] * rng.uniform(-1, 1)
    slope = slope + np.linspace(-1, 1, height)[:, None, None] * rng.uniform(-1, 1)
    tint = 1 + 0.08 * strength * rng.uniform(-1, 1, 3)
    pixels = np.asarray(out, np.float32) * (1 - 0.12 * strength * (slope + rng.uniform(-1, 1))) * tint
    pixels += rng.normal(0, 6 * strength * rng.uniform(), pixels.shape)
    stored = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
        stored, "JPEG", quality=int(95 - 55 * strength * rng.uniform())
    )
    return Image.open(stored).convert("RGB")
