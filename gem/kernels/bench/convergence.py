"""Does a model learn the same with and without kernels? Two trainings that differ only in that, a third for noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..dispatch import use
from .towers import tiny_model

_NUDGE = 1e-6  # relative change of each weight, about as much as rounding could cause


@dataclass(frozen=True)
class Convergence:
    """Losses of each step.

    Attributes:
        triton: with kernels.
        torch: without kernels.
        nudged: without kernels, weights changed by a millionth before the first step.
    """

    triton: list[float]
    torch: list[float]
    nudged: list[float]

    @property
    def difference(self) -> float:
        """Mean absolute difference between with and without, over the steps."""
        return _mean_difference(self.triton, self.torch)

    @property
    def noise(self) -> float:
        """The same between two trainings without kernels."""
        return _mean_difference(self.nudged, self.torch)

    @property
    def same(self) -> bool:
        """Within three times the noise, or a hundred-thousandth of the loss where there is none yet."""
        return self.difference <= 3 * self.noise + 1e-5 * self.torch[0]

    @property
    def text(self) -> str:
        """One line for the page of measurements."""
        last = [sum(losses[-20:]) / len(losses[-20:]) for losses in (self.triton, self.torch, self.nudged)]
        return (
            f"Convergence, {len(self.torch)} steps of a small model: loss {self.torch[0]:.4f} at first, "
            f"mean of the last 20 with kernels {last[0]:.5f}, without {last[1]:.5f}, "
            f"without and nudged by 1e-6 {last[2]:.5f}; mean difference {self.difference:.2e}, "
            f"noise {self.noise:.2e}: {'the same' if self.same else 'NOT the same'}."
        )


def _mean_difference(a: list[float], b: list[float]) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def losses(mode: str, device: str, steps: int, nudge: float = 0.0) -> list[float]:
    """Train a tiny model of GEM's architecture on random records whose label shows in their ECG.

    Args:
        mode: of ``use``.
        device: where.
        steps: of four records each.
        nudge: relative change of the weights before the first step.
    """
    model = tiny_model(device).train()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + nudge * torch.randn(parameter.shape, generator=generator).to(parameter))
    # not Adam, which hides gradients of the wrong scale
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(4)
    found = []
    with use(mode):
        for _ in range(steps):
            kind = torch.randint(0, 2, (4,), generator=generator)
            ecg = torch.randn(4, 12, 100, generator=generator) + kind[:, None, None]
            pixels = torch.randn(4, 3, 28, 28, generator=generator)
            ids = torch.tensor([[5, -200, 6, 7, 0]]).repeat(4, 1)
            ids[:, 4] = 8 + kind
            given = {"input_ids": ids, "ecg": ecg, "pixel_values": pixels, "labels": torch.where(ids < 8, -100, ids)}
            loss = model(**{name: value.to(device) for name, value in given.items()}).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found.append(float(loss.detach()))
    return found


def compare(device: str, steps: int) -> Convergence:
    """Train with kernels, without, and without from nudged weights.

    Args:
        device: where.
        steps: of each training.
    """
    return Convergence(
        losses("triton", device, steps), losses("torch", device, steps), losses("torch", device, steps, _NUDGE)
    )
