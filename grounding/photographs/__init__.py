"""Photographs of ECGs: the page is flattened by its own grid, and its traces become a recording in millivolts."""

from __future__ import annotations

from .reading import PicturePlaces, read_photograph

__all__ = ["PicturePlaces", "read_photograph"]
