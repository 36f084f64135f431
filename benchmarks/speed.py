"""How long everything takes, as ratios to a peer in the same run; fails where a ratio got a fifth worse.

    python benchmarks/speed.py                            # all rows, held against the committed table
    python benchmarks/speed.py --only measure render      # some
    python benchmarks/speed.py --out benchmarks/speed.csv # and write the table; with --only, its other rows stay

Each row is the median over pairs: our work and its peer's, one right after the other, in processor time of one thread,
so that other programs on the machine change little. The peer is another library where it is installed (NeuroKit2,
ecgdeli, matplotlib), else the part that can't be left out: the bare network, importing torch. Where there is neither,
it is a fixed piece of Python. A row that is a fifth worse than in the table is measured twice more before it counts.
The bundled recordings; about four minutes.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  (after the number of threads is set)

import grounding  # noqa: E402
from grounding import ECGRecord  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "speed.csv"
WORSE = 1.2
DAY_S, DAY_HZ = 24 * 3600, 128
COLUMNS = ("row", "ms", "needed_ms", "peer", "peer_ms", "ratio", "machine", "versions")
REPORT = (
    "Sinus rhythm at 72 bpm. PR interval 160 ms. QRS duration 95 ms. QTc 420 ms. The axis is normal. "
    "Left ventricular hypertrophy. No ST elevation. T wave inversion in V5 and V6. Old inferior infarction."
)
Work = Callable[[], object]


class Row(NamedTuple):
    """A row of the table: (ours, peer) in ms for each pair, and what is needed in ms."""

    pairs: list[tuple[float, float]]
    peer: str
    needed_ms: float | None


def cpu_ms(work: Work) -> float:
    """Processor time of this process."""
    begun = time.process_time()
    work()
    return 1000 * (time.process_time() - begun)


def child_ms(work: Work) -> float:
    """Processor time of the commands that the work runs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def pairs(ours: Callable[[Any], object], peer: Work, items: list[Any], clock: Callable[[Work], float] = cpu_ms) -> Any:
    """A pair for each item, after one of each that does not count."""
    ours(items[0])
    peer()
    return [(clock(lambda item=item: ours(item)), clock(peer)) for item in items]


def records() -> list[ECGRecord]:
    """The bundled recordings, 10 s of twelve leads each."""
    return [grounding.read_record(path) for path in grounding.readers.find_recordings([grounding.sample_path().parent])]


def network(leads: int = 12, seconds: float = 10.0) -> Work:
    """The delineation network alone, on so much of noise."""
    from grounding.delineation.features import CHANNELS
    from grounding.delineation.learned import WEIGHTS
    from grounding.delineation.network import STRIDE, _session

    samples = int(np.ceil(250 * seconds / STRIDE)) * STRIDE
    x = np.random.default_rng(0).normal(size=(leads, CHANNELS, samples)).astype(np.float32)
    return lambda: _session(WEIGHTS).run(None, {"x": x})


def python() -> None:
    """A fixed piece of plain Python."""
    counts: dict[tuple[int, str], int] = {}
    for number in range(6000):
        key = (number % 97, "a")
        counts[key] = counts.get(key, 0) + len(str(number))


def check_report(measurement: Any) -> object:
    """The report, every sentence of it read anew: reports of other recordings have other sentences."""
    from grounding.statements.parsing import statements_of

    statements_of.cache_clear()
    return grounding.check(REPORT, measurement)


def fresh_measurements() -> list[Any]:
    """Measurements that nothing was found in yet."""
    return [grounding.measure(record) for record in records()]


def measure() -> Row:
    """Against the bare network."""
    return Row(pairs(grounding.measure, network(), records() * 3), "bare network", 15)


def measure_neurokit() -> Row:
    """Against NeuroKit2's discrete wavelet delineation of the same twelve leads."""
    import neurokit2

    record = records()[0]

    def peer() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for lead in record.signal.astype(float):
                clean = neurokit2.ecg_clean(lead, sampling_rate=record.fs)
                _, found = neurokit2.ecg_peaks(clean, sampling_rate=record.fs)
                neurokit2.ecg_delineate(clean, found["ECG_R_Peaks"], sampling_rate=record.fs, method="dwt")

    return Row(pairs(grounding.measure, peer, [record] * 3), "NeuroKit2", 15)


def measure_ecgdeli() -> Row:
    """Against ecgdeli's filter and annotation."""
    import ecgdeli  # type: ignore[import-not-found]

    record = records()[0]
    signal = record.signal.T.astype(float)

    def peer() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ecgdeli.annotate(ecgdeli.filter_ecg(signal, record.fs), record.fs)

    return Row(pairs(grounding.measure, peer, [record] * 5), "ecgdeli", 15)


def find() -> Row:
    """On measurements that nothing was found in yet."""
    return Row(pairs(grounding.find, python, [m for _ in range(3) for m in fresh_measurements()]), "plain Python", 2)


