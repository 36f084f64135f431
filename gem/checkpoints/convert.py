"""Convert a published checkpoint, pickles included, to our layout."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..errors import GemCheckpointError
from ..processing import GemProcessor
from ..untrusted import read_json
from . import llava
from .files import open_safetensors
from .loading import load
from .published import load_published
from .report import LoadReport


def convert(
    source: str | Path,
    out: str | Path,
    ecg_tower: str | Path | None = None,
    vision_tower: str | Path | None = None,
) -> LoadReport | None:
    """Write a model in our layout.

    Args:
        source: a folder in a published layout, or a ``.pt`` or ``.pth`` file of tensors (``cpt_wfep_epoch_20.pt``,
            ECGFounder's, ECG-FM's).
        out: the folder to write; it must not hold weights yet.
        ecg_tower: for a GEM or ECG-Chat folder without its ECG tower: ``cpt_wfep_epoch_20.pt``, or a safetensors file
            of it.
        vision_tower: for a folder without its picture tower: CLIP's safetensors file.

    Returns:
        What became of every key (None if the source was in our layout already).

    Raises:
        GemCheckpointError: ``out`` holds weights, or the source is unsafe, damaged or of no known layout.
    """
    path, target = Path(source), Path(out)
    if target.is_dir() and any(target.glob("*.safetensors")):
        raise GemCheckpointError("there are weights already", where=str(target), remedy="give another folder")
    towers = _tower(ecg_tower, "ecg.", llava.ECG) | _tower(vision_tower, "vision_model.", llava.VISION)
    if path.is_dir():
        if not towers:
            return _write(load(path), target)
        return _write(load_published(path, read_json(path / "config.json"), None, None, towers), target)
    if towers:
        raise GemCheckpointError("a tower completes a folder", where=str(path), remedy="give the folder as the source")
    if not path.is_file():
        raise GemCheckpointError("no such file or folder", where=str(path))
    tensors = read_pickle(path)
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / "model.safetensors")
        if (path.parent / "open_clip_config.json").is_file():
            shutil.copy(path.parent / "open_clip_config.json", folder)
        model = load(folder)
        if isinstance(getattr(model.config, "signal", None), dict):
            # the checksum of the source file identifies the weights
            model.config.signal = {**model.config.signal, "checksum": f"sha256:{_sha256(path)}"}
            model.processor = GemProcessor.from_config(model.config, model.processor.tokenizer)
        return _write(model, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tower(path: str | Path | None, theirs: str, ours: str) -> dict[str, torch.Tensor]:
    """The tensors under ``theirs`` in a file, under the prefix that a LLaVA-like folder gives the tower."""
    if path is None:
        return {}
    found = {key.removeprefix("module."): value for key, value in read_weights(Path(path)).items()}
    own = {ours + key.removeprefix(theirs): value for key, value in found.items() if key.startswith(theirs)}
    if not own:
        raise GemCheckpointError(
            f"no tensors under {theirs}", where=str(path), remedy="give the tower's own checkpoint"
        )
    return own


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of one file: safetensors, or a training checkpoint opened with ``weights_only=True``.

    Args:
        path: of the file.

    Raises:
        GemCheckpointError: there is no such file, or it is unsafe or damaged.
    """
    if not path.is_file():
        raise GemCheckpointError("no such file", where=str(path))
    if path.suffix != ".safetensors":
        return read_pickle(path)
    with open_safetensors(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)


def read_pickle(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a training checkpoint; no code in it is run.

    Args:
        path: of the file.

    Raises:
        GemCheckpointError: it holds code or other objects, is truncated, or holds no tensors.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise GemCheckpointError(
            f"the pickle holds more than tensors ({str(error).splitlines()[0]})",
            where=str(path),
            remedy="it could run code on this machine: get safetensors, or save its tensors alone if you trust it",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise GemCheckpointError(
            f"the file is truncated or not a checkpoint ({error})", where=str(path), remedy="download it again"
        ) from None
    for name in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    tensors = (
        {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
        if isinstance(state, dict)
        else {}
    )
    if not tensors:
        raise GemCheckpointError("no tensors in it", where=str(path), remedy="a state_dict is expected")
    # safetensors can't store tensors that share memory
    return {key: value.contiguous().clone() for key, value in tensors.items()}


def _write(model: Any, target: Path) -> LoadReport | None:
    model.save_pretrained(target)
    model.processor.save_pretrained(target)
    report: LoadReport | None = getattr(model, "load_report", None)
    return report
