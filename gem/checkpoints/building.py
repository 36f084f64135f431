"""From a config and weight files to a model: keys and shapes are compared before it is built; one thread at a time."""

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
from ..forking import model_building_lock
from ..untrusted import as_checkpoint_error, read_json
from .files import main_dtype, read_tensors
from .report import LoadReport, account

# tensors that a config may describe beyond those in the files; a tower that is not among the files has up to 400
SPARE_TENSORS = 1000
PROGRESS_BAR_BYTES = 1 << 30  # reading more weights than this shows a progress bar
MAX_BUFFER_BYTES = 256 << 20  # of buffers that a model computes and no file holds
UNREADABLE = "the weights can't be read into the model"
CONTRADICTION = "the config and the weights contradict each other"


def on_meta(config: Any, family: Any = None, n_tensors: int | None = None) -> nn.Module:
    """The model on the meta device: keys and shapes without memory.

    Args:
        config: the model's.
        family: its class; ``GemForConditionalGeneration`` when None.
        n_tensors: number of tensors in the files; building stops when the model has many more.

    Raises:
        GemConfigError: the config describes many more weights than there are.
    """
    if family is None:
        from ..modeling import GemForConditionalGeneration as family
    limit = None if n_tensors is None else 2 * n_tensors + SPARE_TENSORS
    count, this_thread = 0, threading.get_ident()

    def count_parameter(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        count += parameter is not None and threading.get_ident() == this_thread
        if limit is not None and count > limit:
            raise GemConfigError(f"the config describes more than {limit} tensors, the files hold {n_tensors}")

    hook = nn.modules.module.register_module_parameter_registration_hook(count_parameter)
    try:
        with torch.device("meta"):
            model: nn.Module = family(config)
    finally:
        hook.remove()
    stored = set(model.state_dict())
    computed = sum(part.nbytes for name, part in model.named_buffers() if name not in stored)
    if computed > MAX_BUFFER_BYTES:
        raise GemConfigError(f"the config needs buffers of {computed / 1e6:.0f} MB beside the weights")
    return model


def _unchanged(key: str) -> str:
    return key


def compare_keys(
    folder: Path,
    family: Any,
    config: Any,
    shapes: Mapping[str, tuple[int, ...]],
    rename: Callable[[str], str] = _unchanged,
    ignored: Set[str] = frozenset(),
) -> LoadReport:
    """Compare the files' keys and shapes with those of the model, before it is built.

    Args:
        folder: of the weights, for errors.
        family: the model's class.
        config: its config.
        shapes: every key of the files and its shape.
        rename: the files' key -> ours.
        ignored: keys of the files that are not read.

    Raises:
        GemCheckpointError: no model can be built from the config.
    """
    with model_building_lock, as_checkpoint_error(folder, CONTRADICTION):
        return account(on_meta(config, family, len(shapes)), shapes, rename, ignored)


def build_from_tensors(
    folder: Path, family: Any, config: Any, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> Any:
    """Build a model with weights that were read before.

    Args:
        folder: where they come from.
        family: the model's class.
        config: its config.
        tensors: every key of its state dict; tied ones may be left out.
        dtype: of the weights.

    Raises:
        GemCheckpointError: keys or shapes that don't fit the config.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    report = compare_keys(folder, family, config, shapes)
    if not report.complete:
        raise GemCheckpointError(f"the parts don't fit each other: {report}", where=str(folder))
    with model_building_lock, as_checkpoint_error(folder, UNREADABLE):
        return _filled(folder, family, config, dict(tensors), dtype)


def build_model(
    folder: Path,
    family: Any,
    config: Any,
    rename: Callable[[str], str] = _unchanged,
    ignored: Set[str] = frozenset(),
    dtype: torch.dtype | None = None,
    more: Mapping[str, torch.Tensor] | None = None,
) -> Any:
    """Build the model with its weights, after ``compare_keys`` found that all of them fit.

    Args:
        folder: of the weights.
        family: the model's class.
        config: its config.
        rename: the files' key -> ours.
        ignored: keys of the files that are not read.
        dtype: of the weights; the most frequent one in the files when None.
        more: our key -> tensor that is not in the files.

    Raises:
        GemCheckpointError: the files can't be read into the model.
    """
    with model_building_lock, as_checkpoint_error(folder, UNREADABLE):
        tensors = read_tensors(folder, rename, ignored, dtype) | dict(more or {})
        return _filled(folder, family, config, tensors, dtype or main_dtype(tensors))


def _filled(folder: Path, family: Any, config: Any, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> Any:
    """A model with these weights."""
    size = sum(tensor.nbytes for tensor in tensors.values())
    with _progress_bar(shown=size > PROGRESS_BAR_BYTES and sys.stderr.isatty()):
        # given a path, transformers would also read the folder's other files, such as adapters and code
        model = family.from_pretrained(None, config=config, state_dict=tensors, dtype=dtype)
    model.config.name_or_path = model.name_or_path = str(folder)
    return model


@contextlib.contextmanager
def _progress_bar(shown: bool) -> Iterator[None]:
    """Switch transformers' progress bar off unless it is to be shown."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    if enabled and not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


def read_generation(folder: Path, names: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """Read some settings of ``generation_config.json``, if the folder has one.

    Args:
        folder: of the model.
        names: the settings to read -> their types.

    Raises:
        GemCheckpointError: a value of another type, or a length or number of beams out of range.
    """
    path = folder / "generation_config.json"
    found: dict[str, Any] = {}
    for name, value in read_json(path).items() if path.is_file() else ():
        if value is None or name not in names:
            continue
        values = value if isinstance(value, list) and name.endswith("_id") else [value]
        limit = _LIMITS.get(name, 2**31)
        if not values or not all(_is_of(one, names[name]) and abs(one) <= limit for one in values):
            raise GemCheckpointError(
                f"{name} can't be {str(value)[:60]!r}",
                where=str(path),
                remedy="remove it, and pass the setting to generate()",
            )
        found[name] = value
    return found


def set_generation(model: Any, settings: Mapping[str, Any]) -> None:
    """Set generation settings on a model; nothing for one that does not generate.

    Args:
        model: the model.
        settings: from ``read_generation``.
    """
    for name, value in settings.items() if getattr(model, "generation_config", None) is not None else ():
        setattr(model.generation_config, name, value)


def _is_of(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (not isinstance(value, bool) or kinds is bool)


TOKEN_SETTINGS = {"bos_token_id": int, "eos_token_id": int, "pad_token_id": int, "max_length": int}
GENERATION_SETTINGS: dict[str, type | tuple[type, ...]] = {
    **TOKEN_SETTINGS,
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
_LIMITS = {"num_beams": 64, "max_length": 1 << 20, "max_new_tokens": 1 << 20, "min_new_tokens": 1 << 20}
