"""What a model folder may say: every value of its files is looked at before it is used, since a stranger may have written them.

Arguments of ours are held against the signature that takes them; a config of transformers may be one of the kinds
listed here and may set its own fields only. So no file names code to run, another place to read from, or a size that
costs memory before the weights were seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
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

# kinds of transformers' models: plain attention, built from numbers, nothing fetched while they are built
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

LARGEST = 2**31 - 1
MOST_LAYERS = 1000  # published language models have up to 126
COUNTS = re.compile(r"(^|_)(n_)?(layers?|depths?|blocks|num_layers)$")
_SIZE = re.compile(r"^num_|^n_|_size$|_dim$|heads|layers")
MOST_JSON_BYTES = 64 << 20

# what configs of transformers store and a model here is not built from
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
# older names that transformers still turns into today's
_LEGACY = {"rope_theta", "rope_scaling", "torch_dtype", "partial_rotary_factor"}
# beside our own settings, what a config of ours hands on
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
# how attention is computed: a word of transformers' own, never the name of a kernel on the model hub
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_]*")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        GemCheckpointError: it is none, or larger or deeper than such a file can be.
    """
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise GemCheckpointError(f"more than {MOST_JSON_BYTES >> 20} MB of JSON", where=str(path))
        values = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise GemCheckpointError("not JSON of a model (nested too deeply)", where=str(path)) from None
    except (OSError, ValueError) as error:
        raise GemCheckpointError(f"not JSON ({error})", where=str(path), remedy="copy the file again") from None
    if not isinstance(values, dict):
        raise GemCheckpointError("not a JSON object", where=str(path))
    return values


