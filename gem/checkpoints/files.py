"""Weight files: opened lazily, checked before anything is built, and never a pickle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..errors import GemCheckpointError


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder: the shards an index lists, or every file there is.

    Raises:
        GemCheckpointError: a shard is missing, or there is only a pickle, or nothing.
    """
    import json

    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise GemCheckpointError(f"the index can't be read ({error!r})", where=str(index)) from None
        lost = [name for name in names if not (folder / name).is_file()]
        if lost:
            raise GemCheckpointError(
                f"shard {', '.join(lost)} is missing", where=str(folder), remedy="download it again"
            )
        return [folder / name for name in names]
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    pickles = sorted(path.name for pattern in ("*.pt", "*.pth", "*.bin", "*.ckpt") for path in folder.glob(pattern))
    if pickles:
        raise GemCheckpointError(
            f"{', '.join(pickles)} is a pickle, which may hold code",
            where=str(folder),
            remedy=f"convert it first: gem convert {pickles[0]} OUT",
        )
    raise GemCheckpointError("no model.safetensors", where=str(folder), remedy="give the folder that holds the weights")


def check_files(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every key and shape of a folder's weights, read from the headers alone.

    Raises:
        GemCheckpointError: a file is missing or truncated, or a key is in two files.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder):
        with opened(path) as file:
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                if key in shapes:
                    raise GemCheckpointError(f"{key} is in two files", where=str(path))
                shapes[key] = tuple(file.get_slice(key).get_shape())
    return shapes


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, memory-mapped."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise GemCheckpointError(
            f"the file is truncated or no safetensors ({error})", where=str(path), remedy="copy or download it again"
        ) from None


def read_tensors(
    folder: Path, rename: Callable[[str], str], ignored: set[str] | None = None
) -> dict[str, torch.Tensor]:
    """Our key -> tensor, mapped from the file: pages are read when they are copied into the model."""
    tensors: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        with opened(path) as file:
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                if rename(key) not in (ignored or set()):
                    tensors[rename(key)] = file.get_tensor(key)
    return tensors
