"""One part of ``gpu.sh``: ``python benchmarks/gpu_parts.py PART --seconds N``, with ``GEM_GPU_OUT`` as the folder.

``GEM_GPU_REHEARSE=1`` runs it on the CPU with tiny sizes.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpu_report import add_failure, add_row, out_folder

ROOT = Path(__file__).resolve().parents[1]
# packages that the parts use and that a machine for GPU work may lack; the third column says what goes without
OPTIONAL = (
    ("wfdb", "the recipes (their recordings are written with it)"),
    ("neurokit2", "recipes that measure recordings"),
    ("onnxruntime", "recipes that measure recordings"),
    ("jsonargparse", "all recipes"),
    ("xdist", "kernel tests run in one process"),
    ("liger_kernel", "rows of Liger in the bench"),
)


@dataclass(frozen=True)
class Run:
    """What a part is told.

    Attributes:
        part: its name.
        deadline: ``time.monotonic()`` at which it has to be ready.
        rehearse: tiny sizes on the CPU.
        data: a folder laid out like PTB-XL, or None.
    """

    part: str
    deadline: float
    rehearse: bool
    data: Path | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def device(self) -> str:
        """Where the work is done."""
        return "cpu" if self.rehearse else "cuda"

    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def row(self, what: str, figure: str = "", value: object = "", unit: str = "", **more: str) -> None:
        """Write a row, see ``gpu_report.add_row``."""
        add_row(self.part, what, figure, value, unit, **more)

    def has_time(self, what: str, needs_s: float) -> bool:
        """Whether there is time left; writes a row where there isn't.

        Args:
            what: comes next.
            needs_s: seconds that it takes.
        """
        if self.left_s() >= needs_s:
            return True
        self.row(what, status="skipped", note=f"{self.left_s():.0f} s were left, it needs {needs_s:.0f}")
        return False


def environment(run: Run) -> None:
    """GPU, driver and versions; the two limits of the GPU; what is missing."""
    import torch

    from gem.kernels.bench.report import versions
    from gem.kernels.bench.timing import ceilings

    for name, version in versions().items():
        run.row(name, "version", version)
    for name, without in OPTIONAL:
        if importlib.util.find_spec(name) is None:
            run.row(name, status="skipped", note=f"not installed: without it {without}")
    run.row("processors", "count", os.cpu_count() or 0)
    if run.rehearse:
        limits = ceilings("cpu", 256)
    else:
        whole = torch.cuda.get_device_properties(0)
        run.row("GPU", "name", whole.name, note=f"sm_{whole.major}{whole.minor}")
        run.row("GPU", "memory", whole.total_memory / 2**30, "GiB")
        asked = ["nvidia-smi", "--query-gpu=driver_version,clocks.sm,power.limit", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)
        run.row("GPU", "driver, clock, power limit", said.stdout.strip() or said.stderr.strip())
        limits = ceilings("cuda")
    run.row("copy", "bandwidth", limits.bytes_per_s / 1e9, "GB/s")
    for dtype, rate in limits.flop_per_s.items():
        run.row(str(dtype).removeprefix("torch."), "matrix product", rate / 1e12, "TFLOP/s")


def program(run: Run, command: list[str], log: Callable[[str], None], environ: dict[str, str] | None = None) -> int:
    """Run another program, and what it starts, until the part's time is up; its status.

    Args:
        run: the part.
        command: of the program.
        log: called with each line.
        environ: its environment; this one's when None.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environ,
        start_new_session=True,
    ) as child:
        timer = threading.Timer(max(1.0, run.left_s()), os.killpg, (child.pid, signal.SIGKILL))
        timer.start()
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            log(line)
        timer.cancel()
        return child.wait()


# pytest-xdist puts the outcome in front, plain pytest behind; a file that can't be imported is in the summary alone
OUTCOMES = (
    re.compile(r"\[gw\d+\] \[ *\d+%\] (?P<outcome>[A-Z]+) (?P<file>\S+\.py)::(?P<name>.*)"),
    re.compile(r"(?P<file>\S+\.py)::(?P<name>.*?) (?P<outcome>PASSED|FAILED|ERROR|SKIPPED)\b"),
    re.compile(r"(?P<outcome>ERROR) (?P<file>\S+\.py)(?P<name>)( - .*)?$"),
)


def outcome_of(line: str) -> tuple[str, str, str] | None:
    """Outcome, file and name of a test in a line of ``pytest -v``; None in other lines.

    Args:
        line: one line of the output.
    """
    found = next((match for pattern in OUTCOMES if (match := pattern.match(line.strip()))), None)
    return (found["outcome"], Path(found["file"]).name, found["name"].strip()) if found else None


def kernel_tests(run: Run) -> None:
    """The tests of the kernels, compiled and on the device; recordings by CUDA itself; free memory is poisoned."""
    folder, environ = "tests/gem/kernels", dict(os.environ)
    left_out = ("test_aot.py", "test_bench.py", "test_interpreter.py")  # they need no GPU
    files = sorted(str(p.relative_to(ROOT)) for p in (ROOT / folder).glob("test_*.py") if p.name not in left_out)
    options = ["-vv", "--tb=short", "-p", "no:cacheprovider", "--color=no"]
    if run.rehearse:
        environ["TRITON_INTERPRET"] = "1"
        files = [f"{folder}/test_layer_norm.py", f"{folder}/test_recording.py"]
        options += ["-k", "contiguous or ecg_patch", "-p", "no:xdist"]
    else:
        environ["GEM_TEST_DEVICE"] = "cuda"
        if importlib.util.find_spec("xdist"):
            options += ["-n", "8"]
    counts: Counter[tuple[str, str]] = Counter()

    def count(line: str) -> None:
        outcome = outcome_of(line)
        if outcome:
            counts[outcome[1], outcome[0]] += 1
            if outcome[0] in ("FAILED", "ERROR"):
                run.row(f"{outcome[1]} {outcome[2]}", status="failed", note="the log has its traceback")

    code = program(run, [sys.executable, "-m", "pytest", *options, *files], count, environ)
    for name in sorted({name for name, _ in counts}):
        run.row(name, "passed", counts[name, "PASSED"], "tests", note=f"skipped: {counts[name, 'SKIPPED']}")
    if run.left_s() <= 0:
        run.row("all files", status="failed", note="cut: not all tests ran")
    elif code not in (0, 1) or not counts:
        run.row("all files", status="failed", note=f"pytest ended with status {code}")


