"""The ECG front end from int16, with and without the copy from the host, against the float path of the encoders."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ecg_front_end import embed_int16
from ..int16_samples import MISSING, decoded
from .case import BenchCase, Inputs


def _inputs(
    records: int,
    leads: int,
    length: int,
    patch: int,
    width: int,
    dtype: torch.dtype,
    cls: bool,
    zscore: bool,
    host: bool,
    probe: bool,
    device: str,
    g: torch.Generator,
) -> Inputs:
    samples = torch.randint(-1500, 1500, (records, leads, length), generator=g, device=device, dtype=torch.int16)
    samples[:, :, : length // 20] = MISSING  # electrodes attached after the start
    signal = decoded(samples, zscore=zscore)
    if host:
        samples, signal = samples.cpu(), signal.cpu()
        if device == "cuda":
            samples, signal = samples.pin_memory(), signal.pin_memory()

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, device=device).to(dtype)

    values: Inputs = {
        "samples": samples,
        "signal": signal,
        "weight": normal(width, leads, patch) * (leads * patch) ** -0.5,
        "bias": None if cls else normal(width),
        "position": normal(length // patch + cls, width),
        "cls": normal(width) if cls else None,
        "zscore": zscore,
        "probe": torch.zeros(records, leads, length, device=device) if probe else None,
    }
    return values


def _run(
    *,
    samples: Tensor,
    signal: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    position: Tensor,
    cls: Tensor | None,
    zscore: bool,
    probe: Tensor | None,
) -> Tensor:
    samples = samples.to(weight.device, non_blocking=True)
    return embed_int16(samples, weight, bias, position, cls, zscore=zscore, probe=probe)


def _float(
    *,
    samples: Tensor,
    signal: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    position: Tensor,
    cls: Tensor | None,
    zscore: bool,
    probe: Tensor | None,
) -> Tensor:
    """The encoders' path for a float32 signal that the host has normalised; only its copy is timed."""
    x = signal.to(weight.device, non_blocking=True).to(weight.dtype)
    tokens = F.conv1d(x, weight, bias, stride=weight.shape[2]).transpose(1, 2)
    if cls is not None:
        tokens = torch.cat([cls.expand(len(tokens), 1, -1), tokens], 1)
    return tokens + position


def cases(tiny: bool = False) -> list[BenchCase]:
    """ECG-CoCa in GEM-7B (12 x 5000, patch 50, width 768) and ``ecg_patch`` (12 x 1250 z-scores, patch 25, width 192).

    Args:
        tiny: at sizes small enough for Triton's interpreter.
    """
    out = []
    for model, length, patch, width, dtype, cls, zscore in (
        ("GEM-7B", 5000, 50, 768, torch.bfloat16, True, False),
        ("ecg_patch", 1250, 25, 192, torch.float32, False, True),
    ):
        for records, what in ((1, ""), (8, ""), (64, ""), (8, "with the copy"), (64, "with the copy"), (8, "saliency")):
            if what and model != "GEM-7B":
                continue
            host, probe = what == "with the copy", what == "saliency"
            shape = (2, 2, 40, 8, 6, dtype) if tiny else (records, 12, length, patch, width, dtype)
            batch, leads, long, short, wide, _ = shape
            samples, rows = batch * leads * long, batch * (long // short)
            moved = 2 * samples + (leads * short + rows) * wide * dtype.itemsize
            flop = 2.0 * rows * leads * short * wide
            learn = ("probe",) if probe else ("weight", "position", "cls" if cls else "bias")
            out.append(
                BenchCase(
                    "ecg_front_end",
                    f"{model}, batch {records}" + (f", {what}" if what else ""),
                    dtype,
                    samples,
                    partial(_inputs, *shape, cls, zscore, host, probe),
                    _run,
                    learn,
                    moved,
                    moved + 4 * samples * probe,
                    flop,
                    flop,
                    rivals={} if probe else {"float": _float},
                )
            )
    return out
