"""Encoders by name: ``@register_encoder`` on a class, one per file."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from grounding.registry import Registry

from ..errors import GemConfigError
from .contract import SignalContract


class Encoder(nn.Module):
    """What every encoder offers.

    Attributes:
        kind: ``"ecg"`` or ``"vision"``.
        contract: what an ECG encoder expects of the recording (None for vision).
        width: channels of a token.
        n_tokens: tokens per record (or per picture tile).
        kwargs: small keyword arguments a test can build the entry with.
    """

    kind: ClassVar[str] = "ecg"
    tiny: ClassVar[dict[str, Any]] = {}
    width: int
    n_tokens: int
    contract: SignalContract | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) or (B, 3, H, W) -> (B, n_tokens, width)."""
        raise NotImplementedError

    def init_buffers(self) -> None:
        """Set again what from_pretrained left uninitialised: buffers that the file does not hold."""


ENCODERS: Registry[type[Encoder]] = Registry("encoder")


def register_encoder(entry: Any = None, *, name: str | None = None) -> Any:
    """Add an encoder class; use as ``@gem.register_encoder`` or ``@gem.register_encoder(name="...")``.

    The entry is a ``gem.encoders.Encoder``: an nn.Module with ``kind``, ``width``, ``n_tokens`` and, for signals, ``contract``.
    """
    return ENCODERS.register(entry, name=name)


def list_encoders(pattern: str = "*") -> list[str]:
    """Names of the registered encoders that match a shell-style pattern, sorted.

    Example:
        >>> "ecg_patch" in list_encoders("ecg*")
        True
    """
    return ENCODERS.list(pattern)


def build_encoder(name: str, kwargs: dict[str, Any] | None = None) -> Encoder:
    """An encoder from its name; ``timm/<model>`` builds a timm model.

    Raises:
        EcgRegistryError: no encoder has this name.
        GemConfigError: the keyword arguments don't fit it.
    """
    options = dict(kwargs or {})
    if name.startswith("timm/"):
        options["model"] = name.removeprefix("timm/")
        name = "timm"
    entry = ENCODERS[name]
    try:
        return entry(**options)
    except TypeError as error:
        raise GemConfigError(f"encoder {name!r} does not take these arguments: {error}") from None


def pooled(tokens: Tensor) -> Tensor:
    """(B, T, C) -> (B, 2C): mean and maximum over the tokens."""
    return torch.cat([tokens.mean(1), tokens.amax(1)], dim=-1)
