"""ECG paper: a recording drawn at 25 mm/s and 10 mm/mV, and the position of everything in the picture."""

from __future__ import annotations

from .layout import Box, PageLayout, Panel, plan
from .page import Page, draw, render

__all__ = ["Box", "Page", "PageLayout", "Panel", "draw", "plan", "render"]
