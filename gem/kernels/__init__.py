"""Kernels for the encoders and their merge, each beside the plain torch that it must equal.

``use("auto")`` is the default: a kernel runs only where the committed table says that it wins on that kind of GPU. Without a GPU, or
without a table, everything is plain torch. Kernels know nothing of ECG files.

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
    from .front_end import front_end, prepare_signal
    from .layer_norm import residual_layer_norm
    from .merge import merge
    from .projector import dual_projector, mlp_projector, project_and_merge
    from .segments import pool_segments
    from .towers import CapturedTowers, both_towers

# opened when asked for: the torch path needs no Triton
_OPS = {
    "merge": "merge", "front_end": "front_end", "prepare_signal": "front_end", "dual_projector": "projector", "mlp_projector": "projector",
    "project_and_merge": "projector", "residual_layer_norm": "layer_norm", "pool_segments": "segments", "both_towers": "towers",
    "CapturedTowers": "towers",
}  # fmt: skip

__all__ = [
    "CapturedTowers", "both_towers", "chosen", "dual_projector", "front_end", "merge", "mlp_projector", "mode", "pool_segments",
    "prepare_signal", "project_and_merge", "residual_layer_norm", "use",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _OPS:
        value = getattr(importlib.import_module(f".{_OPS[name]}", __name__), name)
        globals()[name] = value  # also wins over the submodule of the same name
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
