"""``import gem.auto`` registers our models with transformers' Auto classes.

``AutoConfig``, ``AutoModel``, ``AutoModelForCausalLM`` and ``AutoProcessor`` then load them. It is a module of its own
because ``import gem`` alone loads neither transformers nor torch.
"""

from __future__ import annotations

from typing import Any

from transformers.models.auto.processing_auto import AutoProcessor

from .configuration import EcgCocaConfig, GemConfig
from .fusion import coca  # noqa: F401  (registers its model)
from .modeling import GemForConditionalGeneration  # noqa: F401  (registered where it is defined)
from .processing import GemProcessor

# typed for transformers' own processors
_register: Any = AutoProcessor.register
for _config in (GemConfig, EcgCocaConfig):
    _register(_config, GemProcessor, exist_ok=True)
