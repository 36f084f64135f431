"""Mutated files for every reader: ``python benchmarks/fuzz.py [FOLDER ...] --count 200000 --seed 0 --jobs 2``.

A file that a reader can't use must raise an ``EcgError``: no other exception, no crash, at most 2 s of processor time,
and at most 256 MB of memory beyond the samples (Linux). The intact files are one recording written in every format, and
those in the given folders. Case k of a reader is determined by the seed, the reader and k: ``--only edf:1234`` repeats
it, ``--keep DIR`` keeps its files.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_mutations import mutate
from fuzz_seeds import Seed, by_reader, own_seeds, seeds_in, write

from grounding import EcgError, read_record

MAX_CPU_S, MAX_EXTRA_BYTES, HANG_S = 2.0, 256 << 20, 60.0
CHUNK = 50


@dataclass
class Result:
    """Result of a run of cases: counts, the worst case, and every case that violated a requirement."""

    counts: Counter[str] = field(default_factory=Counter)
    worst_s: tuple[float, int] = (0.0, -1)
    worst_bytes: tuple[int, int] = (0, -1)
    broken: list[tuple[str, int, str]] = field(default_factory=list)  # kind, case, what happened

    def add(self, other: Result) -> None:
        self.counts += other.counts
        self.worst_s, self.worst_bytes = max(self.worst_s, other.worst_s), max(self.worst_bytes, other.worst_bytes)
        self.broken += other.broken


def case(seeds: Sequence[Seed], seed: int, index: int) -> Seed:
    """The mutated recording of a case."""
    rng = np.random.default_rng([seed, zlib.crc32(seeds[0].reader.encode()), index])
    whole, other = seeds[index % len(seeds)], seeds[rng.integers(len(seeds))]
    names = list(whole.files)
    name = whole.main if rng.random() < 0.7 else names[rng.integers(len(names))]
    return Seed(
        whole.reader,
        whole.main,
        whole.files | {name: mutate(whole.files[name], other.files[other.main], rng)},
        whole.options,
    )


def run(seeds: Sequence[Seed], seed: int, index: int, folder: Path, result: Result) -> None:
    """Read a case and record the result."""
    mutated = case(seeds, seed, index)
    path = write(mutated, folder)
    before, start = _memory(reset=True), time.process_time()
    kind, about, n_bytes = "read", "", 0
    try:
        n_bytes = 8 * read_record(path, format=mutated.reader, **mutated.options).signal.size
    except EcgError as error:
        kind = "refused"
        if not error.remedy:
            kind, about = "untyped", f"no remedy: {error}"
        if isinstance(error.__cause__, MemoryError):
            kind, about = "memory", f"MemoryError: {error}"
    except BaseException as error:
        kind = "untyped"
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        about = f"{type(error).__name__}: {error} ({' < '.join(f'{f.name}:{f.lineno}' for f in frames)})"
    seconds, extra = time.process_time() - start, _memory() - before - n_bytes
    result.counts[kind] += 1
    result.worst_s, result.worst_bytes = max(result.worst_s, (seconds, index)), max(result.worst_bytes, (extra, index))
    if seconds > MAX_CPU_S:
        result.broken.append(("slow", index, f"{seconds:.1f} s"))
    if extra > MAX_EXTRA_BYTES:
        result.broken.append(("memory", index, f"{extra >> 20} MiB beyond the samples"))
    if about:
        result.broken.append((kind, index, about))


def _memory(reset: bool = False) -> int:
    """Peak resident memory since the last reset, bytes; 0 where the system does not provide it."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def preload(seeds: Sequence[Seed], folder: Path) -> None:
    """Import what reading needs, so that its memory and time are not those of a case."""
    for whole in seeds:
        read_record(write(whole, folder), format=whole.reader, **whole.options).resample(250)


