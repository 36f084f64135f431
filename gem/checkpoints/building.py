"""From a config and the headers of the weights to a model: compared first, then filled; one thread at a time."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import GemCheckpointError, GemConfigError
from ..forking import building
from ..untrusted import as_checkpoint_error, read_json
from .files import main_dtype, read_tensors
from .report import LoadReport, account

# what a config describes before the headers could say that it does not fit; a tower that is not among the files has up
# to 400
SPARE_TENSORS = 1000
LONG_BYTES = 1 << 30  # of weights: reading them shows a bar
MOST_BUFFER_BYTES = 256 << 20  # of what a model computes for itself and no file holds
CONTRADICTION = "the config and the weights contradict each other"


def on_meta(config: Any, family: Any = None, n_tensors: int | None = None) -> nn.Module:
    """The model without memory: keys and shapes only.

    Args:
        config: the model's.
        family: its class; ``GemForConditionalGeneration`` when None.
        n_tensors: how many the files hold; a model of many more is not built to its end.

    Raises:
        GemConfigError: the config describes many more weights than there are.
    """
    if family is None:
        from ..modeling import GemForConditionalGeneration as family
    most = None if n_tensors is None else 2 * n_tensors + SPARE_TENSORS
    count, mine = 0, threading.get_ident()

    def counted(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        count += parameter is not None and threading.get_ident() == mine
        if most is not None and count > most:
            raise GemConfigError(f"the config describes more than {most} tensors, the files hold {n_tensors}")

    hook = nn.modules.module.register_module_parameter_registration_hook(counted)
    try:
        with torch.device("meta"):
            model: nn.Module = family(config)
    finally:
        hook.remove()
    stored = set(model.state_dict())
    computed = sum(part.nbytes for name, part in model.named_buffers() if name not in stored)
    if computed > MOST_BUFFER_BYTES:
        raise GemConfigError(f"the config asks for tables of {computed / 1e6:.0f} MB beside the weights")
    return model


def _same(key: str) -> str:
    return key


def compared(
    folder: Path,
    family: Any,
    config: Any,
    shapes: Mapping[str, tuple[int, ...]],
    rename: Callable[[str], str] = _same,
    ignored: Set[str] = frozenset(),
) -> LoadReport:
    """What would become of every key, before there is a model.

    Raises:
        GemCheckpointError: no model can be built from the config.
    """
    with building, as_checkpoint_error(folder, CONTRADICTION):
        return account(on_meta(config, family, len(shapes)), shapes, rename, ignored)


def filled(
    folder: Path,
    family: Any,
    config: Any,
    rename: Callable[[str], str] = _same,
    ignored: Set[str] = frozenset(),
    dtype: torch.dtype | None = None,
    more: Mapping[str, torch.Tensor] | None = None,
) -> Any:
    """The model with its weights, after ``compared`` found that all of them fit.

    Args:
        folder: of the weights.
        family: the model's class.
        config: its config.
        rename: the files' key -> ours.
        ignored: keys of the files that stay where they are.
        dtype: of the weights; what most of them are stored as when None.
        more: our key -> tensor from elsewhere.

    Raises:
        GemCheckpointError: a tensor is of a kind that no weight has.
    """
    with building, as_checkpoint_error(folder, "the weights can't be read into the model"):
        tensors = read_tensors(folder, rename, ignored, dtype) | dict(more or {})
        size = sum(tensor.nbytes for tensor in tensors.values())
        with _bar(shown=size > LONG_BYTES and sys.stderr.isatty()):
            # a path would have transformers read the folder's other files, adapters and code among them
            model = family.from_pretrained(None, config=config, state_dict=tensors, dtype=dtype or main_dtype(tensors))
        model.config.name_or_path = model.name_or_path = str(folder)
        return model


@contextlib.contextmanager
def _bar(shown: bool) -> Iterator[None]:
    """With or without transformers' progress bar."""
    from transformers.utils import logging

    was = logging.is_progress_bar_enabled()
    if was and not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if was:
            logging.enable_progress_bar()


def read_generation(folder: Path, names: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """Some settings of ``generation_config.json``, where there is one; others are left to whoever calls ``generate``.

    Args:
        folder: of the model.
        names: setting -> its type.

    Raises:
        GemCheckpointError: a value of another kind, or a length or number of beams beyond all use.
    """
    path = folder / "generation_config.json"
    found: dict[str, Any] = {}
    for name, value in read_json(path).items() if path.is_file() else ():
        if value is None or name not in names:
            continue
        values = value if isinstance(value, list) and name.endswith("_id") else [value]
        if not values or not all(_is(one, names[name]) and abs(one) <= _MOST.get(name, 2**31) for one in values):
            raise GemCheckpointError(
                f"{name} can't be {str(value)[:60]!r}",
                where=str(path),
                remedy="take it out, or give generate() your own",
            )
        found[name] = value
    return found


def set_generation(model: Any, settings: Mapping[str, Any]) -> None:
    """Put them into a model that generates."""
    for name, value in settings.items() if getattr(model, "generation_config", None) is not None else ():
        setattr(model.generation_config, name, value)


def _is(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (not isinstance(value, bool) or kinds is bool)


IDS = {"bos_token_id": int, "eos_token_id": int, "pad_token_id": int, "max_length": int}
OURS: dict[str, type | tuple[type, ...]] = {
    **IDS,
    "max_new_tokens": int,
    "min_new_tokens": int,
    "do_sample": bool,
    "use_cache": bool,
    "early_stopping": bool,
    "num_beams": int,
    "top_k": int,
    "no_repeat_ngram_size": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "repetition_penalty": (int, float),
    "length_penalty": (int, float),
}
_MOST = {"num_beams": 64, "max_length": 1 << 20, "max_new_tokens": 1 << 20, "min_new_tokens": 1 << 20}
