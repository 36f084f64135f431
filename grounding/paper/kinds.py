"""The registry of what may happen to a page, and when: on the paper, to its shape, to the light, in the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from ..registry import Registry
from .sheet import Sheet

Stage = Literal["paper", "shape", "scene", "device"]
STAGES: tuple[Stage, ...] = ("paper", "shape", "scene", "device")
Change = Callable[[Sheet, np.random.Generator, float], None]


class Distortion(NamedTuple):
    """One kind of distortion.

    Attributes:
        stage: ``"paper"`` (on the flat page), ``"shape"`` (how it lies and is seen), ``"scene"`` (light and what is
            around it), ``"device"`` (camera, scanner, fax).
        apply: changes a sheet, with random numbers and a strength: 1 is what bad pictures show.
    """

    stage: Stage
    apply: Change


DISTORTIONS: Registry[Distortion] = Registry("distortion of a page")


def distortion(stage: Stage) -> Callable[[Change], Change]:
    """Register a function as a kind of distortion, under its name.

    Args:
        stage: when it happens.
    """

    def add(change: Change) -> Change:
        DISTORTIONS.register(Distortion(stage, change), name=change.__name__)
        return change

    return add
