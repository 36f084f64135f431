"""ECG paper: a recording drawn as devices print it, and the position of everything in the picture."""

from __future__ import annotations

from .layout import CABRERA_LEADS, Box, PageLayout, Panel, plan
from .lettering import PrintedText
from .page import Page, draw, render
from .style import PageHeader, PageStyle, varied_page

__all__ = [
    "CABRERA_LEADS",
    "Box",
    "Page",
    "PageHeader",
    "PageLayout",
    "PageStyle",
    "Panel",
    "PrintedText",
    "draw",
    "plan",
    "render",
    "varied_page",
]
