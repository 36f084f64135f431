"""Drawn pages of PTB-XL's fold 9, distorted, read back and held against the records that were drawn.

    python benchmarks/distorted_pages.py --records ROOT --folds 9 --pages 300 --out FOLDER
    python benchmarks/distorted_pages.py --records ROOT --folds 9 --pages 120 --look default --out OTHER

Thirty pages a round: one record without a distortion and with each kind alone, so that kinds are compared on the same
records; and nine more records, three in mild mixtures, four in mixtures as they come, two on flat pages of varied
layouts and looks. FOLDER/pages.csv has a row for each page; a run that was stopped goes on after its last row. With
--part 0 2 and --part 1 2 two processes share the pages, each with its own file. FOLDER/by_distortion.csv is the table
that is printed at the end, of all files, or alone with --table.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import grounding
from gem.data.ptbxl import load_ptbxl
from grounding import EcgError, ECGRecord, Measurement
from grounding.paper import DISTORTIONS, DistortedPage, Page, PageStyle, distort, draw, mixture, varied_page

FLAT, MILD, MIXTURE, VARIED = "none", "mild mixture", "mixture", "varied page"
MILD_STRENGTH = 0.4
MIXED = (MILD,) * 3 + (MIXTURE,) * 4 + (VARIED,) * 2
DPI = 200
LOOKS = {"printed": PageStyle(grid="red", grid_lines="printed"), "default": PageStyle()}
FS_HZ, SECONDS, SHIFT_S = 500, 10, 0.3
LEAST_DB = -20.0
QUANTITIES = ("rate", "pr", "qrs", "qt", "axis")
COLUMNS = (
    "page record distortion kinds layout look refused snr_db leads leads_read "
    + " ".join(f"{name} {name}_read" for name in QUANTITIES)
    + " decided agreed present kept added draw_cpu_s read_cpu_s"
).split()


class Task(NamedTuple):
    """One page: its number, which record, and what happens to it."""

    page: int
    record: int
    distortion: str


def tasks(pages: int, records: int) -> Iterator[Task]:
    """Pages in rounds; each round has every distortion.

    Args:
        pages: how many.
        records: how many there are; they are taken in turn.
    """
    kinds = (FLAT, *DISTORTIONS)
    page = record = 0
    while True:
        alone = [(record, kind) for kind in kinds]
        others = [(record + 1 + index, kind) for index, kind in enumerate(MIXED)]
        for number, kind in (*alone, *others):
            if page == pages:
                return
            yield Task(page, number % records, kind)
            page += 1
        record += 1 + len(MIXED)


def distorted(record: ECGRecord, task: Task, look: str) -> DistortedPage:
    """The page of a task."""
    options = varied_page(task.page) if task.distortion == VARIED else {"style": LOOKS[look]}
    page = draw(record, dpi=DPI, **options)
    if task.distortion in (FLAT, VARIED):
        return distort(page, (), seed=task.page)
    if task.distortion in (MILD, MIXTURE):
        return distort(page, mixture(task.page, MILD_STRENGTH if task.distortion == MILD else 1.0), seed=task.page)
    return distort(page, task.distortion, seed=task.page)


def printed(record: ECGRecord, page: Page) -> dict[str, np.ndarray]:
    """Lead -> (samples,) mV at 500 Hz where the page shows it, NaN elsewhere."""
    whole, at = by_lead(record), np.arange(FS_HZ * SECONDS) / FS_HZ
    out: dict[str, np.ndarray] = {}
    for panel in page.layout.panels:
        if not panel.missing:
            shown = (at >= panel.start_s) & (at < panel.end_s)
            row = out.setdefault(panel.lead, np.full(at.size, np.nan))
            row[shown] = whole[panel.lead][shown]
    return out


def by_lead(record: ECGRecord) -> dict[str, np.ndarray]:
    """Lead -> (samples,) mV at 500 Hz from 0 to 10 s, NaN where nothing is."""
    out, at = {}, np.arange(FS_HZ * SECONDS) / FS_HZ
    for name, row in zip(record.leads, np.asarray(record.signal, float), strict=True):
        seconds, known = np.arange(row.size) / record.fs, np.isfinite(row)
        if known.any():
            there = np.interp(at, seconds, known.astype(float), left=0, right=0) >= 0.5
            out[name] = np.where(there, np.interp(at, seconds[known], row[known]), np.nan)
    return out


def snr_db(truth: dict[str, np.ndarray], read: dict[str, np.ndarray]) -> float:
    """Signal power against error power over all leads, at the best common shift; a lead not read counts as zeros."""
    wanted = np.array(list(truth.values()))
    got = np.array([read.get(lead, np.full(wanted.shape[1], np.nan)) for lead in truth])
    known = np.isfinite(wanted)
    wanted = np.where(known, wanted - np.nanmean(wanted, axis=1, keepdims=True), 0.0)
    least = np.inf
    for shift in range(-round(SHIFT_S * FS_HZ), round(SHIFT_S * FS_HZ) + 1, 2):
        moved = np.roll(got, shift, axis=1)
        both = known & np.isfinite(moved)
        count = np.maximum(both.sum(axis=1, keepdims=True), 1)
        moved = np.where(both, moved, 0.0)
        offset = ((wanted * both).sum(axis=1, keepdims=True) - moved.sum(axis=1, keepdims=True)) / count
        least = min(least, float(((wanted - np.where(both, moved + offset, 0.0)) ** 2)[known].sum()))
    return max(LEAST_DB, float(10 * np.log10((wanted**2).sum() / max(least, 1e-12))))


def values(found: Measurement) -> dict[str, float | None]:
    """What is compared."""
    return {
        "rate": found.heart_rate,
        "axis": found.axis,
        **{name: found.intervals[name] for name in ("pr", "qrs", "qt")},
    }


def agreement(wanted: Measurement, found: Measurement) -> dict[str, int]:
    """Findings decided on both; of them equal, present in the record, still present, present on the page alone."""
    truth = {one.name: one.present for one in grounding.find(wanted)}
    both = [(truth.get(one.name), one.present) for one in grounding.find(found)]
    both = [(a, b) for a, b in both if a is not None and b is not None]
    return {
        "decided": len(both),
        "agreed": sum(a == b for a, b in both),
        "present": sum(bool(a) for a, _ in both),
        "kept": sum(bool(a and b) for a, b in both),
        "added": sum(bool(b and not a) for a, b in both),
    }


def row_of(record: ECGRecord, task: Task, look: str, folder: Path) -> dict[str, Any]:
    """Draw, distort, read and compare one page."""
    begin = time.process_time()
    picture = distorted(record, task, look)
    drawn = time.process_time() - begin
    truth = printed(record, picture.page)
    wanted = grounding.measure(record)
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    row |= {
        "page": task.page,
        "record": record.record_id,
        "distortion": task.distortion,
        "kinds": json.dumps({kind: round(how, 3) for kind, how in picture.kinds.items()}),
        "layout": f"{picture.page.layout.name}, {picture.page.layout.mm_per_s:g} mm/s",
        "look": look,
        "leads": len(truth),
        "draw_cpu_s": round(drawn, 3),
        **values(wanted),
    }
    path = folder / f"page_{os.getpid()}.png"  # of this process
    picture.image.save(path, compress_level=1)
    begin = time.process_time()
    try:
        read = grounding.read_record(path)
    except EcgError as error:
        return row | {"refused": error.what, "read_cpu_s": round(time.process_time() - begin, 2)}
    row["read_cpu_s"] = round(time.process_time() - begin, 2)
    signal = by_lead(read)
    row |= {"snr_db": round(snr_db(truth, signal), 2), "leads_read": len(truth.keys() & signal.keys())}
    found = grounding.measure(read)
    return row | {f"{name}_read": value for name, value in values(found).items()} | agreement(wanted, found)


def table(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A row for each distortion."""
    out = []
    for kind in (FLAT, *DISTORTIONS, VARIED, MILD, MIXTURE, "all"):
        here = [row for row in rows if kind in (row["distortion"], "all")]
        read = [row for row in here if not row["refused"]]
        if not here:
            continue
        line: dict[str, Any] = {"distortion": kind, "pages": len(here), "refused": len(here) - len(read)}
        snr = np.array([float(row["snr_db"]) for row in read])
        line["snr_db_median"] = round(float(np.median(snr)), 1) if read else ""
        line["snr_db_worst"] = round(float(snr.min()), 1) if read else ""
        line["leads"] = _share(read, "leads_read", "leads")
        for name in QUANTITIES:
            wanted = [row for row in here if row[name]]
            pairs = [(float(row[name]), float(row[f"{name}_read"])) for row in wanted if row[f"{name}_read"]]
            away = np.array([b - a for a, b in pairs])
            away = (away + 180) % 360 - 180 if name == "axis" else away
            line[f"{name}_given"] = f"{len(pairs)} of {len(wanted)}"
            line[f"{name}_mean"] = round(float(away.mean()), 1) if pairs else ""
            line[f"{name}_sd"] = round(float(away.std()), 1) if pairs else ""
            line[f"{name}_median"] = round(float(np.median(np.abs(away))), 1) if pairs else ""
        line["findings_agree"] = _share(read, "agreed", "decided")
        line["present_kept"] = _share(read, "kept", "present")
        line["present_added"] = round(sum(int(row["added"]) for row in read) / max(len(read), 1), 2)
        out.append(line)
    return out


