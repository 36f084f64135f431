"""Printed text on a photograph, read by the optional package ``rapidocr`` (pip install "gem-ecg[ocr]")."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from .ink import PX_PER_PERIOD, SURE_TRACE, absorbance
from .picture import darkest_channel
from .rectifying import NODES_PER_PERIOD, PaperMap
from .threads import in_threads

Array = NDArray[np.float64]
TEXT_PX_PER_PERIOD = 28  # of the picture in which text is read
# of that in which it is found: a sharp picture's lines are found as well on half as many pixels, a small one's are not
FOUND_PX_PER_PERIOD, SHARP_PX_PER_PERIOD = 20, 35
HEADER_PERIODS, BESIDE_PERIODS = 10, 3  # text may stand so far above and below the grid, and beside it
GRID_PERCENTILE, NO_TRACE = 95, 0.1  # of what is no trace: as dark as the grid
TRACE_RIM_PX = 3
ROW_PERIODS = 0.75  # above the first and below the last row, text is read from the photograph
MIN_STRIP_PERIODS = 1.0
MAX_LINES = 60  # of a strip; patterns of a screen are taken for hundreds
LABEL_PERIODS, NAME_PERIODS = 3.5, 1.0  # from a row to the names of its leads, at most; and their height
LONGEST_LABEL_PERIODS = 4.0


@dataclass(frozen=True)
class PrintedLine:
    """One line of text on a photograph.

    Attributes:
        text: as read.
        confidence: of the recogniser, 0-1.
        box: (4, 2) corners (x, y) in pixels of the photograph, from the top left, clockwise.
        paper: (4, 2) the same in grid periods of the flat page.
    """

    text: str
    confidence: float
    box: Array
    paper: Array

    @property
    def left(self) -> float:
        """Grid periods from the left edge of the flat page."""
        return float(self.paper[:, 0].min())

    @property
    def right(self) -> float:
        """Grid periods from the left edge of the flat page."""
        return float(self.paper[:, 0].max())

    @property
    def middle(self) -> float:
        """Its height on the flat page, grid periods from the top."""
        return float(self.paper[:, 1].mean())

    @property
    def height(self) -> float:
        """Of the line, grid periods."""
        return float(np.linalg.norm(self.paper[3] - self.paper[0]))


class _Strip(NamedTuple):
    """A part of a page in which text is looked for.

    Attributes:
        start: its top left corner, grid periods.
        longest_px: length of a line.
        image: gives it, (rows, columns, 3) at ``TEXT_PX_PER_PERIOD``.
    """

    start: Array
    longest_px: float
    image: Callable[[], NDArray[np.uint8]]


def text_is_read() -> bool:
    """Whether the package that reads text is installed."""
    return importlib.util.find_spec("rapidocr") is not None


def read_lines(
    picture: NDArray[np.uint8], page: PaperMap, trace: NDArray[np.float32], rows: tuple[float, float]
) -> list[PrintedLine]:
    """The lines of text on and around a page, from top to bottom.

    Among the rows they are read from the flat page without its grid and traces, above and below from the photograph.

    Args:
        picture: (height, width, 3) bytes.
        page: the map from paper to picture.
        trace: (rows, columns), probability of trace on the flat page.
        rows: heights of the first and the last row, grid periods.

    Returns:
        Also lines that are no text, with low confidence; none where ``rapidocr`` is not installed.
    """
    if not text_is_read():
        return []
    to_paper, to_picture = similarity(page)
    around = LABEL_PERIODS + NAME_PERIODS
    band = [min(page.periods[0], max(0, round(at))) for at in (rows[0] - around, rows[1] + around)]

    def among() -> NDArray[np.uint8]:
        whole = letters(page.flat_picture(picture, TEXT_PX_PER_PERIOD), trace)
        return whole[band[0] * TEXT_PX_PER_PERIOD : band[1] * TEXT_PX_PER_PERIOD]

    strips = [_Strip(np.array([0, band[0]], np.float64), LONGEST_LABEL_PERIODS * TEXT_PX_PER_PERIOD, among)]
    height, width = picture.shape[:2]
    corners = _apply(to_paper, np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64))
    beyond = np.array([BESIDE_PERIODS, HEADER_PERIODS])
    first = np.maximum(corners.min(0), -beyond)
    last = np.minimum(corners.max(0), np.array(page.periods[::-1]) + beyond)
    for top, bottom in ((first[1], rows[0] - ROW_PERIODS), (rows[1] + ROW_PERIODS, last[1])):
        if bottom - top > MIN_STRIP_PERIODS:
            start = np.array([first[0], top])
            image = partial(_turned, picture, to_picture, start, np.array([last[0], bottom]))
            strips.append(_Strip(start, np.inf, image))
    is_sharp = page.picture_px_per_period > SHARP_PX_PER_PERIOD
    scale = FOUND_PX_PER_PERIOD / TEXT_PX_PER_PERIOD if is_sharp else 1.0
    # the strips are drawn in threads too
    texts = in_threads(lambda strip: _read(strip.image(), strip.longest_px, scale), strips)
    out = []
    for number, (found, strip) in enumerate(zip(texts, strips, strict=True)):
        for box, text, confidence in found:
            at = box / TEXT_PX_PER_PERIOD + strip.start
            places = _apply(to_picture, at) if number else np.stack(page.pixels(at[:, 0], at[:, 1]), 1)
            out.append(PrintedLine(text, confidence, places, at))
    return sorted(out, key=lambda line: line.middle)


def _read(image: NDArray[np.uint8], longest_px: float, scale: float) -> list[tuple[Array, str, float]]:
    """(4, 2) corners, text and confidence of each line of a picture (rows, columns, 3) that is not longer.

    Args:
        image: the picture.
        longest_px: of its lines.
        scale: of the picture in which they are found, against the one in which they are read.
    """
    reader = _reader()
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    small = image if scale == 1 else np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    seen = reader(small, use_det=True, use_rec=False)
    if seen.boxes is None:
        return []
    boxes = [np.asarray(box, np.float64) / scale for box in seen.boxes]
    order = np.argsort(-np.asarray(seen.scores))
    kept = [boxes[i] for i in order if np.linalg.norm(boxes[i][1] - boxes[i][0]) <= longest_px][:MAX_LINES]
    if not kept:
        return []
    found = reader.recognize_txt(reader.crop_text_regions(image, np.asarray(kept, np.float32)))
    return [
        (box, text.strip(), float(confidence))
        for box, text, confidence in zip(kept, found.txts, found.scores, strict=True)
        if text.strip()
    ]


@lru_cache(maxsize=1)
def _reader() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "error",
            # the picture as it is given
            "Global.max_side_len": 100_000,
            "Det.limit_type": "max",
            "Det.limit_side_len": 100_000,
            # several threads wait for each other in a loop, which costs processor time
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def similarity(page: PaperMap) -> tuple[Array, Array]:
    """(2, 3) from pixels of the picture to grid periods, and back, without bends: the best turn, scale and shift.

    Args:
        page: the map from paper to picture.
    """
    v, u = np.nonzero(page.seen)
    z, w = page.x[v, u] + 1j * page.y[v, u], (u + 1j * v) / NODES_PER_PERIOD
    turn = np.vdot(w - w.mean(), z - z.mean()) / np.vdot(w - w.mean(), w - w.mean())
    shift = z.mean() - turn * w.mean()
    return _matrix(1 / turn, -shift / turn), _matrix(turn, shift)


def _matrix(turn: complex, shift: complex) -> Array:
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _apply(matrix: Array, points: Array) -> Array:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _turned(picture: NDArray[np.uint8], to_picture: Array, first: Array, last: Array) -> NDArray[np.uint8]:
    """The part of a picture between two corners (x, y) in grid periods, upright, at ``TEXT_PX_PER_PERIOD``."""
    columns, rows = np.ceil((last - first) * TEXT_PX_PER_PERIOD).astype(int).tolist()
    image = Image.fromarray(picture)
    # means of pixels where there are more, so that thin strokes are kept
    shrink = max(1, int(np.linalg.norm(to_picture[:, 0]) / TEXT_PX_PER_PERIOD))
    at = np.column_stack([to_picture[:, :2] / TEXT_PX_PER_PERIOD, _apply(to_picture, first)]) / shrink
    turned = image.reduce(shrink).transform(
        (columns, rows), Image.Transform.AFFINE, tuple(at.ravel()), Image.Resampling.BICUBIC, fillcolor="white"
    )
    return np.asarray(turned)


def letters(flat: NDArray[np.uint8], trace: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The flat page in black and white without traces and grid, among which lead names are not found otherwise.

    Args:
        flat: (rows, columns, 3) bytes at ``TEXT_PX_PER_PERIOD``.
        trace: (rows, columns) at ``ink.PX_PER_PERIOD``, probability of trace.
    """
    dark = darkest_channel(absorbance(flat, TEXT_PX_PER_PERIOD))
    there = ndimage.zoom(trace, TEXT_PX_PER_PERIOD / PX_PER_PERIOD, order=1)
    rows, columns = min(dark.shape[0], there.shape[0]), min(dark.shape[1], there.shape[1])
    dark, there = dark[:rows, :columns], there[:rows, :columns]
    sure = there > SURE_TRACE
    stroke = float(np.median(dark[sure])) if sure.any() else float(dark.max())
    grid = float(np.percentile(dark[there < NO_TRACE], GRID_PERCENTILE))
    ink = ((dark - grid) / max(0.01, stroke - grid)).clip(0, 1)
    ink *= 1 - ndimage.grey_dilation(there, TRACE_RIM_PX).clip(0, 1)
    return np.asarray(np.round(255 * (1 - ink)), np.uint8)[..., None].repeat(3, axis=2)
