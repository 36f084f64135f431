"""Whether runs that are killed and restarted give the same bytes as uninterrupted runs.

    python benchmarks/kills.py training --kills 60 --work FOLDER
    python benchmarks/kills.py instruct --kills 100 --work FOLDER

``training`` sends SIGKILL at random times to training runs of all kinds in turn; ``instruct`` sends SIGKILL and SIGTERM
to the parent process of `gem instruct --jobs 2`. A chain is one run with all its kills. ``identical`` counts the chains
with the result of an uninterrupted run, ``failed`` the runs that could not continue. ``orphans`` are processes of a
killed `gem instruct` that still exist five seconds later. The exit status is 1 if there is any difference, failure or
orphan. POSIX only; ``training`` needs the checkout, since it trains the tests' tiny model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS, KILLS_PER_CHAIN = 24, 6
ORPHANS_AFTER_S = 5.0
# kinds of training runs: arguments of ``run`` in tests/gem/training/tiny.py
RUNS: dict[str, dict[str, Any]] = {
    "whole decoder": {},
    "LoRA": {"lora": True},
    "LoRA, packed rows": {"lora": True, "module": {"pack_length": 200, "train": ("ecg_projector",)}},
    "two workers": {"source": {"workers": 2}},
    "accumulated gradients": {"batch": 2, "accumulate_grad_batches": 2},
    "cached features": {"lora": True, "cached": True},
}


def digest(folder: Path) -> dict[str, str]:
    """File -> SHA-256."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def train(data: Path, out: Path, how: dict[str, Any], beat: Callable[[], None]) -> None:
    """Train in ``out`` to the last step, from a checkpoint if there is one; ``beat`` is called after each batch."""
    from lightning.pytorch.callbacks import Callback

    from tests.gem.training import tiny

    class Beat(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            beat()

    options = {name: value for name, value in how.items() if name != "cached"}
    if "cached" in how:
        options["module"] = {"feature_cache": str(out / "features")}
    last = out / "checkpoints" / "last.ckpt"
    tiny.run(data, out, STEPS, resume=str(last) if last.exists() else None, callbacks=[Beat()], **options)


def train_until(data: Path, out: Path, how: dict[str, Any], batches: int, more_s: float) -> str:
    """Train in a process and kill it ``more_s`` after some batches; ``"killed"``, ``"done"`` or ``"failed"``."""
    told, tells = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        log = os.open(out.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 1
        try:
            train(data, out, how, lambda: os.write(tells, b"."))
            code = 0
        finally:
            os._exit(code)
    os.close(tells)
    seen = 0
    while seen < batches and (new := len(os.read(told, 1))):
        seen += new
    if seen >= batches:
        time.sleep(more_s)
        os.kill(child, signal.SIGKILL)
    os.close(told)
    status = os.waitpid(child, 0)[1]
    return "killed" if os.WIFSIGNALED(status) else "done" if status == 0 else "failed"


def training(options: argparse.Namespace) -> bool:
    """Chains of killed training runs."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(ROOT))
    import torch

    from tests.gem.training import tiny

    torch.set_num_threads(1)
    pick, counts = random.Random(options.seed), Counter[str]()
    options.work.mkdir(parents=True, exist_ok=True)
    data = tiny.write_data(options.work)
    whole: dict[str, dict[str, str]] = {}
    while counts["kills"] < options.kills:
        name = list(RUNS)[counts["chains"] % len(RUNS)]
        counts["chains"] += 1
        if name not in whole:
            straight = options.work / f"straight-{len(whole)}"
            if train_until(data, straight, RUNS[name], 10**9, 0) != "done":
                raise SystemExit(f"the unbroken run failed: see {straight.with_suffix('.log')}")
            whole[name] = digest(straight / "model")
        out, ended, kills = options.work / f"chain-{counts['chains']}", "killed", 0
        while ended == "killed":
            more = kills < KILLS_PER_CHAIN and counts["kills"] < options.kills
            batches = pick.randint(1, 2 * STEPS // KILLS_PER_CHAIN) if more else 10**9
            ended = train_until(data, out, RUNS[name], batches, pick.uniform(0, 0.2))
            kills += ended == "killed"
            counts["kills"] += ended == "killed"
        same = ended == "done" and digest(out / "model") == whole[name]
        counts["identical"] += same
        counts["failed"] += ended == "failed"
        print(f"{name}: {kills} kills, {'identical' if same else 'DIFFERENT'} ({ended})", file=sys.stderr, flush=True)
        shutil.rmtree(out, ignore_errors=True)
    print(json.dumps({name: counts[name] for name in ("kills", "chains", "identical", "failed")}))
    return counts["identical"] == counts["chains"]


def members(session: int) -> list[int]:
    """Processes of a session that are alive."""
    found = subprocess.run(["ps", "-A", "-o", "pid=,sess=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in found.splitlines()]
    return [int(pid) for pid, sess, stat in rows if int(sess) == session and not stat.startswith("Z")]


def records(folder: Path, count: int) -> None:
    """Bundled recordings with 10-40 uV of noise, as WFDB."""
    import numpy as np
    import wfdb

    from grounding import read_record, sample_path

    folder.mkdir(parents=True, exist_ok=True)
    rng, samples = np.random.default_rng(0), sorted(Path(sample_path()).parent.glob("*.hea"))
    for number in range(count):
        record = read_record(samples[number % len(samples)].with_suffix(""))
        noisy = record.signal.T + rng.uniform(0.01, 0.04) * rng.standard_normal(record.signal.T.shape)
        leads = list(record.leads)
        wfdb.wrsamp(
            f"r{number}", record.fs, ["mV"] * len(leads), leads, noisy, fmt=["16"] * len(leads), write_dir=str(folder)
        )


def instruct(options: argparse.Namespace) -> bool:
    """Chains of killed ``gem instruct``."""
    pick, counts = random.Random(options.seed), Counter[str]()
    source, whole = options.work / "records", options.work / "whole"
    records(source, options.records)
    words = [
        sys.executable,
        "-m",
        "gem",
        "instruct",
        str(source),
        "--tasks",
        "report",
        "feature",
        "--pictures",
        "--shard-size",
        "2",
        "--jobs",
        "2",
        "--out",
    ]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    begun = time.monotonic()
    subprocess.run([*words, str(whole)], check=True, **quiet)
    seconds, wanted = time.monotonic() - begun, digest(whole)
    kills_left = options.kills
    while kills_left or counts["chains"] == 0:
        counts["chains"] += 1
        out, code, kills = options.work / f"chain-{counts['chains']}", None, 0
        while code is None:
            child = subprocess.Popen([*words, str(out)], **quiet)
            try:
                code = child.wait(pick.uniform(0.05, 0.6) * seconds if kills_left else None)
            except subprocess.TimeoutExpired:
                how = signal.SIGTERM if pick.random() < 0.3 else signal.SIGKILL
                child.send_signal(how)
                time.sleep(ORPHANS_AFTER_S)
                if child.poll() is None:
                    counts["orphans"] += 1
                    child.kill()
                left = members(child.pid)
                counts["orphans"] += len(left)
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                child.wait()
                counts["kills"] += 1
                counts[how.name] += 1
                kills, kills_left = kills + 1, kills_left - 1
        same = code == 0 and digest(out) == wanted
        counts["identical"] += same
        counts["failed"] += code != 0
        print(
            f"{kills} kills, {'identical' if same else 'DIFFERENT'} (exit {code}), {counts['orphans']} orphans so far",
            file=sys.stderr,
            flush=True,
        )
        shutil.rmtree(out, ignore_errors=True)
    names = ("kills", "SIGKILL", "SIGTERM", "chains", "identical", "failed", "orphans")
    print(json.dumps({name: counts[name] for name in names}))
    return counts["identical"] == counts["chains"] and not counts["orphans"]


def main() -> int:
    """One of the two, with its counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("training", "instruct"))
    parser.add_argument("--work", type=Path, required=True, help="an empty folder")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--records", type=int, default=24, help="instruct: recordings of a run")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    return 0 if {"training": training, "instruct": instruct}[options.what](options) else 1


if __name__ == "__main__":
    sys.exit(main())
