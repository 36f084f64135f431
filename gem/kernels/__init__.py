"""Triton kernels for the encoders and the token merge, each with a plain torch reference that it must equal.

``use("auto")`` is the default: a kernel runs only where the committed table of measurements shows it to be faster on
that kind of GPU. Without a GPU, or without a table, everything is plain torch. Kernels know nothing of ECG files.

Example:
    >>> import gem.kernels
    >>> with gem.kernels.use("torch"):
    ...     gem.kernels.mode()
    'torch'
    >>> gem.kernels.mode()
    'auto'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .dispatch import kernel_selected, mode, use

if TYPE_CHECKING:
    from .dual_projector import project_both
    from .ecg_front_end import embed_int16
    from .layer_norm import residual_layer_norm
    from .merge_rows import merge
    from .segment_pooling import pool_segments

# imported on first use: the torch path needs no Triton
_OPS = {
    "embed_int16": "ecg_front_end",
    "merge": "merge_rows",
    "pool_segments": "segment_pooling",
    "project_both": "dual_projector",
    "residual_layer_norm": "layer_norm",
}

__all__ = [
    "embed_int16",
    "kernel_selected",
    "merge",
    "mode",
    "pool_segments",
    "project_both",
    "residual_layer_norm",
    "use",
]


def __getattr__(name: str) -> Any:
    if name in _OPS:
        value = getattr(importlib.import_module(f".{_OPS[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