def check() -> Row:
    """A report, on measurements that nothing was found in yet."""
    measurements = [m for _ in range(3) for m in fresh_measurements()]
    return Row(pairs(check_report, python, measurements), "plain Python", 2)


def check_again() -> Row:
    """A report, on measurements whose findings are known."""
    measurements = fresh_measurements()
    for measurement in measurements:
        grounding.find(measurement)
    return Row(pairs(check_report, python, measurements * 3), "plain Python", None)


def render() -> Row:
    """1650 x 1275, against a typical figure: one axes, line collections as the grid, a line per panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    record = records()[0]
    panels = grounding.paper.plan(record).panels

    def peer() -> object:
        figure = Figure(figsize=(11, 8.5), dpi=150)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 279.4), ylim=(215.9, 0))
        for step, colour in ((1, "#fadbd9"), (5, "#f0acaa")):
            upright = [[(x, 0), (x, 215.9)] for x in range(0, 280, step)]
            level = [[(0, y), (279.4, y)] for y in range(0, 216, step)]
            axes.add_collection(LineCollection(upright + level, colors=colour, linewidths=0.5))
        for panel in panels:
            first, last = round(panel.start_s * record.fs), round(panel.end_s * record.fs)
            values = record.lead(panel.lead)[first:last]
            x = panel.x_mm + np.arange(len(values)) / record.fs * 25
            axes.plot(x, panel.y_mm - (values - panel.zero) * 10, color="#161826", linewidth=0.9)
            axes.text(panel.x_mm + 1, panel.y_mm - 12, panel.lead)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())

    return Row(pairs(grounding.render, peer, [record] * 8), "matplotlib", 12)


def explain() -> Row:
    """One recording, warm, against decoding its text alone as transformers does."""
    import gem
    from gem import modeling
    from gem.writing import encode_records, one_thread
    from grounding.facts import facts

    model, every, ours = gem.load("gem-nano"), records(), modeling.can_decode
    measurement = grounding.measure(every[0])

    def peer() -> None:
        modeling.can_decode = lambda *_: False
        try:
            encoded.write(items)
        finally:
            modeling.can_decode = ours

    with one_thread(model):
        encoded = encode_records(model, every[:1], [measurement])
        items = [facts(measurement, grounding.find(measurement), encoded.probabilities()[0])]
        row = pairs(lambda record: gem.explain(record, model=model), peer, every)
    return Row(row, "transformers' decoding", 350)


def explain_many() -> Row:
    """A recording of a batch of 16, against measuring one."""
    import gem

    model, every = gem.load("gem-nano"), (records() * 2)[:16]
    row = pairs(lambda _: gem.explain(every, model=model), lambda: grounding.measure(every[0]), [0, 1])
    return Row([(a / len(every), b) for a, b in row], "grounding.measure", 500)


def explain_cold() -> Row:
    """The command on the bundled recording, against importing torch and transformers."""
    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, "-m", "gem", "explain", "--html", f"{folder}/x.html"]
        peer = [sys.executable, "-c", "import torch, transformers; transformers.PreTrainedModel"]
        return Row(pairs(lambda _: run(ours), lambda: run(peer), [0, 1], child_ms), "import torch, transformers", 5000)


def table() -> Row:
    """A row of ``gem measure FOLDER``: read, measured, found; against measuring alone."""
    from gem.batch import DEFAULTS, measured_rows

    files = grounding.readers.find_recordings([grounding.sample_path().parent])
    record = grounding.read_record(files[0])
    row = pairs(lambda file: measured_rows([file], DEFAULTS), lambda: grounding.measure(record), files * 2)
    return Row(row, "grounding.measure", None)


def instruct() -> Row:
    """A recording of ``gem instruct``, all tasks, one core; against measuring it."""
    from gem.instruct.judging import read_sentence
    from gem.instruct.pipeline import instruct as make
    from gem.instruct.sources import find_sources
    from gem.instruct.teachers import teachers
    from grounding.statements.parsing import statements_of

    sources, record = find_sources([grounding.sample_path().parent]), records()[0]

    def ours(_: object) -> None:
        for remembered in (statements_of, read_sentence):  # the sentences of the same recordings, the round before
            remembered.cache_clear()
        with tempfile.TemporaryDirectory() as folder:
            make(sources, Path(folder), teachers["composer"]())

    row = pairs(ours, lambda: [grounding.measure(record) for _ in sources], [0, 1, 2])
    return Row([(a / len(sources), b / len(sources)) for a, b in row], "grounding.measure", 1000 / 30)


def day() -> Row:
    """24 h of three leads at 128 Hz in parts, in a fresh process, against the bare network on as much."""
    code = f"""
