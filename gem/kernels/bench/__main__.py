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
    parser.add_argument("--adopt", action="store_true", help="also put the rows into the table that `auto` reads")
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        count = len(all_cases(tuple(given.op)))
        print(
            f"No GPU here ({heading('CPU')}): no kernel was timed and no table was written.\n"
            f"`auto` means torch. On a machine with an NVIDIA GPU the same command measures {count} cases "
            f"in under {given.minutes:g} minutes.\n"
            "What can be checked without one: tests/gem/kernels (Triton's interpreter) and python -m gem.kernels.aot "
            "(registers, spills, shared memory)."
        )
        return
    started = time.monotonic()
    bench = Bench("cuda", deadline=started + given.minutes * 60 - 45)  # 45 s for 3 x 200 training steps and the tables
    kind, title = dispatch.device_class(), heading(torch.cuda.get_device_name())
    limits = ceilings("cuda")
    print(title, flush=True)
    rows: list[Row] = []
    for row in bench.run(all_cases(tuple(given.op))):
        rows.append(row)
        print(
            f"{row.case.op}, {row.case.name}, {row.direction}: kernel {row.triton_ms:.4g} ms, "
            f"{row.rival or 'no rival'} {row.rival_ms:.4g} ms",
            *row.notes,
            flush=True,
        )
    together = [] if given.op else [compare("cuda", steps=200).text]
    print(*together, flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    table = given.out / "table.csv"
    write_csv(table, [cells(row, kind, limits) for row in rows], title)
    took = f"The run took {time.monotonic() - started:.0f} s."
    (given.out / "table.md").write_text(markdown(rows, title, limits, [took, *together]), encoding="utf-8")
    print(f"{took} Wrote {table} and {given.out / 'table.md'}.")
    if given.adopt:
        won = sum(entry.wins for entry in adopt(table, dispatch.TABLE).entries)
        print(f"Wrote {dispatch.TABLE}: `auto` takes the kernel in {won} measured places.")


if __name__ == "__main__":
    main()
