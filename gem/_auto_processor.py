"""``AutoProcessor`` learns our processor; apart from it, so that the processor itself opens none of transformers' image code."""

from __future__ import annotations

from typing import Any

from transformers.models.auto.processing_auto import AutoProcessor

from .configuration import EcgCocaConfig, GemConfig
from .processing import GemProcessor

# typed for transformers' own processors
_register: Any = AutoProcessor.register
for _config in (GemConfig, EcgCocaConfig):
    _register(_config, GemProcessor, exist_ok=True)