def check_arguments(callee: Callable[..., Any], values: Mapping[str, Any], where: str) -> None:
    """Hold keyword arguments against a signature: known names, values of the annotated kind.

    Args:
        callee: a class or a function.
        values: the arguments.
        where: what they belong to, for the error.

    Raises:
        GemConfigError: an argument that there is not, or a value of another kind.
    """
    function = callee.__init__ if inspect.isclass(callee) else callee
    parameters = dict(inspect.signature(function).parameters)
    parameters.pop("self", None)
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    own = [name for name, one in parameters.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    unknown = [name for name in values if name not in own]
    if unknown and not open_ended:
        raise GemConfigError(
            f"{where} does not take these arguments: {', '.join(map(str, unknown[:5]))}",
            remedy=f"it takes {', '.join(own)}",
        )
    try:
        hints = typing.get_type_hints(function)
    except NameError:  # an encoder from elsewhere whose annotations can't be resolved
        hints = {}
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            raise GemConfigError(f"{where}: {name} is {_short(value)}", remedy=f"it should be {_called(hints[name])}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated kind; lists stand for tuples, as JSON has them, and whole numbers for any number.

    Example:
        >>> fits([1, 2], tuple[float, float]), fits("3", int), fits(True, int), fits(None, int | None)
        (True, False, False, True)
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
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
        return _listed(value) and len(value) == len(inner) and all(map(fits, value, inner))
    if origin in (list, tuple, Sequence):
        return _listed(value) and all(fits(one, inner[0]) for one in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            fits(key, inner[0]) and fits(one, inner[1]) for key, one in value.items()
        )
    return isinstance(value, hint) if isinstance(hint, type) else True


def check_numbers(values: Any, where: str, name: str = "") -> None:
    """Refuse numbers that no model can have, before anything is built from them.

    Raises:
        GemConfigError: a number that is not finite or above 2 ** 31, or more than ``MOST_LAYERS`` layers.
    """
    if isinstance(values, Mapping):
        for key, value in values.items():
            check_numbers(value, where, str(key))
    elif _listed(values):
        for value in values:
            check_numbers(value, where, name)
        counted = [value for value in values if isinstance(value, int)]
        if COUNTS.search(name) and max(sum(counted), len(values)) > MOST_LAYERS:
            raise GemConfigError(f"{where}: {name} adds up to more than {MOST_LAYERS} layers")
    elif isinstance(values, int | float) and not isinstance(values, bool):
        if not math.isfinite(values) or abs(values) > LARGEST:
            raise GemConfigError(f"{where}: {name} is {_short(values)}", remedy="no size of a model is like that")
        if COUNTS.search(name) and values > MOST_LAYERS:
            raise GemConfigError(f"{where}: {name} is {values}", remedy=f"at most {MOST_LAYERS} layers are built")


def transformers_config(values: Mapping[str, Any], kinds: Iterable[str], where: str) -> Any:
    """A config of transformers from plain values: one of ``kinds``, and its own fields only.

    Args:
        values: with ``model_type``.
        kinds: which types of model may stand here.
        where: what the values belong to, for errors and warnings.

    Raises:
        GemConfigError: another kind of model, or values that transformers does not take.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind, known = values.get("model_type"), [name for name in kinds if name in CONFIG_MAPPING]
    if kind is None:
        raise GemConfigError(f"{where} has no model_type", remedy=f'add e.g. "model_type": "{known[0]}"')
    if kind not in known:
        raise GemConfigError(f"{where}: model_type {_short(kind)}", remedy=f"it can be {', '.join(known)}")
    family: Any = CONFIG_MAPPING[kind]
    own = ({field.name for field in dataclasses.fields(family)} | set(family.attribute_map) | _LEGACY) - _UNUSED
    # it stores some things that it works out itself
    _say_unused(set(values) - own - _UNUSED - _of_generation() - set(family().to_dict()), where)
    kept = {name: value for name, value in values.items() if name in own}
    check_implementation(values, where)
    check_dtype(kept, where)
    check_numbers(kept, where)
    less = [name for name, value in kept.items() if isinstance(value, int) and value < 0 and _SIZE.search(name)]
    if less:
        raise GemConfigError(f"{where}: {less[0]} is {kept[less[0]]}", remedy="a size is not negative")
    try:
        return family(**kept)
    except Exception as error:  # transformers' own checks raise whatever meets the odd value first
        raise GemConfigError(f"{where} is none that transformers takes: {_line(error)}") from error


def common_settings(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings beside our own that a config of ours hands on to transformers; others are left out with a warning.

    Raises:
        GemConfigError: a setting that would change the weights or fetch code.
    """
    if values.get("quantization_config") is not None:
        raise GemConfigError(f"{where}: quantized weights are not read", remedy="save the model without quantization")
    check_implementation(values, where)
    check_dtype(values, where)
    kept = {name: value for name, value in values.items() if name in _KEPT}
    _say_unused(set(values) - _KEPT - _UNUSED - _of_generation(), where)
    check_numbers(kept, where)
    return kept


def check_implementation(values: Mapping[str, Any], where: str) -> None:
    """Refuse an attention that is fetched from a hub. Raises GemConfigError."""
    for name in ("attn_implementation", "experts_implementation"):
        given = values.get(name)
        words = list(given.values()) if isinstance(given, Mapping) else [given]
        if not all(word is None or (isinstance(word, str) and _PLAIN_WORD.fullmatch(word)) for word in words):
            raise GemConfigError(
                f"{where}: {name} is {_short(given)}", remedy="no kernel is fetched: use eager or sdpa, or leave it out"
            )


def check_dtype(values: Mapping[str, Any], where: str) -> None:
    """Refuse what is no floating type of torch. Raises GemConfigError."""
    for name in ("dtype", "torch_dtype"):
        given = values.get(name)
        if given is not None and str(given).removeprefix("torch.") not in DTYPES:
            raise GemConfigError(f"{where}: {name} is {_short(given)}", remedy=f"it can be {', '.join(DTYPES)}")


@functools.cache
def _of_generation() -> set[str]:
    """Settings of generation, which older configs store too; transformers leaves them out itself."""
    from transformers import GenerationConfig

    return {
        *vars(GenerationConfig()),
        "use_cache",
        "tie_word_embeddings",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
    }


def _say_unused(names: Iterable[str], where: str) -> None:
    if some := sorted(map(str, names))[:5]:
        warnings.warn(f"{where}: there is no such setting, and it is not used: {', '.join(some)}", stacklevel=4)


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _called(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def _short(value: Any) -> str:
    """A value in an error line; a stranger's may be long or deep."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a whole number of thousands of digits
        return f"a {type(value).__name__} that can't be shown"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _line(error: BaseException) -> str:
    """An error's words in one line."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__


@contextlib.contextmanager
def as_checkpoint_error(folder: str | Path, what: str) -> Iterator[None]:
    """Whatever goes wrong inside with a folder's values becomes one kind of error that names the folder, with the cause attached.

    The values were checked as far as that can be said beforehand. Sizes that contradict each other show only when
    torch or transformers meets them, and each raises an error of its own.

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
        # a panic of a library in Rust is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise GemCheckpointError(f"{what} ({_line(error)})", where=str(folder)) from error
