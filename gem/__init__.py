"""gem: explain an ECG recording and its picture in sentences whose every number points at its evidence.

Research software, not a medical device. Uses ``grounding`` to measure and to check; never the reverse.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from grounding._version import __version__

from .errors import GemCheckpointError, GemConfigError, GemError, GemInputError

if TYPE_CHECKING:
    from .answer import Answer
    from .asking import ask
    from .checkpoints import load
    from .comparing import TextComparison, compare
    from .configuration import GemConfig
    from .dialogue import Chat, chat
    from .encoders import list_encoders, register_encoder
    from .explaining import explain
    from .explanation import Explanation
    from .modeling import GemForConditionalGeneration
    from .processing import GemProcessor
    from .saliency import evidence_vectors, wave_saliency

# imported on first use, so that `import gem` alone does not load torch
_LAZY_MODULES = {
    "GemConfig": "configuration",
    "GemProcessor": "processing",
    "GemForConditionalGeneration": "modeling",
    "load": "checkpoints",
    "list_encoders": "encoders",
    "register_encoder": "encoders",
    "ask": "asking",
    "compare": "comparing",
    "chat": "dialogue",
    "Chat": "dialogue",
    "TextComparison": "comparing",
    "Answer": "answer",
    "explain": "explaining",
    "Explanation": "explanation",
    "evidence_vectors": "saliency",
    "wave_saliency": "saliency",
}

__all__ = [
    "Answer",
    "Chat",
    "Explanation",
    "GemCheckpointError",
    "GemConfig",
    "GemConfigError",
    "GemError",
    "GemForConditionalGeneration",
    "GemInputError",
    "GemProcessor",
    "TextComparison",
    "__version__",
    "ask",
    "chat",
    "compare",
    "evidence_vectors",
    "explain",
    "list_encoders",
    "load",
    "register_encoder",
    "wave_saliency",
]


def __getattr__(name: str) -> Any:
    if name == "presets":
        return importlib.import_module(".presets", __name__)
    if name in _LAZY_MODULES:
        module = importlib.import_module(f".{_LAZY_MODULES[name]}", __name__)
        value = getattr(module, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
