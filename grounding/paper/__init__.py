"""ECG paper: a recording drawn at 25 mm/s and 10 mm/mV, and where on the picture everything is."""

from __future__ import annotations

from .layout import Box, PageLayout, Panel, plan
from .page import Page, draw, render

__all__ = ["Box", "Page", "PageLayout", "Panel", "draw", "plan", "render"]
