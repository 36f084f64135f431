"""LoRA: small matrices beside a decoder's linear layers, which alone are trained, and are then merged into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ..errors import GemConfigError
from ..untrusted import check_arguments

# the linear layers of a Llama-type decoder
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def lora_settings(given: Mapping[str, Any], r: int, alpha: float, dropout: float) -> dict[str, Any]:
    """Settings of LoRA, complete.

    Args:
        given: any of ``r``, ``alpha``, ``dropout`` and ``targets``.
        r: rank, where it is not given.
        alpha: scale, likewise.
        dropout: likewise.

    Returns:
        All four.

    Raises:
        GemConfigError: another setting, or a value of another type.
    """
    check_arguments(_settings, given, "lora")
    return {"r": r, "alpha": alpha, "dropout": dropout, "targets": list(LORA_TARGETS), **given}


def _settings(r: int = 0, alpha: float = 0.0, dropout: float = 0.0, targets: Sequence[str] = ()) -> None:
    """A signature for ``check_arguments``: the settings of LoRA and their types."""


def add_lora(model: Any, names: Iterable[str], r: int, alpha: float, dropout: float) -> None:
    """Add LoRA adapters to linear layers of the decoder and freeze the decoder's own weights.

    Args:
        model: the model.
        names: last parts of the layers' names, e.g. ``q_proj``.
        r: rank.
        alpha: scale; the update is multiplied by alpha / r.
        dropout: dropout rate in front of the adapters.

    Raises:
        GemConfigError: peft is not installed, or no layer has such a name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise GemConfigError("LoRA needs peft", remedy='pip install "gem-ecg[lora]"') from None
    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(names), bias="none")
    try:
        inject_adapter_in_model(config, model.language_model)
    except ValueError as error:
        raise GemConfigError(f"LoRA does not fit: {error}", remedy="check lora's targets") from None
    for name, parameter in model.language_model.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if "lora_" in name:  # in float32 beside a decoder in 16 bits
            parameter.data = parameter.data.float()


def merge_lora(model: nn.Module) -> None:
    """Add the LoRA updates to the weights and remove the adapters.

    Args:
        model: with adapters of ``add_lora``.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, module.get_base_layer())
