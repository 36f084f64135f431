"""Checks of an encoder's contract, for the tests of user-defined encoders."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.parameter import UninitializedParameter

from ..errors import GemConfigError
from .registry import ENCODERS, Encoder, build_encoder


def check_encoder(name: str) -> None:
    """Build a registered encoder with its ``tiny`` arguments and check it.

    Checked are shapes, that records of a batch don't affect each other, gradients, token spans, the
    docstring, and that an encoder is the same after it was saved and loaded.

    Args:
        name: registered name.

    Raises:
        GemConfigError: a check failed; the message says which.
        EcgRegistryError: no encoder has this name.

    Example:
        >>> check_encoder("ecg_patch")
    """
    kind = ENCODERS[name]
    encoder = build_encoder(name, kind.tiny).eval()
    wanted_names = ("width", "n_tokens", *(("image_size", "mean", "std") if encoder.kind == "vision" else ()))
    missing = [word for word in wanted_names if not hasattr(encoder, word)]
    if missing:
        raise _broken(name, f"it has no {', '.join(missing)}", "set it in __init__")
    if any(isinstance(part, UninitializedParameter) for part in encoder.parameters()):
        raise _broken(name, "a layer gets its size from the first input", "give each layer its size in __init__")
    places = [part.data_ptr() for part in encoder.state_dict().values() if part.numel()]
    if len(set(places)) < len(places):
        raise _broken(name, "two of its weights are one tensor, which a file can't hold", "use one module twice")
    x = example_input(encoder)
    tokens = encoder(x)
    wanted = (len(x), encoder.n_tokens, encoder.width)
    if tuple(tokens.shape) != wanted:
        raise _broken(name, f"{tuple(x.shape)} gives {tuple(tokens.shape)}", f"(B, n_tokens, width), here {wanted}")
    if not torch.isfinite(tokens).all():
        raise _broken(name, "its tokens are not all finite", "check for divisions by zero")
    if not torch.allclose(tokens[1:2], encoder(x[1:2]), atol=1e-5, rtol=1e-5):
        raise _broken(name, "a record's tokens depend on the others in the batch", "normalise each record by itself")
    parameters = list(encoder.parameters())
    if parameters:
        tokens.sum().backward()
        if not any(part.grad is not None and part.grad.abs().sum() > 0 for part in parameters):
            raise _broken(name, "no gradient reaches its parameters", "don't detach the tokens")
    if encoder.contract is not None:
        spans = encoder.token_spans()
        placed = spans[spans[:, 1] > spans[:, 0]]
        in_order = bool((placed[1:, 0] == placed[:-1, 1]).all())
        if spans.shape != (encoder.n_tokens, 2) or not in_order or placed[-1, 1] < encoder.contract.n_samples:
            raise _broken(name, "token_spans do not cover the signal in order", "see Encoder.token_spans")
    for word in ("Sees:", "Architecture:", "Source:"):
        if word not in (kind.__doc__ or ""):
            raise _broken(
                name, f"its docstring has no line {word}", "say what it sees, how it is built, where it is from"
            )
    with torch.no_grad():
        if not torch.allclose(tokens, _loaded(encoder, name)(x), atol=1e-5, rtol=1e-5):
            raise _broken(
                name,
                "its tokens are others after saving and loading",
                "what is drawn at random or learned belongs in parameters or buffers",
            )


def _loaded(encoder: Encoder, name: str) -> Encoder:
    """The same encoder as it is loaded: built without memory, then filled with what a file of weights holds."""
    with torch.device("meta"):
        loaded = build_encoder(name, ENCODERS[name].tiny)
    loaded.to_empty(device="cpu")
    for part in loaded.buffers():
        part.fill_(torch.nan if part.is_floating_point() else 0)
    loaded.load_state_dict(encoder.state_dict())
    loaded.init_buffers()
    return loaded.eval()


def example_input(encoder: Encoder, records: int = 3) -> Tensor:
    """Random input of an encoder, from seed 0.

    Args:
        encoder: any encoder.
        records: size of the batch.
    """
    generator = torch.Generator().manual_seed(0)
    if encoder.kind == "vision":
        height, width = getattr(encoder, "image_size")  # noqa: B009  (vision encoders alone have one)
        shape: tuple[int, ...] = (3, height, width)
    elif encoder.contract is not None:
        shape = (len(encoder.contract.leads), encoder.contract.n_samples)
    else:
        shape = (encoder.width,)
    return torch.randn(records, *shape, generator=generator)


def _broken(name: str, what: str, remedy: str) -> GemConfigError:
    return GemConfigError(what, where=f"encoder {name}", remedy=remedy)
