"""Time, memory, and the two limits of a GPU: memory bandwidth and arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

_FLUSH_BYTES = 256 << 20  # more than any GPU's cache, so that each repetition starts from memory


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one implementation.

    Attributes:
        p20: 20th percentile over the repetitions, ms.
        median: ms.
        p80: 80th percentile, ms.
        repetitions: number of them.
        peak_mb: peak memory beyond the inputs, MB; None on the CPU.
        held_mb: memory that a forward pass keeps for the backward pass, outputs included, MB; None if not measured.
    """

    p20: float
    median: float
    p80: float
    repetitions: int
    peak_mb: float | None = None
    held_mb: float | None = None


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The 20th, 50th and 80th percentile.

    Example:
        >>> quantiles([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
        (2.0, 3.5, 5.0)
    """
    p20, median, p80 = torch.tensor(values, dtype=torch.float64).quantile(
        torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    )
    return float(p20), float(median), float(p80)


def measure(
    step: Callable[[Any], Any],
    device: str,
    prepare: Callable[[], Any] | None = None,
    budget_s: float = 0.25,
    least: int = 5,
    most: int = 200,
) -> Timing:
    """Repeat ``step`` for about ``budget_s`` seconds.

    Args:
        step: what is timed; called with the result of ``prepare``.
        device: ``"cuda"`` (events around each repetition, cache flushed before it) or ``"cpu"``.
        prepare: runs before each repetition, untimed.
        budget_s: seconds for all repetitions together, preparation included.
        least: smallest number of repetitions.
        most: largest number of repetitions.
    """
    prepare = prepare or (lambda: None)
    gpu = device.startswith("cuda")
    for _ in range(2):
        step(prepare())  # compiles, fills caches
    if gpu:
        torch.cuda.synchronize()
    started = time.perf_counter()
    step(prepare())
    if gpu:
        torch.cuda.synchronize()
    once_s = time.perf_counter() - started
    repetitions = max(least, min(most, int(budget_s / max(once_s, 1e-6))))
    if not gpu:
        samples = []
        for _ in range(repetitions):
            ready = prepare()
            started = time.perf_counter()
            step(ready)
            samples.append((time.perf_counter() - started) * 1e3)
        return Timing(*quantiles(samples), repetitions)
    flush = torch.empty(_FLUSH_BYTES, dtype=torch.int8, device=device)
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repetitions)]
    for begin, end in events:
        ready = prepare()
        flush.zero_()
        begin.record()
        step(ready)
        end.record()
    torch.cuda.synchronize()
    del flush
    return Timing(*quantiles([begin.elapsed_time(end) for begin, end in events]), repetitions, _peak_mb(step, prepare))


def _peak_mb(step: Callable[[Any], Any], prepare: Callable[[], Any]) -> float:
    ready = prepare()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step(ready)
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def held_mb(forward: Callable[[], Any]) -> float:
    """Memory that stays allocated after a forward pass while its result exists, MB."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    out = forward()
    torch.cuda.synchronize()
    after = torch.cuda.memory_allocated()
    del out
    return (after - before) / 1e6


@dataclass(frozen=True)
class Ceilings:
    """What the GPU reaches on simple work, from which the floors of all cases are computed.

    Attributes:
        bytes_per_s: of a large copy, bytes read plus bytes written.
        flop_per_s: dtype -> rate of a large matrix product.
    """

    bytes_per_s: float
    flop_per_s: dict[torch.dtype, float]


def ceilings(device: str, side: int = 8192) -> Ceilings:
    """Measure the limits of a GPU.

    Args:
        device: the GPU.
        side: of the float64 matrix that is copied and of the matrices that are multiplied (a quarter in float32).
    """
    source = torch.randn(side, side, dtype=torch.float64, device=device)
    target = torch.empty_like(source)
    copy = measure(lambda _: target.copy_(source), device)
    rates = {}
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        n = side // 4 if dtype == torch.float32 else side
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        rates[dtype] = 2.0 * n**3 / (measure(lambda _, a=a, b=b: a @ b, device).median / 1e3)  # type: ignore[misc]
    return Ceilings(2.0 * source.numel() * 8 / (copy.median / 1e3), rates)
