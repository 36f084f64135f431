"""The dual projector with the merge behind it, and alone, at the widths of GEM-7B and gem-nano."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..dual_projector import project_both
from ..merge_plan import plan
from .case import BenchCase, Inputs

_PLACEHOLDER = -200


def _inputs(
    rows: int,
    long: int,
    ecg: int,
    picture: int,
    widths: tuple[int, int, int, int],
    dtype: torch.dtype,
    device: str,
    g: torch.Generator,
) -> Inputs:
    own, width, inner, hidden = widths

    def random(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*shape, generator=g, device=device) * scale).to(dtype)

    ids = torch.randint(1, 500, (rows, long), generator=g, device=device)
    ids.scatter_(1, torch.randint(0, long, (rows, 1), generator=g, device=device), _PLACEHOLDER)
    return {
        "ecg": random(rows * ecg, own),
        "picture": random(rows * picture, width),
        "we": random(width, own, scale=own**-0.5),
        "be": random(width),
        "w1": random(inner, width, scale=width**-0.5),
        "b1": random(inner),
        "w2": random(hidden, inner, scale=inner**-0.5),
        "b2": random(hidden),
        "text": random(rows, long, hidden),
        "ids": ids,
    }


def _placed(
    *,
    ecg: Tensor,
    picture: Tensor,
    we: Tensor,
    be: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    text: Tensor,
    ids: Tensor,
) -> Tensor:
    """Plan, project, place: from the encoders' tokens to the merged sequence."""
    rows, long = ids.shape
    steps = torch.arange(rows + 1, device=ids.device)
    n, m = ecg.shape[0], picture.shape[0]
    keep = torch.ones_like(ids)
    length = long - 1 + n // rows + m // rows
    where = plan(ids, keep, ids, steps * (n // rows), steps * (m // rows), n, m, _PLACEHOLDER, length, False, text)
    return project_both(ecg, picture, (we, be), (w1, b1, w2, b2), text, where.source, where.back)


def cases(tiny: bool = False) -> list[BenchCase]:
    """Projector + merge; the size is that of the projected rows, as the op hands it to the dispatch."""
    out = []
    for model, long, ecg, picture, widths, dtype in (
        ("GEM-7B", 64, 101, 576, (768, 1024, 4096, 4096), torch.bfloat16),
        # gem-nano has two linear projectors: its widths, not its wiring
        ("gem-nano's widths", 48, 40, 52, (384, 384, 256, 256), torch.float32),
    ):
        for rows in (1, 8, 64):
            if tiny:
                rows_, long_, ecg_, picture_, widths_ = min(rows, 2), 5, 3, 4, (5, 7, 6, 9)
            else:
                rows_, long_, ecg_, picture_, widths_ = rows, long, ecg, picture, widths
            own, width, inner, hidden = widths_
            n, m = rows_ * ecg_, rows_ * picture_
            flop = 2.0 * (n * own * width + (n + m) * (width * inner + inner * hidden))
            numbers = n * own + m * width + own * width + width * inner + inner * hidden
            numbers += rows_ * long_ * hidden + rows_ * (long_ - 1 + ecg_ + picture_) * hidden
            learn = ("ecg", "picture", "we", "be", "w1", "b1", "w2", "b2", "text")
            make: Any = partial(_inputs, rows_, long_, ecg_, picture_, widths_, dtype)
            out.append(
                BenchCase(
                    "dual_projector",
                    f"{model}, batch {rows}, with the merge",
                    dtype,
                    (n + m) * hidden,
                    make,
                    _placed,
                    learn,
                    numbers * dtype.itemsize,
                    2 * numbers * dtype.itemsize,
                    flop,
                    2 * flop,
                )
            )
    return out