def bench(run: Run) -> None:
    """``python -m gem.kernels.bench``; its tables become kernels.csv and kernels.md."""
    minutes = max(0.2, run.left_s() / 60)
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / "kernels_bench"
    command = [sys.executable, "-m", "gem.kernels.bench", "--minutes", f"{minutes:.2f}", "--out", str(folder)]
    if run.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"
        command[4] = "0.1"
        command += ["--tiny", "--op", "merge"]
    said: list[str] = []

    def keep(line: str) -> None:
        said.append(line.strip())
        for name in ("csv", "md"):  # so that a cut run has them too
            made = folder / f"table.{name}"
            if made.is_file():
                (out_folder() / f"kernels.{name}").write_bytes(made.read_bytes())

    code = program(run, command, keep)
    table = out_folder() / "kernels.csv"
    if not table.is_file():
        raise RuntimeError(f"status {code}, no table: {said[-1] if said else 'no output'}")
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    for row in rows:
        mine, best = float(row["triton_ms"]), float(row["rival_ms"])
        what = f"{row['op']}, {row['case']}, {row['dtype']}, {row['direction']}"
        if mine == float("inf"):
            run.row(what, status="failed" if row["error"] else "skipped", note=row["notes"] or "the kernel is wrong")
            continue
        speed = best / mine if mine else 0.0
        floor = f"floor {row['floor_ms']} ms; {row['achieved']}; {row['rival'] or 'no rival'} {best:.4g} ms"
        run.row(what, "kernel", mine, "ms", note=f"{speed:.2f}x; {floor}; {row['notes']}")
    for line in said:
        if line.startswith("Convergence"):
            run.row("200 training steps", note=line, status="failed" if "NOT the same" in line else "ok")
    if code:
        run.row("the bench", status="failed", note=f"status {code}: {said[-1] if said else ''}")


def llava(run: Run) -> None:
    """Training of a 1.2 B model against transformers' LLaVA: benchmarks/training.py."""
    table = out_folder() / "llava.csv"
    command = [sys.executable, "benchmarks/training.py", "--out", str(table)]
    command += ["--size", "tiny" if run.rehearse else "1b"]
    if run.rehearse:
        command += ["--only", "transformers LLaVA", "ours, packed"]
    said: list[str] = []
    code = program(run, command, lambda line: said.append(line.strip()))
    for line in said:
        if ": failed: " in line:
            run.row(line.split(": failed: ")[0], status="failed", note=line.split(": failed: ")[1])
    if not table.is_file():
        raise RuntimeError(f"status {code}, no table: {said[-1] if said else 'no output'}")
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            note = f"{row['ratio']}x the first row; loss {row['loss']}"
            run.row(row["what"], "throughput", row["tokens_per_s"], "tokens/s", note=note)
            run.row(row["what"], "peak memory", row["peak_mb"], "MB")
    if code:
        run.row("the comparison", status="failed", note="cut" if run.left_s() <= 0 else f"status {code}")


def recipes(run: Run) -> None:
    """Two steps of each recipe, see gpu_recipes.py."""
    import gpu_recipes

    gpu_recipes.two_steps(run)


def training(run: Run) -> None:
    """gem-nano and gem-135m for what is left of the time, see gpu_recipes.py."""
    import gpu_recipes

    gpu_recipes.train(run)


def shapes(run: Run) -> None:
    """GEM-7B on random weights, see gpu_shapes.py."""
    import gpu_shapes

    gpu_shapes.measure_shapes(run)


def tiles(run: Run) -> None:
    """The kernels with other tile sizes, see gpu_tiles.py."""
    import gpu_tiles

    gpu_tiles.measure_tiles(run)


PARTS: dict[str, Callable[[Run], None]] = {
    "environment": environment,
    "tests": kernel_tests,
    "recipes": recipes,
    "bench": bench,
    "shapes": shapes,
    "llava": llava,
    "tiles": tiles,
    "training": training,
}


def main() -> int:
    """Run one part; its failure is a row and the status 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--seconds", type=float, required=True, help="limit; the part ends some seconds earlier")
    parser.add_argument("--data", type=Path, help="a folder laid out like PTB-XL")
    given = parser.parse_args()
    reserve = 3.0 if given.seconds < 60 else 6.0
    deadline = time.monotonic() + given.seconds - reserve
    run = Run(given.part, deadline, bool(os.environ.get("GEM_GPU_REHEARSE")), given.data)
    try:
        if not run.rehearse:
            import torch

            if not torch.cuda.is_available():
                raise RuntimeError("no NVIDIA GPU here")
        PARTS[given.part](run)
    except Exception as error:
        import traceback

        traceback.print_exc()
        add_failure(given.part, "the part", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
