"""Weight files: safetensors only, checked before a model is built, and mapped into memory instead of copied."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..errors import GemCheckpointError
from ..untrusted import read_json


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder: the shards in its index, or those whose names say that they are shards.

    Args:
        folder: of the model.

    Raises:
        GemCheckpointError: a shard is missing, or there is only a pickle, or nothing.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        listed = read_json(index).get("weight_map")
        if not isinstance(listed, dict) or not listed:
            raise GemCheckpointError("the index can't be read (it has no weight_map)", where=str(index))
        foreign = [name for name in listed.values() if not _is_shard(name)]
        if foreign:
            raise GemCheckpointError(
                f"the index names {str(foreign[0])[:80]!r}, which is not a shard of this folder", where=str(index)
            )
        return _existing(folder, sorted(set(listed.values())))
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    shards = [match for path in folder.glob("*.safetensors") if (match := _SHARD.fullmatch(path.name))]
    if shards:  # without an index: the names say how many shards there are
        stem, total = shards[0][1], int(shards[0][3])
        return _existing(folder, [f"{stem}-{i + 1:05d}-of-{total:05d}.safetensors" for i in range(total)])
    pickles = sorted(path.name for pattern in ("*.pt", "*.pth", "*.bin", "*.ckpt") for path in folder.glob(pattern))
    if pickles:
        raise GemCheckpointError(
            f"{', '.join(pickles)} is a pickle, which may hold code",
            where=str(folder),
            remedy=f"convert it first: gem convert {pickles[0]} OUT",
        )
    raise GemCheckpointError("no model.safetensors", where=str(folder), remedy="give the folder that holds the weights")


def _is_shard(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name and "\\" not in name


def _existing(folder: Path, names: list[str]) -> list[Path]:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise GemCheckpointError(f"shard {some} is missing", where=str(folder), remedy="download it again")
    return [folder / name for name in names]


def check_files(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every key and shape of a folder's weights, read from the files' headers.

    Args:
        folder: of the model.

    Raises:
        GemCheckpointError: a file is missing or truncated, a key is in two files, or a tensor has a dtype that models
            here don't use.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder):
        with open_safetensors(path) as file:
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                if key in shapes:
                    raise GemCheckpointError(f"{key} is in two files", where=str(path))
                part = file.get_slice(key)
                shapes[key] = tuple(part.get_shape())
                if part.get_dtype() not in (*_FLOAT_DTYPES, *_INTEGER_DTYPES):
                    raise GemCheckpointError(
                        f"{key} holds {part.get_dtype()} numbers",
                        where=str(path),
                        remedy="save the model in float32 or 16 bits, without quantization",
                    )
    return shapes


_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")


@contextlib.contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file, memory-mapped.

    Args:
        path: of the file.

    Raises:
        GemCheckpointError: not a safetensors file, a damaged one, or one with a header larger than any model's.
    """
    try:
        with path.open("rb") as raw:
            length = int.from_bytes(raw.read(8), "little")
        if MAX_HEADER_BYTES < length <= path.stat().st_size:
            raise GemCheckpointError(
                f"a header of {length / 1e6:.0f} MB",
                where=str(path),
                remedy=f"at most {MAX_HEADER_BYTES >> 20} MB are read",
            )
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise GemCheckpointError(
            f"the file is truncated or not safetensors ({error})", where=str(path), remedy="copy or download it again"
        ) from None


def read_tensors(
    folder: Path, rename: Callable[[str], str], ignored: Set[str] = frozenset(), dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """Read weights as memory maps: the system reads their pages when they are used, without a second copy.

    Args:
        folder: of the weights.
        rename: published key -> ours.
        ignored: published keys that are not read.
        dtype: to which floating-point tensors are converted, ``CHUNK_SIZE`` numbers at a time; not when None.

    Returns:
        Our key -> tensor.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        with open_safetensors(path) as file:
            parts = {key: file.get_slice(key) for key in file.keys() if key not in ignored}  # noqa: SIM118  (not a mapping)
            same = [
                key
                for key, part in parts.items()
                if dtype is None or _FLOAT_DTYPES.get(part.get_dtype(), dtype) == dtype
            ]
            for key in same:
                tensors[rename(key)] = file.get_tensor(key)
            sizes = {key: math.prod(parts[key].get_shape()) for key in sorted(set(parts) - set(same))}
        for chunk in _chunks(sizes):
            with open_safetensors(path) as file:
                for key in chunk:
                    tensors[rename(key)] = file.get_tensor(key).to(dtype)
    return tensors


def _chunks(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The keys in lists of about ``CHUNK_SIZE`` numbers each."""
    chunk: list[str] = []
    total = 0
    for key, size in sizes.items():
        if chunk and total + size > CHUNK_SIZE:
            yield chunk
            chunk, total = [], 0
        chunk.append(key)
        total += size
    if chunk:
        yield chunk


def main_dtype(tensors: Mapping[str, torch.Tensor]) -> torch.dtype:
    """The dtype of most floating-point numbers; float32 if there are none.

    Args:
        tensors: by key.
    """
    sizes: dict[torch.dtype, int] = {}
    for value in tensors.values():
        if value.is_floating_point():
            sizes[value.dtype] = sizes.get(value.dtype, 0) + value.numel()
    return max(sizes, key=lambda dtype: sizes[dtype], default=torch.float32)


CHUNK_SIZE = 1 << 24  # numbers that are mapped at a time while they are converted
MAX_HEADER_BYTES = 16 << 20  # enough for 100 000 tensors; the largest published models have 1000 in a file
_INTEGER_DTYPES = ("I64", "I32", "I16", "I8", "U8", "BOOL")
_FLOAT_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
