"""The published checkpoints and outputs that the parity tests hold our models against."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

PACKED = Path(__file__).resolve().parents[2] / "data" / "published"
Published = Callable[[str], tuple[Path, dict[str, Tensor]]]


def unpack(path: Path) -> dict[str, Tensor]:
    """What ``tests/data/published/make.py`` packed; weights that no kept output depends on become random ones."""
    generator, tensors = torch.Generator().manual_seed(0), {}
    with np.load(path) as packed:
        for name, array in packed.items():
            if name.endswith(".float32"):
                array = np.frombuffer(bytearray(np.moveaxis(array, 0, -1).tobytes()), np.float32).reshape(
                    array.shape[1:]
                )
            tensor = torch.from_numpy(array)
            if tensor.is_floating_point():
                tensor = torch.where(tensor.isnan(), 0.1 * torch.randn(tensor.shape, generator=generator), tensor)
            tensors[name.removesuffix(".float32")] = tensor.contiguous()
    return tensors


@pytest.fixture(params=["tree", "shared"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> Published:
    """A release's folder and the output of its code: the packed copy, and the full one if ``../shared`` exists."""
    if request.param == "shared":
        shared: Path = request.getfixturevalue("shared")

        def whole(name: str) -> tuple[Path, dict[str, Tensor]]:
            folder = shared / "parity" / name
            return folder, load_file(folder / "expected.safetensors")

        return whole

    def packed(name: str) -> tuple[Path, dict[str, Tensor]]:
        folder = tmp_path / name
        shutil.copytree(PACKED / name, folder, ignore=shutil.ignore_patterns("*.npz"))
        save_file(unpack(PACKED / name / "model.npz"), folder / "model.safetensors")
        want = unpack(PACKED / name / "expected.npz")
        if name in ("pulse", "llava_next_unpad"):
            want |= unpack(PACKED / "pictures.npz")
        return folder, want

    return packed
