"""Instruction data from many recordings: records per second, and what five kills at random points cost.

    python benchmarks/instruct.py --data ROOT --records 10000 --work FOLDER

Real recordings of ROOT/ptbxl/records500, and copies of them with noise where they run out, go through ``gem instruct``
with the offline composer twice: once unbroken, once killed with SIGKILL at random points and started again. Both
results must hold the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import wfdb

from grounding import read_record


def make_records(root: Path, folder: Path, count: int) -> None:
    """Write ``count`` WFDB records; those behind the last real one are copies with 10-40 uV of white noise."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted((root / "ptbxl" / "records500").rglob("*.hea"))
    rng = np.random.default_rng(0)
    for number in range(count):
        target = folder / f"r{number:05d}.hea"
        if target.is_file():
            continue
        record = read_record(paths[number % len(paths)].with_suffix(""))
        signal_mv = record.signal.T.astype(float)
        if number >= len(paths):
            signal_mv = signal_mv + rng.uniform(0.01, 0.04) * rng.standard_normal(signal_mv.shape)
        wfdb.wrsamp(
            target.stem,
            fs=record.fs,
            units=["mV"] * len(record.leads),
            sig_name=list(record.leads),
            p_signal=signal_mv,
            fmt=["16"] * len(record.leads),
            write_dir=str(folder),
        )


def command(records: Path, out: Path, jobs: int) -> list[str]:
    """The command that both runs use."""
    return [sys.executable, "-m", "gem", "instruct", str(records), "--out", str(out), "--jobs", str(jobs)]


def run_killed(words: list[str], kills: int, seconds: float, seed: int) -> list[float]:
    """Run, kill the process group at random times within ``seconds``, and run to the end; returns these times, s."""
    pick = random.Random(seed)
    waits = [pick.uniform(0.02, 0.9 / kills) * seconds for _ in range(kills)]
    for wait in waits:
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            child.wait(wait)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        else:
            raise SystemExit("the run was over before it could be killed: take more records")
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return waits


def digest(folder: Path) -> dict[str, str]:
    """File -> SHA-256."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    """Both runs, and the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for records and results")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    records = options.work / f"records{options.records}"
    make_records(options.data, records, options.records)
    whole, broken = options.work / "whole", options.work / "broken"
    begun = time.monotonic()
    subprocess.run(command(records, whole, options.jobs), check=True)
    seconds = time.monotonic() - begun
    result: dict[str, object] = {
        "records": options.records,
        "seconds": round(seconds, 1),
        "records_per_s": round(options.records / seconds, 1),
    }
    if options.kills:
        result["killed_after_s"] = [
            round(at, 1) for at in run_killed(command(records, broken, options.jobs), options.kills, seconds, 0)
        ]
        result["same_bytes"] = digest(whole) == digest(broken)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
