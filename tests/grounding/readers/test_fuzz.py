"""A short run of the fuzzer over all readers: no exception but EcgError, no case over 2 s or over the memory limit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from grounding.readers import readers

ROOT = Path(__file__).parents[3]


def fuzz(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)


def test_a_short_run_keeps_the_promise() -> None:
    done = fuzz("--count", "600", "--seed", "11")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    found = re.fullmatch(
        r"seed 11: 600 cases, (\d+) read, (\d+) refused; 0 untyped exceptions, 0 over 2 s, 0 over the memory bound",
        last,
    )
    assert found, last
    assert int(found[1]) > 30
    assert int(found[2]) > 100
    # a picture takes seconds; damaged ones are in tests/grounding/photographs
    for name in set(readers) - {"picture"}:
        assert re.search(rf"^{name} ", done.stdout, re.MULTILINE), name


def test_one_case_can_be_made_again(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        done = fuzz("--only", "edf:7", "--seed", "3", "--keep", str(tmp_path / folder))
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "a" / "edf.edf").read_bytes() == (tmp_path / "b" / "edf.edf").read_bytes()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise ZeroDivisionError", "1 untyped exceptions"),
        (
            "import time\n        end = time.process_time() + 2.1\n        while time.process_time() < end: pass",
            "1 over 2 s",
        ),
        ("b = bytes(400 << 20); b = bytearray(b); raise EcgError('no', remedy='x')", "1 over the memory bound"),
    ],
)
def test_a_broken_promise_is_told(tmp_path: Path, body: str, kind: str) -> None:
    """The instrument itself: each kind of fault, put into a reader, is found."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(ROOT / 'benchmarks')!r}, {str(ROOT)!r}]\n"
        "import fuzz\nfrom grounding import EcgError\n"
        "calls = []\n"
        "def read(path, **options):\n"
        "    calls.append(path)\n"
        "    if len(calls) > 1:\n"
        f"        {body}\n"
        "    return fuzz_seeds.read_record(path, **options)\n"
        "import fuzz_seeds\n"
        "fuzz.read_record = read\n"
        "sys.argv = ['fuzz.py', '--only', 'npy:0']\n"
        "sys.exit(fuzz.main())\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert kind in done.stdout.strip().splitlines()[-1]
