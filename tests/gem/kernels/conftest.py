"""How kernels are tested: on a GPU where there is one, else under Triton's interpreter in a process of its own.

Triton decides when it is imported whether it interprets, and the model's imports import it, so this process can't
change its mind: ``test_interpreter.py`` runs the files of kernel tests with TRITON_INTERPRET=1, and where it is among
the tests, these are left to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

WANTED = os.environ.get("GEM_TEST_DEVICE")  # "cuda": these tests must not run on anything else
HERE = torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"


def pytest_collection(session: pytest.Session) -> None:
    """Refuse to interpret where the tests are to run on a GPU."""
    if WANTED == "cuda" and (not torch.cuda.is_available() or "TRITON_INTERPRET" in os.environ):
        raise pytest.UsageError("GEM_TEST_DEVICE=cuda, but there is no GPU or TRITON_INTERPRET is set")


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the kernels' tests to ``test_interpreter.py``, where both are to be run."""
    if HERE or not any(item.path.name == "test_interpreter.py" for item in items):
        return
    left = [item for item in items if "kernels" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def poison_free_memory(device: str = "cuda") -> None:
    """Fill the memory that later tensors get, and what lies around them, with NaN: reads beyond a tensor show too."""
    sizes = [1 << 9] * 256 + [1 << 16] * 32 + [1 << 20] * 8 + [1 << 26]  # of the allocator's small and large blocks
    held = [torch.full((size // 4,), float("nan"), device=device) for size in sizes]
    del held


@pytest.fixture
def kernels() -> Iterator[str]:
    """Kernels switched on and every fresh buffer poisoned with NaN; the value is the device."""
    if not HERE:
        pytest.skip("test_interpreter.py runs this with TRITON_INTERPRET=1")
    from gem.kernels import use

    torch.manual_seed(0)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    if torch.cuda.is_available():
        poison_free_memory()
    with use("triton"):
        yield "cuda" if torch.cuda.is_available() else "cpu"
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def close() -> object:
    """Compare with a float64 reference, as closely as the dtype allows."""

    def check(got: torch.Tensor, want: torch.Tensor, scale: float = 1.0) -> None:
        assert got.shape == want.shape
        tolerance = scale * {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}.get(got.dtype, 1e-10)
        assert not got.isnan().any(), "a poisoned buffer shows through"
        worst = float((got.detach().double() - want.detach().double()).abs().max()) if got.numel() else 0.0
        assert worst <= tolerance * max(1.0, float(want.abs().max()) if want.numel() else 1.0), worst

    return check
