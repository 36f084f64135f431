"""Draw of each photograph the place that is read worst, beside what was printed, all on one sheet.

python benchmarks/worst_photographs.py ../shared/data/pictures --out sheet.jpg
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from distorted_pages import FS_HZ, by_lead
from PIL import Image, ImageDraw

import grounding
from grounding import ECGRecord
from grounding.photographs.arrangement import MM_PER_PERIOD
from grounding.photographs.ink import PX_PER_PERIOD
from grounding.photographs.places import VIEW_PX_PER_PERIOD, PicturePlaces

PHOTOS = ("03195", "02378", "01803", "02932", "02100", "02256", "01354", "01032", "01630", "02579")
AROUND_S, SHIFT_S = 0.6, 0.2  # of a place, and of the whole page
WIDTH_PERIODS, HEIGHT_PERIODS, COLUMNS, GAP_PX, PX = 11.5, 8.0, 2, 6, 30
ABOVE = 0.62  # part of a crop above the row
PRINTED, READ = (220, 0, 0), (0, 70, 255)


def aligned(truth: dict[str, np.ndarray], read: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
    """Samples by which what was read is late, and lead -> (samples,) difference in mV, NaN where one isn't known."""
    least, best = np.inf, (0, {})
    for late in range(-round(SHIFT_S * FS_HZ), round(SHIFT_S * FS_HZ) + 1, 2):
        away = {lead: np.roll(line, -late) - truth[lead] for lead, line in read.items()}
        away = {lead: line - np.nanmean(line) for lead, line in away.items() if np.isfinite(line).any()}
        error = sum(float(np.nansum(line**2)) for line in away.values())
        if error < least:
            least, best = error, (late, away)
    return best


def worst_place(truth: ECGRecord, read: ECGRecord, name: str) -> Image.Image:
    """The flat photograph where a lead is read worst, with the line that was read over the printed one."""
    printed = by_lead(truth)
    late, away = aligned(printed, by_lead(read))
    around = np.ones(round(AROUND_S * FS_HZ))
    errors = {lead: np.convolve(np.nan_to_num(line) ** 2, around, "same") for lead, line in away.items()}
    lead = max(errors, key=lambda one: errors[one].max())
    second = (int(errors[lead].argmax()) + late) / FS_HZ
    places: PicturePlaces = read.meta["picture"]["places"]
    per_s, per_mv = (scale / MM_PER_PERIOD * PX_PER_PERIOD for scale in (places.mm_per_s, places.mm_per_mv))
    ends = {cell: cell.start_s + (cell.end - cell.start) / per_s for cell in places.cells if cell.lead == lead}
    cell = next(one for one, end in ends.items() if one.start_s <= second <= end)
    line = places.lines[cell.row]
    columns = np.arange(round(cell.start), round(cell.end))
    seconds = cell.start_s + (columns - cell.start) / per_s
    # where the printed line would be: as far from the one that was read as their millivolts are apart
    apart = np.interp(seconds - late / FS_HZ, np.arange(len(away[lead])) / FS_HZ, away[lead], left=np.nan, right=np.nan)
    heights = line[columns]
    middle = float(np.nanmedian(heights))
    left = cell.start + (second - cell.start_s) * per_s - WIDTH_PERIODS / 2 * PX_PER_PERIOD
    left = float(np.clip(left, 0, len(line) - WIDTH_PERIODS * PX_PER_PERIOD))
    top = middle - ABOVE * HEIGHT_PERIODS * PX_PER_PERIOD
    size = round(WIDTH_PERIODS * PX), round(HEIGHT_PERIODS * PX)
    box = [at / PX_PER_PERIOD * VIEW_PX_PER_PERIOD for at in (left, top)]
    box += [box[0] + WIDTH_PERIODS * VIEW_PX_PER_PERIOD, box[1] + HEIGHT_PERIODS * VIEW_PX_PER_PERIOD]
    crop = Image.fromarray(places.flat).crop(tuple(round(at) for at in box)).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(crop)
    # what was not seen was joined by straight lines
    whole = np.interp(columns, columns[np.isfinite(heights)], heights[np.isfinite(heights)])
    for y, colour in ((whole + cell.sign * apart * per_mv, PRINTED), (heights, READ)):
        points = np.stack([columns - left, y - top], 1) / PX_PER_PERIOD * PX
        for one, other in itertools.pairwise(points):
            if np.isfinite([one, other]).all():
                pen.line([tuple(one), tuple(other)], fill=colour, width=2)
    pen.rectangle((0, 0, 66, 13), fill="white")
    pen.text((3, 1), f"{name} {lead}", fill="black")
    return crop


def main() -> None:
    """Read the photographs and save the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    crops = []
    for name in PHOTOS:
        truth = grounding.read_record(options.pictures / "truth" / f"{name}_hr")
        read = grounding.read_record(options.pictures / "photos" / f"{name}_hr.jpg")
        crops.append(worst_place(truth, read, name))
    width, height = (side + GAP_PX for side in crops[0].size)
    sheet = Image.new("RGB", (COLUMNS * width - GAP_PX, -(-len(crops) // COLUMNS) * height - GAP_PX), "white")
    for number, crop in enumerate(crops):
        sheet.paste(crop, (number % COLUMNS * width, number // COLUMNS * height))
    sheet.save(options.out, quality=65)


if __name__ == "__main__":
    main()