import time
import numpy as np, pathlib
import grounding
r = grounding.read_record(grounding.sample_path()).resample({DAY_HZ})
x = np.tile(r.signal[:3], (1, {DAY_S} // 10))[:, : {DAY_S * DAY_HZ}]
grounding.measure(grounding.ECGRecord.from_array(x[:, :1280], {DAY_HZ}, r.leads[:3]))
long = grounding.ECGRecord.from_array(x, {DAY_HZ}, r.leads[:3])
peak = lambda: int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
try:  # from here on, not from the making of the signal
    pathlib.Path("/proc/self/clear_refs").write_text("5")
except OSError:
    pass
before, begun, beats = peak(), time.process_time(), 0
for part in grounding.measure_parts(long):
    beats += len(part.beats)
measured, after = time.process_time(), peak()
m = grounding.measure(long.crop(0, 14400))
begun_dict = time.process_time()
m.to_dict()
print(measured - begun, after - before, 6 * (time.process_time() - begun_dict), beats)
"""
    seconds, memory, dict_s, beats = map(float, run([sys.executable, "-c", code]).split())
    print(f"day: {beats:.0f} beats, +{memory:.0f} MB; to_dict {dict_s:.1f} s (6 x that of 4 h)", flush=True)
    window = network(3, 30)
    window()
    peer = statistics.median(cpu_ms(window) for _ in range(9)) * DAY_S / 30
    return Row([(1000 * seconds, peer)], "bare network", 25_000)


def import_grounding() -> Row:
    """Against numpy's."""
    return imports("grounding")


def import_gem() -> Row:
    """Against numpy's."""
    return imports("gem")


def imports(name: str) -> Row:
    def start(code: str) -> Work:
        return lambda: run([sys.executable, "-c", code])

    found = pairs(lambda _: start(f"import {name}")(), start("import numpy"), [0] * 9, child_ms)
    empty = statistics.median(child_ms(start("pass")) for _ in range(5))
    return Row([(a - empty, b - empty) for a, b in found], "import numpy", 150)


def run(command: list[str]) -> str:
    """What a command prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stderr}")
    return done.stdout


ROWS = (
    explain,
    explain_many,
    explain_cold,
    measure,
    measure_neurokit,
    measure_ecgdeli,
    find,
    check,
    check_again,
    render,
    table,
    instruct,
    day,
    import_grounding,
    import_gem,
)
NEEDS = {measure_neurokit: "neurokit2", measure_ecgdeli: "ecgdeli", render: "matplotlib"}


def measured(row: Callable[[], Row]) -> dict[str, Any]:
    """A line of the table."""
    found = row()
    ours, peer = (statistics.median(values) for values in zip(*found.pairs, strict=True))
    ratio = statistics.median(a / b for a, b in found.pairs)
    return {
        "row": row.__name__,
        "ms": f"{ours:.4g}",
        "needed_ms": "" if found.needed_ms is None else f"{found.needed_ms:.4g}",
        "peer": found.peer,
        "peer_ms": f"{peer:.4g}",
        "ratio": f"{ratio:.3g}",
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "pandas", "onnxruntime", "torch")),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def lines_of(names: list[str], known: dict[str, float]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each line of the table, and whether its ratio is a fifth worse than the known one, three times."""
    for row in ROWS:
        if row.__name__ not in names:
            continue
        if row in NEEDS and importlib.util.find_spec(NEEDS[row]) is None:
            print(f"{row.__name__:18s} left out: {NEEDS[row]} is not installed", flush=True)
            continue
        limit = WORSE * known.get(row.__name__, float("inf"))
        line = measured(row)
        for _ in range(2):
            if float(line["ratio"]) > limit:
                line = min(line, measured(row), key=lambda one: float(one["ratio"]))
        worse = float(line["ratio"]) > limit
        said = f", {known[row.__name__]:g} in the table: WORSE" if worse else ""
        print(f"{line['row']:18s} {line['ms']:>8s} ms, {line['ratio']:>6s} x {line['peer']}{said}", flush=True)
        yield line, worse


def table_of(path: Path) -> dict[str, dict[str, Any]]:
    """A written table: row -> its line; empty where there is no file."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {line["row"]: line for line in csv.DictReader(file)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[row.__name__ for row in ROWS], metavar="ROW", help="some rows")
    parser.add_argument(
        "--against", type=Path, default=TABLE, help="table to hold against (default: the committed one)"
    )
    parser.add_argument("--out", type=Path, help="table to write")
    options = parser.parse_args()
    known = {name: float(line["ratio"]) for name, line in table_of(options.against).items()}
    warnings.simplefilter("ignore")
    lines = list(lines_of(options.only or [row.__name__ for row in ROWS], known))
    if options.out:
        kept = table_of(options.out) if options.only else {}
        kept |= {line["row"]: line for line, _ in lines}
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept[row.__name__] for row in ROWS if row.__name__ in kept)
    return 1 if any(worse for _, worse in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
