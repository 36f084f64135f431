"""ECG paper: a recording drawn as devices print it, and the position of everything in the picture."""

from __future__ import annotations

from .distortions import DistortedPage, distort, mixture
from .kinds import DISTORTIONS
from .layout import CABRERA_LEADS, Box, PageLayout, Panel, plan
from .lettering import PrintedText
from .page import Page, draw, render
from .style import PageHeader, PageStyle, varied_page

__all__ = [
    "CABRERA_LEADS",
    "DISTORTIONS",
    "Box",
    "DistortedPage",
    "Page",
    "PageHeader",
    "PageLayout",
    "PageStyle",
    "Panel",
    "PrintedText",
    "distort",
    "draw",
    "mixture",
    "plan",
    "render",
    "varied_page",
]
