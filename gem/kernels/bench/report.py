"""The two tables: a CSV that ``auto`` reads, and a Markdown page for readers."""

from __future__ import annotations

import csv
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ..dispatch import COLUMNS, Table
from .runner import Row, achieved
from .timing import Ceilings

_ALWAYS = ("triton", "eager", "compile", "liger")


def versions() -> dict[str, str]:
    """Versions of the packages that the figures depend on; ``"absent"`` if one is not installed."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "cuda": str(torch.version.cuda)}
    for name in ("triton", "transformers", "liger-kernel"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def heading(device: str) -> str:
    """One line: the device and the versions."""
    return f"{device}; " + ", ".join(f"{name} {version}" for name, version in versions().items())


def cells(row: Row, device_class: str, limits: Ceilings) -> dict[str, str]:
    """A row of the CSV: the columns that ``auto`` reads, then everything that was measured.

    Args:
        row: one case in one direction.
        device_class: such as ``"sm_90"``.
        limits: of the GPU.
    """
    case = row.case
    floor_ms = 1e3 * case.floor_s(row.direction, limits.bytes_per_s, limits.flop_per_s.get(case.dtype, float("inf")))
    values: dict[str, str] = {
        "op": case.op,
        "device_class": device_class,
        "dtype": str(case.dtype).removeprefix("torch."),
        "direction": row.direction,
        "size": str(case.size),
        "triton_ms": f"{row.triton_ms:.6g}",
        "rival_ms": f"{row.rival_ms:.6g}",
        "rival": row.rival,
        "case": case.name,
        "floor_ms": f"{floor_ms:.6g}",
        "achieved": achieved(row, "triton", limits),
        "error": _number(row.errors.get("triton")),
        "notes": "; ".join(row.notes),
    }
    for name in (*_ALWAYS, *case.rivals):
        timing = row.timings.get(name)
        for part in ("p20", "median", "p80", "peak_mb", "held_mb"):
            values[f"{name}_{part}"] = _number(getattr(timing, part) if timing else None)
    return values


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Write rows of ``cells``; cells that a row lacks stay empty.

    Args:
        path: of the CSV.
        rows: from ``cells``.
        title: comment in the first line.
    """
    columns = list(COLUMNS) + sorted({name for row in rows for name in row} - set(COLUMNS))
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {title}\n")
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def adopt(measured: Path, table: Path) -> Table:
    """Put measured rows into the table that ``auto`` reads; rows of other kinds of GPU stay.

    Args:
        measured: CSV of a run.
        table: CSV that ``auto`` reads, changed.

    Returns:
        The new table.

    Raises:
        GemConfigError: either file is damaged.
    """
    fresh, kept = Table.read(measured), Table.read(table)
    classes = {entry.device_class for entry in fresh.entries}
    first = measured.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    merged = Table([*fresh.entries, *(e for e in kept.entries if e.device_class not in classes)])
    before = table.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") if kept.entries else ""
    merged.write(table, " | ".join(part for part in (first, before) if part))
    return merged


def markdown(rows: Sequence[Row], title: str, limits: Ceilings, more: Sequence[str] = ()) -> str:
    """The page: one line per case and direction; times are median (p20-p80) in ms.

    Args:
        rows: what was measured.
        title: GPU and versions.
        limits: of the GPU.
        more: paragraphs before the table.
    """
    lines = [
        "# Kernels, measured",
        "",
        title,
        "",
        f"Ceilings of this GPU: copy {limits.bytes_per_s / 1e9:.4g} GB/s, "
        + ", ".join(
            f"{str(dtype).removeprefix('torch.')} product {rate / 1e12:.4g} TFLOP/s"
            for dtype, rate in limits.flop_per_s.items()
        )
        + ". Floors are counted from them. Times in ms: median (p20-p80), cache flushed before each repetition.",
        "",
        *more,
        "",
        "| op | case | dtype | direction | floor | kernel | eager | torch.compile | Liger | others | achieved | "
        "peak MB kernel / best rival | held MB kernel / best rival | error | kernel against best rival |",
        "| --- " * 15 + "|",
    ]
    for row in rows:
        case, best = row.case, row.timings.get(row.rival)
        mine = row.timings.get("triton")
        floor_ms = 1e3 * case.floor_s(
            row.direction, limits.bytes_per_s, limits.flop_per_s.get(case.dtype, float("inf"))
        )
        ratio = (
            f"{row.rival_ms / row.triton_ms:.2f}x ({row.rival})" if best and row.triton_ms < float("inf") else "none"
        )
        pairs = [
            " / ".join("" if t is None or getattr(t, part) is None else f"{getattr(t, part):.1f}" for t in (mine, best))
            for part in ("peak_mb", "held_mb")
        ]
        columns = [
            case.op,
            case.name,
            str(case.dtype).removeprefix("torch."),
            row.direction,
            f"{floor_ms:.4g}",
            *(_shown(row, name) for name in _ALWAYS),
            "; ".join(f"{name} {_shown(row, name)}" for name in case.rivals if name not in _ALWAYS),
            achieved(row, "triton", limits),
            *pairs,
            (_number(row.errors.get("triton")) or "not run")
            + ("" if row.is_correct else " WRONG" if "triton" in row.errors else ""),
            ratio,
        ]
        lines.append("| " + " | ".join(columns) + " |")
    notes = sorted({f"* {row.case.op}, {row.case.name}: {note}" for row in rows for note in row.notes})
    return "\n".join([*lines, "", *notes, ""])


def _shown(row: Row, name: str) -> str:
    timing = row.timings.get(name)
    return f"{timing.median:.4g} ({timing.p20:.4g}-{timing.p80:.4g})" if timing else ""
