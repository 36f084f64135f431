"""Photographs of ECGs: the page is flattened by its own grid, and its traces become a recording in millivolts."""

from __future__ import annotations

from .lettering import text_is_read
from .picture import open_picture, upright
from .places import PicturePlaces
from .printed import compare_printed
from .reading import read_photograph

__all__ = ["PicturePlaces", "compare_printed", "open_picture", "read_photograph", "text_is_read", "upright"]
