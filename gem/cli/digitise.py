"""``gem digitise``: photographs of ECGs into recordings, with an overlay to look at and a table of quality."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np

import grounding
from grounding import EcgError, ECGRecord
from grounding.photographs import compare_printed, text_is_read
from grounding.readers.picture import EXTENSIONS

from ..errors import GemInputError
from ..terminal import print_error, print_lines

PRINTED = ("photo", "name", "unit", "printed", "measured", "difference", "words", "confidence")
COLUMNS = ("photo", "lead", "quality", "reason", "mm_per_s", "mm_per_mv", "file")
LINE = (220, 20, 60)


def add_arguments(parser: Any) -> None:
    """Add the options.

    Args:
        parser: of the command.
    """
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photographs, scans, or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--format", choices=("wfdb", "csv"), default="wfdb", help="of the recordings (default: wfdb)")
    parser.add_argument("--layout", help="of the page, e.g. 3x4+1, where it is not told rightly")
    parser.add_argument("--speed", type=float, metavar="MM_S", help="paper speed, mm/s (default: 25)")
    parser.add_argument("--gain", type=float, metavar="MM_MV", help="mm/mV (default: by the calibration pulse)")


def run(args: argparse.Namespace) -> int:
    """Read each photograph; one that can't be read is a row of the table.

    Args:
        args: the parsed options.
    """
    paths = _photos(args.photos)
    given = {"layout": args.layout, "speed_mm_s": args.speed, "gain_mm_mv": args.gain}
    options = {name: value for name, value in given.items() if value is not None}
    args.out.mkdir(parents=True, exist_ok=True)
    failed, taken = 0, set[str]()
    with (
        (args.out / "quality.csv").open("w", newline="", encoding="utf-8") as file,
        (args.out / "printed.csv").open("w", newline="", encoding="utf-8") as text,
    ):
        table, printed = csv.DictWriter(file, COLUMNS), csv.DictWriter(text, PRINTED)
        table.writeheader()
        printed.writeheader()
        for number, path in enumerate(paths, 1):
            name = _free_name(path.stem, taken)
            try:
                record = grounding.read_record(path, format="picture", **options)
            except EcgError as error:
                failed += 1
                print_error(str(error))
                table.writerow({"photo": str(path), "quality": "refused", "reason": " ".join(str(error).split())})
                continue
            written = write_recording(record, args.out, name, args.format)
            about = record.meta["picture"]
            _overlay(record).save(args.out / f"{name}.overlay.jpg", quality=85)
            for lead, one in about["quality"].items():
                row = {"photo": str(path), "lead": lead, **one, "file": written.name}
                table.writerow({**row, "mm_per_s": about["mm_per_s"], "mm_per_mv": about["mm_per_mv"]})
            printed.writerows({"photo": str(path), **row} for row in printed_rows(record))
            file.flush()
            text.flush()
            print_lines(f"{number}/{len(paths)} {path.name}: {len(record.leads)} leads, {written.name}", to=sys.stderr)
    if not text_is_read():
        print_lines('printed text was not read: pip install "gem-ecg[ocr]"', to=sys.stderr)
    print_lines(f"{len(paths) - failed} of {len(paths)} read; see {args.out / 'quality.csv'}")
    return 1 if failed else 0


def _photos(words: list[str]) -> list[Path]:
    out: list[Path] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in EXTENSIONS)
            if not inside:
                raise GemInputError(
                    "no pictures in the folder", where=word, remedy=f"pictures end in {', '.join(EXTENSIONS)}"
                )
            out += inside
        else:
            out.append(path)
    return out


def _free_name(stem: str, taken: set[str]) -> str:
    """A name for a WFDB record that no other photograph of the run has."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in stem) or "photo"
    name, number = safe, 1
    while name in taken:
        number += 1
        name = f"{safe}-{number}"
    taken.add(name)
    return name


def printed_rows(record: ECGRecord) -> list[dict[str, str]]:
    """What is printed on a photograph, against what was measured where that is the same quantity.

    Args:
        record: read from the photograph.

    Returns:
        A row of ``printed.csv`` for each quantity, without the photograph.
    """
    values = record.meta["picture"]["printed"]
    if not values:
        return []
    compared = {one.name: one for one in compare_printed(values, grounding.measure(record))}
    rows = []
    for value in values:
        row = {"name": value.name, "unit": value.unit, "printed": f"{value.value:g}", "words": value.words}
        row["confidence"] = f"{value.confidence:.2f}"
        one = compared.get(value.name)
        if one is not None and one.measured is not None and one.difference is not None:
            row |= {"measured": f"{one.measured:.0f}", "difference": f"{round(one.difference):+d}"}
        rows.append(row)
    return rows


def write_recording(record: ECGRecord, folder: Path, name: str, form: str) -> Path:
    """The recording as a file; what is not printed is NaN in a CSV and the invalid sample of WFDB.

    Args:
        record: the recording.
        folder: where to write.
        name: of the file, without its extension.
        form: ``"wfdb"`` or ``"csv"``.

    Returns:
        The path to read it by.
    """
    signal = np.asarray(record.signal, np.float64)
    if form == "csv":
        path = folder / f"{name}.csv"
        seconds = np.arange(signal.shape[1]) / record.fs
        head = ",".join(["seconds", *(f"{lead} (mV)" for lead in record.leads)])
        np.savetxt(path, np.column_stack([seconds, signal.T]), fmt="%.4f", delimiter=",", header=head, comments="")
        return path
    import wfdb

    wfdb.wrsamp(
        name,
        fs=record.fs,
        units=["mV"] * len(record.leads),
        sig_name=list(record.leads),
        p_signal=signal.T,
        fmt=["16"] * len(record.leads),
        adc_gain=[1000.0] * len(record.leads),
        baseline=[0] * len(record.leads),
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


def _overlay(record: ECGRecord) -> Any:
    """The flat photograph with what was read drawn over it."""
    from PIL import ImageDraw

    page = record.meta["picture"]["places"].page()
    image = page.image.copy()
    pen = ImageDraw.Draw(image)
    for panel in page.layout.panels:
        values = record.lead(panel.lead)
        first, last = (round(second * record.fs) for second in (panel.start_s, panel.end_s))
        part = values[first:last]
        level = float(np.nanmedian(part)) if np.isfinite(part).any() else 0.0
        points = [
            (page.layout.x_px(panel, (first + i) / record.fs), page.layout.y_px(panel, float(v) - level))
            for i, v in enumerate(part)
            if np.isfinite(v)
        ]
        if len(points) > 1:
            pen.line(points, fill=LINE, width=1)
        pen.text((panel.x_mm * page.layout.px_per_mm, page.layout.y_px(panel, 0) + 8), panel.lead, fill=LINE)
    return image
