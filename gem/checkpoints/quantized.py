"""A decoder with weights of 4 or 8 bits, by bitsandbytes; encoders and projectors stay as they are."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import GemError, GemInputError
from ..extras import how_to_install

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig

_WHERE = "quantization_config"
_DECODER = "language_model"


def check_quantization(wanted: BitsAndBytesConfig, device: str | torch.device | None) -> None:
    """Check that a model can be quantised here, before any of it is read.

    Args:
        wanted: 4 or 8 bits, and how.
        device: where the model is to be; the CPU when None.

    Raises:
        GemInputError: another kind of quantisation.
        GemError: a package or the GPU is missing.
    """
    from transformers import BitsAndBytesConfig

    if not isinstance(wanted, BitsAndBytesConfig) or not (wanted.load_in_4bit or wanted.load_in_8bit):
        raise GemInputError(
            f"{type(wanted).__name__} is no BitsAndBytesConfig of 4 or 8 bits",
            where=_WHERE,
            remedy="give transformers.BitsAndBytesConfig(load_in_4bit=True)",
        )
    for package in ("bitsandbytes", "accelerate"):
        if find_spec(package) is None:
            remedy = f"{how_to_install(package)}, or load in 16 bits: dtype=torch.bfloat16"
            raise GemError(f"4 and 8 bits need the package {package}", where=_WHERE, remedy=remedy)
    kind = torch.device(device or "cpu").type
    if kind == "cuda" and not torch.cuda.is_available():
        raise GemError("there is no GPU for the quantised model", where=f"device={device}", remedy='use device="cpu"')


def quantizing(model: nn.Module, wanted: BitsAndBytesConfig, device: str | torch.device | None) -> dict[str, Any]:
    """Options of transformers' ``from_pretrained`` that quantise the decoder's layers, but not its output layer.

    Args:
        model: on the meta device, for the names of its parts.
        wanted: see ``check_quantization``.
        device: where the model is to be; the CPU when None.

    Raises:
        GemInputError: the model has no decoder.
    """
    parts = dict(model.named_children())
    if parts.get(_DECODER) is None:
        raise no_decoder()
    settings = copy.deepcopy(wanted)
    kept = [name for name in parts if name != _DECODER]
    settings.llm_int8_skip_modules = [*kept, "lm_head", *(wanted.llm_int8_skip_modules or [])]
    return {"quantization_config": settings, "device_map": {"": torch.device(device or "cpu")}}


def no_decoder() -> GemInputError:
    """The error for a model that is an encoder alone."""
    return GemInputError("the model has no decoder to quantise", where=_WHERE, remedy="load it without")


def placed(model: Any, device: str | torch.device | None) -> Any:
    """A model in eval mode on its device; a quantised one was built there.

    Args:
        model: ours.
        device: the CPU when None.
    """
    if getattr(model, "is_quantized", False):
        return model.eval()
    return model.to(device or "cpu").eval()
