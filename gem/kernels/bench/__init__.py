"""Measure every kernel on this machine's GPU: ``python -m gem.kernels.bench``.

One file per op with its ``cases()``; ``FILES`` lists them in the order in which they are measured.
"""

from __future__ import annotations

import importlib

from .case import BenchCase

FILES = ("merge", "dual_projector", "towers", "layer_norm", "ecg_front_end", "segment_pooling")


def all_cases(ops: tuple[str, ...] = (), tiny: bool = False) -> list[BenchCase]:
    """The cases of some ops, or of all.

    Args:
        ops: names as in ``dispatch.OPS``; empty for all.
        tiny: the same cases at sizes small enough for Triton's interpreter.
    """
    found = [case for name in FILES for case in importlib.import_module(f".{name}", __name__).cases(tiny)]
    return [case for case in found if not ops or case.op in ops]
