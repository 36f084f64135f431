"""Pictures of ECGs in other layouts, read and held against a reading by eye.

    python benchmarks/photo_layouts.py ../shared/data/pictures/layouts

``photo_layouts.csv`` is the reading by eye: layout, number of leads, paper speed, gain, rate from the distance of the
beats of a rhythm strip in mm, and what is printed. Printed values are held against those that were read, and measured
ones against printed ones. The pictures themselves are not part of the project.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import grounding
from grounding import EcgError, ECGRecord
from grounding.photographs import compare_printed

BY_EYE = Path(__file__).with_suffix(".csv")
MAX_RATE_DIFFERENCE_BPM = 3.0
UNITS = ("_bpm", "_ms", "_degrees", "_mm_per_s", "_mm_per_mv")  # at the end of the columns of printed values


def layout_name(record: ECGRecord) -> str:
    """Such as ``3x4+1``, from where the leads are."""
    cells = record.meta["picture"]["places"].cells
    by_row: dict[int, int] = {}
    for cell in cells:
        by_row[cell.row] = by_row.get(cell.row, 0) + 1
    columns = max(by_row.values())
    rows = sum(1 for number in by_row.values() if number == columns)
    strips = len(by_row) - rows
    return f"{rows}x{columns}" + (f"+{strips}" if strips else "")


def read(path: Path) -> dict[str, Any]:
    """What the library reads from one picture."""
    begin = time.process_time()
    try:
        record = grounding.read_record(path)
    except EcgError as error:
        return {"refused": error.what, "cpu_s": time.process_time() - begin}
    seconds = time.process_time() - begin
    about, found = record.meta["picture"], grounding.measure(record)
    unread = [lead for lead, one in about["quality"].items() if one["quality"] == "not read"]
    return {
        "layout": layout_name(record),
        "leads": len(about["quality"]) - len(unread),
        "mm_per_s": about["mm_per_s"],
        "mm_per_mv": about["mm_per_mv"],
        "rate_bpm": found.heart_rate,
        "names": about["lead_names"],
        "printed": {one.name: one.value for one in about["printed"]},
        "compared": compare_printed(about["printed"], found),
        "cpu_s": seconds,
    }


def main() -> None:
    """Print a row for each picture and the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    folder = parser.parse_args().pictures
    rows = list(csv.DictReader(BY_EYE.open(encoding="utf-8")))
    right = dict.fromkeys(("layout", "leads", "gain", "rate", "refused"), 0)
    text = dict.fromkeys(("values", "right", "wrong"), 0)
    for row in rows:
        found = read(folder / row["picture"])
        if "refused" in found:
            right["refused"] += 1
            print(f"{row['picture']}  refused ({found['refused']}), {found['cpu_s']:.1f} s")
            continue
        rate = found["rate_bpm"]
        right["layout"] += found["layout"] == row["layout"]
        right["leads"] += found["leads"] == int(row["leads"])
        right["gain"] += abs(found["mm_per_mv"] - float(row["mm_per_mv"])) < 0.05 * float(row["mm_per_mv"])
        right["rate"] += rate is not None and abs(rate - float(row["rate_bpm"])) <= MAX_RATE_DIFFERENCE_BPM
        said = "none" if rate is None else f"{rate:.0f}"
        by_eye = {
            name.split("_", 1)[1].rsplit(unit, 1)[0]: float(value)
            for name, value in row.items()
            for unit in UNITS
            if name.startswith("printed_") and name.endswith(unit) and value
        }
        text["values"] += len(by_eye)
        text["right"] += sum(found["printed"].get(name) == value for name, value in by_eye.items())
        wrong = {name: value for name, value in found["printed"].items() if by_eye.get(name) != value}
        text["wrong"] += len(wrong)
        names = found["names"]
        print(
            f"{row['picture']}  {found['layout']} ({row['layout']}), {found['leads']} leads ({row['leads']}), "
            f"{found['mm_per_mv']:.0f} mm/mV ({row['mm_per_mv']}), {said} bpm ({row['rate_bpm']}), "
            f"names: {names['agree']} agree, {len(names['differ'])} differ, {found['cpu_s']:.1f} s"
        )
        for line in (*found["compared"], *names["differ"], *(f"read wrongly: {one}" for one in wrong.items())):
            print(f"    {line}")
    print("printed values: " + ", ".join(f"{name} {number}" for name, number in text.items()))
    print(f"of {len(rows)}: " + ", ".join(f"{name} {number}" for name, number in right.items()))


if __name__ == "__main__":
    main()
