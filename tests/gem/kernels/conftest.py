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

HERE = torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the kernels' tests to ``test_interpreter.py``, where both are to be run."""
    if HERE or not any(item.path.name == "test_interpreter.py" for item in items):
        return
    left = [item for item in items if "kernels" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


@pytest.fixture
def kernels() -> Iterator[str]:
    """Kernels switched on and every fresh buffer poisoned with NaN; the value is the device."""
    if not HERE:
        pytest.skip("test_interpreter.py runs this with TRITON_INTERPRET=1")
    from gem.kernels import use

    torch.manual_seed(0)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
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
