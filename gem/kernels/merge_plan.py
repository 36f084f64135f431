"""The place of every row of a ragged batch in the merged sequence: one launch, without synchronising with the host.

Everything that depends on ids and masks stays on the device, so the op can be captured in a CUDA graph; the caller
gives the output length, for which the shapes give a bound.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..labels import IGNORE
from .dispatch import kernel_selected
from .launch import Build, blocks, contiguous, device_of, power_of_2, tl, triton

TWO_PLACEHOLDERS, NO_TOKENS, NO_PLACEHOLDER, ROW_TOO_LONG = 1, 2, 3, 4  # values of ``problem``
_CHUNK = 1024


class MergePlan(NamedTuple):
    """The place of every row; the fields are those of ``Placed``."""

    labels: Tensor
    mask: Tensor
    positions: Tensor
    source: Tensor
    back: Tensor
    problem: Tensor


class Placed(NamedTuple):
    """A merged batch.

    Attributes:
        embeds: (B, T, hidden), zero where padded.
        labels: (B, T), -100 on encoder tokens and padding.
        mask: (B, T), 1 where there is a token.
        positions: (B, T), counted from each row's first token; padding repeats the nearest token's.
        source: (B, T) int32, the row of [text | ecg | picture] at each place, -1 for padding.
        back: (B * L + ecg rows + picture rows,) int32, the place in B * T of each of those rows, -1 for none.
        problem: (B,) int32: 0 for none, 1 two placeholders, 2 a placeholder without tokens, 3 tokens without
            placeholder, 4 row too long for T.
    """

    embeds: Tensor
    labels: Tensor
    mask: Tensor
    positions: Tensor
    source: Tensor
    back: Tensor
    problem: Tensor


@triton.jit
def _plan(
    IDS,  # (B, L) int64
    KEEP,  # (B, L) int64 or bool as uint8
    LABELS,  # (B, L) int64
    ECG,  # (B + 1,) int64, first ECG row of each record, then their number
    PICTURE,  # (B + 1,) int64, the same for pictures
    SOURCE,  # (B, T) int32, written
    BACK,  # (B * L + n_ecg + n_picture,) int32, holds -1, written
    TARGETS,  # (B, T) int64, written
    MASK,  # (B, T) int64, written
    POSITIONS,  # (B, T) int64, written
    PROBLEM,  # (B,) int32, written
    L,
    T,
    n_text,
    n_ecg,
    placeholder,
    LEFT: tl.constexpr,
    CHUNK: tl.constexpr,
    TEXT_CHUNKS: tl.constexpr,
    OUT_CHUNKS: tl.constexpr,
):
    b = tl.program_id(0)
    found = 0
    kept = 0
    place = L
    for c in range(TEXT_CHUNKS):
        j = c * CHUNK + tl.arange(0, CHUNK)
        keep = tl.load(KEEP + b * L + j, mask=j < L, other=0) != 0
        hit = keep & (tl.load(IDS + b * L + j, mask=j < L, other=0) == placeholder)
        found += tl.sum(hit.to(tl.int32), 0)
        kept += tl.sum(keep.to(tl.int32), 0)
        place = tl.minimum(place, tl.min(tl.where(hit, j, L), 0))
    ecg = tl.load(ECG + b).to(tl.int32)
    from_ecg = tl.load(ECG + b + 1).to(tl.int32) - ecg
    picture = tl.load(PICTURE + b).to(tl.int32)
    block = from_ecg + tl.load(PICTURE + b + 1).to(tl.int32) - picture
    has = found > 0
    used = tl.where(has, block, 0)
    length = kept - tl.where(has, 1, 0) + used
    problem = tl.where(length > T, 4, 0)
    problem = tl.where((found == 0) & (block > 0), 3, problem)
    problem = tl.where(has & (block == 0), 2, problem)
    tl.store(PROBLEM + b, tl.where(found > 1, 1, problem))
    shift = tl.where(LEFT, T - length, 0)
    start = shift
    seen = 0
    for c in range(TEXT_CHUNKS):
        j = c * CHUNK + tl.arange(0, CHUNK)
        keep = tl.load(KEEP + b * L + j, mask=j < L, other=0) != 0
        rank = tl.cumsum(keep.to(tl.int32), 0) - keep.to(tl.int32) + seen
        start += tl.sum(tl.where(has & (j == place), rank, 0), 0)
        to = rank + shift + tl.where(has & (j > place), used - 1, 0)
        there = keep & (j < L) & (j != place) & (to >= 0) & (to < T)  # without a placeholder, place is L
        label = tl.load(LABELS + b * L + j, mask=there, other=0)
        tl.store(SOURCE + b * T + to, b * L + j, mask=there)
        tl.store(TARGETS + b * T + to, label, mask=there)
        tl.store(BACK + b * L + j, b * T + to, mask=there)
        seen += tl.sum(keep.to(tl.int32), 0)
    for c in range(OUT_CHUNKS):
        k = c * CHUNK + tl.arange(0, CHUNK)
        to = start + k
        there = (k < used) & (to >= 0) & (to < T)
        row = n_text + tl.where(k < from_ecg, ecg + k, n_ecg + picture + k - from_ecg)
        tl.store(SOURCE + b * T + to, row, mask=there)
        tl.store(TARGETS + b * T + to, tl.full((CHUNK,), -100, tl.int64), mask=there)
        tl.store(BACK + row, b * T + to, mask=there)
        at = k - shift
        token = (at >= 0) & (at < length)
        tl.store(MASK + b * T + k, token.to(tl.int64), mask=k < T)
        tl.store(POSITIONS + b * T + k, tl.maximum(tl.minimum(at, length - 1), 0).to(tl.int64), mask=k < T)
        tl.store(SOURCE + b * T + k, tl.full((CHUNK,), -1, tl.int32), mask=(k < T) & ((at < 0) | (at >= length)))
        tl.store(TARGETS + b * T + k, tl.full((CHUNK,), -100, tl.int64), mask=(k < T) & ((at < 0) | (at >= length)))


@torch.library.custom_op(
    "gem::merge_plan",
    mutates_args=(),
    schema="(Tensor ids, Tensor keep, Tensor labels, Tensor ecg_starts, Tensor picture_starts, SymInt n_ecg, "
    "SymInt n_picture, int placeholder, SymInt length, bool left) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def plan_op(
    ids: Tensor,
    keep: Tensor,
    labels: Tensor,
    ecg_starts: Tensor,
    picture_starts: Tensor,
    n_ecg: int,
    n_picture: int,
    placeholder: int,
    length: int,
    left: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Plan the merge; arguments as in ``plan``.

    Returns:
        Labels, mask, positions (B, T), source, back and problem, as in ``Placed``.
    """
    ids, keep, labels, ecg_starts, picture_starts = contiguous(ids, keep, labels, ecg_starts, picture_starts)
    out = _planned(ids, keep, labels, ecg_starts, picture_starts, n_ecg, n_picture, placeholder, length, left)
    targets, mask, positions, source, back, problem = out
    back.fill_(-1)
    rows, long = ids.shape
    if rows:
        chunk = min(_CHUNK, power_of_2(max(long, length, 16)))
        with device_of(ids):
            _plan[(rows,)](
                ids,
                keep.view(torch.uint8) if keep.dtype == torch.bool else keep,
                labels,
                ecg_starts,
                picture_starts,
                source,
                back,
                targets,
                mask,
                positions,
                problem,
                long,
                length,
                rows * long,
                n_ecg,
                placeholder,
                LEFT=left,
                CHUNK=chunk,
                TEXT_CHUNKS=blocks(long, chunk),
                OUT_CHUNKS=blocks(length, chunk),
            )
    return out