def work(tasks: Any, done: Any, current: Any, seeds: dict[str, list[Seed]], seed: int) -> None:
    """A worker, which takes runs of cases until there are none."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        preload([whole for some in seeds.values() for whole in some], folder)
        while (task := tasks.get()) is not None:
            reader, first, last = task
            result = Result()
            for index in range(first, last):
                current[:] = [index, int(time.time())]
                run(seeds[reader], seed, index, folder, result)
            done.put((task, result))
            current[:] = [-1, 0]
        done.put((None, None))


def spread(counts: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    """Runs of cases, the readers in turn."""
    for first in range(0, max(counts.values()), CHUNK):
        for reader, count in counts.items():
            if first < count:
                yield reader, first, min(first + CHUNK, count)


def run_all(seeds: dict[str, list[Seed]], seed: int, counts: dict[str, int], jobs: int) -> dict[str, Result]:
    """Run all cases in worker processes; one that crashes or hangs is recorded, and the others continue."""
    context = multiprocessing.get_context("spawn")
    results = {reader: Result() for reader in seeds}
    waiting, started = list(spread(counts))[::-1], time.time()

    def start() -> dict[str, Any]:
        worker: dict[str, Any] = {
            "tasks": context.Queue(),
            "done": context.Queue(),
            "current": context.Array("q", [-1, 0]),
            "task": None,
        }
        worker["process"] = context.Process(
            target=work, args=(worker["tasks"], worker["done"], worker["current"], seeds, seed), daemon=True
        )
        worker["process"].start()
        give(worker)
        return worker

    def give(worker: dict[str, Any]) -> None:
        worker["task"] = waiting.pop() if waiting else None
        worker["tasks"].put(worker["task"])

    workers = [start() for _ in range(jobs)]
    while any(worker["task"] for worker in workers):
        for position, worker in enumerate(workers):
            if worker["task"] is None:
                continue
            index, since = worker["current"][:]
            hangs = index >= 0 and since and time.time() - since > HANG_S
            try:
                task, result = worker["done"].get(timeout=0.05)
            except queue.Empty:
                if worker["process"].is_alive() and not hangs:
                    continue
                if index < 0:
                    raise SystemExit(f"a worker ended with {worker['process'].exitcode} before it began") from None
                reader, first, last = worker["task"]
                worker["process"].kill()
                kind = "slow" if hangs else "untyped"
                told = f"over {HANG_S:g} s" if hangs else f"the process ended with {worker['process'].exitcode}"
                results[reader].broken.append((kind, index, told))
                results[reader].counts[kind] += 1
                waiting += [part for part in ((reader, index + 1, last), (reader, first, index)) if part[1] < part[2]]
                workers[position] = start()
                continue
            results[task[0]].add(result)
            give(worker)
            total = sum(sum(r.counts.values()) for r in results.values())
            if total % 5000 < CHUNK:
                print(f"{total} cases, {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    for worker in workers:
        worker["process"].join(10)
    return results


def report(results: dict[str, Result], seeds: dict[str, list[Seed]], seed: int) -> int:
    print(
        f"{'reader':<10}{'seeds':>6}{'cases':>9}{'read':>9}{'refused':>9}{'untyped':>9}{'slow':>6}{'memory':>8}"
        f"{'longest, s':>12}{'(case)':>9}{'most, MiB':>11}"
    )
    total: Counter[str] = Counter()
    for reader, result in results.items():
        kinds = Counter(kind for kind, _, _ in result.broken)
        n = sum(result.counts.values())
        total += Counter(cases=n) + result.counts
        print(
            f"{reader:<10}{len(seeds[reader]):>6}{n:>9}{result.counts['read']:>9}{result.counts['refused']:>9}"
            f"{kinds['untyped']:>9}{kinds['slow']:>6}"
            f"{kinds['memory']:>8}{result.worst_s[0]:>12.2f}{result.worst_s[1]:>9}"
            f"{result.worst_bytes[0] / 2**20:>11.0f}"
        )
    broken = [(reader, *item) for reader, result in results.items() for item in result.broken]
    for reader, kind, index, about in broken[:50]:
        print(f"{kind}: --seed {seed} --only {reader}:{index}: {about}")
    kinds = Counter(kind for _, kind, _, _ in broken)
    print(
        f"seed {seed}: {total['cases']} cases, {total['read']} read, {total['refused']} refused; {kinds['untyped']} "
        f"untyped exceptions, {kinds['slow']} over {MAX_CPU_S:g} s, {kinds['memory']} over the memory bound"
    )
    return 1 if broken else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of further recordings to mutate")
    parser.add_argument("--count", type=int, default=20_000, help="cases over all readers (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--readers", help="only these, e.g. csv,edf")
    parser.add_argument("--only", metavar="READER:INDEX", help="one case, in this process")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="with --only: leave its files there")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        every = own_seeds(Path(name))
        for folder in args.folders:
            every += seeds_in(folder)
        seeds, unread = by_reader(every, Path(name))
    for line in unread:
        print(f"passed over: {line}")
    if args.only:
        reader, index = args.only.split(":")
        with tempfile.TemporaryDirectory() as name:
            folder = args.keep or Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            result = Result()
            preload(seeds[reader], Path(name))
            run(seeds[reader], args.seed, int(index), folder, result)
        return report({reader: result}, seeds, args.seed)
    chosen = {name: some for name, some in seeds.items() if not args.readers or name in args.readers.split(",")}
    share, rest = divmod(args.count, len(chosen))
    counts = {name: share + (position < rest) for position, name in enumerate(chosen)}
    return report(run_all(chosen, args.seed, counts, args.jobs), chosen, args.seed)


if __name__ == "__main__":
    sys.exit(main())
