"""Checks on the files of a model folder, which anybody may have written: every value is checked before it is used.

Our own arguments are checked against the signature that takes them; a transformers config must be of a type listed
here and may set its own fields only. So no file can name code to run, another place to read from, or a size that costs
memory before the weights were seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import inspect
import json
import math
import numbers
import re
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grounding import EcgError

from .errors import GemCheckpointError, GemConfigError

# types of transformers models that are built from numbers alone, with plain attention and no download
DECODERS = (
    "llama",
    "mistral",
    "ministral3",
    "mixtral",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "gemma",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "olmo",
    "olmo2",
    "olmo3",
    "granite",
    "smollm3",
    "stablelm",
    "starcoder2",
    "helium",
    "cohere",
    "cohere2",
    "glm",
    "glm4",
    "nemotron",
    "exaone4",
    "seed_oss",
    "arcee",
    "apertus",
    "ernie4_5",
    "falcon",
    "gpt2",
    "gpt_neox",
    "opt",
)
VISION_TOWERS = (
    "clip_vision_model",
    "chinese_clip_vision_model",
    "siglip_vision_model",
    "vit",
    "vit_msn",
    "deit",
    "beit",
    "dinov2",
    "dinov2_with_registers",
    "dinov3_vit",
)
TEXT_TOWERS = ("bert", "roberta", "xlm-roberta", "camembert")
DTYPES = ("float32", "float16", "bfloat16", "float64")

MAX_NUMBER = 2**31 - 1
MAX_LAYERS = 1000  # published language models have up to 126
LAYER_COUNTS = re.compile(r"(^|_)(n_)?(layers?|depths?|blocks|num_layers)$")
_SIZE = re.compile(r"^num_|^n_|_size$|_dim$|heads|layers")
MAX_JSON_BYTES = 64 << 20

# fields that transformers configs store and that no model here is built from
_UNUSED = {
    "transformers_version",
    "architectures",
    "output_hidden_states",
    "output_attentions",
    "return_dict",
    "chunk_size_feed_forward",
    "is_encoder_decoder",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "_name_or_path",
    "name_or_path",
    "auto_map",
    "model_type",
    "torchscript",
    "pruned_heads",
    "per_layer_config",
    "tie_last_hidden_states",
    "_commit_hash",
    "attn_implementation",
    "experts_implementation",
    "_attn_implementation_internal",
    "_experts_implementation_internal",
}
# older field names that transformers still converts
_LEGACY = {"rope_theta", "rope_scaling", "torch_dtype", "partial_rotary_factor"}
# settings beside our own that our configs pass on to transformers
_KEPT = {
    "tie_word_embeddings",
    "dtype",
    "torch_dtype",
    "architectures",
    "transformers_version",
    "output_hidden_states",
    "output_attentions",
    "return_dict",
    "name_or_path",
    "attn_implementation",
    "experts_implementation",
    "class_thresholds",
}
# names of transformers' own attention implementations; with other characters it may be a kernel on the model hub
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_]*")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Args:
        path: of the file.

    Raises:
        GemCheckpointError: not a JSON object, or one that is too large or nested too deeply.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise GemCheckpointError(f"more than {MAX_JSON_BYTES >> 20} MB of JSON", where=str(path))
        values = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise GemCheckpointError("not JSON of a model (nested too deeply)", where=str(path)) from None
    except (OSError, ValueError) as error:
        raise GemCheckpointError(f"not JSON ({error})", where=str(path), remedy="copy the file again") from None
    if not isinstance(values, dict):
        raise GemCheckpointError("not a JSON object", where=str(path))
    return values


def check_arguments(callee: Callable[..., Any], values: Mapping[str, Any], where: str) -> None:
    """Check keyword arguments against a signature: known names, values of the annotated types.

    Args:
        callee: a class or a function.
        values: the arguments.
        where: what they belong to, for the error.

    Raises:
        GemConfigError: an unknown argument, or a value of another type.
    """
    function = callee.__init__ if inspect.isclass(callee) else callee
    parameters = dict(inspect.signature(function).parameters)
    parameters.pop("self", None)
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    named = [name for name, one in parameters.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    unknown = [name for name in values if name not in named]
    if unknown and not open_ended:
        raise GemConfigError(
            f"{where} does not take these arguments: {', '.join(map(str, unknown[:5]))}",
            remedy=f"{did_you_mean(unknown[0], named)}it takes {', '.join(named)}",
        )
    try:
        hints = typing.get_type_hints(function)
    except NameError:  # a user's encoder whose annotations can't be resolved
        hints = {}
    for name, value in values.items():
        if name in hints and not matches_type(value, hints[name]):
            raise GemConfigError(
                f"{where}: {name} is {_short_repr(value)}", remedy=f"it should be {_type_name(hints[name])}"
            )


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """The beginning of a remedy: the known name that is nearest to a mistyped one; empty if none is near.

    Args:
        word: as it was given.
        known: the names.

    Example:
        >>> did_you_mean("lora_alpha", ["r", "alpha"])
        'did you mean alpha? '
    """
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}? " if near else ""


def matches_type(value: Any, hint: Any) -> bool:
    """Whether a JSON value fits a type annotation: a list passes as a tuple, and an integer as a float.

    Args:
        value: the value.
        hint: the annotation, resolved.

    Example:
        >>> matches_type([1, 2], tuple[float, float]), matches_type("3", int), matches_type(True, int)
        (True, False, False)
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(matches_type(value, one) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return _is_list(value) and len(value) == len(inner) and all(map(matches_type, value, inner))
    if origin in (list, tuple, Sequence):
        return _is_list(value) and all(matches_type(one, inner[0]) for one in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            matches_type(key, inner[0]) and matches_type(one, inner[1]) for key, one in value.items()
        )
    return isinstance(value, hint) if isinstance(hint, type) else True


def check_numbers(values: Any, where: str, name: str = "") -> None:
    """Refuse numbers that no model can have, before anything is built from them.

    Args:
        values: a number, or a mapping or list of values at any depth.
        where: what they belong to, for the error.
        name: of the setting.

    Raises:
        GemConfigError: a number that is not finite or above 2 ** 31, or more than ``MAX_LAYERS`` layers.
    """
    if isinstance(values, Mapping):
        for key, value in values.items():
            check_numbers(value, where, str(key))
    elif _is_list(values):
        for value in values:
            check_numbers(value, where, name)
        counted = [value for value in values if isinstance(value, int)]
        if LAYER_COUNTS.search(name) and max(sum(counted), len(values)) > MAX_LAYERS:
            raise GemConfigError(f"{where}: {name} adds up to more than {MAX_LAYERS} layers")
    elif isinstance(values, int | float) and not isinstance(values, bool):
        if not math.isfinite(values) or abs(values) > MAX_NUMBER:
            raise GemConfigError(
                f"{where}: {name} is {_short_repr(values)}", remedy=f"a finite number, at most {MAX_NUMBER}"
            )
        if LAYER_COUNTS.search(name) and values > MAX_LAYERS:
            raise GemConfigError(f"{where}: {name} is {values}", remedy=f"at most {MAX_LAYERS} layers are built")


def transformers_config(values: Mapping[str, Any], kinds: Iterable[str], where: str) -> Any:
    """A transformers config from plain values: of one of the allowed types, and with its own fields only.

    Args:
        values: with ``model_type``.
        kinds: the allowed values of ``model_type``.
        where: what the values belong to, for errors and warnings.

    Raises:
        GemConfigError: another type of model, or values that transformers does not take.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind, known = values.get("model_type"), [name for name in kinds if name in CONFIG_MAPPING]
    if kind is None:
        raise GemConfigError(f"{where} has no model_type", remedy=f'add e.g. "model_type": "{known[0]}"')
    if kind not in known:
        raise GemConfigError(f"{where}: model_type {_short_repr(kind)}", remedy=f"it can be {', '.join(known)}")
    family: Any = CONFIG_MAPPING[kind]
    settable = ({field.name for field in dataclasses.fields(family)} | set(family.attribute_map) | _LEGACY) - _UNUSED
    # a config also stores values that it computes itself
    _warn_unused(set(values) - settable - _UNUSED - _generation_settings() - set(family().to_dict()), where)
    kept = {name: value for name, value in values.items() if name in settable}
    check_implementation(values, where)
    check_dtype(kept, where)
    check_numbers(kept, where)
    negative = [name for name, value in kept.items() if isinstance(value, int) and value < 0 and _SIZE.search(name)]
    if negative:
        raise GemConfigError(f"{where}: {negative[0]} is {kept[negative[0]]}", remedy="a size is not negative")
    try:
        return family(**kept)
    except Exception as error:  # transformers raises errors of many types for unusable values
        raise GemConfigError(f"{where}: transformers does not accept it: {_one_line(error)}") from error


def common_settings(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings beside our own that our configs pass on to transformers; others are left out with a warning.

    Args:
        values: settings by name.
        where: what they belong to, for errors and warnings.

    Raises:
        GemConfigError: a setting that would change the weights or fetch code.
    """
    if values.get("quantization_config") is not None:
        raise GemConfigError(f"{where}: quantized weights are not read", remedy="save the model without quantization")
    check_implementation(values, where)
    check_dtype(values, where)
    kept = {name: value for name, value in values.items() if name in _KEPT}
    _warn_unused(set(values) - _KEPT - _UNUSED - _generation_settings(), where)
    check_numbers(kept, where)
    return kept


def check_implementation(values: Mapping[str, Any], where: str) -> None:
    """Refuse attention implementations that transformers would download. Raises GemConfigError."""
    for name in ("attn_implementation", "experts_implementation"):
        given = values.get(name)
        words = list(given.values()) if isinstance(given, Mapping) else [given]
        if not all(word is None or (isinstance(word, str) and _PLAIN_WORD.fullmatch(word)) for word in words):
            raise GemConfigError(
                f"{where}: {name} is {_short_repr(given)}",
                remedy="no kernel is downloaded: use eager or sdpa, or leave it out",
            )


def check_dtype(values: Mapping[str, Any], where: str) -> None:
    """Refuse names that are not torch's floating-point types. Raises GemConfigError."""
    for name in ("dtype", "torch_dtype"):
        given = values.get(name)
        if given is not None and str(given).removeprefix("torch.") not in DTYPES:
            raise GemConfigError(f"{where}: {name} is {_short_repr(given)}", remedy=f"it can be {', '.join(DTYPES)}")


@functools.cache
def _generation_settings() -> set[str]:
    """Generation settings, which older configs store too and which transformers itself leaves out."""
    from transformers import GenerationConfig

    return {
        *vars(GenerationConfig()),
        "use_cache",
        "tie_word_embeddings",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
    }


def _warn_unused(names: Iterable[str], where: str) -> None:
    if some := sorted(map(str, names))[:5]:
        warnings.warn(f"{where}: there is no such setting, and it is not used: {', '.join(some)}", stacklevel=4)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def _short_repr(value: Any) -> str:
    """A value for an error message; values from files may be long or deeply nested."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an integer of thousands of digits
        return f"a {type(value).__name__} that can't be shown"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(error: BaseException) -> str:
    """An error's message in one line."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__


@contextlib.contextmanager
def as_checkpoint_error(folder: str | Path, what: str) -> Iterator[None]:
    """Turn any error inside the block into a GemCheckpointError that names the folder, with the cause attached.

    Values are checked beforehand as far as possible. Sizes that contradict each other show only when torch or
    transformers builds from them, and these raise errors of many types.

    Args:
        folder: where the values come from.
        what: what could not be done, for the message.

    Raises:
        GemCheckpointError: in place of any other error.
    """
    try:
        yield
    except GemCheckpointError:
        raise
    except EcgError as error:
        raise GemCheckpointError(f"{what}: {error.what}", where=str(folder), remedy=error.remedy) from error
    except BaseException as error:
        # a panic in a Rust library is a BaseException
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise GemCheckpointError(f"{what} ({_one_line(error)})", where=str(folder)) from error
