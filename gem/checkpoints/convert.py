"""From a published checkpoint, pickles included, to our layout."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..errors import GemCheckpointError
from ..loading import load
from .report import LoadReport


def convert(source: str | Path, out: str | Path) -> LoadReport | None:
    """Write a model in our layout.

    Args:
        source: a folder in a published layout, or a ``.pt`` file of tensors (``cpt_wfep_epoch_20.pt``).
        out: the folder to write; it must not hold weights yet.

    Returns:
        What became of every key (None where the source was in our layout already).

    Raises:
        GemCheckpointError: there is something in ``out``, or the source is unsafe, damaged or of no known layout.
    """
    path, target = Path(source), Path(out)
    if target.is_dir() and any(target.glob("*.safetensors")):
        raise GemCheckpointError("there are weights already", where=str(target), remedy="give another folder")
    if path.is_dir():
        return _write(load(path), target)
    if not path.is_file():
        raise GemCheckpointError("no such file or folder", where=str(path))
    tensors = read_pickle(path)
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / "model.safetensors")
        return _write(load(folder), target)


def read_pickle(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a training checkpoint; nothing in it is run.

    Raises:
        GemCheckpointError: it holds code or other objects, is truncated, or holds no tensors.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise GemCheckpointError(
            f"the pickle holds more than tensors ({str(error).splitlines()[0]})",
            where=str(path),
            remedy="it could run code on this machine: get the file from its authors, or as safetensors",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise GemCheckpointError(
            f"the file is truncated or no checkpoint ({error})", where=str(path), remedy="download it again"
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    tensors = (
        {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
        if isinstance(state, dict)
        else {}
    )
    if not tensors:
        raise GemCheckpointError("no tensors in it", where=str(path), remedy="a state_dict is expected")
    # shared storage has no place in safetensors
    return {key: value.contiguous().clone() for key, value in tensors.items()}


def _write(model: Any, target: Path) -> LoadReport | None:
    model.save_pretrained(target)
    model.processor.save_pretrained(target)
    report: LoadReport | None = getattr(model, "load_report", None)
    return report
