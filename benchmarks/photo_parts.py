"""What each part of the reading of photographs brings: SNR without it, on photographs whose signal is known.

    python benchmarks/photo_parts.py ../shared/data/pictures
    python benchmarks/photo_parts.py ../shared/data/pictures --photos 01442_hr 02339_hr --parts strokes lines

The grid's map is found once a photograph, unless the part is one of its own. A photograph that is refused counts as
0 dB. The pictures themselves are not part of the project.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from distorted_pages import by_lead, snr_db
from numpy.typing import NDArray
from tqdm import tqdm

import grounding
from grounding import EcgError
from grounding.photographs import flattening, lines, reading, rectifying, traces
from grounding.photographs.printing import PrintedLines
from grounding.photographs.rectifying import PaperMap

# the two worst, the widest bars, an edge of the paper that was read as a row, small pictures, and two usual ones
PHOTOS = ("03195_hr", "02378_hr", "00012_hr", "03156_hr", "01109_hr", "01442_hr", "02339_hr", "02256_hr")
Replacement = tuple[Any, str, Any]


class Part(NamedTuple):
    """A part of the method and what stands in for it.

    Attributes:
        says: what is left without it.
        replaced: module, name in it, and what it is instead.
        own_map: whether the map by the grid is another one without it.
    """

    says: str
    replaced: tuple[Replacement, ...]
    own_map: bool = False


def unmoved(page: PaperMap, darkness: Any, trace: NDArray[np.float32], period: int) -> tuple[PaperMap, Any]:
    """In place of ``straightened``: each pixel where it was."""
    return page, np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in trace.shape), indexing="ij"))


def as_it_should_be(*directions: tuple[NDArray[np.float64], Any]) -> list[PrintedLines]:
    """In place of ``printed_lines``: every line is printed in its place."""
    return [PrintedLines(np.zeros(shifts.shape[1]), 0.0) for shifts, _ in directions]


def middle(top: NDArray[np.float64], bottom: NDArray[np.float64], thickness: float) -> NDArray[np.float64]:
    """In place of ``pen_line``: the middle of the ink."""
    return 0.5 * (top + bottom)


PARTS: dict[str, Part] = {
    "lines": Part("the grid's phases alone", ((flattening, "straightened", unmoved),)),
    "printing": Part("lines taken to be printed in their places", ((lines, "printed_lines", as_it_should_be),)),
    "strokes": Part("the middle of the ink", ((traces, "pen_line", middle),)),
    "borders": Part(
        "pulses' ends as they were found, nothing hidden",
        (
            (reading, "hiding_bars", lambda *_: {}),
            (reading, "pulse_end", lambda _trace, _rows, pulses, _period: pulses.end),
        ),
    ),
    "blur": Part("resampled as it is", ((rectifying, "BLUR_PX", 0.01),), True),
    "colour": Part("the grid's ink alone", ((flattening, "CLEAR_GRID", 0.0),), True),
    "frames": Part(
        "every line a row",
        ((reading, "_without_frame", lambda rows: rows), (reading, "_without_beats", lambda *_: None)),
    ),
    "own ink": Part("rows may share ink", ((traces, "MAX_ROUNDS", 0),)),
    "sums": Part("sums of limb leads not compared", ((reading, "check_limb_leads", lambda _: [1.0, 1.0]),)),
    "text": Part("no text is read", ((reading, "read_lines", lambda *_: []),)),
}


@contextlib.contextmanager
def without(part: Part | None, page: PaperMap) -> Iterator[None]:
    """The method without one part.

    Args:
        part: None for the whole method.
        page: the map that the whole method finds.
    """
    with contextlib.ExitStack() as stack:
        for module, name, value in part.replaced if part is not None else ():
            stack.enter_context(mock.patch.object(module, name, value))
        if part is None or not part.own_map:
            stack.enter_context(mock.patch.object(flattening, "map_by_grid", return_value=page))
        yield


def main() -> None:
    """Print a row for each part: mean SNR and that of each photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--photos", nargs="+", default=PHOTOS)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    options = parser.parse_args()
    table: dict[str, list[float]] = {"": [], **{name: [] for name in options.parts}}
    by_grid = flattening.map_by_grid
    for photo in tqdm(options.photos):
        truth = by_lead(grounding.read_record(options.pictures / "truth" / photo))
        path = options.pictures / "photos" / f"{photo}.jpg"
        page = by_grid(reading.load_picture(path))
        for name, row in table.items():
            with without(PARTS.get(name), page):
                try:
                    row.append(snr_db(truth, by_lead(grounding.read_record(path))))
                except EcgError:
                    row.append(float("nan"))
    print("without, mean, " + ", ".join(options.photos))
    for name, row in table.items():
        mean = np.nan_to_num(row).mean()
        each = ", ".join("refused" if np.isnan(value) else f"{value:.1f}" for value in row)
        print(f"{name or '(nothing)'}, {mean:.2f}, {each}" + (f"  ({PARTS[name].says})" if name else ""))


if __name__ == "__main__":
    main()
