"""Encoders by name: ``@register_encoder`` on a class, one per file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grounding.errors import EcgRegistryError
from grounding.registry import Registry

from ..errors import GemConfigError
from ..untrusted import check_arguments, check_numbers
from .contract import SignalContract


class Encoder(nn.Module):
    """Base class of the encoders.

    Attributes:
        kind: ``"ecg"`` or ``"vision"``.
        tiny: keyword arguments with which a test builds a small one.
        width: channels of a token.
        n_tokens: tokens per record (or per picture tile).
        contract: what an ECG encoder expects of the recording (None for vision).
    """

    kind: ClassVar[str] = "ecg"
    tiny: ClassVar[dict[str, Any]] = {}
    width: int
    n_tokens: int
    contract: SignalContract | None = None
    shell_of: tuple[str, dict[str, Any]] | None = None  # name and arguments, where only its shapes were built

    def forward(self, x: Tensor) -> Tensor:
        """(B, leads, samples) or (B, 3, H, W) -> (B, n_tokens, width)."""
        raise NotImplementedError

    def from_int16(self, samples: Tensor, zscore: bool = False, probe: Tensor | None = None) -> Tensor:
        """The tokens of int16 samples, which are decoded on the encoder's device.

        Args:
            samples: (B, leads, samples) int16 in uV, -32768 where the encoder sees zeros.
            zscore: give each lead mean 0 and standard deviation 1 first.
            probe: (B, leads, samples), receives the gradient with respect to the signal in mV.

        Returns:
            (B, n_tokens, width), as ``forward`` gives it for the float signal.
        """
        from ..kernels.int16_samples import decoded

        signal = decoded(samples, zscore=zscore, probe=probe)
        return self(signal.to(next(self.parameters()).dtype))  # type: ignore[no-any-return]

    def token_spans(self) -> NDArray[np.float64]:
        """The samples that each token stands for, (n_tokens, 2): start and end; equal for a token without samples.

        Segments of equal length unless an encoder overrides it. Attention and wide kernels, which mix in other
        samples, are not counted.

        Raises:
            GemConfigError: the encoder takes no signal.
        """
        if self.contract is None:
            raise GemConfigError("the encoder takes no signal", where=type(self).__name__)
        edges = np.linspace(0, self.contract.n_samples, self.n_tokens + 1)
        return np.stack([edges[:-1], edges[1:]], 1)

    def init_buffers(self) -> None:
        """Fill in what checkpoint files do not hold, which ``from_pretrained`` leaves uninitialised.

        Buffers with ``persistent=False`` and tensors that are plain attributes are those of a newly built encoder. One
        that is slow to build may compute them itself.
        """
        if self.shell_of is None or any(part.is_meta for part in (*self.parameters(), *self.buffers())):
            return
        if not any(map(_unset_values, self.modules())):
            return
        name, kwargs = self.shell_of
        # the user's random numbers are not for an encoder that is thrown away
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
            fresh = dict(build_encoder(name, kwargs).named_modules())
            for place, module in self.named_modules():
                for key in _unset_values(module):
                    value = getattr(fresh[place], key)
                    if key in module._buffers:
                        getattr(module, key).copy_(value)
                    else:
                        setattr(module, key, value)
        self.shell_of = None


def _unset_values(module: nn.Module) -> list[str]:
    """Names of a module's tensors that no checkpoint file holds: buffers, and attributes on the meta device."""
    buffers = [name for name in module._non_persistent_buffers_set if module._buffers.get(name) is not None]
    return buffers + [name for name, value in vars(module).items() if name[0] != "_" and _on_meta(value)]


