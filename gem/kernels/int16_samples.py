"""int16 samples as recorders store them, decoded in plain torch: what the front end's kernels must equal."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MISSING = -32768  # as in WFDB's 16-bit formats
UNITS_PER_MV = 1000.0  # default gain: a unit is 1 uV
_FLAT_MV = 1e-6


def decoded(
    samples: Tensor,
    gain: Tensor | None = None,
    baseline: Tensor | None = None,
    zscore: bool = False,
    probe: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Decode int16 samples into the signal that an encoder takes.

    Args:
        samples: (B, leads, samples) int16.
        gain: (B, leads), units per mV, 0 for an absent lead; None for ``UNITS_PER_MV``.
        baseline: (B, leads), units at 0 mV; None for 0.
        zscore: give each lead mean 0 and standard deviation 1; a flat lead becomes 0.
        probe: (B, leads, samples), receives the gradient with respect to the signal in mV.
        dtype: of the result.

    Returns:
        (B, leads, samples) mV, or z-scores; 0 where a sample or lead is missing.

    Example:
        >>> decoded(torch.tensor([[[-1500, 250, MISSING]]], dtype=torch.int16))
        tensor([[[-1.5000,  0.2500,  0.0000]]])
    """
    missing = samples == MISSING
    mv = samples.to(dtype)
    if baseline is not None:
        mv = mv - baseline.to(dtype)[..., None]
    if gain is None:
        mv = mv / UNITS_PER_MV
    else:
        absent = (gain == 0)[..., None]
        mv, missing = mv / gain.to(dtype)[..., None].masked_fill(absent, 1.0), missing | absent
    if probe is not None:
        mv = mv + (probe - probe.detach()).to(dtype)
    mv = mv.masked_fill(missing, 0.0)
    if not zscore:
        return mv
    count = (~missing).sum(-1, keepdim=True).clamp(min=1)
    centred = (mv - mv.sum(-1, keepdim=True) / count).masked_fill(missing, 0.0)
    variance = centred.square().sum(-1, keepdim=True) / count
    flat = variance < _FLAT_MV**2
    return (centred / variance.masked_fill(flat, 1.0).sqrt()).masked_fill(flat, 0.0)


def reference(
    samples: Tensor,
    gain: Tensor | None,
    baseline: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    position: Tensor,
    cls: Tensor | None = None,
    probe: Tensor | None = None,
    zscore: bool = False,
) -> Tensor:
    """``ecg_front_end.embed_int16`` in plain torch: a float signal and a strided convolution."""
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    signal = decoded(samples, gain, baseline, zscore, probe, dtype).to(weight.dtype)
    tokens = F.conv1d(signal, weight, bias, stride=weight.shape[2]).transpose(1, 2)
    if cls is not None:
        tokens = torch.cat([cls.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], 1)
    return tokens + position


def backward_through_zscore(grad: Tensor, samples: Tensor, gain: Tensor | None, affine: Tensor) -> None:
    """Turn a gradient with respect to z-scores into one with respect to mV, in place.

    Plain torch is fast enough: saliency needs this gradient, training does not.

    Args:
        grad: (B, leads, samples), changed.
        samples: (B, leads, samples) int16.
        gain: (B, leads), units per mV, or None.
        affine: (B, leads, 2), each lead's centre and scale.
    """
    centre, scale = affine[..., :1], affine[..., 1:]
    known = samples != MISSING
    z = ((samples.float() - centre) * scale).masked_fill(~known, 0.0)
    count = known.sum(-1, keepdim=True).clamp(min=1)
    mean, along = grad.sum(-1, keepdim=True) / count, (grad * z).sum(-1, keepdim=True) / count
    per_mv = scale * (UNITS_PER_MV if gain is None else gain[..., None])
    grad.sub_(mean).sub_(z * along).mul_(per_mv).masked_fill_(~known, 0.0)
