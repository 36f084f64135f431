"""Runs the kernel tests of this folder under Triton's interpreter, where there is no GPU to run them on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"

FILES = [
    "test_bench_cases.py",
    "test_convergence.py",
    "test_dual_projector.py",
    "test_ecg_front_end.py",
    "test_layer_norm.py",
    "test_merge.py",
    "test_segment_pooling.py",
]


@pytest.mark.skipif(HERE, reason="the tests run in this very process")
def test_under_the_interpreter() -> None:
    folder = Path(__file__).parent
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:xdist", *(str(folder / name) for name in FILES)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder.parents[2],
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout, done.stdout[-2000:]