def _on_meta(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.is_meta
    if isinstance(value, Mapping):
        value = list(value.values())
    return isinstance(value, list | tuple) and any(map(_on_meta, value))


ENCODERS: Registry[type[Encoder]] = Registry("encoder", "gem.encoders")


def register_encoder(entry: Any = None, *, name: str | None = None) -> Any:
    """Add an encoder class; use as ``@gem.register_encoder`` or ``@gem.register_encoder(name="...")``.

    Args:
        entry: a ``gem.encoders.Encoder``: an nn.Module with ``kind``, ``width``, ``n_tokens`` and, for signals,
            ``contract``.
        name: its name in configs; that of the class when None.

    Returns:
        The class.

    Raises:
        GemConfigError: it is no class of ``gem.encoders.Encoder``.
    """
    if entry is None:
        return partial(register_encoder, name=name)
    if not (isinstance(entry, type) and issubclass(entry, Encoder)):
        raise GemConfigError(
            "what is registered is no encoder class",
            where=str(getattr(entry, "__name__", entry)),
            remedy="class my_encoder(gem.encoders.Encoder): ...",
        )
    return ENCODERS.register(entry, name=name)


def list_encoders(pattern: str = "*") -> list[str]:
    """Names of the registered encoders, sorted.

    Args:
        pattern: shell-style.

    Example:
        >>> "ecg_patch" in list_encoders("ecg*")
        True
    """
    return ENCODERS.list(pattern)


def build_encoder(name: str, kwargs: dict[str, Any] | None = None) -> Encoder:
    """Build an encoder.

    Args:
        name: a registered name; ``timm/<model>`` builds a timm model.
        kwargs: arguments of its class.

    Raises:
        EcgRegistryError: no encoder has this name.
        GemConfigError: the keyword arguments don't fit it.
    """
    if not isinstance(name, str) or not isinstance(kwargs or {}, Mapping):
        raise GemConfigError(
            "an encoder is a name and a mapping of its arguments", remedy='{"name": ..., "kwargs": {...}}'
        )
    options = dict(kwargs or {})
    if name.startswith("timm/"):
        options["model"] = name.removeprefix("timm/")
        name = "timm"
    try:
        entry = ENCODERS[name]
    except EcgRegistryError as error:
        raise EcgRegistryError(
            error.what, remedy=f"{error.remedy}; one of your own is imported first: its module, or --import FILE.py"
        ) from None
    check_arguments(entry, options, f"encoder {name!r}")
    check_numbers(options, f"encoder {name!r}")
    shell = torch.get_default_device().type == "meta"
    try:
        encoder = entry(**options)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        if not shell or "meta" not in str(error):
            raise
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # it reads numbers from tensors while it is built
            encoder = entry(**options).to("meta")
    if shell:
        encoder.shell_of = (name, options)
    return encoder


def pooled(tokens: Tensor) -> Tensor:
    """(B, T, C) -> (B, 2C): mean and maximum over the tokens."""
    return torch.cat([tokens.mean(1), tokens.amax(1)], dim=-1)


def build_kind(settings: dict[str, Any] | None, kind: str) -> Encoder | None:
    """The encoder that a config names.

    Args:
        settings: ``{"name", "kwargs"}``, or None for none.
        kind: ``"ecg"`` or ``"vision"``.

    Raises:
        GemConfigError: no name, or an encoder of the other kind.
    """
    if settings is None:
        return None
    if "name" not in settings:
        raise GemConfigError(f"{kind}_encoder has no name", remedy="gem.list_encoders() lists them")
    if unknown := [key for key in settings if key not in ("name", "kwargs")]:
        raise GemConfigError(
            f"{kind}_encoder does not take {', '.join(map(str, unknown))}",
            remedy='it takes a name and kwargs, the arguments of that encoder: {"name": ..., "kwargs": {...}}',
        )
    encoder = build_encoder(settings["name"], settings.get("kwargs"))
    if encoder.kind != kind:
        raise GemConfigError(f"{settings['name']!r} is a {encoder.kind} encoder", where=f"{kind}_encoder")
    return encoder


def weights_hash(module: nn.Module) -> str:
    """A hash of all weights and buffers, sixteen characters.

    Args:
        module: any module.
    """
    return tensors_hash(module.state_dict())


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """A hash of tensors and their names, sixteen characters.

    Args:
        tensors: by name; the order does not matter.
    """
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
