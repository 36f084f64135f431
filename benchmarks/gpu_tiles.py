"""Part 7 of ``gpu.sh``: each kernel with other tile sizes, so that one run has the figures for a second attempt.

The sizes in ``gem.kernels`` were chosen by arithmetic and by what the compiler says of registers. Here each candidate
is checked against plain torch and timed; nothing is changed by it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from gpu_parts import Run

    from gem.kernels.bench.case import BenchCase


@dataclass(frozen=True)
class Sweep:
    """One op whose tiles are varied.

    Attributes:
        op: module of ``gem.kernels.bench`` with its cases.
        module: of ``gem.kernels`` that chooses the tiles.
        function: that chooses them.
        case: beginning of the case's name; bfloat16.
        tiles: what the function returns instead, by a name for readers.
    """

    op: str
    module: str
    function: str
    case: str
    tiles: dict[str, Any]


def _front_end(side: int, depth: int, warps: int) -> dict[str, int]:
    return {"ROWS": side, "COLS": side, "DEPTH": depth, "CHUNKS": -(-50 // depth), "num_warps": warps}


def _pooling(segments: int, tokens: int, width: int) -> dict[str, int]:
    return {"SEGMENTS": segments, "TOKENS": tokens, "WIDTH": width}


# rows, columns, inner length, warps, stages
_PRODUCTS = (
    (128, 128, 64, 8, 4),
    (128, 256, 64, 8, 3),
    (64, 256, 64, 4, 3),
    (256, 128, 64, 8, 3),
    (64, 128, 64, 4, 4),
    (128, 128, 128, 8, 2),
)
SWEEPS = (
    Sweep("dual_projector", "grouped", "tiling", "GEM-7B, batch 8", {str(tile): tile for tile in _PRODUCTS}),
    # rows, padded width, warps
    Sweep(
        "layer_norm",
        "layer_norm",
        "_tile",
        "CLIP-L, batch 8",
        {str(tile): tile for tile in ((1, 1024, 4), (2, 1024, 4), (4, 1024, 8), (4, 1024, 16), (1, 1024, 2))},
    ),
    # rows, columns
    Sweep(
        "merge",
        "merge_rows",
        "_tile",
        "GEM-7B, batch 8",
        {str(tile): tile for tile in ((1, 4096), (2, 2048), (2, 1024), (8, 512), (1, 1024))},
    ),
    Sweep(
        "ecg_front_end",
        "ecg_front_end",
        "_tile",
        "GEM-7B, batch 8",
        {
            f"{side} x {side} x {depth}, {warps} warps": _front_end(side, depth, warps)
            for side, depth, warps in ((32, 32, 4), (64, 32, 4), (64, 64, 8), (32, 64, 4), (16, 64, 2))
        },
    ),
    Sweep(
        "segment_pooling",
        "segment_pooling",
        "_tile",
        "GEM-7B, batch 8",
        {
            f"{segments} x {tokens} x {width}": _pooling(segments, tokens, width)
            for segments, tokens, width in ((32, 32, 128), (64, 32, 64), (64, 64, 64), (16, 32, 64), (32, 16, 64))
        },
    ),
)


def _case(sweep: Sweep, tiny: bool) -> BenchCase:
    """The case that is timed.

    Raises:
        LookupError: the bench has none of that name.
    """
    found = importlib.import_module(f"gem.kernels.bench.{sweep.op}").cases(tiny)
    for case in found:
        if case.name.startswith(sweep.case) and (case.op == sweep.op):
            return case  # type: ignore[no-any-return]
    raise LookupError(f"{sweep.op}: no case {sweep.case}")


def measure_tiles(run: Run) -> None:
    """One row for each direction of each candidate, beside the tile in use.

    Args:
        run: the part.
    """
    if run.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported
    import torch
    from gpu_report import add_failure

    from gem.kernels import use
    from gem.kernels.bench.case import distance, results
    from gem.kernels.bench.runner import TOLERANCE, Bench

    bench = Bench(run.device, budget_s=0.01 if run.rehearse else 0.2)
    for sweep in SWEEPS:
        case = _case(sweep, run.rehearse)
        kernels = importlib.import_module(f"gem.kernels.{sweep.module}")
        chosen: Callable[..., Any] = getattr(kernels, sweep.function)
        generator = torch.Generator(run.device).manual_seed(0)
        checked, timed = case.inputs(run.device, generator), case.inputs(run.device, generator)
        with use("torch"):
            want = [tensor for part in results(case, case.run, checked) for tensor in part]
        # plain torch rounds too: the distance of two correct results
        limit = 2 * (TOLERANCE[case.dtype] if case.tolerance is None else case.tolerance)
        candidates: dict[str, Callable[..., Any]] = {"in use": chosen}
        for name, tile in sweep.tiles.items():
            candidates[name] = lambda *_, tile=tile: dict(tile) if isinstance(tile, dict) else tile
        if run.rehearse:
            candidates = dict(list(candidates.items())[:2])
        for name, choose in candidates.items():
            what = f"{sweep.op}, {case.name}, {name}"
            if not run.has_time(what, 1 if run.rehearse else 4):
                continue
            try:
                with use("triton"), patch.object(kernels, sweep.function, choose):
                    got = [tensor for part in results(case, case.run, checked) for tensor in part]
                    error = max(distance(a, b) for a, b in zip(got, want, strict=True))
                    if error > limit:
                        run.row(what, status="failed", note=f"distance {error:.3g} from plain torch, limit {limit:.3g}")
                        continue
                    for direction in case.directions[:2]:
                        timing = bench.time(case, direction, case.run, timed)
                        spread = f"p20 {timing.p20:.4g}, p80 {timing.p80:.4g}"
                        run.row(what, direction, timing.median, "ms", note=spread)
            except Exception as problem:  # more shared memory than there is, for one: the next candidate may fit
                add_failure(run.part, what, problem)
        if run.device == "cuda":
            torch.cuda.empty_cache()