@plan_op.register_fake
def _planned(ids: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    n_ecg, n_picture, length = rest[4], rest[5], rest[7]
    shape = (ids.shape[0], length)
    wide = [torch.empty(shape, dtype=torch.int64, device=ids.device) for _ in range(3)]
    source = torch.empty(shape, dtype=torch.int32, device=ids.device)
    back = torch.empty((ids.shape[0] * ids.shape[1] + n_ecg + n_picture,), dtype=torch.int32, device=ids.device)
    return wide[0], wide[1], wide[2], source, back, torch.empty(shape[:1], dtype=torch.int32, device=ids.device)


def reference_plan(
    ids: Tensor,
    keep: Tensor,
    labels: Tensor,
    ecg_starts: Tensor,
    picture_starts: Tensor,
    n_ecg: int,
    n_picture: int,
    placeholder: int,
    length: int,
    left: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """``plan_op`` in plain torch, without a loop and without synchronising with the host."""
    (rows, long), device = ids.shape, ids.device
    keep = keep.bool()
    hit = keep & (ids == placeholder)
    found, kept = hit.sum(1, keepdim=True), keep.sum(1, keepdim=True)
    has = found > 0
    first = hit & (hit.cumsum(1) == 1)
    from_ecg, from_picture = ecg_starts.diff()[:, None], picture_starts.diff()[:, None]
    block = from_ecg + from_picture
    used = torch.where(has, block, 0)
    size = kept - has.long() + used
    shift = length - size if left else torch.zeros_like(size)
    rank = keep.cumsum(1) - keep.long()
    after = has & (first.cumsum(1) > 0) & ~first
    to = rank + shift + torch.where(after, used - 1, 0)
    start = (rank * first).sum(1, keepdim=True) + shift
    ok = keep & ~first & (to >= 0) & (to < length)
    record = torch.arange(rows, device=device)[:, None]
    flat = torch.arange(rows * long, device=device).view(rows, long)
    t = torch.arange(length, device=device)[None]
    # an extra last column takes the rows that have no place
    source = torch.full((rows, length + 1), -1, device=device).scatter(1, torch.where(ok, to, length), flat)[:, :length]
    targets = torch.full((rows, length + 1), IGNORE, device=device).scatter(1, torch.where(ok, to, length), labels)[
        :, :length
    ]
    k = t - start
    inside = (k >= 0) & (k < used)
    row = rows * long + torch.where(
        k < from_ecg, ecg_starts[:-1, None] + k, n_ecg + picture_starts[:-1, None] + k - from_ecg
    )
    source = torch.where(inside, row, source)
    targets = torch.where(inside, IGNORE, targets)
    n = rows * long + n_ecg + n_picture
    back = torch.full((n + 1,), -1, device=device)
    back = back.scatter(0, torch.where(source >= 0, source, n).flatten(), (record * length + t).flatten())[:n]
    at = t - shift
    problem = torch.where(size > length, ROW_TOO_LONG, 0)
    problem = torch.where(~has & (block > 0), NO_PLACEHOLDER, torch.where(has & (block == 0), NO_TOKENS, problem))
    problem = torch.where(found > 1, TWO_PLACEHOLDERS, problem)[:, 0]
    mask = ((at >= 0) & (at < size)).long()
    return targets, mask, at.minimum(size - 1).clamp(min=0), source.int(), back.int(), problem.int()


def plan(
    ids: Tensor,
    keep: Tensor,
    labels: Tensor,
    ecg_starts: Tensor,
    picture_starts: Tensor,
    n_ecg: int,
    n_picture: int,
    placeholder: int,
    length: int,
    left: bool,
    text: Tensor,
) -> MergePlan:
    """Plan the merge without moving rows.

    Args:
        ids: (B, L) int64.
        keep: (B, L), 1 where there is a token.
        labels: (B, L) int64.
        ecg_starts: (B + 1,) int64, first ECG row of each record, then their number.
        picture_starts: (B + 1,) int64, the same for pictures.
        n_ecg: number of ECG rows.
        n_picture: number of picture rows.
        placeholder: the id that marks the place.
        length: T.
        left: pad on the left.
        text: (B, L, hidden), read for its size only, by which the implementation is selected.
    """
    by_kernel = kernel_selected("merge", text, ids.shape[0] * length * text.shape[-1])
    places = plan_op if by_kernel else reference_plan
    return MergePlan(
        *places(ids, keep, labels, ecg_starts, picture_starts, n_ecg, n_picture, placeholder, length, left)
    )


def builds() -> list[Build]:
    """Kernels to compile ahead of time: both sides of padding, both kinds of mask."""
    plan = dict.fromkeys(("IDS", "KEEP", "LABELS", "ECG", "PICTURE"), "*i64")
    plan |= {
        "SOURCE": "*i32",
        "BACK": "*i32",
        "TARGETS": "*i64",
        "MASK": "*i64",
        "POSITIONS": "*i64",
        "PROBLEM": "*i32",
    }
    plan |= dict.fromkeys(("L", "T", "n_text", "n_ecg", "placeholder"), "i32")
    return [
        Build(
            f"merge plan left={left}",
            _plan,
            {**plan, "KEEP": "*u8" if left else "*i64"},
            {"LEFT": left, "CHUNK": _CHUNK, "TEXT_CHUNKS": 1, "OUT_CHUNKS": 2},
        )
        for left in (True, False)
    ]
