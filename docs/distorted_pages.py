"""The picture of docs/paper.md: one page, distorted in twelve ways.

python docs/distorted_pages.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import grounding
from grounding.paper import PageStyle, distort, draw

SHOWN = ("crumpling", "folds", "bending", "perspective", "rotation", "shadow", "stains", "thermal_fading", "fax")
SEEDS = (2, 9, 16)  # of mixtures
WIDE, HIGH = 300, 240


def main() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_139"))
    page = draw(record, dpi=100, style=PageStyle(grid="red", grid_lines="printed"))
    pictures = [distort(page, kind, seed=3).image for kind in SHOWN]
    pictures += [distort(page, seed=seed).image for seed in SEEDS]
    sheet = Image.new("RGB", (4 * WIDE, 3 * HIGH), "white")
    for index, picture in enumerate(pictures):
        picture.thumbnail((WIDE - 8, HIGH - 8), Image.Resampling.LANCZOS)
        row, column = divmod(index, 4)
        left, top = column * WIDE + (WIDE - picture.width) // 2, row * HIGH + (HIGH - picture.height) // 2
        sheet.paste(picture, (left, top))
    sheet.save(Path(__file__).with_name("images") / "distorted_pages.jpg", quality=82)


if __name__ == "__main__":
    main()
