"""Rows of ``gpu.sh``: written as they come to ``rows.csv``, and put together in ``report.md`` after each part.

    GEM_GPU_OUT=OUT python benchmarks/gpu_report.py NUMBER NAME STATUS SECONDS

It needs nothing but Python, so that a broken environment is reported too.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

COLUMNS = ("part", "what", "figure", "value", "unit", "status", "note")
PARTS = ("number", "part", "status", "seconds", "rows", "failed")
STATUSES = ("ok", "failed", "skipped")


def out_folder() -> Path:
    """Where everything goes."""
    return Path(os.environ["GEM_GPU_OUT"])


def _append(path: Path, columns: tuple[str, ...], row: dict[str, object]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_row(
    part: str, what: str, figure: str = "", value: object = "", unit: str = "", status: str = "ok", note: str = ""
) -> None:
    """Write one row; it is on disk when this returns.

    Args:
        part: name of the part.
        what: that was measured or tried.
        figure: name of the figure.
        value: of the figure; a float is rounded to four digits.
        unit: of the value.
        status: of ``STATUSES``.
        note: one line, such as the reason for a failure.
    """
    assert status in STATUSES, status
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    row = {"part": part, "what": what, "figure": figure, "value": shown, "unit": unit, "status": status}
    _append(out_folder() / "rows.csv", COLUMNS, {**row, "note": " ".join(note.split())[:300]})
    print(part, what, figure, shown, unit, "" if status == "ok" else status, note, flush=True)


def add_failure(part: str, what: str, error: BaseException) -> None:
    """Write a row about an error: its first line.

    Args:
        part: name of the part.
        what: that failed.
        error: the reason.
    """
    add_row(part, what, status="failed", note=f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}")


def finish(number: str, part: str, status: str, seconds: str) -> bool:
    """Write how a part ended, and the report of all parts so far.

    Args:
        number: of the part.
        part: its name.
        status: ``"ok"``, or how it ended.
        seconds: that it took.

    Returns:
        Whether all went well.
    """
    folder = out_folder()
    rows = [row for row in _read(folder / "rows.csv") if row["part"] == part]
    bad = [row for row in rows if row["status"] == "failed"]
    if status == "ok" and not rows:
        status = "failed: it wrote no row"
    elif bad and not status.startswith("cut"):
        first = f"{bad[0]['what']}: {bad[0]['note']}"
        status = f"failed: {first}" if len(bad) == len(rows) else f"{len(bad)} of {len(rows)} failed: {first}"
    _append(
        folder / "parts.csv",
        PARTS,
        dict(zip(PARTS, (number, part, status, seconds, len(rows), len(bad)), strict=True)),
    )
    (folder / "report.md").write_text(report(folder), encoding="utf-8")
    print(f"== {number} {part}: {status} ({seconds} s, {len(rows)} rows)", flush=True)
    return status == "ok"


def report(folder: Path) -> str:
    """The page: how each part ended, then its rows.

    Args:
        folder: with ``parts.csv`` and ``rows.csv``.
    """
    parts, rows = _read(folder / "parts.csv"), _read(folder / "rows.csv")
    lines = ["# Run on a GPU", "", *_table(PARTS, parts)]
    for part in parts:
        lines += ["", f"## {part['number']} {part['part']}", ""]
        lines += _table(COLUMNS[1:], [row for row in rows if row["part"] == part["part"]])
    return "\n".join([*lines, ""])


def _table(columns: tuple[str, ...], rows: list[dict[str, str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|"]
    return lines + ["| " + " | ".join(row[name].replace("|", "\\|") for name in columns) + " |" for row in rows]


if __name__ == "__main__":
    sys.exit(0 if finish(*sys.argv[1:5]) else 1)
