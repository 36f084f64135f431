"""Photographs of ECGs: the page is flattened by its own grid, and its traces become a recording in millivolts."""

from __future__ import annotations

from .picture import open_picture, upright
from .places import PicturePlaces
from .reading import read_photograph

__all__ = ["PicturePlaces", "open_picture", "read_photograph", "upright"]
