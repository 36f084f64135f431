"""Random changes to a batch of normalised ECGs that keep its labels: shift, gain, noise, wander, missing leads, gaps, mixing."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor


def augment(ecg: Tensor, strength: float = 1.0, together: int = 0) -> Tensor:
    """Change a batch of z-scored recordings.

    Args:
        ecg: (B, leads, samples), unit variance per lead.
        strength: 0 leaves the batch as it is; 1 is what gem-nano was trained with.
        together: so many of the last leads share a scale: what changes the size of one changes it of all.

    Returns:
        A new (B, leads, samples) tensor.
    """
    if strength == 0:
        return ecg
    batch, leads, samples = ecg.shape
    reach = samples // 10
    out = torch.roll(ecg, int(torch.randint(-reach, reach + 1, ())), dims=-1)
    size = 0.15 * torch.randn(batch, leads, 1)
    size[:, leads - together :] = 0.1 * torch.randn(batch, 1, 1)
    out = out * (1 + strength * size)
    lost = (torch.rand(batch, leads, 1) < 0.08) & (torch.rand(batch, 1, 1) < 0.5 * strength)
    out = out.masked_fill(lost, 0.0)
    out = out + 0.1 * strength * torch.rand(batch, 1, 1) * torch.randn_like(out)
    # slow wander: up to five cycles in a window of ten seconds
    phase = 2 * math.pi * (5 * torch.rand(batch, 1, 1) * torch.linspace(0, 1, samples) + torch.rand(batch, 1, 1))
    out = out + 0.1 * strength * torch.randn(batch, leads, 1) * torch.sin(phase)
    gap = int(torch.randint(0, max(1, samples * 4 // 25), ()))
    start = int(torch.randint(0, samples - gap, ()))
    out[:, :, start : start + gap] = 0.0
    return out


def mix(alpha: float, *rows: Tensor) -> tuple[Tensor, ...]:
    """Mixup (Zhang et al. 2018): each record blended with another of its batch, labels alike; the smaller share is the other's.

    Args:
        alpha: both parameters of the beta distribution; 0 mixes nothing.
        rows: (B, ...) each: inputs, and labels in 0-1.
    """
    if alpha == 0:
        return rows
    size = len(rows[0])
    share = torch.distributions.Beta(alpha, alpha).sample((size,))
    share = torch.maximum(share, 1 - share)
    other = torch.randperm(size)
    parts = [share.view(-1, *[1] * (row.dim() - 1)) for row in rows]
    return tuple(part * row + (1 - part) * row[other] for part, row in zip(parts, rows, strict=True))


def augment_beats(beats: Tensor, onset: int, strength: float = 1.0) -> Tensor:
    """Shift, stretch around the QRS onset, scale, lose leads of and roughen a batch of average beats.

    Args:
        beats: (B, leads, samples).
        onset: sample of the QRS onset.
        strength: 0 leaves the batch as it is.
    """
    if strength == 0:
        return beats
    batch, leads, samples = beats.shape
    out = torch.roll(beats, int(torch.randint(-2, 3, ())), dims=-1)
    pace = 1 + 0.08 * strength * (2 * float(torch.rand(())) - 1)
    place = ((torch.arange(samples) - onset) * pace + onset).clamp(0, samples - 1.001)
    left, part = place.long(), place.frac()
    out = out[..., left] * (1 - part) + out[..., left + 1] * part
    size = 0.1 * torch.randn(batch, 1, 1) + 0.05 * torch.randn(batch, leads, 1)
    lost = (torch.rand(batch, leads, 1) < 0.08) & (torch.rand(batch, 1, 1) < 0.5 * strength)
    out = (out * (1 + strength * size)).masked_fill(lost, 0.0)
    return out + 0.1 * strength * torch.rand(batch, 1, 1) * torch.randn_like(out)


def augment_pictures(pixels: Tensor, strength: float = 1.0) -> Tensor:
    """Shift, fade and speckle a batch of normalised pictures.

    Args:
        pixels: (B, 3, H, W).
        strength: 0 leaves the batch as it is.
    """
    if strength == 0:
        return pixels
    down, right = (int(torch.randint(-8, 9, ())) for _ in range(2))
    out = torch.roll(pixels, (down, right), dims=(-2, -1))
    out = out * (1 + 0.1 * strength * torch.randn(len(out), 1, 1, 1)) + 0.1 * strength * torch.randn(len(out), 1, 1, 1)
    return out + 0.05 * strength * torch.randn_like(out)


def augment_traces(traces: Tensor, strength: float = 1.0) -> Tensor:
    """Shift, stretch, jitter and blank what was read off a batch of pages.

    Args:
        traces: (B, 3, rows, width), heights in rows.
        strength: 0 leaves the batch as it is.
    """
    if strength == 0:
        return traces
    batch, _, rows, width = traces.shape
    out = torch.roll(traces, int(torch.randint(-4, 5, ())), dims=-1)
    out = out + 0.01 * strength * (torch.randn(batch, 1, rows, 1) + torch.rand(batch, 1, 1, 1) * torch.randn_like(out))
    level = out.mean(-1, keepdim=True)
    out = level + (out - level) * (1 + 0.15 * strength * torch.randn(batch, 1, 1, 1))
    # eighths of a row: half a lead of a page with four columns
    lost = (torch.rand(batch, 1, rows, 8) < 0.06 * strength).repeat_interleave(-(-width // 8), -1)[..., :width]
    return torch.where(lost, level.expand_as(out), out)


def distort(page: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """A page of ECG paper as a phone or a scanner might give it: turned, seen at an angle, shaded, blurred, noisy, compressed.

    Args:
        page: RGB.
        strength: 0 leaves the page as it is; at 1 it is turned by up to 5 degrees and its corners are up to 4 % off.
        rng: decides everything.

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
    # the eight numbers that take each corner of the new picture to its place on the page
    rows = [[x, y, 1, 0, 0, 0, -x * u, -y * u] for (x, y), (u, _) in zip(corners, seen, strict=True)]
    rows += [[0, 0, 0, x, y, 1, -x * v, -y * v] for (x, y), (_, v) in zip(corners, seen, strict=True)]
    numbers = np.linalg.solve(np.array(rows), seen.T.ravel())
    fill = tuple(int(rng.integers(90, 220)) for _ in range(3))
    out = page.transform(
        page.size, Image.Transform.PERSPECTIVE, tuple(numbers), Image.Resampling.BILINEAR, fillcolor=fill
    )
    out = out.filter(ImageFilter.GaussianBlur(strength * rng.uniform(0, 1.2)))
    # light from one side, a tint, and the sensor's noise
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
