"""With and without kernels a model learns the same; a wrong kernel would be noticed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gem.kernels import mode
from gem.kernels.bench.convergence import Convergence, compare, losses


def test_the_same_loss_with_and_without(kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import gem.kernels.dispatch as dispatch

    asked: set[str] = set()
    selected = dispatch.kernel_selected

    def spy(op: str, *args: Any, **more: Any) -> bool:
        answer = selected(op, *args, **more)
        asked.update({op} if answer else ())
        return answer

    for file in ("dual_projector", "layer_norm", "merge_plan"):
        monkeypatch.setattr(f"gem.kernels.{file}.kernel_selected", spy)
    found = compare(kernels, steps=200 if torch.cuda.is_available() else 4)
    assert asked == {"dual_projector", "layer_norm", "merge"}, "kernels were at work"
    assert found.same, found.text
    assert "the same" in found.text


def test_it_learns_and_repeats() -> None:
    first = losses("torch", "cpu", 25)
    assert sum(first[-5:]) < 0.5 * sum(first[:5])
    assert first[:3] == losses("torch", "cpu", 3)
    assert first[:3] != losses("torch", "cpu", 3, nudge=1e-3)


def test_a_wrong_gradient_is_noticed(kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import gem.kernels.dual_projector as file

    right = file.backward_to_first_layer

    def wrong(*args: Any) -> Any:
        dz, h, bias = right(*args)
        return dz * 2, h, bias

    monkeypatch.setattr(file, "backward_to_first_layer", wrong)
    found = compare(kernels, steps=4)
    assert mode() == "triton"
    assert not found.same
    assert "NOT the same" in found.text


def test_numbers() -> None:
    found = Convergence([1.0, 0.5], [1.0, 0.4], [1.0, 0.38])
    assert found.difference == pytest.approx(0.05)
    assert found.noise == pytest.approx(0.01)
    assert not found.same
