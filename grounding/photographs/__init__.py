"""Photographs of ECGs: the page is flattened by its own grid, and its traces become a recording in millivolts."""

from __future__ import annotations

from .places import PicturePlaces
from .reading import read_photograph

__all__ = ["PicturePlaces", "read_photograph"]
