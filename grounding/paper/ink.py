"""Drawing primitives: the grid and anti-aliased strokes as NumPy arrays, and Pillow's built-in font."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from ..errors import EcgError

INK = (22, 24, 38)
# paper, lines of 1 mm, lines of 5 mm
GRIDS = {
    "pink": ((255, 247, 246), (250, 219, 217), (240, 172, 170)),
    "red": ((255, 252, 250), (246, 190, 184), (224, 108, 104)),
    "blue": ((250, 252, 255), (206, 220, 242), (146, 174, 222)),
    "green": ((249, 254, 250), (200, 230, 208), (134, 192, 152)),
    "brown": ((254, 248, 238), (238, 216, 188), (214, 170, 126)),
    "grey": ((252, 252, 252), (222, 222, 222), (178, 178, 178)),
    "none": ((253, 253, 253), (253, 253, 253), (253, 253, 253)),
}
FINE_MM, BOLD_MM = 0.15, 0.3  # printed lines of 1 and 5 mm
POINTS_AT_ONCE = 3000  # so few that all that is computed of them stays in the processor's cache
MAX_KEPT_BYTES = 16 << 20  # of a sheet that a thread keeps for its next page
STEP_PX = 0.5  # distance between the discs of a stroke; a smaller one makes no visible difference


@lru_cache(maxsize=8)
def grid(width: int, height: int, px_per_mm: float, colour: str = "pink", kind: str = "solid") -> NDArray[np.uint8]:
    """Millimetre paper.

    Args:
        width: pixels.
        height: pixels.
        px_per_mm: resolution.
        colour: one of ``GRIDS``.
        kind: ``"solid"``, ``"printed"``, ``"dotted"``, ``"coarse"`` or ``"even"``: see ``PageStyle``.

    Returns:
        (height, width, 4), RGB and 255; read-only, since pictures share it.
    """
    paper, fine, bold = GRIDS[colour]
    image = np.empty((height, width, 4), np.uint8)
    image[:] = (*paper, 255)
    if colour == "none" or kind == "printed":
        if colour != "none":
            _print_lines(image[..., :3], px_per_mm, fine, bold)
        image.setflags(write=False)
        return image
    if kind == "dotted" and px_per_mm >= 3:
        rows, columns = (
            np.unique(np.round(np.arange(0, size / px_per_mm, 1) * px_per_mm).astype(int)) for size in (height, width)
        )
        image[np.ix_(rows[rows < height], columns[columns < width])] = (*bold, 255)
    # below 3 pixels per mm the 1 mm lines would fill the paper, so only those of 5 mm are drawn
    steps = [(1, fine)] * (px_per_mm >= 3 and kind in ("solid", "even"))
    steps += [(5, bold)] * (kind != "even" or px_per_mm < 3)
    for step, line_colour in steps:
        thick = 2 if step == 5 and px_per_mm >= 8 else 1
        for axis, size in ((0, height), (1, width)):
            at = np.unique(np.round(np.arange(0, size / px_per_mm + step, step) * px_per_mm).astype(int))
            for offset in range(thick):
                lines = at[at + offset < size] + offset
                if axis == 0:
                    image[lines, :, :3] = line_colour
                else:
                    image[:, lines, :3] = line_colour
    image.setflags(write=False)
    return image


def _print_lines(
    image: NDArray[np.uint8], px_per_mm: float, fine: tuple[int, int, int], bold: tuple[int, int, int]
) -> None:
    """Draw lines as thick as in print, wherever they lie between pixels, over paper (height, width, 3)."""
    for step_mm, thick_mm, colour in ((1, FINE_MM, fine), (5, BOLD_MM, bold)):
        across, down = (_line_shares(size, step_mm * px_per_mm, thick_mm * px_per_mm) for size in image.shape[1::-1])
        share = np.maximum(across[None, :], down[:, None])[..., None]
        # a line that is thinner than a pixel is paler in it, and one of 1 mm under one of 5 mm is not seen
        image[:] = (image * (1 - share) + np.array(colour, np.float32) * share + 0.5).astype(np.uint8)


def _line_shares(size: int, step_px: float, thick_px: float) -> NDArray[np.float32]:
    """(size,) how much of each pixel is covered by lines that are ``step_px`` apart."""
    away = (np.arange(size)[:, None] + (np.arange(16) + 0.5) / 16 + step_px / 2) % step_px - step_px / 2
    return np.asarray((np.abs(away) < thick_px / 2).mean(axis=1), np.float32)


def strokes(
    image: NDArray[np.uint8], lines: Sequence[NDArray[np.float64]], radius: float, colour: tuple[int, int, int]
) -> NDArray[np.intp]:
    """Draw polylines over an image; NaN interrupts a line.

    A line is a row of anti-aliased discs at most half a pixel apart. A pixel keeps the largest coverage, so that
    crossings are not darker.

    Args:
        image: (height, width, 4), RGB and 255, contiguous, changed in place.
        lines: (2, points) each, x and y in pixels.
        radius: half the thickness, pixels.
        colour: RGB.

    Returns:
        (n,) the pixels that were changed, numbered row by row.
    """
    height, width = image.shape[:2]
    margin = 2 * int(np.ceil(radius + 0.5)) + 1  # discs may lie outside by as much
    coverage = _blank(height + 2 * margin, -(-(width + 2 * margin) // 8) * 8)
    lift, some, points = np.full((2, 1), np.nan), [], 0
    for number, line in enumerate(lines, start=1):
        some += [line, lift]
        points += line.shape[1]
        if points >= POINTS_AT_ONCE or number == len(lines):
            x, y = _dense(*np.concatenate(some, axis=1))  # not a number in gaps, which is not inside, either
            inside = (x > -radius) & (x < width + radius) & (y > -radius) & (y < height + radius)
            _stroke(coverage, x[inside], y[inside], radius, margin)
            some, points = [], 0
    flat = coverage.reshape(-1)
    # most of a page is blank; NumPy searches flags ten times as fast as numbers, and a division faster than divmod
    eights = np.flatnonzero(flat.view(np.uint64) != 0)
    at = np.flatnonzero(flat.reshape(-1, 8)[eights] != 0)
    covered = 8 * eights[at >> 3] + (at & 7)
    row = covered // coverage.shape[1]
    column = covered - row * coverage.shape[1]
    inside = (row >= margin) & (row < margin + height) & (column >= margin) & (column < margin + width)
    pixels = ((row - margin) * width + column - margin)[inside]
    share = flat[covered[inside]].astype(np.uint32)
    flat[covered] = 0
    _kept.mask = coverage
    whole = image.view("<u4").reshape(-1)  # a pixel at a time
    before = whole[pixels]
    mixed = np.full(len(pixels), 255 << 24, np.uint32)
    for place, value in enumerate(colour):
        mixed |= _shares_of(value)[(before >> (8 * place) & 255) << 8 | share] << (8 * place)
    whole[pixels] = mixed
    return np.asarray(pixels)


@lru_cache(maxsize=32)
def _shares_of(value: int) -> NDArray[np.uint32]:
    """What each of 256 shares of a colour's value makes of each of 256 values before, (65536,)."""
    before, share = (part.astype(np.uint8).reshape(-1, 1) for part in np.divmod(np.arange(1 << 16), 256))
    return _mixed(before, share.astype(np.uint16), (value,))[:, 0].astype(np.uint32)


