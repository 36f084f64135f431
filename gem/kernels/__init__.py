"""Kernels for the encoders and their merge, each beside the plain torch that it must equal.

``use("auto")`` is the default: a kernel runs only where the committed table says that it wins on that kind of GPU.
Without a GPU, or without a table, everything is plain torch. Kernels know nothing of ECG files.

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

from .dispatch import chosen, mode, use

if TYPE_CHECKING:
    from .dual_projector import project_both
    from .ecg_front_end import embed_int16
    from .layer_norm import residual_layer_norm
    from .merge_rows import merge
    from .segment_pooling import pool_segments

# opened when asked for: the torch path needs no Triton
_OPS = {
    "embed_int16": "ecg_front_end",
    "merge": "merge_rows",
    "pool_segments": "segment_pooling",
    "project_both": "dual_projector",
    "residual_layer_norm": "layer_norm",
}

__all__ = ["chosen", "embed_int16", "merge", "mode", "pool_segments", "project_both", "residual_layer_norm", "use"]


def __getattr__(name: str) -> Any:
    if name in _OPS:
        value = getattr(importlib.import_module(f".{_OPS[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
