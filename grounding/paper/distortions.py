"""``distort``: a drawn page as a photograph, scan, fax or screen shows it, with the truth for each of its pixels."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import EcgError
from ..record import ECGRecord
from . import bends, devices, marks, scenes  # noqa: F401 - they register the kinds
from .kinds import DISTORTIONS, STAGES
from .lettering import PrintedText
from .page import Page
from .sheet import Sheet
from .style import PageStyle
from .warp import STEP_PX, PageWarp

MAX_STRENGTH = 3.0
# share of the pictures in which a distortion is there, and the range of its strength
SCENES: dict[str, tuple[float, dict[str, tuple[float, float, float]]]] = {
    "photograph": (
        0.55,
        {
            "perspective": (1.0, 0.05, 0.8),
            "rotation": (1.0, 0.005, 0.04),
            "bending": (0.6, 0.2, 1.0),
            "folds": (0.4, 0.4, 1.0),
            "crumpling": (0.3, 0.3, 1.0),
            "handwriting": (0.3, 0.5, 1.0),
            "stains": (0.15, 0.4, 1.0),
            "punch_holes": (0.15, 0.5, 1.0),
            "thermal_fading": (0.15, 0.3, 1.0),
            "table": (0.9, 0.5, 1.0),
            "shadow": (0.8, 0.3, 1.0),
            "glare": (0.25, 0.3, 1.0),
            "blur": (0.8, 0.2, 0.8),
            "noise": (1.0, 0.2, 0.8),
            "jpeg": (1.0, 0.2, 0.7),
        },
    ),
    "scan": (
        0.2,
        {
            "rotation": (1.0, 0.001, 0.015),
            "uneven_feed": (0.5, 0.2, 1.0),
            "folds": (0.3, 0.2, 0.6),
            "handwriting": (0.4, 0.5, 1.0),
            "punch_holes": (0.4, 0.5, 1.0),
            "stains": (0.1, 0.4, 1.0),
            "thermal_fading": (0.2, 0.3, 1.0),
            "scanner_lines": (0.6, 0.2, 1.0),
            "noise": (0.8, 0.1, 0.4),
            "jpeg": (0.8, 0.3, 0.9),
        },
    ),
    "screen": (
        0.15,
        {
            "screen": (1.0, 0.3, 1.0),
            "perspective": (1.0, 0.05, 0.6),
            "rotation": (1.0, 0.002, 0.02),
            "glare": (0.5, 0.3, 0.9),
            "moire": (0.6, 0.3, 1.0),
            "blur": (0.9, 0.4, 0.9),
            "noise": (1.0, 0.2, 0.6),
            "jpeg": (1.0, 0.2, 0.8),
        },
    ),
    "fax": (
        0.1,
        {
            "rotation": (0.7, 0.001, 0.01),
            "uneven_feed": (0.5, 0.2, 0.8),
            "handwriting": (0.3, 0.5, 1.0),
            "fax": (1.0, 0.3, 1.0),
        },
    ),
}


@dataclass(frozen=True, eq=False)
class DistortedPage:
    """A distorted page, and where everything is in it.

    Attributes:
        image: the picture (RGB).
        page: the flat page that was distorted.
        warp: from pixels of the page to pixels of the picture and back.
        kinds: what was done -> how strongly.
        seed: of its random numbers.
    """

    image: Image.Image
    page: Page
    warp: PageWarp
    kinds: Mapping[str, float]
    seed: int

    def pixels(self, lead: str, second: float, mv: float) -> tuple[tuple[float, float], ...]:
        """(x, y) of a point of the recording in the picture, once for each panel that shows it; NaN where cut off.

        Args:
            lead: lead name.
            second: seconds from the beginning of the recording.
            mv: amplitude, mV.
        """
        flat = self.page.layout.pixels(lead, second, mv)
        if not flat:
            return ()
        x, y = self.warp.to_picture(*np.array(flat).T)
        return tuple(zip(x.tolist(), y.tolist(), strict=True))

    def located(self, x: float, y: float) -> tuple[str, float, float] | None:
        """The (lead, second, value) that a position of the picture stands for; see ``PageLayout.located``.

        Args:
            x: pixels from the left of the picture.
            y: pixels from its top.
        """
        page_x, page_y = self.warp.to_page(x, y)
        return self.page.layout.located(float(page_x), float(page_y))

    def trace_labels(self, record: ECGRecord, trace_mm: float = PageStyle.trace_mm) -> NDArray[np.uint8]:
        """Which pixels of the picture are ink of which trace.

        Args:
            record: the recording that was drawn.
            trace_mm: thickness of the traces.

        Returns:
            (height, width): 0 where no trace is, else 1 and the index of its panel in ``page.layout.panels``.
        """
        flat = Image.fromarray(self.page.trace_labels(record, trace_mm))
        return np.asarray(self.warp.picture(flat, nearest=True))

    def grid_points(self, step_mm: float = 5.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Crossings of grid lines.

        Args:
            step_mm: 1 or 5 for the lines that are drawn.

        Returns:
            (points, 2) mm from the page's left top, and (points, 2) pixels of the picture, NaN where cut off.
        """
        layout = self.page.layout
        x, y = np.meshgrid(np.arange(0, layout.width_mm, step_mm), np.arange(0, layout.height_mm, step_mm))
        mm = np.stack([x.ravel(), y.ravel()], axis=-1)
        return mm, np.stack(self.warp.to_picture(*(mm.T * layout.px_per_mm)), axis=-1)

    def texts(self) -> list[tuple[PrintedText, NDArray[np.float64]]]:
        """Each text and the corners of its letters in the picture, (4, 2) pixels, clockwise from its left top."""
        out = []
        for text in self.page.texts:
            x0, y0, x1, y1 = text.box
            corners = self.warp.to_picture(np.array([x0, x1, x1, x0]), np.array([y0, y0, y1, y1]))
            out.append((text, np.stack(corners, axis=-1)))
        return out

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the page's layout, what was done, the map, and texts with their corners in the picture.

        ``map`` has the page position of every ``step_px``-th pixel of the picture, in hundredths of a pixel; between
        them it is bilinear. ``null`` stands for corners that are cut off.
        """
        width, height = self.image.size
        texts = [
            {
                "words": text.words,
                "role": text.role,
                "lead": text.lead,
                "values": dict(text.values),
                "corners_px": [None if np.isnan(x) else [round(x, 2), round(y, 2)] for x, y in corners.tolist()],
            }
            for text, corners in self.texts()
        ]
        return {
            **self.page.layout.to_dict(),
            "distortions": [{"kind": kind, "strength": round(how, 4)} for kind, how in self.kinds.items()],
            "distortion_seed": self.seed,
            "picture_width_px": width,
            "picture_height_px": height,
            "map": {
                "step_px": STEP_PX,
                "page_x_hundredths": np.rint(self.warp.x * 100).astype(int).tolist(),
                "page_y_hundredths": np.rint(self.warp.y * 100).astype(int).tolist(),
            },
            "texts": texts,
        }


def mixture(seed: int, strength: float = 1.0) -> dict[str, float]:
    """Distortions that come together in one picture: of a photograph, a scan, a screen or a fax.

    Args:
        seed: of the choice.
        strength: factor of all strengths; 0.3 is a mild picture.

    Returns:
        Kind -> strength, for ``distort``.

    Example:
        >>> sorted(mixture(3))
        ['blur', 'glare', 'jpeg', 'noise', 'perspective', 'rotation', 'screen']
    """
    pick = np.random.default_rng([seed, zlib.crc32(b"mixture")])
    shares = np.array([share for share, _ in SCENES.values()])
    name = list(SCENES)[int(pick.choice(len(shares), p=shares / shares.sum()))]
    chosen = {}
    for kind, (share, least, most) in SCENES[name][1].items():
        there, how = pick.random() < share, float(pick.uniform(least, most))
        if there:
            chosen[kind] = how * strength
    return chosen


def distort(
    page: Page, kinds: str | Iterable[str] | Mapping[str, float] | None = None, *, seed: int = 0
) -> DistortedPage:
    """A page as a bad picture shows it. Everything is drawn from the seed; the same call gives the same bytes.

    Pixels and truth go through one map, so that the picture's every pixel still has its lead, second and millivolt.

    Args:
        page: from ``draw``.
        kinds: names of ``DISTORTIONS``, alone or several; with a mapping, each with its strength (1 is what bad
            pictures show, 0.3 is mild); a realistic ``mixture`` of the seed where ``None``.
        seed: of the random numbers. Each kind has its own, so that others beside it don't change it.

    Returns:
        DistortedPage; the picture is about as large as the page, larger where the page is turned.

    Raises:
        EcgRegistryError: there is no such kind.
        EcgError: a strength is not a number above 0 and up to 3.

    Example:
        >>> from grounding import read_record, sample_path
        >>> from grounding.paper import draw
        >>> picture = distort(draw(read_record(sample_path()), px_per_mm=3), ["perspective", "shadow"], seed=1)
        >>> (x, y), *_ = picture.pixels("V2", 6.0, 0.0)
        >>> lead, second, mv = picture.located(x, y)
        >>> lead, round(second, 2), abs(round(mv, 2))
        ('V2', 6.0, 0.0)
    """
    if kinds is None:
        kinds = mixture(seed)
    if isinstance(kinds, str):
        kinds = (kinds,)
    strengths = {name: float(how) for name, how in (kinds.items() if isinstance(kinds, Mapping) else _ones(kinds))}
    for name, how in strengths.items():
        if not 0 < how <= MAX_STRENGTH:
            raise EcgError(f"the strength of {name} is {how!r}", remedy=f"use a number above 0, up to {MAX_STRENGTH:g}")
    chosen = {name: DISTORTIONS[name] for name in strengths}
    sheet = Sheet(page)
    for stage in STAGES:
        if stage == "scene":
            warp = sheet.photograph()
        # in the order of the registry, whatever the caller's
        for name in DISTORTIONS:
            if name in chosen and chosen[name].stage == stage:
                own = np.random.default_rng([seed, zlib.crc32(name.encode())])
                chosen[name].apply(sheet, own, strengths[name])
        if stage == "scene":
            sheet.surround()
            sheet.image = sheet.light.apply(sheet.image)
    return DistortedPage(sheet.image, page, warp, strengths, seed)


def _ones(kinds: Iterable[str]) -> list[tuple[str, float]]:
    return [(name, 1.0) for name in kinds]