class _Kept(threading.local):
    """A thread's blank mask and sheet: memory that was used before is there at once, new memory a page at a time."""

    mask: NDArray[np.uint8] | None = None
    sheet: NDArray[np.uint8] | None = None
    paper: NDArray[np.uint8] | None = None  # the grid that the sheet shows


_kept = _Kept()


def _blank(height: int, width: int) -> NDArray[np.uint8]:
    """A mask (height, width) of zeros; who draws into it gives it back blank."""
    mask, _kept.mask = _kept.mask, None
    return np.zeros((height, width), np.uint8) if mask is None or mask.shape != (height, width) else mask


def sheet(paper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of a grid to draw on, until ``picture`` takes it back.

    Args:
        paper: from ``grid``.

    Returns:
        As ``paper``, to be changed.
    """
    pixels, _kept.sheet = _kept.sheet, None
    if pixels is None or pixels.shape != paper.shape:
        return paper.copy()
    if _kept.paper is not paper:
        pixels[:] = paper
    return pixels


def picture(
    pixels: NDArray[np.uint8],
    paper: NDArray[np.uint8],
    drawn: NDArray[np.intp],
    boxes: Iterable[tuple[float, float, float, float]],
) -> Image.Image:
    """The picture of a sheet, which is blank again for the next page.

    Args:
        pixels: from ``sheet``.
        paper: its grid.
        drawn: the pixels with strokes, from ``strokes``.
        boxes: left, top, right and bottom of all that was written on it, from ``write``.
    """
    # Pillow keeps RGB in four bytes a pixel: from four, it copies; from three, it takes three times as long. Without
    # a colour it doesn't fill the picture first
    image = Image.new("RGB", (pixels.shape[1], pixels.shape[0]), None)
    image.frombytes(pixels, "raw", "RGBX")
    if pixels.nbytes <= MAX_KEPT_BYTES:
        pixels.view(np.uint32).reshape(-1)[drawn] = paper.view(np.uint32).reshape(-1)[drawn]
        for left, top, right, bottom in boxes:
            area = slice(int(top), int(bottom)), slice(int(left), int(right))
            pixels[area] = paper[area]
        _kept.sheet, _kept.paper = pixels, paper
    return image


def _stroke(
    coverage: NDArray[np.uint8], x: NDArray[np.float64], y: NDArray[np.float64], radius: float, margin: int
) -> None:
    """Draw discs into a coverage mask (height, width), 0-255, that has a margin on every side."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    reach, wide = margin // 2, coverage.shape[1]
    flat = coverage.reshape(-1)
    column, line = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    dx, dy = x - column - np.float32(0.5), y - line - np.float32(0.5)
    place = (line + margin) * wide + column + margin
    offsets = range(-reach, reach + 1)
    across, down = ([(part - step) ** 2 for step in offsets] for part in (dx, dy))
    edge = (radius + 0.5) ** 2
    for row, distance_y in zip(offsets, down, strict=True):
        for side, distance_x in zip(offsets, across, strict=True):
            if max(abs(row) - 0.5, 0.0) ** 2 + max(abs(side) - 0.5, 0.0) ** 2 > edge:
                continue  # no disc reaches so far, wherever in its pixel its centre lies
            value = np.clip(radius + 0.5 - np.sqrt(distance_x + distance_y), 0.0, 1.0) * 255
            np.maximum.at(flat, place + (row * wide + side), value.astype(np.uint8))


def _dense(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points at most STEP_PX apart along a polyline; points in the same quarter pixel as the one before are dropped.

    What is no number stays so.
    """
    cell_x, cell_y = np.round(x * 4), np.round(y * 4)
    kept = np.ones(len(x), bool)
    kept[1:] = (cell_x[1:] != cell_x[:-1]) | (cell_y[1:] != cell_y[:-1])
    x, y = x[kept], y[kept]
    if len(x) < 2:
        return x, y
    dx, dy = np.diff(x), np.diff(y)
    length = np.hypot(dx, dy)
    # a finite point next to a gap is drawn too, though the step to the gap is NaN
    length[np.isnan(length)] = dx[np.isnan(dx)] = dy[np.isnan(dy)] = 0.0
    pieces = np.ceil(length / STEP_PX).astype(np.int64).clip(1, 20_000)
    start = np.repeat(np.arange(len(dx)), pieces)
    within = (np.arange(len(start)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / np.repeat(pieces, pieces)
    return np.append(x[start] + within * dx[start], x[-1]), np.append(y[start] + within * dy[start], y[-1])


def _mixed(pixels: NDArray[np.uint8], share: NDArray[np.uint16], colour: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pixels (..., values), of which a share (..., 1), 0-255, is covered by a colour (values)."""
    total = pixels * (255 - share) + np.array(colour, np.uint16) * share
    total += 128
    total += total >> 8  # and with the next shift, division by 255, rounded
    return (total >> 8).astype(np.uint8)


@dataclass(frozen=True)
class DotMatrixFont:
    """Letters of dots, as old printers make them: Pillow's bitmap font, each of its pixels a square.

    Attributes:
        size_px: height.
    """

    size_px: int

    def getlength(self, words: str) -> float:
        """Width of a text, pixels."""
        return float(self.letters(words).shape[1])

    def letters(self, words: str) -> NDArray[np.uint8]:
        """The coverage of a text, (height, width) of 0 to 255."""
        core = ImageFont.load_default_imagefont().getmask(words.encode("latin-1", "replace").decode("latin-1"), "L")
        width, height = core.size
        mask = np.frombuffer(bytes(core), np.uint8).reshape(height, width) if width and height else np.zeros((1, 1))
        times = self.size_px / 11  # its letters are 11 pixels high
        size = max(1, round(mask.shape[1] * times)), max(1, round(mask.shape[0] * times))
        picture = Image.fromarray(np.asarray(mask, np.uint8))
        return np.asarray(picture.resize(size, Image.Resampling.NEAREST if times >= 1 else Image.Resampling.BOX))


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont | DotMatrixFont


def write(
    image: NDArray[np.uint8],
    place: tuple[float, float],
    words: str,
    colour: tuple[int, int, int],
    font: Font,
) -> tuple[int, int, int, int] | None:
    """Write a line of text, with the pixels of Pillow's ``ImageDraw.text``.

    Args:
        image: (height, width, 4), RGB and 255, changed in place.
        place: left and top, pixels.
        words: one line.
        colour: RGB.
        font: from ``font``.

    Returns:
        (left, top, right, bottom) of the letters in pixels, or None where nothing of them is in the picture.
    """
    (x_part, x), (y_part, y) = (math.modf(value) for value in place)
    letters, (left, top) = _letters(font, words, x_part, y_part)
    first_x, first_y = int(x) + left, int(y) + top
    # what lies outside the picture is not written
    letters = letters[max(0, -first_y) : image.shape[0] - first_y, max(0, -first_x) : image.shape[1] - first_x]
    first_x, first_y = max(0, first_x), max(0, first_y)
    part = image[first_y : first_y + letters.shape[0], first_x : first_x + letters.shape[1]]
    if not part.size:
        return None
    part[:] = _mixed(part, letters[:, :, None].astype(np.uint16), (*colour, 255))
    return first_x, first_y, first_x + letters.shape[1], first_y + letters.shape[0]


@lru_cache(maxsize=512)
def width_of(font: Font, words: str) -> float:
    """Width of a text, pixels.

    Args:
        font: from ``font``.
        words: one line.
    """
    return float(font.getlength(words))


@lru_cache(maxsize=512)
def _letters(font: Font, words: str, x_part: float, y_part: float) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The coverage of words that begin a part of a pixel right and below of a pixel, and where it lies from there."""
    if isinstance(font, DotMatrixFont):
        return font.letters(words), (0, 0)
    if isinstance(font, ImageFont.FreeTypeFont):
        core, (left, top) = font.getmask2(words, "L", start=(x_part, y_part))
    else:
        core, (left, top) = font.getmask(words, "L"), (0, 0)
    width, height = core.size
    mask = Image.new("L", core.size)
    if width and height:
        mask.im = core
    return np.asarray(mask), (int(left), int(top))


@lru_cache(maxsize=32)
def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font, which has the same glyphs on every machine.

    Args:
        size_px: height.
    """
    return ImageFont.load_default(size_px)


@lru_cache(maxsize=32)
def chosen_font(size_px: int, face: str) -> Font:
    """A font by its name.

    Args:
        size_px: height.
        face: ``""`` for the built-in one, ``"dots"`` for ``DotMatrixFont``, else a TrueType or OpenType file.

    Raises:
        EcgError: the file is no font.
    """
    if face == "dots":
        return DotMatrixFont(size_px)
    if not face:
        return font(size_px)
    try:
        # the same letters whether libraqm is installed or not
        return ImageFont.truetype(face, size_px, layout_engine=ImageFont.Layout.BASIC)
    except OSError:
        raise EcgError("no font can be read", where=face, remedy="name a .ttf or .otf file") from None
