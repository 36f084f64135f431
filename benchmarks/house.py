"""Files, lines, import times, and the functions that a recording and a batch enter on their way.

    python benchmarks/house.py [TREE]

TREE is a checkout, this one where none is given. ``docs/architecture.md`` has the figures before and after the rooms
were made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
WAY = """
import sys, json
sys.path.insert(0, sys.argv[1])
import grounding, gem
from pathlib import Path
root = Path(sys.argv[1]).resolve()
gem.load("gem-nano")
seen, calls = set(), 0
def trace(frame, event, arg):
    global calls
    if event == "call" and frame.f_code.co_filename.startswith(str(root)):
        calls += 1
        seen.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))
record = grounding.sample_path()
sys.setprofile(trace)
{work}
sys.setprofile(None)
files = {{Path(name).relative_to(root) for name, _ in seen}}
rooms = {{"/".join(path.parts[:2]) if len(path.parts) > 2 else str(path.parent) for path in files}}
print(json.dumps({{"functions": len(seen), "calls": calls, "files": len(files), "rooms": sorted(rooms)}}))
"""
EXPLAIN = "gem.explain(grounding.read_record(record))"
STEP = """
import torch
torch.manual_seed(0)
model = gem.load("gem-nano").train()
inputs = model.processor(record=[grounding.read_record(record)] * 2, picture=False)
out = model.encode(ecg=inputs["ecg"])
torch.nn.functional.binary_cross_entropy_with_logits(out.class_logits, torch.zeros_like(out.class_logits)).backward()
"""


def run(code: str, tree: Path, *options: str) -> str:
    """What a fresh Python prints that has this tree first on its path."""
    command = [sys.executable, *options, "-c", code, str(tree)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tree).stdout


def import_ms(name: str, tree: Path, rounds: int = 7) -> float:
    """Fastest time of an import in a fresh process, less that of an empty one, ms."""
    times = {}
    for code in ("pass", f"import {name}"):
        taken = []
        for _ in range(rounds):
            begin = time.perf_counter()
            run(code, tree)
            taken.append(time.perf_counter() - begin)
        times[code] = min(taken)
    return 1000 * (times[f"import {name}"] - times["pass"])


def main() -> None:
    tree = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
    for package in ("grounding", "gem"):
        files = sorted((tree / package).rglob("*.py"))
        lines = [len(path.read_text().splitlines()) for path in files]
        print(f"{package}: {len(files)} files, {sum(lines)} lines, the longest {max(lines)}")
    for name, work in (("recording to Explanation", EXPLAIN), ("a batch through a training step", STEP)):
        found = json.loads(run(WAY.format(work=work), tree, "-W", "ignore"))
        print(f"{name}: {found['functions']} functions of ours in {found['files']} files, {found['calls']} calls")
        print("  rooms:", ", ".join(found["rooms"]))
    numpy_ms = import_ms("numpy", tree)
    print(f"import numpy {numpy_ms:.0f} ms")
    for package in ("grounding", "gem"):
        taken = import_ms(package, tree)
        print(f"import {package} {taken:.0f} ms, {taken / numpy_ms:.2f} times numpy's")


if __name__ == "__main__":
    main()
