"""The tokenizer of a model folder: read from that folder alone, by transformers' own classes."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .errors import GemConfigError
from .untrusted import as_checkpoint_error, read_json

# transformers' own readers, with or without "Fast"; none of them fetches anything or reads a pickle
CLASSES = (
    "TokenizersBackend",
    "PreTrainedTokenizer",
    "LlamaTokenizer",
    "CodeLlamaTokenizer",
    "GemmaTokenizer",
    "CohereTokenizer",
    "GPT2Tokenizer",
    "GPTNeoXTokenizer",
    "Qwen2Tokenizer",
    "BertTokenizer",
    "DistilBertTokenizer",
    "RobertaTokenizer",
    "XLMRobertaTokenizer",
    "CamembertTokenizer",
)
MAX_FILE_BYTES = 64 << 20
# settings with which a file could refer to code, objects or other files
_EXTERNAL_SETTINGS = {
    "auto_map",
    "init_inputs",
    "trust_remote_code",
    "tokenizer_object",
    "backend_tokenizer",
    "gguf_file",
    "fast_tokenizer_files",
    "custom_class",
}


def load_tokenizer(folder: Path, config: Any = None) -> Any:
    """The tokenizer of a folder, or None where there is none.

    Args:
        folder: with ``tokenizer.json`` or ``tokenizer.model``, and transformers' other files.
        config: the folder's model config, from which transformers picks the class if the folder does not name it.

    Raises:
        GemCheckpointError: its files can't be read, or name a class that is not in ``CLASSES``.
    """
    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")
    if not any((folder / name).is_file() for name in names):
        return None
    with as_checkpoint_error(folder, "the tokenizer can't be read"):
        return _loaded(folder, config)


def _loaded(folder: Path, config: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    for path in folder.iterdir():
        of_tokenizer = path.name.startswith(("tokenizer", "vocab", "merges", "special_", "added_")) and path.is_file()
        if of_tokenizer and path.stat().st_size > MAX_FILE_BYTES:
            raise GemConfigError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MB")
    settings, special = (_settings(folder / name) for name in ("tokenizer_config.json", "special_tokens_map.json"))
    kind = settings.get("tokenizer_class")
    if kind is None and config is None:
        # the published folders that leave it out are Llama's
        kind = "PreTrainedTokenizerFast" if (folder / "tokenizer.json").is_file() else "LlamaTokenizer"
    if kind is not None and (not isinstance(kind, str) or kind.removesuffix("Fast") not in CLASSES):
        raise GemConfigError(f"tokenizer_class is {str(kind)[:80]!r}", remedy=f"it can be {', '.join(CLASSES)}")
    if kind == "PreTrainedTokenizerFast" and not settings:
        tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    elif _is_self_contained(settings) and _is_self_contained(special):
        tokenizer = _load_with_transformers(folder, kind, config)
    else:
        with tempfile.TemporaryDirectory() as copy:
            _copy(folder, Path(copy), settings, special)
            tokenizer = _load_with_transformers(Path(copy), kind, config)
        tokenizer.name_or_path = str(folder)
    # some damaged files raise at the first use only
    tokenizer.decode(tokenizer("The ECG shows sinus rhythm, 75 bpm.")["input_ids"])
    return tokenizer


def _load_with_transformers(folder: Path, kind: str | None, config: Any) -> Any:
    from transformers import AutoTokenizer, PreTrainedConfig

    # given a config, AutoTokenizer does not build one from the folder's config.json
    given: Any = config
    if given is None:
        given = PreTrainedConfig()
        given.tokenizer_class = kind
    if (
        (folder / "tokenizer.model").is_file()
        and not (folder / "tokenizer.json").is_file()
        and not _has_sentencepiece()
    ):
        raise GemConfigError(
            "a tokenizer.model needs sentencepiece and protobuf", remedy='pip install "gem-ecg[published]"'
        )
    return AutoTokenizer.from_pretrained(folder, config=given, trust_remote_code=False, local_files_only=True)


def _has_sentencepiece() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("sentencepiece", "google.protobuf"))


def _settings(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _is_self_contained(settings: dict[str, Any]) -> bool:
    return not any(_refers_elsewhere(name, value) for name, value in settings.items())


def _refers_elsewhere(name: str, value: Any) -> bool:
    return value is not None and (name in _EXTERNAL_SETTINGS or name.endswith("_file"))


def _copy(folder: Path, target: Path, settings: dict[str, Any], special: dict[str, Any]) -> None:
    """Copy the tokenizer's files, without the settings that refer to anything outside the folder."""
    for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    for name, values in (("tokenizer_config.json", settings), ("special_tokens_map.json", special)):
        if values:
            kept = {key: value for key, value in values.items() if not _refers_elsewhere(key, value)}
            (target / name).write_text(json.dumps(kept), encoding="utf-8")
