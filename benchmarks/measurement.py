"""Measurement against cardiologists' marks: by cross-validation, and against NeuroKit2 on the same records.

    python benchmarks/measurement.py ../shared --cv RUNS
    python benchmarks/measurement.py ../shared --systems nk-dwt nk-prominence
    python benchmarks/measurement.py ../shared --systems ecgdeli      # needs `pip install ecgdeli`
    python benchmarks/measurement.py ../shared --p-waves
    python benchmarks/measurement.py ../shared --noise
    python benchmarks/measurement.py ../shared --invariance
    python benchmarks/measurement.py ../shared --duration

``--cv`` measures each record with weights trained without it, for the folds in RUNS/fold_0 ... (from `python -m
gem.training.delineator --fold`), and lists the folds that are missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import wfdb

import grounding

ATRIAL_FIBRILLATION, ATRIAL_FLUTTER, SINUS = {"164889003", "AF"}, {"164890007", "AFL"}, {"426783006", "SNR"}


def scorer(shared: Path) -> ModuleType:
    """The script that scores everybody's measurement, as a module."""
    spec = importlib.util.spec_from_file_location("ludb_score", shared / "score" / "ludb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cross_validated(shared: Path, runs: Path) -> None:
    """Score every record whose fold was left out in one of the runs."""
    score = scorer(shared)
    grounding.measure(grounding.read_record(grounding.sample_path()))  # opens the measurement room
    delineators = sys.modules["grounding.delineation.delineators"]
    weights: dict[str, Path] = {}
    for run in sorted(runs.glob("fold_*")):
        card = json.loads((run / "delineator.json").read_text()) if (run / "delineator.json").is_file() else None
        if card is None:
            print(f"{run.name}: no weights, left out")
        else:
            weights |= dict.fromkeys(card["held_out"], run / "delineator.onnx")
    run_plainly = score.run_grounding

    def run_left_out(record: Path) -> Any:
        delineators.WEIGHTS = weights[record.name]  # type: ignore[attr-defined]
        return run_plainly(record)

    score.run_grounding = run_left_out
    with tempfile.TemporaryDirectory() as folder:
        for name in weights:
            for file in (shared / "data" / "ludb").glob(f"{name}.*"):
                os.symlink(file.resolve(), Path(folder) / file.name)
        score.show(score.score(Path(folder), "grounding"))


def run_ecgdeli(record: Path, _: str) -> Any:
    """ecgdeli 1.0.0 as documented: filter, then all leads together; global intervals from its consensus table."""
    import ecgdeli  # type: ignore[import-not-found]

    signal = wfdb.rdsamp(str(record))[0]
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ecgdeli.annotate(ecgdeli.filter_ecg(signal, 500.0), 500.0)
    seconds = time.perf_counter() - begun

    def table(part: Any, *columns: str) -> Any:
        return part.samples[:, [ecgdeli.FPT_COLUMNS.index(name) for name in columns]]

    columns = {"P": ("P_on", "P_peak", "P_off"), "QRS": ("QRS_on", "R", "QRS_off"), "T": ("T_on", "T_peak", "T_off")}
    waves = [{wave: table(lead, *names) for wave, names in columns.items()} for lead in found.leads]
    every = {wave: table(found.consensus, *names) for wave, names in columns.items()}
    onset = every["QRS"][:, 0]
    spans = {"pr": onset - every["P"][:, 0], "qrs": every["QRS"][:, 2] - onset, "qt": every["T"][:, 2] - onset}
    return (
        waves,
        {name: float(np.nanmedian(span) * 2) if np.isfinite(span).any() else None for name, span in spans.items()},
        seconds,
    )


def disturbed(signal: Any, fs: float, kind: str, snr_db: float, rng: np.random.Generator) -> Any:
    """The signal with noise at a signal-to-noise ratio: power of the leads less their medians over the noise's."""
    seconds = np.arange(signal.shape[1]) / fs
    if kind == "mains":
        noise = np.sin(2 * np.pi * (50 * seconds + rng.random((len(signal), 1))))
    elif kind == "baseline":
        noise = sum(np.sin(2 * np.pi * (rate * seconds + rng.random((len(signal), 1)))) for rate in (0.15, 0.25, 0.4))
    else:  # muscle: white noise from 20 Hz up
        spectrum = np.fft.rfft(rng.normal(size=signal.shape), axis=1)
        spectrum[:, np.fft.rfftfreq(signal.shape[1], 1 / fs) < 20] = 0
        noise = np.fft.irfft(spectrum, signal.shape[1], axis=1)
    power = np.mean((signal - np.median(signal, axis=1, keepdims=True)) ** 2)
    return signal + noise * np.sqrt(power / 10 ** (snr_db / 10) / np.mean(noise**2))


def _moved(path: Path) -> list[tuple[str, float, float | None]]:
    record, rng = grounding.read_record(path), np.random.default_rng(0)
    clean, out = grounding.measure(record).intervals, []
    for kind in ("mains", "muscle", "baseline"):
        for snr_db in (20.0, 10.0, 5.0, 0.0):
            signal = disturbed(record.signal.astype(float), record.fs, kind, snr_db, rng)
            noisy = grounding.measure(grounding.ECGRecord.from_array(signal, record.fs, record.leads)).intervals
            for name in ("pr", "qrs", "qt"):
                if (before := clean[name]) is not None:
                    after = noisy[name]
                    out.append((f"{kind} {name}", snr_db, None if after is None else after - before))
    return out


def noise(shared: Path, every: int = 1) -> None:
    """Effect of noise on the global intervals of 100 PTB-XL recordings, or of every ``every``-th of them.

    Prints the median and the 95th percentile of |change|, and the share that is still measured.
    """
    paths = sorted((shared / "data" / "ptbxl" / "records500").rglob("*.hea"))[:100:every]
    rows = [row for part in joblib.Parallel()(joblib.delayed(_moved)(path) for path in paths) for row in part]
    for key in dict.fromkeys((kind, snr_db) for kind, snr_db, _ in rows):
        moves = [move for kind, snr_db, move in rows if (kind, snr_db) == key]
        sizes = np.abs([move for move in moves if move is not None] or [np.nan])
        left = 100 * sum(move is not None for move in moves) / len(moves)
        print(
            f"{key[0]:13s} {key[1]:4.0f} dB: median {np.median(sizes):5.1f} ms, 95 % {np.percentile(sizes, 95):6.1f} "
            f"ms, measured {left:5.1f} %"
        )


def changes(record: Any) -> Iterator[tuple[str, Any, float]]:
    """Equivalent recordings: the change, the recording, and the longer sampling interval of the two, ms."""
    made, signal, fs, leads = grounding.ECGRecord.from_array, record.signal, record.fs, record.leads
    yield "microvolts", made(signal * 1000, fs, leads, units="uV"), 4.0
    yield "offset of 1 mV", made(signal + 1, fs, leads), 4.0
    yield "leads reversed", made(signal[::-1], fs, leads[::-1]), 4.0
    yield "recording twice over", made(np.tile(signal, (1, 2)), fs, leads), 4.0
    for samples in (1, 2, 10, 33):
        yield f"first {1000 * samples / fs:g} ms cut off", made(signal[:, samples:], fs, leads), 4.0
    for rate in (100, 125, 250, 360, 1000, 2000):
        yield f"at {rate} Hz", record.resample(rate), max(4.0, 1000 / rate)


def _invariance(path: Path) -> list[tuple[str, str, float, float | None]]:
    record = grounding.read_record(path)
    before = grounding.measure(record).intervals
    return [
        (change, name, sample, None if (after := m.intervals[name]) is None else abs(after - value))
        for change, other, sample in changes(record)
        for m in (grounding.measure(other),)
        for name in ("pr", "qrs", "qt")
        if (value := before[name]) is not None
    ]


def invariance(shared: Path) -> None:
    """Differences in the global intervals of 52 recordings between equivalent forms of the same recording."""
    data = shared / "data"
    paths = [*sorted((data / "ptbxl" / "records500").rglob("*.hea"))[::9], *sorted((data / "ludb").glob("*.hea"))[::9]]
    rows = [row for part in joblib.Parallel()(joblib.delayed(_invariance)(path) for path in paths) for row in part]
    print(f"{len(paths)} recordings; |change| of PR, QRS and QT, ms: 95th percentile, largest; share within one sample")
    for change in dict.fromkeys(row[0] for row in rows):
        cells = []
        for name in ("pr", "qrs", "qt"):
            here = [row for row in rows if row[:2] == (change, name)]
            moves = np.array([np.inf if row[3] is None else row[3] for row in here])
            share = 100 * np.mean(moves <= here[0][2])
            known = moves[np.isfinite(moves)]
            cells.append(f"{name.upper()} {np.percentile(known, 95):4.1f} {known.max():5.1f} {share:5.1f} %")
        print(f"{change:24s} {here[0][2]:4.0f} ms: {'; '.join(cells)}", flush=True)


def duration(shared: Path) -> None:
    """Processor time and peak memory by length: one recording, repeated, in a fresh process each."""
    path = sorted((shared / "data" / "ptbxl" / "records500").rglob("*.hea"))[0]
    for times in (1, 6, 30, 180, 360):
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            seconds, before, peak = fresh.submit(_long, path, times).result()
        print(
            f"{10 * times / 60:6.1f} min: {seconds:6.2f} s, {1000 * seconds / times:5.1f} ms per 10 s, "
            f"peak {peak:.0f} MB, {before:.0f} MB of it before measuring",
            flush=True,
        )


def _long(path: Path, times: int) -> tuple[float, float, float]:
    record = grounding.read_record(path)
    grounding.measure(record)
    long = grounding.ECGRecord(np.tile(record.signal, (1, times)), record.fs, record.leads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    grounding.measure(long)
    return time.process_time() - begun, before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def p_waves(shared: Path) -> None:
    """Share of beats with a P wave on the CinC Challenge records, by the rhythm in their header.

    Beats about which the recording can tell are counted apart: the P wave of one in the first 0.2 s may lie before it.
    """
    kinds = {"atrial fibrillation": ATRIAL_FIBRILLATION, "atrial flutter": ATRIAL_FLUTTER, "sinus rhythm": SINUS}
    counts = {kind: [0] * 4 for kind in kinds}
    for path in sorted((shared / "data" / "challenge").glob("*.hea")):
        lines = [line for line in path.read_text().splitlines() if "Dx:" in line]
        codes = set(lines[0].split("Dx:")[1].strip().split(",")) if lines else set()
        for kind, wanted in kinds.items():
            if wanted & codes and not (kind == "sinus rhythm" and (ATRIAL_FIBRILLATION | ATRIAL_FLUTTER) & codes):
                measured = grounding.measure(grounding.read_record(path))
                seen, known = measured.beats["p_present"], measured.beats["p_known"]
                for i, value in enumerate((1, len(seen), seen.sum(), known.sum())):
                    counts[kind][i] += int(value)
    for kind, (records, beats, found, told) in counts.items():
        print(
            f"{kind}: {records} records, {beats} beats, {100 * found / max(beats, 1):.1f} % with a P wave; "
            f"{told} beats of which the recording can tell, {100 * found / max(told, 1):.1f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path, help="the folder with data/ and score/")
    parser.add_argument("--cv", type=Path, help="folder with the runs fold_0, fold_1, ...")
    parser.add_argument(
        "--systems",
        nargs="*",
        default=[],
        help="nk-dwt, nk-cwt, nk-prominence, nk-peak (NeuroKit2), ecgdeli, grounding",
    )
    parser.add_argument("--p-waves", action="store_true")
    parser.add_argument("--noise", type=int, nargs="?", const=1, metavar="N", help="on every N-th of 100 recordings")
    parser.add_argument("--invariance", action="store_true")
    parser.add_argument("--duration", action="store_true")
    parser.add_argument(
        "--jobs", type=int, default=-1, help="processes for --noise and --invariance; all cores by default"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.cv:
        cross_validated(options.shared, options.cv)
    score = scorer(options.shared)
    run_neurokit = score.run_neurokit
    for method in options.systems:
        score.run_neurokit = run_ecgdeli if method == "ecgdeli" else run_neurokit
        score.show(score.score(options.shared / "data" / "ludb", method))
    tables = {
        p_waves: options.p_waves,
        partial(noise, every=options.noise): options.noise,
        invariance: options.invariance,
        duration: options.duration,
    }
    for table, wanted in tables.items():
        if wanted:
            with joblib.parallel_config(n_jobs=options.jobs):
                table(options.shared)


if __name__ == "__main__":
    main()
