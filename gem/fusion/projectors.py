"""Projectors by name: from an encoder's channels to the language model's."""

from __future__ import annotations

import re
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import GemConfigError
from ..untrusted import check_arguments


class MeitProjector(nn.Sequential):
    """MEIT's head: Linear, BatchNorm, ReLU, Linear, BatchNorm, then unit length.

    Args:
        width: channels of the input.
        hidden: channels of the hidden layer.
        out: channels of the output.
    """

    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out), nn.BatchNorm1d(out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, width) -> (B, 1, out)."""
        return F.normalize(super().forward(x.flatten(0, 1)), dim=-1).view(*x.shape[:-1], -1)


def build_projector(settings: dict[str, Any], width: int, out: int) -> nn.Module:
    """Build a projector.

    Args:
        settings: ``{"type": "linear" | "mlp<N>x_gelu" | "meit" | "identity", "width": out, "hidden": ...}``.
        width: channels of the input.
        out: channels of the output, unless ``settings["width"]`` overrides it.

    Raises:
        GemConfigError: an unknown type or setting.
    """
    check_arguments(_settings, settings, "projector")
    kind, out = settings.get("type", "mlp2x_gelu"), int(settings.get("width") or out)
    if kind == "linear":
        return nn.Linear(width, out)
    if kind == "identity":
        return nn.Identity()
    if kind == "meit":
        return MeitProjector(width, int(settings.get("hidden") or width), out)
    match = re.fullmatch(r"mlp(\d{1,3})x_gelu", kind)
    if not match or int(match[1]) < 1:
        raise GemConfigError(f"unknown projector {kind!r}", remedy="use linear, mlp2x_gelu, meit or identity")
    layers: list[nn.Module] = [nn.Linear(width, out)]
    for _ in range(int(match[1]) - 1):
        layers += [nn.GELU(), nn.Linear(out, out)]
    return nn.Sequential(*layers)


def _settings(type: str = "mlp2x_gelu", width: int | None = None, hidden: int | None = None) -> None:
    """A signature for ``check_arguments``: a projector's settings and their types."""


def shared_mlp(projector: nn.Module | None) -> nn.Sequential | None:
    """The projector if ``gem.kernels.project_both`` can compute it: Linear, exact GELU, Linear, with biases; else None.

    Args:
        projector: any module, or None.
    """
    if type(projector) is not nn.Sequential or [type(layer) for layer in projector] != [nn.Linear, nn.GELU, nn.Linear]:
        return None
    first, activation, second = projector
    plain = activation.approximate == "none" and first.bias is not None and second.bias is not None
    return projector if plain else None
