"""Resident memory while one process measures and explains many recordings: it must stay flat.

    python benchmarks/memory.py                                  # 10,000 measured, 1,000 explained, of the bundled ones
    python benchmarks/memory.py --records DIR --measured 2000    # of your own

Prints a line at every tenth, and fails where the second half of a run reaches ``--limit`` MB above the first. With the
bundled recordings about ten minutes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import grounding  # noqa: E402  (after the number of threads is set)

CHECKED = "Sinus rhythm, 72 bpm. PR 160 ms. Left axis deviation. No ST elevation."


def resident_mb() -> float:
    """Memory of this process that is in use now, MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(path: Path) -> None:
    """Read, measure, find and check, as for a row of a table."""
    measurement = grounding.measure(grounding.read_record(path))
    grounding.find(measurement)
    grounding.check(CHECKED, measurement)


def explained(paths: list[Path]) -> None:
    """Explain a batch, and make its dictionaries."""
    import gem

    for explanation in gem.explain(paths):
        explanation.to_dict()


def growth(name: str, work: Callable[[Any], object], items: Iterable[Any], count: int, each: int) -> float:
    """Do the work, and print memory as it goes.

    Args:
        name: of the work.
        work: on one item.
        items: any number.
        count: how many are worked on.
        each: recordings in an item.

    Returns:
        MB by which the highest value of the second half is above that of the first.
    """
    seen = []
    for done, item in enumerate(itertools.islice(items, count), 1):
        work(item)
        if done % max(1, count // 10) == 0:
            seen.append(resident_mb())
            print(f"{name}: {done * each:6d} recordings, {seen[-1]:.0f} MB", flush=True)
    half = (len(seen) + 1) // 2  # batches of texts of different lengths go up and down by 40 MB
    return max(seen[half:], default=0.0) - max(seen[:half])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=Path, default=grounding.sample_path().parent, help="a folder (default: ours)")
    parser.add_argument("--measured", type=int, default=10_000, help="recordings to measure (default: %(default)s)")
    parser.add_argument("--explained", type=int, default=1000, help="recordings to explain (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=20.0, help="MB that a second half may add (default: 20)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    paths = grounding.readers.find_recordings([options.records])
    grown = []
    if options.measured:
        grown.append(growth("measured", measured, itertools.cycle(paths), options.measured, 1))
    if options.explained:
        batch = 10
        batches = (list(itertools.islice(itertools.cycle(paths), first, first + batch)) for first in itertools.count())
        grown.append(growth("explained", explained, batches, max(1, options.explained // batch), batch))
    return 1 if max(grown, default=0.0) > options.limit else 0


if __name__ == "__main__":
    sys.exit(main())