def _share(rows: list[dict[str, str]], part: str, whole: str) -> float | str:
    total = sum(int(row[whole]) for row in rows)
    return round(sum(int(row[part]) for row in rows) / total, 3) if total else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, required=True, help="PTB-XL, as gem.data.ptbxl.load_ptbxl takes it")
    parser.add_argument("--folds", type=int, nargs="+", default=[9])
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument(
        "--look",
        choices=tuple(LOOKS),
        default="printed",
        help="grid as printed paper has it, or that of draw, whose lines of 5 mm are hardly darker than those of 1 mm",
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="only the table of the rows that are there")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("NUMBER", "OF"), help="of the pages")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    part, parts = options.part
    if not options.table:
        run(options, options.out / ("pages.csv" if parts == 1 else f"pages_{part}_of_{parts}.csv"))
    rows = [
        row for path in sorted(options.out.glob("pages*.csv")) for row in csv.DictReader(path.open(encoding="utf-8"))
    ]
    lines = table(rows)
    with (options.out / "by_distortion.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    for line in lines:
        print("  ".join(f"{name} {value}" for name, value in line.items() if value != ""))
    reasons: dict[str, int] = {}
    for row in rows:
        if row["refused"]:
            key = f"{row['distortion']}: {row['refused']}"
            reasons[key] = reasons.get(key, 0) + 1
    for reason, number in sorted(reasons.items(), key=lambda one: -one[1]):
        print(f"{number:>4} refused, {reason}")


def run(options: argparse.Namespace, path: Path) -> None:
    """Append the rows that are missing."""
    samples = load_ptbxl(options.records, options.folds, ("raw",))
    np.random.default_rng(0).shuffle(samples)
    there = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    if {row["look"] for row in there} - {options.look}:
        raise SystemExit(f"{path} has pages of another look: name another folder")
    done = {int(row["page"]) for row in there}
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not done:
            writer.writeheader()
        part, parts = options.part
        for task in tqdm([task for task in tasks(options.pages, len(samples)) if task.page % parts == part]):
            if task.page not in done:
                writer.writerow(row_of(samples[task.record].record, task, options.look, options.out))
                file.flush()


if __name__ == "__main__":
    main()
