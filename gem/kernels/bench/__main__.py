"""The command: measures on a GPU and writes ``table.csv`` and ``table.md``; without one it says what can be done."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from .. import dispatch
from . import all_cases
from .convergence import compare
from .report import adopt, cells, heading, markdown, write_csv
from .runner import Bench, Row
from .timing import ceilings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the bench.

    Args:
        arguments: of the command line, see ``--help``; those of the process when None.
    """
    parser = argparse.ArgumentParser(prog="python -m gem.kernels.bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("kernels_bench"), help="folder of table.csv and table.md")
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="limit on the whole run; no measurement is started later"
    )
    parser.add_argument(
        "--op",
        action="append",
        default=[],
        choices=sorted({case.op for case in all_cases()}),
        help="only this op (repeatable)",
    )
    parser.add_argument("--tiny", action="store_true", help="rehearse with the smallest sizes, on the CPU too")
    parser.add_argument("--adopt", action="store_true", help="also put the rows into the table that `auto` reads")
    given = parser.parse_args(arguments)
    if given.tiny and given.adopt:
        parser.error("times of the smallest sizes say nothing: --adopt goes without --tiny")
    gpu, cases = torch.cuda.is_available(), all_cases(tuple(given.op), given.tiny)
    if not gpu and not given.tiny:
        print(
            f"No GPU here ({heading('CPU')}): no kernel was timed and no table was written.\n"
            f"`auto` means torch. On a machine with an NVIDIA GPU the same command measures {len(cases)} cases "
            f"in under {given.minutes:g} minutes.\n"
            "What can be checked without one: tests/gem/kernels (Triton's interpreter) and python -m gem.kernels.aot "
            "(registers, spills, shared memory)."
        )
        return
    started = time.monotonic()
    device, steps = "cuda" if gpu else "cpu", 5 if given.tiny else 200
    # 45 s for three trainings and the tables
    bench = Bench(device, deadline=started + given.minutes * 60 - 45 * (not given.tiny), compiled=not given.tiny)
    kind, title = (dispatch.device_class(), heading(torch.cuda.get_device_name())) if gpu else ("cpu", heading("CPU"))
    limits = ceilings(device, 256 if given.tiny else 8192)
    print(title, flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    table, rows = given.out / "table.csv", list[Row]()

    def save(*more: str) -> str:
        """Write what there is so far: a run may be cut."""
        took = f"The run took {time.monotonic() - started:.0f} s."
        write_csv(table, [cells(row, kind, limits) for row in rows], title)
        (given.out / "table.md").write_text(markdown(rows, title, limits, [took, *more]), encoding="utf-8")
        return took

    for row in bench.run(cases):
        rows.append(row)
        save()
        print(
            f"{row.case.op}, {row.case.name}, {row.direction}: kernel {row.triton_ms:.4g} ms, "
            f"{row.rival or 'no rival'} {row.rival_ms:.4g} ms",
            *row.notes,
            flush=True,
        )
    together = [] if given.op else [compare(device, steps).text]
    print(*together, flush=True)
    print(f"{save(*together)} Wrote {table} and {given.out / 'table.md'}.")
    if given.adopt:
        won = sum(entry.wins for entry in adopt(table, dispatch.TABLE).entries)
        print(f"Wrote {dispatch.TABLE}: `auto` takes the kernel in {won} measured places.")


if __name__ == "__main__":
    main()
