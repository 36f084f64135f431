"""Schedules of the learning rate, whose length is that of the run, also of one that goes on from a shorter one."""

from __future__ import annotations

import math
from typing import Any

import torch


class OneCycle(torch.optim.lr_scheduler.OneCycleLR):
    """One cycle over a run's own number of steps, also where it goes on from a shorter one."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the step, and not the length.

        Args:
            state_dict: of the run that is resumed.
        """
        super().load_state_dict({name: state_dict[name] for name in ("last_epoch", "_step_count", "_last_lr")})


class Schedule:
    """Factor of the learning rate: linear warm-up, then cosine or linear decay to zero, or constant.

    Args:
        kind: ``"cosine"``, ``"linear"`` or ``"constant"``.
        warm: optimiser steps of the warm-up.
        steps: of the whole run.

    Example:
        >>> [round(Schedule("linear", 2, 6)(n), 2) for n in range(7)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    def __init__(self, kind: str, warm: int, steps: int) -> None:
        self.kind, self.warm, self.steps = kind, warm, steps

    def __call__(self, step: int) -> float:
        """The factor at an optimiser step, counted from 0."""
        if step < self.warm:
            return step / self.warm
        done = min(1.0, (step - self.warm) / max(1, self.steps - self.warm))
        return {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[self.kind]
